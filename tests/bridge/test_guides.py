"""What the guides to PyBroker and to ProjectX show does what they say."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from openbell.stores.lake import Lake
from tests.house import ROOT, read

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.set_index")
KEY = "a key of more than ten characters"


def blocks(guide: str) -> list[str]:
    """The pieces of Python in a guide, in order."""
    return re.findall(r"```python\n(.*?)```", read(f"docs/guides/{guide}.md"), re.DOTALL)


def test_the_guide_to_pybroker_runs(spy: Path, place: Path, capsys: Any) -> None:
    shutil.copy(ROOT / "examples" / "node" / "ema-strategy.js", place)
    known: dict[str, Any] = {}
    for block in blocks("pybroker"):
        exec(block, known)
    said = re.findall(r"(\d+) trades on XNYS:SPY/1m@1", capsys.readouterr().out)
    assert said == ["158", str(len(known["done"].result.trades))]
    assert len(known["node_result"].trades) > 10
    assert str(known["source"].pins["XNYS:SPY"]) == "XNYS:SPY/1m@1"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -15)])
def test_the_guide_to_projectx_serves_until_it_is_told_to_end(
    spy: Path, sent: signal.Signals, code: int
) -> None:
    port = free_port()
    script = blocks("projectx")[0].replace("8080", str(port))
    started = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OPENBELL_LAKE": str(spy)},
    )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}/api", trust_env=False) as client:
            assert contract(client) == "XNYS:SPY"
        started.send_signal(sent)
        said, _ = started.communicate(timeout=10)
    finally:
        started.kill()
    assert (started.returncode, said) == (code, "")


def contract(client: httpx2.Client) -> Any:
    """Log in as soon as somebody listens, and ask for the first contract and a bar of it."""
    login = None
    last = time.monotonic() + 30
    while login is None:
        with suppress(httpx2.ConnectError):
            login = client.post("/Auth/loginKey", json={"userName": "ann", "apiKey": KEY})
        assert time.monotonic() < last
    token = {"Authorization": f"Bearer {login.json()['token']}"}
    found = client.post("/Contract/search", json={"searchText": "SPY"}, headers=token).json()
    name = found["contracts"][0]["id"]
    body = {
        "contractId": name, "startTime": "2011-03-01", "endTime": "2011-04-01",
        "unit": 2, "unitNumber": 5, "limit": 3,
    }  # fmt: skip
    assert len(client.post("/History/retrieveBars", json=body, headers=token).json()["bars"]) == 3
    return name


def test_the_contracts_of_the_guide_are_found(spy: Path) -> None:
    known: dict[str, Any] = {}
    exec(blocks("projectx")[1], known)
    found = known["contracts"].find("CON.F.US.EP.H11")
    assert str(Lake(spy, lambda: 0).resolve(found.ref)) == "XNYS:SPY/1m@1"
    assert known["contracts"].find("F.US.EP") is found
