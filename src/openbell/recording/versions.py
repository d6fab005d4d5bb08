"""What versions of series are called, and which one a name means; the same in every store."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from openbell.market.errors import NotRecordedError, StoreError, UsageError
from openbell.market.instrument import Pin, Series
from openbell.market.moments import DAY_NS, iso
from openbell.ports import Manifest, Store, Version

_PIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Change:
    """What a write does to a series, and the checksum of what comes of it."""

    series: Series
    added: int
    revised: int
    removed: int
    checksum: str


def parse_ref(text: str) -> tuple[Series, int | None]:
    """The series and version of ``XNYS:SPY/1m`` or ``XNYS:SPY/1m@3``.

    Raises
    ------
    UsageError
        If it is neither.
    """
    name, at, number = text.partition("@")
    if at and not (number.isascii() and number.isdigit() and int(number) > 0):
        raise UsageError(
            f"`{text}`: `{number}` is no version", hint=f"versions count from 1: {name}@1"
        )
    return Series.parse(name), int(number) if at else None


def parse_pin(text: str) -> Pin:
    """The version ``XNYS:SPY/1m@3`` names; raise `UsageError` if it names none."""
    series, number = parse_ref(text)
    if number is None:
        raise UsageError(f"`{text}` names no version", hint=f"for instance {text}@1")
    return Pin(series, number)


def require_free(pins: dict[str, Pin], name: str, pin: Pin) -> None:
    """Raise `UsageError` unless `name` can name `pin`: fit for it, and of no other version."""
    if not _PIN_NAME.fullmatch(name):
        raise UsageError(
            f"`{name}` cannot name a version",
            hint="use letters, digits, dots, dashes and underscores, for instance march-2011",
        )
    if pins.get(name, pin) != pin:
        raise UsageError(f"`{name}` already names {pins[name]}", hint="choose another name")


def require_same_series(before: Pin, after: Pin) -> None:
    """Raise `UsageError` if two versions to be compared are not of one series."""
    if before.series != after.series:
        raise UsageError(
            f"{before} and {after} are versions of different series",
            hint="compare two versions of one",
        )


def oldest_kept(now_ns: int, keep_days: float) -> int:
    """The moment before which versions are old: `keep_days` before now."""
    if not keep_days >= 0:
        raise UsageError(
            f"versions cannot be kept for {keep_days:g} days", hint="name 0 days or more"
        )
    return now_ns - int(keep_days * DAY_NS)


def resolve(store: Store, ref: str, as_of_ns: int | None) -> Pin:
    """The version a ref names, as `Store.resolve` promises.

    A version or pin named outright must itself have been written at or before `as_of_ns`.
    """
    series, number = _named(store, ref)
    known = store.versions(series)
    if not known:
        raise nothing_of(store, series)
    wanted = known if number is None else [version_of(known, Pin(series, number))]
    fitting = [v for v in wanted if as_of_ns is None or v.created_ns <= as_of_ns]
    if not fitting:
        raise NotRecordedError(
            f"{wanted[0].pin} was written at {iso(wanted[0].created_ns)},"
            " after the moment asked for",
            hint="ask for a later moment",
        )
    return fitting[-1].pin


def version_of(known: Sequence[Version], pin: Pin) -> Version:
    """The version a pin means, of those `known` of its series, oldest first.

    Raises
    ------
    NotRecordedError
        If there is none.
    """
    if not known:
        raise NotRecordedError(
            f"nothing is stored of {pin.series}", hint="see what there is: openbell data list"
        )
    if not 1 <= pin.version <= len(known):
        raise NotRecordedError(
            f"{pin.series} has no version {pin.version}", hint=f"its newest is {known[-1].pin}"
        )
    return known[pin.version - 1]


def successor(newest: Version | None, now_ns: int, manifest: Manifest, change: Change) -> Version:
    """The version that `change` makes of `newest`."""
    rows = newest.rows if newest else 0
    return Version(
        pin=Pin(change.series, newest.pin.version + 1 if newest else 1),
        # A clock that was set back does not make a version older than the one before it.
        created_ns=max(now_ns, newest.created_ns) if newest else now_ns,
        source=manifest.source,
        rows=rows + change.added - change.removed,
        added=change.added,
        revised=change.revised,
        removed=change.removed,
        checksum=change.checksum,
        details=dict(manifest.details),
    )


def nothing_of(store: Store, series: Series) -> NotRecordedError:
    """The error to raise when nothing is stored of a series."""
    hint = _close(str(series), store.list_series())
    return NotRecordedError(f"nothing is stored of {series}", hint=hint)


def vacuumed(pin: Pin) -> StoreError:
    """The error to raise when a version's rows are gone."""
    return StoreError(
        f"{pin} was vacuumed: its rows are no longer kept",
        hint="name a version with `openbell data pin` to keep it",
    )


def _named(store: Store, ref: str) -> tuple[Series, int | None]:
    if any(mark in ref for mark in ":/@"):
        return parse_ref(ref)
    pins = store.pins()
    if ref not in pins:
        raise NotRecordedError(
            f"no version is called `{ref}`", hint=_close(ref, [*pins, *store.list_series()])
        )
    return pins[ref].series, pins[ref].version


def _close(name: str, known: Sequence[object]) -> str:
    names = [str(k) for k in known]
    if not names:
        return "the store is empty; bring data in with: openbell data import"
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"stored are {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
