"""A private Redis starts on a free port, serves, and leaves nothing behind."""

import os
from pathlib import Path

import pytest
from redis import Redis

from openbell.bridge import redis_server
from openbell.bridge.redis_server import RedisServer, connect, find_binary
from openbell.market.errors import UnavailableError, UsageError


def test_it_serves_and_is_gone_with_its_folder(binary: Path) -> None:
    with RedisServer(binary) as server:
        with connect(server.url, decode_responses=True) as client:
            client.xadd("stream", {"a": "1"})
            assert client.xlen("stream") == 1
            assert client.config_get("bind")["bind"] == "127.0.0.1"
            folder = Path(client.config_get("dir")["dir"])
        pid = server.pid
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_two_run_side_by_side(binary: Path) -> None:
    with RedisServer(binary) as one, RedisServer(binary) as other:
        assert one.port != other.port
        with connect(one.url) as first, connect(other.url) as second:
            first.set("x", 1)
            assert second.get("x") is None


def test_it_comes_back_on_its_port(server: RedisServer) -> None:
    port, pid = server.port, server.pid
    server.restart()
    assert (server.port, server.pid == pid) == (port, False)
    with connect(server.url) as client:
        assert client.ping()


def test_it_knows_nothing_of_our_environment(
    binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBELL_SECRET", "hush")
    told = tmp_path / "told"
    between = tmp_path / "redis-server"
    between.write_text(f'#!/bin/sh\nenv > {told}\nexec {binary} "$@"\n')
    between.chmod(0o755)
    with RedisServer(between):
        names = {line.partition("=")[0] for line in told.read_text().splitlines()}
    assert names <= {"PATH", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"}


def test_a_port_that_is_taken_is_an_error_with_what_the_server_said(server: RedisServer) -> None:
    with pytest.raises(UnavailableError, match=r"(?s)did not start on port.*[Aa]ddress already"):
        RedisServer(find_binary(), port=server.port).start()


def test_options_reach_the_server(binary: Path) -> None:
    with RedisServer(binary, options={"maxmemory": "5mb"}) as server, connect(server.url) as client:
        assert client.config_get("maxmemory") == {b"maxmemory": b"5242880"} or client.config_get(
            "maxmemory"
        ) == {"maxmemory": "5242880"}


def test_a_user_with_a_password_gets_in_and_another_does_not(server: RedisServer) -> None:
    with connect(server.url) as client:
        client.acl_setuser(
            "ann",
            enabled=True,
            passwords=["+good"],
            categories=["+@all"],
            keys=["*"],
            channels=["*"],
        )
    url = f"redis://{{}}@127.0.0.1:{server.port}/0"
    with connect(url.format("ann:good")) as client:
        assert client.acl_whoami() in ("ann", b"ann")
    with pytest.raises(UnavailableError, match="does not serve us"):
        connect(url.format("ann:bad"))


def test_a_wrong_url_and_a_dead_one_are_different_errors() -> None:
    with pytest.raises(UsageError, match="no URL of a Redis"):
        connect("http://127.0.0.1:1")
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 does not serve us"):
        connect("redis://127.0.0.1:1")


def test_without_a_binary_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(redis_server, "carried_binary", lambda: None)
    with pytest.raises(UnavailableError, match="no redis-server was found") as caught:
        find_binary()
    assert "openbell[redis]" in caught.value.hint


def test_the_machines_own_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_binary() == redis_server.system_binary()
    monkeypatch.setenv("PATH", "")
    assert find_binary() == redis_server.carried_binary()


def test_a_server_that_does_not_run_has_no_process() -> None:
    idle = RedisServer()
    with pytest.raises(UnavailableError, match="does not run"):
        _ = idle.pid
    idle.close()


def test_a_client_of_ours_has_the_users_own_rights(server: RedisServer) -> None:
    from openbell.bridge.listener import own_client

    with connect(server.url) as client:
        client.acl_setuser("bob", enabled=True, nopass=True, categories=["+@all"], keys=["*"])
    with (
        Redis(port=server.port, username="bob", password="", decode_responses=True) as given,
        own_client(given) as own,
    ):
        assert own.acl_whoami() in ("bob", b"bob")
        assert own.set("x", "y")
        assert own.get("x") == b"y"
