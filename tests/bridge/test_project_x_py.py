"""A real client of ProjectX, project-x-py, reads our bars once its address is changed.

It runs in an environment of its own, made once of pinned packages: it wants others than ours.
Its release asks for Python 3.12 and runs on 3.11 all the same.
"""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from openbell.bridge.contracts import contracts_of
from openbell.bridge.projectx import create_app, server_of
from openbell.market.build import widen
from openbell.market.moments import parse_moment
from openbell.market.timeframe import timeframe
from tests.backtest.made import store_of
from tests.house import ROOT
from tests.report.spy import spy_bars

LOCK = Path(__file__).with_name("project-x.lock")
KEY = "a key of more than ten characters"
NOW_NS = parse_moment("2011-03-25T15:02:00Z")

pytestmark = pytest.mark.timeout(300)  # the first time, the client has to be fetched

CLIENT = """
import json
from project_x_py import ProjectX

client = ProjectX.from_env()
contract = client.get_instrument("SPY")
# It asks for so many days up to the present; the server's present is in 2011.
frame = client.get_data("SPY", days=14_600, interval=5, limit=1000)
hours = client.get_data("SPY", days=14_600, interval=1, unit=3, limit=3, partial=False)
print(json.dumps({
    "contract": vars(contract),
    "columns": frame.columns,
    "zone": frame.schema["timestamp"].time_zone,
    "rows": frame.with_columns(frame["timestamp"].dt.epoch("ns")).rows(),
    "hours": hours.height,
}))
"""


@pytest.fixture(scope="session")
def client_python() -> Path:
    """The Python of an environment that holds the client."""
    name = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = ROOT / "build" / f"project-x-{name}"
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as draft:
            made = Path(draft) / "made"
            venv.create(made, symlinks=True)
            run(
                sys.executable, "-m", "pip", "--python", str(made / "bin" / "python"), "install",
                "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--no-deps",
                "--ignore-requires-python", "--require-hashes", "--requirement", str(LOCK),
            )  # fmt: skip
            made.rename(place)
    return place / "bin" / "python"


@pytest.fixture
def address() -> Iterator[str]:
    """Where the app listens, in this process."""
    store = store_of(spy_bars())
    app = create_app(
        store,
        contracts_of(store),
        users={"ann": KEY},
        secret="tests sign with this secret of forty bytes",
        now_ns=lambda: NOW_NS,
        wall_ns=lambda: NOW_NS,
    )
    server = server_of(app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def run(*words: str, **environment: str) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=240, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(python: Path, address: str, code: str) -> Any:
    said = run(
        str(python), "-c", code,
        PROJECTX_API_URL=address, PROJECT_X_USERNAME="ann", PROJECT_X_API_KEY=KEY, PYTHONPATH="",
    )  # fmt: skip
    return orjson.loads(said)


def test_the_client_reads_our_bars_up_to_the_present_of_the_replay(
    client_python: Path, address: str
) -> None:
    found = ask(client_python, address, CLIENT)
    assert found["contract"] == {
        "id": "XNYS:SPY", "name": "SPY", "description": "XNYS:SPY",
        "tickSize": 0.01, "tickValue": 0.01, "activeContract": True,
    }  # fmt: skip
    assert found["columns"] == ["timestamp", "open", "high", "low", "close", "volume"]
    assert found["zone"] == "America/Chicago"
    bars = spy_bars()
    built = widen(bars.take(bars.end_ns <= NOW_NS), timeframe("5m")).take(slice(-1000, None))
    assert built.start_ns[-1] == parse_moment("2011-03-25T15:00Z")  # two minutes of it are known
    columns = (built.start_ns, built.open, built.high, built.low, built.close, built.volume)
    assert found["rows"] == [list(row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    assert found["hours"] == 3
