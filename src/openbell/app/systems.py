"""What a session configuration comes to: in a lake, or live."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from openbell.app import recording
from openbell.app.lake import Lake
from openbell.app.replaying import replay
from openbell.app.session_config import SessionConfig
from openbell.app.session_form import GROUPS
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.instrument import Instrument, Series
from openbell.market.timeframe import timeframe
from openbell.recording.live import BUILT, with_bars
from openbell.replay.pacing import Pace
from openbell.replay.rules import Rules
from openbell.replay.system import System

_TICKS = ("trades", "quotes")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a configuration comes to in a lake.

    Attributes
    ----------
    refs
        Series to play, in order.
    derived
        Timeframes to build from their bars.
    fill
        Series to fill missing bars from.
    """

    refs: tuple[str, ...]
    derived: tuple[str, ...]
    fill: tuple[str, ...]


def resolve(config: SessionConfig, lake: Lake) -> Asked:
    """Find what a configuration asks for in a lake.

    Of each symbol's bars those are played that are stored in the widest timeframe from which all
    that is asked for can be built; the others are derived.

    Raises
    ------
    NotRecordedError
        If something is not stored.
    UsageError
        If a symbol is stored of several venues, or bars of different symbols cannot be played
        together.
    """
    known = _stored_series(lake)
    refs: list[Series] = []
    derived: set[str] = set()
    for symbol in dict.fromkeys(stream.symbol for stream in config.streams):
        instrument = _instrument(symbol, config.group, known)
        kinds = [s.kind for s in config.streams if s.symbol == symbol]
        ticks = [kind for kind in kinds if kind in _TICKS]
        if frames := [kind for kind in kinds if kind not in ticks]:
            frames += config.derived
            base = _base(instrument, frames, known)
            refs.append(base)
            derived |= set(frames) - {base.kind}
        refs += [_stored(Series(instrument, kind), known) for kind in ticks]
    _require_wider(refs, derived)
    fill = [s for s in _fills(refs, known) if s not in refs] if config.fills else []
    return Asked(tuple(map(str, refs)), tuple(sorted(derived, key=_width)), tuple(map(str, fill)))


def _stored_series(lake: Lake) -> list[Series]:
    return list(lake.store.list_series()) if lake.is_there else []


def _require_wider(refs: Iterable[Series], derived: Iterable[str]) -> None:
    for series in refs:
        narrow = [
            code for code in derived if series.is_bars and _width(code) <= _width(series.kind)
        ]
        if narrow:
            raise UsageError(
                f"{narrow[0]} bars are built for all symbols, and {series} is not narrower",
                hint="ask for the same streams of all symbols, or play each alone",
            )


def _instrument(symbol: str, group: str, known: list[Series]) -> Instrument:
    """The stored instrument of a symbol, of the group's calendars if there is a group."""
    every = dict.fromkeys(s.instrument for s in known)
    named = [i for i in every if symbol in (str(i), i.symbol)]
    found = [i for i in named if not group or i.place.calendar in GROUPS[group]]
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise UsageError(
            f"{symbol} is stored of several venues: {names}", hint="write the one that is meant"
        )
    if found:
        return found[0]
    near = named or [i for i in every if i.symbol.partition("-")[0] == symbol]
    raise NotRecordedError(
        f"nothing of {symbol} is stored" + (f" at a venue of {group}" if group else ""),
        hint=f"stored are {', '.join(map(str, near))}" if near else "openbell data import --help",
    )


def _base(instrument: Instrument, frames: list[str], known: list[Series]) -> Series:
    """The widest stored bars of trades from which all the timeframes can be had."""
    least = min(map(_width, frames))
    stored = [s for s in known if s.instrument == instrument and s.is_bars and s.price == "trade"]
    fitting = [s for s in stored if _width(s.kind) <= least]
    if not fitting:
        raise NotRecordedError(
            f"{min(frames, key=_width)} bars of {instrument} are not stored, nor narrower ones",
            hint=f"stored are {', '.join(map(str, stored))}" if stored else "openbell data import",
        )
    return max(fitting, key=lambda s: _width(s.kind))


def _stored(series: Series, known: list[Series]) -> Series:
    if series not in known:
        own = [str(s) for s in known if s.instrument == series.instrument]
        raise NotRecordedError(f"{series} is not stored", hint=f"stored are {', '.join(own)}")
    return series


def _fills(refs: list[Series], known: list[Series]) -> Iterator[Series]:
    """What can fill missing bars: the same bars of other venues, then trades."""
    for base in (s for s in refs if s.is_bars):
        own = base.instrument
        others = [s for s in known if s.instrument.symbol == own.symbol and s.instrument != own]
        same = [s for s in others if s.instrument.place.calendar == own.place.calendar]
        yield from (s for s in same if (s.kind, s.price) == (base.kind, base.price))
        yield from (s for s in known if s == Series(own, "trades"))


def _width(code: str) -> int:
    return timeframe(code).width_ns or 2**63 - 1


def build(config: SessionConfig, asked: Asked, lake: Lake) -> System:
    """The system a configuration of stored sessions describes; with a pace, to be paused."""
    return replay(
        asked.refs, lake=lake, start=config.start, end=config.end, derived=asked.derived,
        trailing=config.trailing, fill_from=asked.fill, check_interval_s=config.check_interval_s,
        retries=config.retries, pace=Pace(config.speed),
    )  # fmt: skip


# Live


def resolve_live(config: SessionConfig, lake: Lake, url: str, ask_url: str) -> recording.Asked:
    """What a live configuration asks of the source at an address.

    Of each symbol's bars the narrowest are asked for, minutes at the widest; minutes that are not
    a stream of their own are built from trades, where these are one. The others are derived.

    Parameters
    ----------
    url, ask_url
        As of `recording.Asked`.

    Raises
    ------
    UsageError
        If there is no address, the venue of a symbol is not known, or bars of different symbols
        cannot be played together.
    """
    if not url:
        raise UsageError(
            f"{config.name} is live, and nothing says where its data comes from",
            hint="name it: --from-url wss://stream.binance.com:9443, or tcp://host:port",
        )
    known = _stored_series(lake)
    series: list[Series] = []
    derived: set[str] = set()
    for symbol in dict.fromkeys(stream.symbol for stream in config.streams):
        instrument = _live_instrument(symbol, config.group, known)
        kinds = [s.kind for s in config.streams if s.symbol == symbol]
        wanted = _frames(kinds, config.derived or lake.settings.derived)
        base = min({BUILT, *wanted}, key=_width)
        derived |= wanted - {base}
        is_built = base == BUILT and BUILT not in kinds and "trades" in kinds
        asked = [base] if wanted and not is_built else []
        asked += [kind for kind in kinds if kind in _TICKS]
        series += [Series(instrument, kind) for kind in asked]
    _require_wider([each for each in with_bars(series) if each.is_bars], derived)
    return recording.Asked(
        series=tuple(dict.fromkeys(series)), url=url, ask_url=ask_url,
        derived=tuple(sorted(derived, key=_width)),
        rules=Rules(ask_s=config.check_interval_s, retries=config.retries),
        session_start=lake.settings.session_start, session_end=lake.settings.session_end,
        trailing=config.trailing or lake.settings.trailing,
    )  # fmt: skip


def live_not_done(config: SessionConfig, asked: recording.Asked, lake: Lake) -> Iterator[str]:
    """What a live configuration asks for and cannot have here, as in `SessionConfig.not_done`."""
    if config.fills and not asked.ask_url:
        yield "session_data_config: missing bars are asked for again only with --ask-url"
    bars = [each for each in with_bars(asked.series) if each.is_bars] if asked.trailing else []
    for series in sorted(set(bars).difference(_stored_series(lake))):
        yield f"session_data_config: {series} is not stored, its history begins with what comes"


def _live_instrument(symbol: str, group: str, known: list[Series]) -> Instrument:
    if ":" not in symbol:
        try:
            return _instrument(symbol, group, known)
        except NotRecordedError as error:
            raise UsageError(
                f"the venue of {symbol} is not known: {error.message}",
                hint=f"write it with its venue: VENUE:{symbol}, as in XNYS:SPY",
            ) from error
    found = Instrument.parse(symbol)
    if group and found.place.calendar not in GROUPS[group]:
        raise UsageError(
            f"{symbol} does not trade at a venue of {group}",
            hint="leave exchange_group out, or name another symbol",
        )
    return found


def _frames(kinds: Sequence[str], derived: Iterable[str]) -> set[str]:
    """The timeframes wanted of a symbol with these streams; none where nothing has bars."""
    bars = set(kinds) - set(_TICKS)
    return bars | set(derived) if bars or "trades" in kinds else set()
