"""What is seen of a replay's streams: a window a track, and session data a calendar."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openbell.market.calendars import Calendar
from openbell.market.errors import UsageError
from openbell.replay import kernels
from openbell.replay.chunk import Track
from openbell.replay.clock import Hand
from openbell.replay.plan import ReplayPlan
from openbell.replay.session_data import SessionData, Window
from openbell.replay.supply import Stream, cast_of

_SEEN = (kernels.BAR, kernels.DERIVED, kernels.QUOTE, kernels.TRADE)


class Shown:
    """The streams that are played now, and what is known of them.

    Attributes
    ----------
    plan
        What asks for them.
    streams, tracks, windows
        In the order of rule 4. The list of windows stays the same one.
    instruments, names
        As registered.
    session_data
        By calendar.
    """

    def __init__(self, plan: ReplayPlan, calendars: Sequence[Calendar], hand: Hand) -> None:
        self.streams: tuple[Stream, ...] = ()
        self.tracks: tuple[Track, ...] = ()
        self.windows: list[Window] = []
        self.session_data = [SessionData(each.name, plan.trailing) for each in calendars]
        self._hand = hand

    def turn_to(self, plan: ReplayPlan, streams: Sequence[Stream]) -> None:
        """Show these streams from the next chunk on; what was shown of them before stays."""
        casting = cast_of(plan)
        before = dict(zip(self.tracks, self.windows, strict=True))
        self.plan, self.streams = plan, tuple(streams)
        self.instruments, self.names = casting.instruments, casting.names
        self.tracks = tuple(stream.track for stream in streams)
        self.windows[:] = self._windows(before)
        seen: dict[int, dict[str, Window]] = {}
        for stream, window in zip(streams, self.windows, strict=True):
            if stream.track.kind in _SEEN:
                seen.setdefault(stream.track.instrument, {})[stream.series.kind] = window
        for number, instrument in enumerate(self.instruments):
            self.session_data[casting.calendar_of[number]].hold(instrument, seen[number])

    def track(self, instrument: int, kind: str = "") -> int:
        """As `System.track`."""
        for position, stream in enumerate(self.streams):
            if stream.track.instrument == instrument and (
                stream.series.kind == kind or (not kind and stream.track.kind == kernels.BAR)
            ):
                return position
        raise UsageError(
            f"{kind or 'bars'} of {self.names[instrument]} is not played",
            hint=f"played are {', '.join(str(s.series) for s in self.streams)}",
        )

    def cut(self) -> None:
        """Forget what is not known yet."""
        for window in self.windows:
            window.cut()

    def mark(self) -> tuple[Any, ...]:
        """Where it stands between two chunks, for `go_back`."""
        windows = [window.mark() for window in self.windows]
        return self.plan, self.streams, windows, [data.mark() for data in self.session_data]

    def go_back(self, mark: tuple[Any, ...]) -> None:
        """Stand where it stood at a mark, with the streams there were."""
        plan, streams, windows, session_data = mark
        self.turn_to(plan, streams)
        for window, stood in zip(self.windows, windows, strict=True):
            window.go_back(stood)
        for data, stood in zip(self.session_data, session_data, strict=True):
            data.go_back(stood)

    def _windows(self, before: Mapping[Track, Window]) -> Iterator[Window]:
        revisions = {t: k for k, t in enumerate(self.tracks) if t.kind == kernels.REVISION}
        for k, stream in enumerate(self.streams):
            of = stream.track._replace(kind=kernels.REVISION)
            is_revised = stream.track.kind in (kernels.BAR, kernels.DERIVED)
            window = before.get(stream.track)
            if window is None:
                window = Window(k, stream.empty(), self.plan.history, self._hand)
            window.position, window.revisions = k, revisions.get(of) if is_revised else None
            yield window
