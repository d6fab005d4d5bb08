"""Turns: when live sessions open and close.

A session opens when its calendar says, but not before the run began and the session before it
has closed. It closes when every stream is seen to be past its close: those of bars when the
closing bar is there; where there are none, those of trades and quotes when one of later is
there. At the latest it closes `close_grace_s` after the calendar's close; where the next session
opens before that, `grace_s` after the close.
"""

from collections.abc import Sequence

from openbell.market.moments import END_OF_TIME_NS, SECOND_NS
from openbell.replay.agenda import Played
from openbell.replay.chunk import CAUSES, Rolled
from openbell.replay.live_feeds import LiveFeed
from openbell.replay.rules import Rules


class Turns:
    """The sessions of one calendar, one after the other.

    Parameters
    ----------
    sessions
        In order.
    begin_ns
        When the run began.
    rolled
        Where it is written when they open and close.

    Attributes
    ----------
    played
        The session that is open, or None.
    changed_ns
        When a stream was registered or cancelled last.
    turned_ns
        When a session opened or closed last; the next one does not open before.
    """

    def __init__(
        self,
        sessions: Sequence[Played],
        begin_ns: int,
        rolled: Rolled,
        rules: Rules,
    ) -> None:
        self.played: Played | None = None
        self.changed_ns = begin_ns
        self._coming = list(sessions)[::-1]
        self._feeds: list[LiveFeed] = []
        self.turned_ns = begin_ns
        self._rolled = rolled
        self._grace_ns = round(rules.grace_s * SECOND_NS)
        self._close_grace_ns = round(rules.close_grace_s * SECOND_NS)

    def join(self, feed: LiveFeed) -> None:
        """Go by this feed of the calendar, too; a session that is open is open for it."""
        if self._feeds:
            feed.gate.close(self._feeds[0].gate.closed_ns)
        if self.played is not None:
            feed.open(self.played)
        self._feeds.append(feed)

    @property
    def is_over(self) -> bool:
        """Whether the last session has closed."""
        return self.played is None and not self._coming

    def go_to(self, now_ns: int) -> None:
        """Open and close what is due up to and including a moment."""
        while self._earliest_ns <= now_ns and (due_ns := self._next_ns()) <= now_ns:
            if self.played is None:
                self._open(due_ns)
            else:
                self._close(due_ns, self._cause(self.played))

    def stop(self, now_ns: int) -> None:
        """Close a session that is still open; none comes after it."""
        if self.played is not None and self.turned_ns < now_ns:
            self._close(now_ns, "stopped")
        self.played = None
        self._coming.clear()

    def due_ns(self, now_ns: int) -> int:
        """When the next session opens or closes at the latest, as far as nothing arrives.

        What is released at an opening is known a nanosecond later.
        """
        if self.played is None:
            return self._next_ns() + 1 if self._coming else END_OF_TIME_NS
        return now_ns + 1 if self.turned_ns == now_ns else self._next_ns()

    @property
    def _earliest_ns(self) -> int:
        """Nothing turns before this moment, whatever arrives."""
        if self.played is not None:
            return self.played.session.close_ns
        return self._coming[-1].session.open_ns if self._coming else END_OF_TIME_NS

    def _next_ns(self) -> int:
        if self.played is not None:
            return min(self._latest_ns(self.played), self._passed_ns(self.played))
        if self._coming:
            return max(self._coming[-1].session.open_ns, self.turned_ns)
        return END_OF_TIME_NS

    def _latest_ns(self, played: Played) -> int:
        close_ns = played.session.close_ns
        latest_ns = close_ns + self._close_grace_ns
        if self._coming and self._coming[-1].session.open_ns < latest_ns:
            latest_ns = self._coming[-1].session.open_ns + self._grace_ns
        return max(latest_ns, self.turned_ns + 1)

    def _passed_ns(self, played: Played) -> int:
        wanted = [feed for feed in self._feeds if feed.gate.is_registered]
        telling = [feed for feed in wanted if feed.series.is_bars] or wanted
        passed_ns = max((feed.passed_ns for feed in telling), default=END_OF_TIME_NS)
        return max(passed_ns, played.session.close_ns, self.changed_ns, self.turned_ns + 1)

    def _open(self, at_ns: int) -> None:
        self.played = self._coming.pop()
        self._rolled.open_ns[self.played.ordinal] = at_ns
        self.turned_ns = at_ns
        for feed in self._feeds:
            feed.open(self.played)

    def _close(self, at_ns: int, cause: str) -> None:
        assert self.played is not None
        self._rolled.close_ns[self.played.ordinal] = at_ns
        self._rolled.cause[self.played.ordinal] = CAUSES.index(cause)
        self.turned_ns = at_ns
        for feed in self._feeds:
            feed.close(self.played)
        self.played = None

    def _cause(self, played: Played) -> str:
        return "dry" if all(feed.is_dry(played) for feed in self._feeds) else "close"
