"""`openbell serve`: other programs read the lake through it."""

import re
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from openbell.app.serving import read_users
from openbell.app.wiring import make_lake
from openbell.market.errors import UsageError
from tests.commands import openbell, started

ASKED = {
    "contractId": "XNYS:SPY", "startTime": "2011-03-01", "endTime": "2011-03-02",
    "unit": 2, "unitNumber": 5, "limit": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no user"),
        ("# nobody\n\n", "holds no user"),
        ("ann", "line 1 of .* is no user and key"),
        ("ann=", "line 1 of .* is no user and key"),
        ("bob=b\n=hush", "line 2 of .* is no user and key"),
        ("bob=b\nbob=hush", "line 2 of .* names a user again"),
    ],
)
def test_a_file_of_users_that_says_nothing_sensible_is_refused(
    text: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "users"
    path.write_text(text)
    with pytest.raises(UsageError, match=problem) as caught:
        read_users(path)
    assert "hush" not in f"{caught.value}{caught.value.hint}"


def test_a_file_of_users_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"users cannot be read: No such file"):
        read_users(tmp_path / "users")
    (tmp_path / "users").write_bytes(b"\xff=\xff")
    with pytest.raises(UsageError, match=r"users cannot be read: it is no text"):
        read_users(tmp_path / "users")


def test_a_key_may_hold_anything_a_line_can(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("# desks\nann = a=b #c,d \n\nbob=é\n", "utf-8")
    assert read_users(tmp_path / "users") == {"ann": "a=b #c,d", "bob": "é"}


def test_without_users_bars_are_read_without_a_login(spy: Path, place: Path) -> None:
    with serving(place) as (client, said):
        assert "1 contract on" in said
        assert "nobody has to log in" in said
        bars = client.post("/History/retrieveBars", json=ASKED).json()["bars"]
        assert [bar["t"] for bar in bars][-1] < bars[0]["t"]
        assert len(bars) == 3


def test_users_log_in_with_the_keys_of_the_file(spy: Path, place: Path) -> None:
    users = place / "users.txt"
    users.write_text("ann=a key of more than ten characters\n")
    users.chmod(stat.S_IRUSR)
    with serving(place, "--users", str(users)) as (client, said):
        assert "1 user may log in" in said
        assert client.post("/History/retrieveBars", json=ASKED).status_code == 401
        login = {"userName": "ann", "apiKey": "a key of more than ten characters"}
        token = client.post("/Auth/loginKey", json=login).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        found = client.post("/History/retrieveBars", json=ASKED, headers=headers).json()
        assert len(found["bars"]) == 3


def test_a_lake_without_bars_is_nothing_to_serve(place: Path) -> None:
    assert openbell("serve", "projectx").code == 1
    make_lake(place / "lake")
    said = openbell("serve", "projectx")
    assert said.code == 2
    assert "no bars to serve" in said.err


def test_without_users_it_is_refused_to_listen_to_others(spy: Path) -> None:
    said = openbell("serve", "projectx", "--host", "0.0.0.0")
    assert said.code == 2
    assert "anybody could read from 0.0.0.0" in said.err


@contextmanager
def serving(place: Path, *words: str) -> Iterator[tuple[httpx2.Client, str]]:
    """A server in a process of its own: a client of it, and what it said; ended as by Ctrl-C."""
    process = started("serve", "projectx", "--port", str(free_port()), *words, cwd=place)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://\S+/api", said)
        assert found, said + process.stderr.read()
        with httpx2.Client(base_url=found[0], trust_env=False, timeout=30) as client:
            wait_for(client)
            yield client, said
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=20)
        assert (process.returncode, rest) == (0, ("", ""))
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for(client: httpx2.Client) -> None:
    last = time.monotonic() + 30
    while time.monotonic() < last:
        with suppress(httpx2.ConnectError):
            client.get("/")
            return
    raise AssertionError("nobody listens")
