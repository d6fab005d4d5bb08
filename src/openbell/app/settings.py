"""Where things are kept: given outright, or by the environment, or by default."""

import os
import re
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
    recordings
        Folder of recordings; ``OPENBELL_RECORDINGS``, else ``recordings``.
    cache
        Folder of what can be made again (session tables); ``OPENBELL_CACHE``, else ``openbell``
        in the user's cache folder.
    state
        Folder in which a running system keeps its status; ``OPENBELL_STATE``, else ``system``
        in the cache folder.
    redis_url
        The Redis by which strategies in other languages are spoken to; ``OPENBELL_REDIS_URL``,
        else empty: a private one for each run.
    trailing
        Finished sessions kept at hand in a replay or run;
        ``OPENBELL_SESSION_HISTORICAL_TRAILING_DAYS``, else 0.
    derived
        Timeframes built from base bars in a replay or run;
        ``OPENBELL_SESSION_HISTORICAL_BAR_TYPES`` (``5m,15m``), else none.
    session_start, session_end
        Regular hours instead of the calendars' own, on the venue's clocks;
        ``OPENBELL_SESSION_START_TIME`` and ``OPENBELL_SESSION_END_TIME``. If one of them is set,
        the other is 09:30 or 16:00; if none is, both are empty: every calendar's own hours, which
        for US stocks are these.
    check_interval_s
        Session time between two checks for missing bars;
        ``OPENBELL_DATA_UPKEEP_CHECK_INTERVAL_SECONDS``, else 60.
    retry_missing
        Whether missing bars are asked for again at every check;
        ``OPENBELL_DATA_UPKEEP_RETRY_MISSING_BARS``, else true.
    """

    lake: Path
    runs: Path
    sweeps: Path
    cache: Path
    state: Path = Path()
    recordings: Path = Path("recordings")
    redis_url: str = ""
    trailing: int = 0
    derived: tuple[str, ...] = ()
    session_start: str = ""
    session_end: str = ""
    check_interval_s: int = 60
    retry_missing: bool = True


def settings(  # noqa: PLR0913  # one a folder
    *,
    lake: Path | str | None = None,
    runs: Path | str | None = None,
    sweeps: Path | str | None = None,
    cache: Path | str | None = None,
    state: Path | str | None = None,
    recordings: Path | str | None = None,
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
    session_start, session_end = _session(known)
    kept = folder("CACHE", cache, _user_cache(known))
    return Settings(
        lake=folder("LAKE", lake, Path("lake")),
        runs=folder("RUNS", runs, Path("runs")),
        sweeps=folder("SWEEPS", sweeps, Path("sweeps")),
        cache=kept,
        state=folder("STATE", state, kept / "system"),
        recordings=folder("RECORDINGS", recordings, Path("recordings")),
        redis_url=known.get(PREFIX + "REDIS_URL", ""),
        trailing=_count(known, "SESSION_HISTORICAL_TRAILING_DAYS"),
        derived=tuple(code.strip() for code in derived if code.strip()),
        session_start=session_start,
        session_end=session_end,
        check_interval_s=_count(known, "DATA_UPKEEP_CHECK_INTERVAL_SECONDS", 60, least=1),
        retry_missing=_flag(known, "DATA_UPKEEP_RETRY_MISSING_BARS", otherwise=True),
    )


def _user_cache(known: Mapping[str, str]) -> Path:
    """As the XDG base directory specification has it."""
    return Path(known.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openbell"


def _engine(known: Mapping[str, str], name: str) -> str:
    """An engine setting, with our prefix or as the requirement writes it."""
    return known.get(PREFIX + name) or known.get(name) or ""


def _session(known: Mapping[str, str]) -> tuple[str, str]:
    """Configured session hours; empty when neither is set."""
    names = ("SESSION_START_TIME", "SESSION_END_TIME")
    given = [_engine(known, name) for name in names]
    if not any(given):
        return "", ""
    for name, text in zip(names, given, strict=True):
        if text and not _TIME.fullmatch(text):
            raise UsageError(f"{PREFIX}{name} is `{text}`", hint="set it to a time of day: 09:30")
    return given[0] or "09:30", given[1] or "16:00"


_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d|24:00")


def _count(known: Mapping[str, str], name: str, otherwise: int = 0, *, least: int = 0) -> int:
    text = _engine(known, name) or str(otherwise)
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise UsageError(
            f"{PREFIX}{name} is `{text}`", hint=f"set it to a whole number, {least} or more"
        )
    return int(text)


def _flag(known: Mapping[str, str], name: str, *, otherwise: bool) -> bool:
    text = _engine(known, name)
    if text and text.lower() not in _FLAGS:
        raise UsageError(f"{PREFIX}{name} is `{text}`", hint=f"set it to {' or '.join(_FLAGS)}")
    return _FLAGS[text.lower()] if text else otherwise


_FLAGS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
