"""Whether a run, done again, is the same; and if not, the first thing that differs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile, zip_longest
from typing import Any

from msgspec.structs import astuple

from openbell.backtest.result import RunResult
from openbell.market.counted import counted
from openbell.market.moments import iso
from openbell.replay.tape import CANCELLED, DECISIONS, FILLED, PLACED, Entry, short_seal

# What the four numbers of a decision are.
_NUMBERS = {PLACED: ("size", "limit", "stop", "trail"), FILLED: ("size", "price", "fee", "cash")}


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer.

    Attributes
    ----------
    is_same
        Whether both have the same seal.
    text
        One line for a person.
    session
        The first session whose digest differs; empty if none does.
    expected, found
        The first decision that differs, as it was and as it is now, in words; empty where there
        is none.
    causes
        What is known to have changed: data, code, settings, calendar, version.
    """

    is_same: bool
    text: str
    seal: str
    session: str = ""
    expected: str = ""
    found: str = ""
    causes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The answer, JSON-ready."""
        return {**asdict(self), "causes": list(self.causes)}


def compare_runs(stored: RunResult, again: RunResult) -> Verification:
    """Compare a stored run with the same run done again.

    The seals decide; of an interrupted run, the digests of the sessions it finished. If they
    differ, sessions are compared digest by digest, and the decisions from the first that differs
    on one by one: changed settings show in every digest, even where they changed no decision yet.
    """
    causes = _causes(stored, again)
    if stored.seal == again.seal and stored.seal:
        decisions = sum(e.what in (PLACED, FILLED) for e in stored.entries)
        text = (
            f"verified: same seal {short_seal(stored.seal)} "
            f"({counted(len(stored.sessions), 'session')}, {decisions:,} orders and fills)"
        )
        return Verification(is_same=True, text=text, seal=stored.seal, causes=causes)
    same = _same_beginning(stored, again)
    if stored.status == "interrupted" and same >= len(stored.sessions) - 1:
        # The session it was interrupted in has a digest of its part; those before are whole.
        until = counted(same, "session")
        text = f"verified as far as it got: same digests in {until}, then interrupted"
        if not same:
            text = "nothing to verify: the run was interrupted before its first session closed"
        return Verification(is_same=same > 0, text=text, seal=stored.seal, causes=causes)
    return _difference(stored, again, causes)


def _difference(stored: RunResult, again: RunResult, causes: tuple[str, ...]) -> Verification:
    """The first decision that differs, or that only data or settings do."""
    at, label = _first_session(stored, again)
    before, after = _first_entry(stored, again, at)
    entry = before or after
    if entry is not None:
        label = _label_of(entry, stored if before else again)
    expected, found = _say_both(before, after, list(stored.multipliers))
    if not stored.seal:
        what = f"nothing to compare: {stored.error or 'no session was closed'}"
    elif entry is None:
        what = "the data or the settings, no decision"
    else:
        what = f"{_time(entry)} UTC, order {entry.order}: was {expected}, now {found}"
    where = f"session {label}" if label else "before the first session"
    because = f" ({'; '.join(causes)})" if causes else " (nothing known has changed)"
    return Verification(
        is_same=False,
        text=f"differs: {where}, {what}{because}",
        seal=again.seal,
        session=label,
        expected=expected,
        found=found,
        causes=causes,
    )


def _same_beginning(stored: RunResult, again: RunResult) -> int:
    """How many sessions have the same digests, from the first on."""
    pairs = zip(stored.sessions, again.sessions, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0].digest == pair[1].digest, pairs))


def _causes(stored: RunResult, again: RunResult) -> tuple[str, ...]:
    found = []
    changed = sum(
        stored.code_files.get(name) != again.code_files.get(name)
        for name in sorted({*stored.code_files, *again.code_files})
    )
    if stored.code_hash != again.code_hash:
        found.append(f"strategy code changed: {counted(changed, 'file')}")
    if tuple(stored.checksums) != tuple(again.checksums):
        found.append("data changed")
    if stored.config.to_dict() != again.config.to_dict():
        found.append("settings changed")
    if dict(stored.calendars) != dict(again.calendars):
        found.append("calendar changed")
    if stored.version != again.version:
        found.append(f"openbell {stored.version} then, {again.version} now")
    return tuple(found)


def _first_session(stored: RunResult, again: RunResult) -> tuple[int, str]:
    for at, (a, b) in enumerate(zip_longest(stored.sessions, again.sessions)):
        if a is None or b is None or a.digest != b.digest:
            return at, (a or b).label
    return 0, ""


def _first_entry(stored: RunResult, again: RunResult, at: int) -> tuple[Entry | None, Entry | None]:
    before, after = ([e for e in run.entries if e.session >= at] for run in (stored, again))
    for a, b in zip_longest(before, after):
        if a is None or b is None or not _equal(astuple(a), astuple(b)):
            return _earlier(a, b)
    return None, None


def _earlier(a: Entry | None, b: Entry | None) -> tuple[Entry | None, Entry | None]:
    """Both, if they are about the same order; else the earlier one, for which there is no other."""
    if a is None or b is None:
        return a, b
    moved = (
        a.what == b.what
        and a.time_ns != b.time_ns
        and not _equal((a.instrument, *a.numbers), (b.instrument, *b.numbers))
    )
    if a.order == b.order and not moved:
        return a, b
    return (a, None) if a.time_ns <= b.time_ns else (None, b)


def _label_of(entry: Entry, run: RunResult) -> str:
    return run.sessions[entry.session].label if entry.session < len(run.sessions) else ""


def _equal(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two decisions, or parts of them, are the same; NaN is like NaN."""
    return all(x == y or (x != x and y != y) for x, y in zip(a, b, strict=True))


def _time(entry: Entry) -> str:
    return iso(entry.time_ns)[11:].removesuffix("Z")


def _say_both(before: Entry | None, after: Entry | None, names: Sequence[str]) -> tuple[str, str]:
    """Both decisions in words, with as much as it takes to tell them apart."""
    said = _say(before, names), _say(after, names)
    if said[0] != said[1] or before is None or after is None:
        return said
    if before.time_ns != after.time_ns:
        return f"{said[0]} at {iso(before.time_ns)}", f"{said[1]} at {iso(after.time_ns)}"
    words = _NUMBERS.get(before.what, _NUMBERS[PLACED])
    return _exactly(said[0], before, after, words), _exactly(said[1], after, before, words)


def _exactly(said: str, entry: Entry, other: Entry, words: Sequence[str]) -> str:
    """What was said, and every number that differs from another decision's, in full."""
    pairs = zip(words, entry.numbers, other.numbers, strict=True)
    return ", ".join([said, *(f"{word} {x!r}" for word, x, y in pairs if x != y)])


def _say(entry: Entry | None, names: Sequence[str]) -> str:
    if entry is None:
        return "none"
    name = f" {names[entry.instrument]}" if len(names) > 1 else ""
    side = "buy" if entry.size > 0 else "sell"
    if entry.what == PLACED:
        levels = [
            f" {word} {value:g}"
            for word, value in zip(_NUMBERS[PLACED], entry.numbers, strict=True)
            if word != "size" and value == value  # not NaN
        ]
        return f"{side} {abs(entry.size):g}{name}{''.join(levels)}"
    if entry.what == FILLED:
        return f"{side} {abs(entry.size):g}{name} at {entry.price:g} filled"
    return DECISIONS.get(entry.what, DECISIONS[CANCELLED])
