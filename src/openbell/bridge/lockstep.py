"""Lock-step: a run and a strategy elsewhere, message by message, over two Redis Streams.

The protocol stands in docs/channels.md, section Lock-step. What makes it safe:

- Every message has a number, and is the entry of that number in the stream: appending it again
  after a cut connection is refused by Redis, so it is harmless.
- The runner answers and acknowledges in one transaction: an answer is there exactly once.
- Everything sent in a run is kept here. A runner that begins anew says hello, reads everything
  from the first message on in batches, and answers it again. Those answers must be the ones that
  are known already: otherwise the strategy is not deterministic, and the run ends.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import orjson
from redis.connection import ConnectionPool
from redis.exceptions import RedisError, ResponseError

from openbell.bridge import channels
from openbell.bridge.transport import Answer, Kind, Watch
from openbell.market.errors import BadDataError, RunError, UnavailableError, UsageError
from openbell.market.moments import iso

KEPT = 128  # entries a stream holds at most
BATCH = 512  # messages of a catch-up sent at once
BATCH_BYTES = 256 * 1024
_TICK_MS = 100  # how long Redis holds a read before we look after the runner
_SILENCE_S = 5.0  # after which a connection that should have answered is made anew
_PAUSE_S = 0.02
_FADES_S = 7 * 24 * 3600  # after which Redis forgets a run that ended by force
_MAX_ANSWER_BYTES = 16 * channels.MAX_BYTES

# The changing ends of the two commands that every slice takes, packed by hand: five times as fast.
_APPEND = (
    b"$%d\r\n%b-0\r\n$3\r\nseq\r\n$%d\r\n%b\r\n$7\r\ntime_ns\r\n$%d\r\n%b\r\n"
    b"$4\r\nkind\r\n$%d\r\n%b\r\n$4\r\ndata\r\n$%d\r\n%b\r\n"
)
_READ = b"$%d\r\n%b\r\n"


class Message(NamedTuple):
    """One message of a run: its number from 1, the run's time, what it is, and its JSON."""

    seq: int
    time_ns: int
    kind: Kind
    data: bytes


class Lockstep:
    """The run's side of lock-step.

    Parameters
    ----------
    url
        Of the Redis server.
    run
        Names this run's streams; no other run may use it, and it is in no seal.
    watch
        Looks after the runner while it is waited for; raises if it cannot be kept alive.
    """

    def __init__(
        self,
        url: str,
        run: str,
        *,
        watch: Watch,
    ) -> None:
        self.slices = f"openbell:{run}:slices"
        self.answers = f"openbell:{run}:answers"
        self._append_head = _pack("XADD", self.slices, "NOMKSTREAM", "MAXLEN", KEPT, more=9)
        self._read_head = _pack(
            "XREAD", "COUNT", KEPT, "BLOCK", _TICK_MS, "STREAMS", self.answers, more=1
        )
        self._connect = connector(url)
        self._connection: Any = None  # the library leaves its connections untyped
        self._watch = watch
        self._within_s = 0.0
        self._until = 0.0
        self._sent: list[Message] = []
        self._known: list[Answer | None] = []  # the answer of each message, from the first on
        self._runner = b""  # whose group the stream has; empty before the first hello
        self._met: set[bytes] = set()
        self._fed = 0  # the last message appended for this runner
        self._heard = 0  # the last message this runner answered
        self._last_id = b"0-0"
        self._repeats = 0
        self._is_closed = False

    @property
    def statistics(self) -> dict[str, int]:
        """Messages sent, answered, answers left out as repeated, and runners begun anew."""
        return {
            "sent": len(self._sent),
            "answered": len(self._known),
            "repeated": self._repeats,
            "restarted": max(len(self._met) - 1, 0),
        }

    @property
    def told_ns(self) -> int:
        """The run's time at the message, or the first of the batch, that is being answered."""
        return self._sent[min(self._heard, len(self._sent) - 1)].time_ns

    def send(self, time_ns: int, kind: Kind, data: bytes) -> None:
        """Put a message in line; it goes out with the next `ask`."""
        self._sent.append(Message(len(self._sent) + 1, time_ns, kind, data))

    def ask(self, within_s: float) -> Sequence[Answer | None]:
        """Send what is in line and wait for its answers: one each, in order, None for an empty one.

        Parameters
        ----------
        within_s
            Wall time that may pass between two signs of life: answers, and runners begun anew.

        Raises
        ------
        RunError
            If the deadline passes, or a runner begun anew answers otherwise than the one before.
        UnavailableError
            If Redis stays away, or full, until the deadline.
        """
        first = len(self._known)
        self._within_s = within_s
        self._begin_deadline()
        while len(self._known) < len(self._sent):
            try:
                self._turn()
            except (RedisError, OSError) as error:
                self._survive(error)
        return self._known[first:]

    def close(self) -> None:
        """Remove the streams and the connection; nothing happens the second time."""
        if self._is_closed or not self._sent:
            return
        self._is_closed = True
        with suppress(RedisError, OSError):  # the run is over: there is nothing left to save
            self._exchange([_pack("DEL", self.slices, self.answers)])
        if self._connection is not None:
            self._connection.disconnect()

    # One exchange

    def _turn(self) -> None:
        """Append what the runner may have now, and read what it answered."""
        due = self._due()
        read = _READ % (len(self._last_id), self._last_id)
        packed = [*map(self._append, due), self._read_head + read]
        found = self._exchange(packed)[-1]
        if found is None:
            self._wait()
            return
        for entry_id, fields in found[0][1]:
            self._last_id = entry_id
            self._take(dict(zip(fields[::2], fields[1::2], strict=True)))

    def _due(self) -> Sequence[Message]:
        """What this runner is to have next: what is new, or one batch of what it missed."""
        if not self._runner or self._fed > self._heard:
            return ()
        line = self._sent[self._fed : self._fed + BATCH]
        if self._fed >= len(self._known) and len(line) <= KEPT // 2:
            due: Sequence[Message] = line
        else:
            due = [_batch(line[: _fitting(line)])]
        if due:
            self._fed = due[-1].seq
        return due

    def _append(self, message: Message) -> bytes:
        """The command; it does nothing in a Redis that lost the stream: the runner notices, too."""
        seq, time_ns, kind, data = message
        number, moment, what = b"%d" % seq, b"%d" % time_ns, kind.encode()
        return self._append_head + _APPEND % (
            len(number) + 2, number, len(number), number, len(moment), moment,
            len(what), what, len(data), data,
        )  # fmt: skip

    def _exchange(self, packed: Sequence[bytes]) -> list[Any]:
        """The replies to some commands, written at once. A message sent again is no error."""
        connection = self._connection or self._open()
        connection.send_packed_command([b"".join(packed)], check_health=False)
        replies: list[Any] = []
        for _ in packed:
            try:
                replies.append(connection.read_response())
            except ResponseError as error:
                replies.append(error)
        for reply in replies:
            if isinstance(reply, ResponseError) and "equal or smaller" not in str(reply):
                raise reply
        return replies

    def _take(self, fields: dict[bytes, bytes]) -> None:
        """Take over one entry of the answers: a hello, or the answers of one entry."""
        if b"hello" in fields:
            self._welcome(fields[b"hello"])
            return
        if b"seq" not in fields:
            return
        seq, data = int(fields[b"seq"]), fields[b"data"]
        if fields[b"runner"] != self._runner or seq <= self._heard:
            self._repeats += 1
            return
        answers = (None,) if data == b"[null]" else _answers(data)
        if seq != self._heard + len(answers):
            raise _no_answer(
                f"it gave {len(answers)} answers to messages {self._heard + 1} to {seq}"
            )
        for at, answer in enumerate(answers, self._heard + 1):
            self._learn(at, answer)
        self._heard = seq
        self._begin_deadline()

    def _learn(self, seq: int, answer: Answer | None) -> None:
        """Keep an answer, or compare it with the one that is known."""
        if seq > len(self._known):
            self._known.append(answer)
        elif _decisions(answer) != _decisions(self._known[seq - 1]):
            raise RunError(
                f"the strategy is not deterministic: begun anew, it answered "
                f"{self._named(seq)} otherwise than before",
                hint="let it decide by what it is sent: by no wall clock, no chance, no file",
            )

    # What goes wrong

    def _welcome(self, runner: bytes) -> None:
        """Begin at the first message, for a runner that knows nothing."""
        if runner in self._met:
            return
        create = ("XGROUP", "CREATE", self.slices, runner, "0", "MKSTREAM")
        commands = ("MULTI",), ("DEL", self.slices), create, ("EXEC",)
        # A run that could not tidy up leaves nothing for ever.
        fading = [("EXPIRE", key, _FADES_S) for key in (self.slices, self.answers)]
        self._exchange([_pack(*command) for command in (*commands, *fading)])
        self._met.add(runner)
        self._runner = runner
        self._fed = self._heard = 0
        self._begin_deadline()

    def _look_after(self) -> None:
        """Start a runner that died again: from then on nothing is told, and its time begins anew.

        It may ask for history before it says hello, and is answered as of that time.
        """
        if self._watch():
            self._runner = b""
            self._fed = self._heard = 0
            self._begin_deadline()

    def _wait(self) -> None:
        """Nothing came for a moment: look after the runner, then at the time."""
        self._look_after()
        if time.monotonic() >= self._until:
            # A full Redis lets nobody answer; then it refuses this, too, and that is the error.
            self._exchange([_pack("XADD", self.answers, "*", "ask", "is there room?")])
            raise RunError(
                f"{self._named(len(self._known) + 1)} was not answered in {self._within_s:g} s",
                hint="look at what the strategy waits for, or allow it more time",
            )

    def _survive(self, error: Exception) -> None:
        """Try again after an error of Redis, until the deadline."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None
        self._look_after()
        if time.monotonic() >= self._until:
            is_full = "maxmemory" in str(error)
            raise UnavailableError(
                f"Redis {'has no memory left' if is_full else 'is away'}: {error}",
                hint="give it more memory (maxmemory)" if is_full else "is it running?",
            ) from error
        threading.Event().wait(_PAUSE_S)

    def _open(self) -> Any:
        connection = self._connect()
        connection.connect()
        # What was appended may be lost; what was answered may stand under other ids.
        self._fed, self._last_id = self._heard, b"0-0"
        self._connection = connection
        return connection

    def _begin_deadline(self) -> None:
        self._until = time.monotonic() + self._within_s

    def _named(self, seq: int) -> str:
        message = self._sent[seq - 1]
        return f"{message.kind} {seq} ({iso(message.time_ns)})"


def connector(url: str) -> Callable[[], Any]:
    """What makes connections to a server: replies as bytes, in the older protocol.

    Raises
    ------
    UsageError
        If the URL is none.
    """
    try:
        pool = ConnectionPool.from_url(
            url, protocol=2, socket_timeout=_SILENCE_S, socket_connect_timeout=_SILENCE_S
        )
    except ValueError as error:
        raise UsageError(f"{url} is no Redis URL", hint=str(error)) from None
    return pool.make_connection


def _pack(*words: str | int | bytes, more: int = 0) -> bytes:
    """A command as it is written, or its beginning, with so many words still to come."""
    packed = [b"*%d\r\n" % (len(words) + more)]
    for word in words:
        raw = word if isinstance(word, bytes) else str(word).encode()
        packed.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(packed)


def _answers(data: bytes) -> Sequence[Answer | None]:
    """The answers of one entry; raise `RunError` if they are none."""
    if len(data) > _MAX_ANSWER_BYTES:
        raise _no_answer(f"it said {len(data)} bytes at once")
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _no_answer(f"what it said is no JSON: {error}") from None
    if not isinstance(found, list) or not all(map(_is_answer, found)):
        raise _no_answer(f"it said {data[:80]!r}")
    return found


def _is_answer(answer: Any) -> bool:
    if answer is None:
        return True
    signals = answer.get("signals", []) if isinstance(answer, dict) else None
    return isinstance(signals, list) and all(isinstance(signal, dict) for signal in signals)


def _no_answer(why: str) -> RunError:
    return RunError(
        f"the runner does not answer as agreed: {why}",
        hint="use the runner of this version of openbell, or see docs/channels.md",
    )


def _fitting(line: Sequence[Message]) -> int:
    """How many messages make up a batch; at least one."""
    size = 0
    if line[0].kind == "init":  # alone: what a strategy asks for then is answered as of then
        return 1
    for count, message in enumerate(line):
        size += len(message.data)
        if size > BATCH_BYTES and count:
            return count
    return len(line)


def _batch(line: Sequence[Message]) -> Message:
    """Some messages as one, which has the number of the last."""
    rows = [(seq, time_ns, kind, orjson.Fragment(data)) for seq, time_ns, kind, data in line]
    return Message(line[-1].seq, line[-1].time_ns, "batch", orjson.dumps(rows))


def _decisions(answer: Answer | None) -> object:
    """What of an answer decides: a moment or a reason in a signal may differ."""
    if answer is None:
        return None
    return [_decision(signal) for signal in answer.get("signals", ())], answer.get("error")


def _decision(message: Any) -> object:
    try:
        s = channels.signal(message)
    except BadDataError:
        return message
    return s.action, s.symbol, s.quantity, s.price, s.stop_loss, s.take_profit
