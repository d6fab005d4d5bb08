"""From a history request to its answer, without Redis and without threads."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from openbell.bridge import answers, channels
from openbell.bridge.answers import Answer
from openbell.bridge.past import Past, Wanted
from openbell.bridge.requests import HistoryRequest, history_request, production_request
from openbell.market.errors import BadDataError, NotRecordedError, OpenbellError, UsageError
from openbell.market.instrument import Instrument, Series
from openbell.market.moments import iso
from openbell.market.synthetic import Making, synthetic_bars
from openbell.market.timeframe import CODES, Timeframe, timeframe

NOT_AVAILABLE = "DATA_NOT_AVAILABLE: "
SYNTHETIC = "synthetic"
REQUEST_TYPE = "REQUEST_HISTORICAL_DATA"
HEARD = (channels.HISTORY_REQUEST, channels.PRODUCTION_REQUEST, channels.PRODUCTION_CONTROL)


class History(Protocol):
    """Where bars come from."""

    def find(self, asked: HistoryRequest, now_ns: int) -> Answer:
        """The bars asked for, none of them known later than `now_ns`; there may be none.

        Raises
        ------
        OpenbellError
            If there can be none: nothing is known of the symbol.
        """
        ...


class Recorded:
    """History as a store has it."""

    def __init__(self, past: Past) -> None:
        self._past = past

    def find(self, asked: HistoryRequest, now_ns: int) -> Answer:
        """The newest bars before the earlier of `now_ns` and the request's end."""
        known_ns = now_ns if asked.end_ns is None else min(now_ns, asked.end_ns)
        wanted = Wanted(
            count=asked.count,
            known_ns=known_ns,
            start_ns=asked.start_ns or 0,
            hours=asked.hours,
            in_progress=asked.in_progress,
        )
        bars, pin = self._past.newest(asked.symbol, timeframe_of(asked), wanted)
        return Answer(bars, str(pin), now_ns)


class MadeUp:
    """History by rule, labelled as such, whatever the symbol."""

    def __init__(self, making: Making) -> None:
        self._making = making

    def find(self, asked: HistoryRequest, now_ns: int) -> Answer:
        """The last bars before the earlier of `now_ns` and the request's end."""
        end_ns = now_ns if asked.end_ns is None else min(now_ns, asked.end_ns)
        series = Series(Instrument("SYNTHETIC", asked.symbol), asked.code)
        bars = synthetic_bars(series, end_ns, asked.count, self._making, asked.width_ns)
        bars = bars.between(asked.start_ns or 0, end_ns)
        return Answer(bars, SYNTHETIC, now_ns, decimals=2)


def timeframe_of(asked: HistoryRequest) -> Timeframe:
    """The timeframe of a request, which need not be one that is recorded."""
    if asked.code in CODES:
        return timeframe(asked.code)
    if not asked.width_ns:
        raise UsageError(f"bars of {asked.code} cannot be made", hint="ask for 1M")
    return Timeframe(asked.code, asked.width_ns)


class Reply(NamedTuple):
    """What a message led to.

    Attributes
    ----------
    channel, body
        What to publish; both empty if nothing.
    bars
        How many are in it.
    error
        Why the request failed; empty if it did not.
    symbol, asked
        Of what, and how many bars were asked for, if it did not fail.
    is_request
        Whether the message asked for history at all.
    """

    channel: str = ""
    body: bytes = b""
    bars: int = 0
    error: str = ""
    symbol: str = ""
    asked: int = 0
    is_request: bool = True


Encode = Callable[[HistoryRequest, Answer], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """Answers messages of the channels `HEARD`.

    Attributes
    ----------
    history
        Where bars come from.
    now_ns
        The service's clock.
    symbol, count, max_count
        What is asked for if a request does not say; the most bars given on `HISTORY_REQUEST`.
    is_flat
        Whether answers there are in the flat form.
    """

    history: History
    now_ns: Callable[[], int]
    symbol: str = "NQ"
    count: int = 50
    max_count: int = 500
    is_flat: bool = False

    def reply(self, channel: str, body: bytes) -> Reply:
        """The answer to a message; a failure is an answer too, where the asker has a name."""
        try:
            message = channels.parse(body)
        except BadDataError as error:
            is_long = len(body) > channels.MAX_BYTES
            named = channels.request_id_near(body) if is_long else None
            return self.refused(channel, {"requestId": named}, error.message)
        if channel != channels.HISTORY_REQUEST and _kind(message) != REQUEST_TYPE:
            return self._foreign(channel, message)
        try:
            return self._answered(channel, message)
        except OpenbellError as error:
            return self.refused(channel, message, _told(error))

    def refused(self, channel: str, message: channels.Message, error: str) -> Reply:
        """The answer to a request that failed; without a name it gets none."""
        named = channels.request_id(message)
        if named is None:
            return Reply(error=error)
        if channel == channels.HISTORY_REQUEST:
            body = answers.required_error(named, error, self.now_ns())
            return Reply(channels.HISTORY_RESPONSE, body, error=error)
        instance = channels.payload_of(message).get("instanceId")
        known = instance if isinstance(instance, str) else ""
        body = answers.envelope_error(named, known, error, self.now_ns())
        return Reply(channels.PRODUCTION_HISTORY, body, error=error)

    def _answered(self, channel: str, message: channels.Message) -> Reply:
        if channel == channels.HISTORY_REQUEST:
            asked = history_request(message, symbol=self.symbol, count=self.count)
            encode = answers.flat if self.is_flat else answers.required
            return self._found(asked, self.max_count, channels.HISTORY_RESPONSE, encode)
        asked = production_request(message)
        return self._found(asked, asked.count, channels.PRODUCTION_HISTORY, answers.envelope)

    def _found(self, asked: HistoryRequest, most: int, channel: str, encode: Encode) -> Reply:
        """The bars asked for, at most so many, in a form of answer."""
        now_ns = self.now_ns()
        try:
            found = self.history.find(replace(asked, count=min(asked.count, most)), now_ns)
        except OpenbellError as error:
            raise NotRecordedError(NOT_AVAILABLE + error.message, hint=error.hint) from error
        if not len(found.bars):
            raise NotRecordedError(
                f"{NOT_AVAILABLE}no {asked.code} bars of {asked.symbol} are known at {iso(now_ns)}"
            )
        if asked.count > most:
            found = replace(found, notes=(f"no more than {most} bars are given",))
        return Reply(channel, encode(asked, found), len(found.bars), "", asked.symbol, asked.count)

    def _foreign(self, channel: str, message: channels.Message) -> Reply:
        """What the production bot asks its connection manager besides history."""
        named = channels.request_id(message)
        if channel != channels.PRODUCTION_REQUEST or named is None:
            return Reply(is_request=False)
        body = answers.unknown_type(named, _kind(message), self.now_ns())
        return Reply(channels.PRODUCTION_RESPONSE, body, is_request=False)


def _kind(message: channels.Message) -> str:
    kind = message.get("type", channels.payload_of(message).get("type"))
    return kind[: channels.MAX_TEXT] if isinstance(kind, str) else ""


def _told(error: OpenbellError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message
