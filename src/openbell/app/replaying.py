"""Playing sessions again: what the command and a notebook both do."""

from collections.abc import Sequence
from pathlib import Path

from openbell.app.lake import Lake, open_lake
from openbell.app.ranges import bounds, require_forward
from openbell.app.recorded import replay_recording
from openbell.backtest.config import check_session, configured_calendars
from openbell.backtest.live import recording_id
from openbell.market.errors import UsageError
from openbell.market.instrument import Pin
from openbell.market.moments import SECOND_NS, is_date
from openbell.replay.pacing import Pace
from openbell.replay.system import ReplayPlan, System


def replay(  # noqa: PLR0913  # what is played, and how
    names: str | Sequence[str],
    *,
    lake: Lake | Path | str | None = None,
    start: str = "",
    end: str = "",
    hours: str = "regular",
    session_start: str = "",
    session_end: str = "",
    derived: Sequence[str] = (),
    trailing: int = 0,
    fill_from: Sequence[str] = (),
    check_interval_s: int = 0,
    retries: int | None = None,
    speed: float = 0,
    pace: Pace | None = None,
) -> System:
    """Play sessions again; loop over what comes back for slices.

    Parameters
    ----------
    names
        Series to play: ``XNYS:SPY/1m``, ``XNYS:SPY/quotes``, …; a bare instrument, or a symbol
        that is stored of one venue alone, means its finest bars. Or one recording:
        ``recording:3f9a``.
    lake
        Where they are stored; the usual place when left out.
    start, end
        First session label or moment, and the one to stop before; all there is when left out.
    hours
        ``regular``, or ``extended``: with pre- and post-market.
    session_start, session_end
        Regular hours to use instead of the calendars' own, on the venue's clocks: ``10:00``,
        ``15:00``; those of the process's settings when left out.
    derived
        Wider bars to build on the way: ``5m``, ``1h``.
    trailing
        Finished sessions kept at hand before the current one.
    fill_from
        Series from which missing bars are filled, asked in this order; see `ReplayPlan`.
    check_interval_s
        Seconds of session time between two checks for missing bars; the settings' when left out.
    retries
        How often a missing bar is asked for again; when left out 5 times, or never if the
        settings say so.
    speed
        0: as fast as the data comes; else how many times real time.
    pace
        What sets the speed instead, and can pause, step and seek.

    Raises
    ------
    UsageError
        If nothing is stored of what is to be played, or a setting is none.
    """
    if hours not in ("regular", "extended"):
        raise UsageError(f"hours is `{hours}`", hint="use regular or extended")
    at = lake if isinstance(lake, Lake) else open_lake(lake)
    refs = [names] if isinstance(names, str) else list(names)
    if pace is None and speed:
        pace = Pace(speed)
    if recording_id(refs):
        _refuse(start=start, end=end, trailing=trailing, fill_from=fill_from)
        asked = {
            "hours": hours, "session_start": session_start, "session_end": session_end,
            "derived": tuple(derived) or at.settings.derived,
        }  # fmt: skip
        return replay_recording(at, refs[0], asked, pace=pace)
    pins = tuple(at.store.resolve(at.playable(ref)) for ref in refs)
    hours_of_day = (session_start, session_end)
    if not any(hours_of_day):
        hours_of_day = (at.settings.session_start, at.settings.session_end)
    check_session(*hours_of_day)
    require_forward(start, end)
    # Dates bound the replay as session labels: configured hours may begin before the calendar's.
    labels = (start if is_date(start) else "", end if is_date(end) else "")
    moments = ("" if labels[0] else start, "" if labels[1] else end)
    start_ns, end_ns = _stored(at, pins, *moments)
    plan = ReplayPlan(
        pins=pins,
        start_ns=start_ns,
        end_ns=end_ns,
        labels=labels,
        extended=hours == "extended",
        derived=tuple(derived) or at.settings.derived,
        trailing=trailing or at.settings.trailing,
        calendars=configured_calendars([pin.series.instrument for pin in pins], *hours_of_day),
        fill=tuple(at.store.resolve(at.playable(ref)) for ref in fill_from),
        check_ns=(check_interval_s or at.settings.check_interval_s) * SECOND_NS,
        retries=retries if retries is not None else 5 * at.settings.retry_missing,
    )
    return System(at.store, plan, {}, pace=pace)


def _stored(at: Lake, pins: Sequence[Pin], start: str, end: str) -> tuple[int, int]:
    """What lies between two moments of all that is stored of the pins."""
    infos = [info for pin in pins if (info := at.store.info(pin)).rows]
    if not infos:
        raise UsageError("nothing is stored of what is to be played", hint="openbell data list")
    spans = [bounds(pin.series.instrument, start, end) for pin in pins]
    before_all_ns = min(i.first_ns for i in infos) - 1  # the first tick is released, too
    return (
        max(before_all_ns, min(span[0] for span in spans)),
        min(max(i.last_ns for i in infos) + 1, max(span[1] for span in spans)),
    )


def _refuse(**asked: object) -> None:
    """What only stored series can give is nothing to ask of a recording."""
    for name, value in asked.items():
        if value:
            raise UsageError(
                f"{name} is {value}, and a recording is played as it was",
                hint="leave it out, or play the series in the lake",
            )
