"""The folder of the Node packages, and what their lock file names, installed there."""

import fcntl
import hashlib
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from openbell.bridge.node import find_node, node_path, npm_words
from tests.house import ROOT

PACKAGES = ROOT / "packages"


@cache
def node_modules() -> Path:
    """The folder with both majors of `redis`, and TypeScript; installed once per lock file."""
    folder = PACKAGES / "node_modules"
    digest = hashlib.sha256((PACKAGES / "package-lock.json").read_bytes()).hexdigest()
    mark = folder / ".lock-digest"
    # The other processes of a test run wait here.
    with (Path(tempfile.gettempdir()) / f"openbell-{digest[:12]}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != digest:
            _install(find_node())
            mark.write_text(digest)
    return folder


def environment(node: Path, *modules: Path) -> dict[str, str]:
    """What a Node of these tests sees; this machine's time zone must not matter."""
    return {
        "NODE_PATH": node_path(*modules),
        "PATH": f"{node.parent}:{os.environ['PATH']}",
        "HOME": str(Path.home()),
        "TZ": "America/New_York",
    }


def _install(node: Path) -> None:
    npm = [*npm_words(node), "ci", "--prefer-offline", "--ignore-scripts"]
    done = subprocess.run(npm, cwd=PACKAGES, env=environment(node), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
