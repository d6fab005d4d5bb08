"""A strategy in another language as a `Strategy`: it runs, is sealed and verified like any other.

Bars go out one by one, signals come back and become orders; see docs/channels.md for what is said.
A strategy that takes history gets it once: what its version holds from before the run; where that
is too little, with the first bars of the run, which it is then not fed.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from redis.exceptions import RedisError

from openbell.backtest.orders import Fill
from openbell.backtest.strategy import Strategy, param
from openbell.bridge import channels
from openbell.bridge.answers import bar_for_runner
from openbell.bridge.history import HistoricalDataBootstrapService
from openbell.bridge.link import TRANSPORTS, Link, Setup
from openbell.bridge.past import Past, Wanted
from openbell.bridge.redis_server import connect
from openbell.bridge.requests import Hours
from openbell.bridge.trader import Trader, symbol_of
from openbell.bridge.transport import Answer, Kind
from openbell.market.bars import Bar
from openbell.market.errors import UsageError
from openbell.market.moments import iso
from openbell.market.session import Session
from openbell.ports import ReadStore
from openbell.replay.plan import ReplayPlan

if TYPE_CHECKING:
    from redis import Redis

    from openbell.backtest.context import Context

SUFFIXES = (".js", ".cjs", ".mjs")
# What a file asks for beside itself: `require("./x")`, `import … from "./x"`, `import("./x")`.
_ASKED = re.compile(r"""(?:\bfrom|\bimport|\brequire)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""")


class RemoteStrategy(Strategy):
    """A strategy whose code runs elsewhere. Classes for single files: `remote_strategy`.

    Any parameter it does not know itself is handed on in the strategy's own configuration.
    """

    setup: ClassVar[Setup] = Setup()

    transport: str = param("lock-step", "how it is spoken to", choices=TRANSPORTS)
    wait_s: float = param(0.1, "seconds to wait for a signal, compatible transport", low=0.0)

    def __init__(self, **parameters: Any) -> None:
        own = {name: value for name, value in parameters.items() if name in self.describe()}
        self._config = {name: value for name, value in parameters.items() if name not in own}
        self._link: Link | None = None
        self._history: HistoricalDataBootstrapService | None = None
        self._statistics: Mapping[str, int] = {}
        self._first_aside = ""
        self._rivals = 0  # other history services at the same Redis
        self._has_acted = False  # whether it was ready or gave a signal at any time
        super().__init__(**own)

    @property
    def parameters(self) -> dict[str, Any]:
        """Its own parameters, then the strategy's."""
        return {**super().parameters, **self._config}

    @property
    def statistics(self) -> Mapping[str, int]:
        """What was sent, answered, repeated, late or lost in its last run, by name."""
        return self._link.statistics if self._link else self._statistics

    @property
    def remarks(self) -> Sequence[str]:
        """What went wrong on the way and was mended or counted."""
        return (
            *_remarks(self.transport, self._statistics),
            *_oddities(
                self._statistics, self._first_aside, self._rivals, has_acted=self._has_acted
            ),
        )

    # The life of a run

    def on_plan(self, store: ReadStore, plan: ReplayPlan) -> None:
        """Take the very versions of the run as the past that the strategy may ask for."""
        self._pins = [pin for pin in plan.pins if pin.series.is_bars]
        if len(plan.pins) != 1 or not self._pins:
            raise UsageError(
                f"{type(self).__name__} trades one series of bars, not {len(plan.pins)} series",
                hint="run it once for each instrument",
            )
        self._hours: Hours = "extended" if plan.extended else "regular"
        self._store = store
        self._past = Past(store, lambda _: self._pins[0])

    def on_start(self, ctx: "Context") -> None:
        """Start the strategy, and hand over the history there is."""
        self._instrument = ctx.instruments[0]
        self._symbol = symbol_of(self._instrument)
        self._trader = Trader(self._instrument)
        self._is_told = True  # whether the strategy knows the position
        self._link = Link(
            self.code_files[0],
            self._config,
            self.setup,
            lambda: ctx.now_ns,
            symbol=self._symbol,
            seed=ctx.random.randrange(1 << 32),
            transport=self.transport,  # type: ignore[arg-type]  # its choices are these
            wait_s=self.wait_s,
            beside=[self._history_service],
        )
        first = self._link.open()
        self._has_acted = bool(first.get("ready"))
        self._lacking = 0 if first.get("ready") else int(first.get("barsWanted") or 0)
        self._rows = self._before(ctx) if self._lacking else []
        self._hand_over(ctx)

    def on_session_open(self, ctx: "Context", session: Session) -> None:
        """Tell it."""
        self._tell(ctx, "session", {"event": "open", "label": session.label})

    def on_session_close(self, ctx: "Context", session: Session) -> None:
        """Tell it."""
        self._tell(ctx, "session", {"event": "close", "label": session.label})

    def on_bar(self, ctx: "Context", bar: Bar) -> None:
        """Feed it, and carry out what it says; it acts on nothing while it lacks history."""
        if self._lacking:
            self._rows.append(_row(bar))
            self._hand_over(ctx)
            return
        self._tell(ctx, "slice", orjson.Fragment(bar_for_runner(bar, self._symbol)))

    def on_fill(self, ctx: "Context", fill: Fill) -> None:
        """Guard the position; the strategy learns of both before its next bar."""
        assert self._link is not None
        self._trader.filled(ctx, fill)
        told = {
            "symbol": self._symbol,
            "size": fill.size,
            "price": fill.price,
            "fee": fill.fee,
            "timestamp": iso(fill.time_ns),
        }
        self._link.send("fill", told)
        self._is_told = False

    def on_stop(self, ctx: "Context") -> None:
        """Let it end in order."""
        if self._lacking:
            ctx.log(f"it wanted {self._lacking} bars of history, and there were {len(self._rows)}")
        self._tell(ctx, "end", {})

    def on_end(self) -> None:
        """Take down everything that was started for it."""
        link, self._link = self._link, None
        if link is None:
            return
        link.close()
        # Only now: what the strategy asked last is counted when it is answered.
        asked = self._history.get_statistics() if self._history else {}
        self._first_aside = link.first_aside
        self._statistics = {
            **link.statistics,
            "refused": self._trader.refused,
            "history_requests": asked.get("requests_received", 0),
            "history_bars": asked.get("bars_generated", 0),
        }
        if self.setup.told:
            self.setup.told(self._statistics)

    # Inside

    def _tell(self, ctx: "Context", kind: Kind, data: object) -> None:
        """Send a message, before it the position if that changed, and heed the answers."""
        link = self._link
        assert link is not None
        if not self._is_told:
            link.send("position", {"positions": self._trader.positions(ctx)})
            self._is_told = True
        link.send(kind, data)
        for answer in link.ask():
            if answer is not None:
                self._heed(ctx, answer)

    def _heed(self, ctx: "Context", answer: Answer) -> None:
        self._has_acted |= bool(answer.get("ready") or answer.get("signals"))
        for message in answer.get("signals", ()):
            self._trader.act(ctx, message)

    def _hand_over(self, ctx: "Context") -> None:
        """Hand over history, if there is enough of it by now."""
        if self._lacking and len(self._rows) >= self._lacking:
            bars = self._rows[-self._lacking :]
            self._lacking, self._rows = 0, []
            self._tell(ctx, "history", {"bars": bars})

    def _before(self, ctx: "Context") -> list[dict[str, Any]]:
        """The newest bars stored from before the run, as many as it lacks, oldest first."""
        wanted = Wanted(count=self._lacking, known_ns=ctx.now_ns, hours=self._hours)
        bars, _ = self._past.newest(self._instrument, self._pins[0].series.timeframe, wanted)
        return [_row(bar) for bar in bars]

    @contextmanager
    def _history_service(self, url: str, told_ns: Callable[[], int]) -> Iterator[None]:
        """What answers a strategy that asks for itself: from the run's version, up to its time."""
        config = {
            "source": self._store,
            "resolver": dict.fromkeys((self._symbol, self._instrument), self._pins[0]),
            "clock": told_ns,
            "default_symbol": self._symbol,
        }
        with connect(url) as client, HistoricalDataBootstrapService(client, config) as service:
            self._history = service
            self._rivals = _others(client)
            yield
            self._rivals = max(self._rivals, _others(client))


def remote_strategy(
    path: Path | str, name: str = "", setup: Setup | None = None
) -> type[RemoteStrategy]:
    """The class of a strategy in a Node file; make it with parameters like any other.

    Parameters
    ----------
    name
        What its runs are listed by; the file's name if empty.

    Raises
    ------
    UsageError
        If there is no such file.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise UsageError(f"there is no file {path}", hint="name a Node file: my_strategy.js")
    own = {
        "code_files": tuple(_code_of(file)),
        "setup": setup or Setup(),
        "__doc__": f"The strategy in {file.name}.",
        "__module__": __name__,
    }
    return type(name or file.stem, (RemoteStrategy,), own)


def _code_of(file: Path) -> Iterator[Path]:
    """A file and the files it asks for by a relative path, theirs as well, in order of asking."""
    found = [file]
    for one in found:
        for asked in _ASKED.findall(one.read_text(encoding="utf-8")):
            place = (one.parent / asked).resolve()
            names = (place, *(place.with_name(place.name + s) for s in (*SUFFIXES, ".json")))
            here = next((p for p in (*names, place / "index.js") if p.is_file()), None)
            if here is not None and here not in found:
                found.append(here)
    yield from found


def _others(client: "Redis") -> int:
    """How many other history services hear what is asked here; 0 if Redis does not say."""
    try:
        [(_, heard)] = client.pubsub_numsub(channels.HISTORY_REQUEST)
    except RedisError:
        return 0
    return int(heard) - 1


def _row(bar: Bar) -> dict[str, Any]:
    return {
        "t": iso(bar.start_ns),
        "o": bar.open,
        "h": bar.high,
        "l": bar.low,
        "c": bar.close,
        "v": bar.volume,
    }


def _remarks(transport: str, counts: Mapping[str, int]) -> Iterator[str]:
    if transport == "compatible":
        yield (
            "compatible transport: what was decided depends on this machine's speed; "
            f"{counts.get('late', 0):,} signals came late, {counts.get('lost', 0):,} messages were "
            "lost"
        )
    if refused := counts.get("refused", 0):
        yield f"{refused:,} signals of the strategy were refused; see the log"
    if deaths := counts.get("deaths", 0):
        yield f"the strategy's process died {deaths:,} times"


def _oddities(
    counts: Mapping[str, int], first_aside: str, rivals: int, *, has_acted: bool
) -> Iterator[str]:
    """What a strategy's author or its host should look at."""
    if asides := counts.get("asides", 0):
        yield (
            f"the strategy raised {asides:,} times in a timer or a forgotten promise, and went on; "
            f"the first time: {first_aside}"
        )
    if counts.get("answered") and not has_acted:
        yield "the strategy was never ready, and gave no signal"
    if rivals > 0 and counts.get("history_requests"):
        yield (
            "another history service is at the same Redis: what the strategy was told of the past "
            "may be the other's; give each run a Redis of its own"
        )
