"""Recordings: to be looked at, played again, and brought into the lake."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import openbell
from openbell.app import wiring
from openbell.app.lake import Lake
from openbell.backtest.catalog import Loaded
from openbell.backtest.config import RunConfig, configured_calendars
from openbell.backtest.live import recording_id, recording_ref, run_arrivals, system_over
from openbell.backtest.result import RunResult
from openbell.market.arrivals import NAMES, NO_SERIES, Arrival
from openbell.market.bars import Bars
from openbell.market.moments import iso
from openbell.market.progress import CancelToken, Progress, silent
from openbell.ports import Recording, RecordingHeader, RecordingStore, Version
from openbell.recording.live import recorded, store_recorded
from openbell.replay.intake import Played
from openbell.replay.live import live_plan, live_supply, rules_of
from openbell.replay.pacing import Pace
from openbell.replay.plan import ReplayPlan
from openbell.replay.supply import SupplyMaker
from openbell.replay.system import System

SOURCE = "source"
_KEPT = ("hours", "session_start", "session_end", "derived")
_PLAIN: tuple[Any, ...] = ("", "regular", ())  # what they are when nothing is said


def recordings(lake: Lake) -> RecordingStore:
    """The recordings that belong to a lake's settings."""
    return wiring.open_recordings(lake.settings.recordings)


def kept_settings(asked: Mapping[str, Any], source: str) -> dict[str, Any]:
    """What a recording's header keeps besides the rules: hours, derived bars, where it is from."""
    return {**{n: asked[n] for n in _KEPT}, "derived": list(asked["derived"]), SOURCE: source}


def as_recorded(asked: Mapping[str, Any], header: RecordingHeader) -> dict[str, Any]:
    """Hours and derived timeframes that are asked for; where none are, those of the recording."""
    was = {**header.settings, "derived": tuple(header.settings.get("derived", ()))}
    return {n: was.get(n, asked[n]) if asked[n] in _PLAIN else asked[n] for n in _KEPT}


def replay_recording(
    lake: Lake, ref: str, asked: Mapping[str, Any], *, pace: Pace | None = None
) -> System:
    """A system that plays a recording as it was received.

    Parameters
    ----------
    asked
        Values of ``hours``, ``session_start``, ``session_end`` and ``derived``.

    Raises
    ------
    NotRecordedError
        If there is no such recording.
    """
    recording = recordings(lake).open(recording_id([ref]))
    plan = plan_of(recording.header, as_recorded(asked, recording.header))
    return System(lake.store, plan, {}, pace=pace, supply=supply_of(recording))


def plan_of(header: RecordingHeader, asked: Mapping[str, Any]) -> ReplayPlan:
    """What a recording plays, given hours and derived timeframes."""
    instruments = [series.instrument for series in header.at_start]
    hours_of_day = asked["session_start"], asked["session_end"]
    return live_plan(
        header,
        extended=asked["hours"] == "extended",
        derived=tuple(asked["derived"]),
        calendars=configured_calendars(instruments, *hours_of_day),
    )


def supply_of(recording: Recording) -> SupplyMaker:
    """What plays a recording."""
    return live_supply(lambda: Played(recording), rules_of(recording.header))


def run_recording(
    loaded: Loaded,
    config: RunConfig,
    lake: Lake,
    *,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> RunResult:
    """Run a strategy over the recording that a configuration names."""
    recording = recordings(lake).open(recording_id(config.on))
    header = recording.header
    asked = as_recorded({name: getattr(config, name) for name in _KEPT}, header)
    config = replace(config, on=(recording_ref(header.id),), **asked)
    strategy, store = loaded.strategy, lake.store
    system = system_over(strategy, config, store, header, supply_of(recording))
    return run_arrivals(
        system,
        strategy,
        config,
        store,
        loaded.code,
        header,
        checksum=recording.checksum,
        version=openbell.__version__,
        progress=progress,
        cancel=cancel,
    )


def bars_of_recording(lake: Lake, ref: str) -> dict[str, Bars]:
    """The bars that a recording holds, by instrument; of those that have any."""
    found = recorded(recordings(lake).open(recording_id([ref])))
    return {
        str(s.instrument): bars for s, bars in found.items() if isinstance(bars, Bars) and len(bars)
    }


def bring_in(lake: Lake, recording: Recording) -> list[Version]:
    """Bring what was recorded into the lake; what is there already is left as it is."""
    if not lake.is_there:
        wiring.make_lake(lake.settings.lake)
    source = str(recording.header.settings.get(SOURCE) or "recording")
    return store_recorded(recording, lake.store, source)


def about(recording: Recording) -> dict[str, Any]:
    """What a recording holds, JSON-ready."""
    header = recording.header
    counted: dict[int, dict[str, int]] = {}
    items, last_ns = 0, header.start_ns
    for arrival in _arrivals(recording):
        of = counted.setdefault(arrival.series, {})
        of[NAMES[arrival.what]] = of.get(NAMES[arrival.what], 0) + 1
        items, last_ns = items + 1, arrival.receipt_ns
    return {
        **summary(header),
        "arrivals": items,
        "last_receipt": iso(last_ns),
        "ended": "stopped" in counted.get(NO_SERIES, {}),
        "by_series": {str(s): counted.get(k, {}) for k, s in enumerate(header.series)},
        "checksum": recording.checksum,
        "settings": dict(header.settings),
    }


def summary(header: RecordingHeader) -> dict[str, Any]:
    """What a list of recordings shows, JSON-ready."""
    return {
        "id": header.id,
        "start": iso(header.start_ns),
        "end": iso(header.end_ns),
        "series": list(map(str, header.series)),
        "source": str(header.settings.get(SOURCE, "")),
    }


def _arrivals(recording: Recording) -> Iterator[Arrival]:
    for block in recording.read():
        yield from block
