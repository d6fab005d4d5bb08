"""The guide to replays, done."""

import re
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "replay.md"


def test_the_guide_does_what_it_says(
    spy_lake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENBELL_LAKE", str(spy_lake))
    known: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, known)
    assert capsys.readouterr().out.splitlines() == ["2", "2011-03-14T15:01:00Z 91", "True 0"]
