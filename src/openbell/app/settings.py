"""Where things are kept: given outright, or by the environment, or by default."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openbell.market.errors import UsageError

PREFIX = "OPENBELL_"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process is set up with.

    Attributes
    ----------
    lake
        Folder of the market data; ``OPENBELL_LAKE``, else ``lake``.
    runs
        Folder of finished runs; ``OPENBELL_RUNS``, else ``runs``.
    sweeps
        Folder of sweep tables; ``OPENBELL_SWEEPS``, else ``sweeps``.
    cache
        Folder of what can be made again (session tables); ``OPENBELL_CACHE``, else ``openbell``
        in the user's cache folder.
    trailing
        Finished sessions kept at hand in a replay or run;
        ``OPENBELL_SESSION_HISTORICAL_TRAILING_DAYS``, else 0.
    derived
        Timeframes built from base bars in a replay or run;
        ``OPENBELL_SESSION_HISTORICAL_BAR_TYPES`` (``5m,15m``), else none.
    """

    lake: Path
    runs: Path
    sweeps: Path
    cache: Path
    trailing: int = 0
    derived: tuple[str, ...] = ()


def settings(
    *,
    lake: Path | str | None = None,
    runs: Path | str | None = None,
    sweeps: Path | str | None = None,
    cache: Path | str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of this process; what is given comes before what the environment says.

    Parameters
    ----------
    environment
        The process's own when left out.

    Raises
    ------
    UsageError
        If the environment holds a value that is none.
    """
    known = os.environ if environment is None else environment

    def folder(name: str, given: Path | str | None, otherwise: Path) -> Path:
        return Path(given or known.get(PREFIX + name) or otherwise)

    derived = _engine(known, "SESSION_HISTORICAL_BAR_TYPES").split(",")
    return Settings(
        lake=folder("LAKE", lake, Path("lake")),
        runs=folder("RUNS", runs, Path("runs")),
        sweeps=folder("SWEEPS", sweeps, Path("sweeps")),
        cache=folder("CACHE", cache, _user_cache(known)),
        trailing=_count(known, "SESSION_HISTORICAL_TRAILING_DAYS"),
        derived=tuple(code.strip() for code in derived if code.strip()),
    )


def _user_cache(known: Mapping[str, str]) -> Path:
    """As the XDG base directory specification has it."""
    return Path(known.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openbell"


def _engine(known: Mapping[str, str], name: str) -> str:
    """An engine setting, with our prefix or as the requirement writes it."""
    return known.get(PREFIX + name) or known.get(name) or ""


def _count(known: Mapping[str, str], name: str) -> int:
    text = _engine(known, name) or "0"
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{PREFIX}{name} is `{text}`", hint="set it to a whole number, 0 or more")
    return int(text)
