"""Children that end with us, however we end: nothing of ours can run once we are killed."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

# It waits for the end of its input, which comes when nobody holds the other side any more.
_WAIT_AND_END = 'read -r _; kill -s KILL -- "-$1"; rm -rf -- "$2"'
_ENVIRONMENT: Mapping[str, str] = MappingProxyType({"PATH": "/usr/bin:/bin", "LC_ALL": "C"})


class Guard:
    """A shell that ends a process group and removes its folder once this process is gone.

    Parameters
    ----------
    group
        The group's id: the process id of a child started with ``start_new_session``.
    folder
        Removed with all that is in it.
    """

    def __init__(self, group: int, folder: Path) -> None:
        self._shell = subprocess.Popen(  # noqa: S603  # words of ours; nothing is expanded in them
            ["/bin/sh", "-c", _WAIT_AND_END, "openbell-guard", str(group), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(_ENVIRONMENT),
            cwd="/",
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Let it go, before the group's id can be another's; nothing happens the second time."""
        self._shell.kill()
        self._shell.wait()
        assert self._shell.stdin is not None
        self._shell.stdin.close()
