"""Session configurations of requirements 001 and 002: read, checked, put into our own words.

Both generations are one form here: what the newer one calls ``symbols`` and ``streams`` the older
one writes as ``data_streams``. Every field is known or refused; what openbell does not do is named
in `SessionConfig.not_done`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from openbell.app.session_form import FORM, Stream, code_of, contradictions, streams_of
from openbell.market.errors import BadDataError, NotRecordedError, UsageError
from openbell.market.moments import parse_date
from openbell.market.timeframe import timeframe

SIZE_MAX = 1_000_000  # bytes of a file; real ones have a few thousand
_TOLD = 9  # problems beyond the first


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What a session configuration asks for, in our words.

    Attributes
    ----------
    name
        ``session_name``.
    mode
        ``backtest`` or ``live``.
    group
        The exchange group, one of `GROUPS`; empty for any.
    streams
        In the order of the file, each once.
    start, end
        Session labels, half-open: `end` is the day after the file's ``end_date``. Empty in live
        mode.
    speed
        0: as fast as the data comes; else how many times real time.
    trailing
        Finished sessions kept at hand, the most that is asked for.
    derived
        Timeframes asked for besides the streams, by width.
    fills
        Whether missing bars are to be filled: from what else is stored, or live by asking again.
    check_interval_s
        Session time between two checks for missing bars; live, time between asking twice.
    retries
        How often a bar that is not found is asked for again.
    not_done
        What the file asks for and openbell does not do, as ``path: why``.
    """

    name: str
    mode: Literal["backtest", "live"]
    group: str
    streams: tuple[Stream, ...]
    start: str
    end: str
    speed: float
    trailing: int
    derived: tuple[str, ...]
    fills: bool
    check_interval_s: int
    retries: int
    not_done: tuple[str, ...]


def read_session_config(path: Path | str | None) -> SessionConfig:
    """The session configuration of a file.

    Raises
    ------
    UsageError
        If no path is given.
    NotRecordedError
        If there is no such file.
    BadDataError
        If it is no JSON, too large, or does not keep the rules; every place is named by its path.
    """
    if not path:
        raise UsageError("no session configuration is named", hint="name its file: session.json")
    file = Path(path)
    try:
        with file.open("rb") as opened:
            found = opened.read(SIZE_MAX + 1)
    except FileNotFoundError:
        raise NotRecordedError(
            f"there is no session configuration {file}", hint="look at the path"
        ) from None
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror}", hint="look at its name and who may read it"
        ) from error
    if len(found) > SIZE_MAX:
        raise BadDataError(
            f"{file} is larger than {SIZE_MAX:,} bytes", hint="a session configuration is short"
        )
    return session_config(_parsed(found, str(file)), str(file))


def session_config(values: Any, where: str = "the session configuration") -> SessionConfig:
    """The session configuration of values out of JSON.

    Raises
    ------
    BadDataError
        If they do not keep the rules.
    """
    problems = list(FORM(values, ""))
    if not problems:
        problems = list(contradictions(values))
    if problems:
        rest = problems[1:]
        more = f" (and {len(rest):,} more)" if rest else ""
        raise BadDataError(
            f"{where}: {problems[0]}{more}",
            hint="; ".join(rest[:_TOLD]) or "the fields stand in docs/formats.md",
        )
    return _mapped(values)


def _parsed(content: bytes, where: str) -> Any:
    def no_number(name: str) -> Any:
        raise ValueError(f"{name} is no JSON number")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"`{twice}` is given twice in one object")
        return found

    try:
        return json.loads(content, object_pairs_hook=once, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        says = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadDataError(f"{where} is no JSON: {says}", hint="correct the file") from error


# Into our words


def _mapped(values: Mapping[str, Any]) -> SessionConfig:
    span = values.get("backtest_config", {}) if values["mode"] == "backtest" else {}
    end = parse_date(span["end_date"]) + timedelta(days=1) if span else ""
    data = values.get("session_data_config", {})
    trailing, frames = _history(data)
    frames |= _derived(data.get("data_upkeep"))
    fills, check_interval_s, retries = _filling(data)
    return SessionConfig(
        name=values["session_name"],
        mode=values["mode"],
        group=values.get("exchange_group", ""),
        streams=tuple(streams_of(values)),
        start=span.get("start_date", ""),
        end=str(end),
        speed=float(span.get("speed_multiplier", 0)),
        trailing=trailing,
        derived=tuple(sorted(frames, key=lambda code: timeframe(code).width_ns or 2**63)),
        fills=fills,
        check_interval_s=check_interval_s,
        retries=retries,
        not_done=tuple(_not_done(values)),
    )


def _history(data: Mapping[str, Any]) -> tuple[int, set[str]]:
    """Trailing sessions and their timeframes; requirement 001 keeps 5 sessions of 1m and 5m."""
    if "historical_bars" in data:
        bars = {"enabled": True, "trailing_days": 5, "intervals": [1, 5]} | data["historical_bars"]
        asked = [bars] if bars["enabled"] else []
    else:
        asked = data.get("historical", {}).get("data", [])
    trailing = max((one["trailing_days"] for one in asked), default=0)
    return trailing, {code_of(frame) for one in asked for frame in one["intervals"]}


def _derived(upkeep: Mapping[str, Any] | None) -> set[str]:
    if upkeep is None or not upkeep.get("enabled", True):
        return set()
    wanted = upkeep.get("derived_intervals", [5, 15])
    return set(map(code_of, wanted)) if upkeep.get("auto_compute_derived", True) else set()


def _filling(data: Mapping[str, Any]) -> tuple[bool, int, int]:
    """Whether gaps are filled, seconds between two checks, and how often again."""
    if "gap_filler" in data:
        found = data["gap_filler"]
        return True, found.get("retry_interval_seconds", 60), found.get("max_retries", 5)
    found = data.get("data_upkeep", {"enabled": False})
    fills = found.get("enabled", True) and found.get("retry_missing_bars", True)
    return fills, found.get("check_interval_seconds", 60), found.get("max_retries", 5)


_DATA = "session_data_config"
_NoEffect = tuple[tuple[str, Sequence[Any], str], ...]
# Path, values that ask for what openbell does anyway, and why the others have no effect.
_NOT_DONE: _NoEffect = (
    ("asset_class", (), "an instrument's venue says what it is"),
    ("trading_config", ({},), "a system has no account: nothing is bought or sold"),
    (f"{_DATA}.historical_bars.auto_load", (True,), "history is always loaded"),
    (f"{_DATA}.data_upkeep.enabled", (True,), "completeness is always measured"),
    (f"{_DATA}.session_boundary.auto_roll", (True,), "sessions roll by their calendar"),
    (f"{_DATA}.session_boundary.preserve_historical_days", (), "trailing_days says how many"),
    (f"{_DATA}.historical.enable_quality", (True,), "completeness is always measured"),
    (f"{_DATA}.historical.indicators", ({},), "indicators belong to strategies"),
    (f"{_DATA}.gap_filler.enable_session_quality", (True,), "completeness is always measured"),
    (f"{_DATA}.indicators.session", ([],), "indicators belong to strategies"),
    (f"{_DATA}.indicators.historical", ([],), "indicators belong to strategies"),
    (f"{_DATA}.scanners", ([],), "there are no scanners"),
)
_NOT_DONE_IN: Mapping[str, _NoEffect] = {
    "backtest": (
        ("api_config", ({},), "data comes from the lake, and nothing is sent to a broker"),
        ("backtest_config.prefetch_days", (), "as many are prefetched as memory has room for"),
        (f"{_DATA}.prefetch.enabled", (True,), "the next sessions are always prefetched"),
        (f"{_DATA}.prefetch.window_minutes", (), "sessions are prefetched whole"),
        (f"{_DATA}.prefetch.check_interval_minutes", (), "sessions are prefetched whole"),
        (f"{_DATA}.prefetch.auto_activate", (True,), "sessions open at their calendar's time"),
        (f"{_DATA}.streaming", ({},), "a start in the middle of a session is caught up at once"),
        (f"{_DATA}.strategies", ([],), "strategies run in `openbell backtest`"),
    ),
    "live": (
        ("api_config", ({},), "data comes from --from-url, and nothing is sent to a broker"),
        ("backtest_config", (), "what comes live is played when it comes"),
        (f"{_DATA}.prefetch", ({},), "what comes live cannot be fetched before"),
        (f"{_DATA}.streaming", ({},), "what was before the start comes with --ask-url"),
        (f"{_DATA}.strategies", ([],), "strategies run in `openbell record --strategy`"),
    ),
}  # fmt: skip
_OUTPUT_FILE = {
    "backtest": "a replay writes no data",
    "live": "what comes is recorded, and brought into the lake",
}


def _not_done(values: Mapping[str, Any]) -> Iterator[str]:
    mode = values["mode"]
    for path, ours, why in (*_NOT_DONE, *_NOT_DONE_IN[mode]):
        found: Any = values
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        if found is not None and not any(found == one for one in ours):
            yield f"{path}: {why}"
    for k, stream in enumerate(values.get("data_streams", [])):
        if "output_file" in stream:
            yield f"data_streams[{k}].output_file: {_OUTPUT_FILE[mode]}"
    history = values.get(_DATA, {}).get("historical", {}).get("data", [])
    if len({(h["trailing_days"], str(h.get("apply_to", "all"))) for h in history}) > 1:
        yield f"{_DATA}.historical.data: the longest history is kept, of all symbols"
