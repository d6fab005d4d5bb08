"""Rules for values out of JSON: each names every place that breaks it.

A rule is called with a value and the value's path, and gives problems as ``path: what``. Rules of
objects and lists are made of the rules of their parts.
"""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from openbell.market.errors import UsageError
from openbell.market.moments import parse_date

Rule = Callable[[Any, str], Iterator[str]]

_SHOWN = 40  # characters of a value in a message
_LARGE = 1e300  # larger numbers are none: JSON can write 1e999
_ITEMS = 10_000  # of a list


def text(value: Any, path: str) -> Iterator[str]:
    """A text of characters that can be shown, not empty."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        yield f"{path}: must be a text, not {shown(value)}"


def flag(value: Any, path: str) -> Iterator[str]:
    """True or false."""
    if not isinstance(value, bool):
        yield f"{path}: must be true or false, not {shown(value)}"


def anything(_value: Any, _path: str) -> Iterator[str]:
    """Whatever it is."""
    yield from ()


def day(value: Any, path: str) -> Iterator[str]:
    """A date, ``2011-03-14``."""
    try:
        is_day = isinstance(value, str) and parse_date(value).isoformat() == value
    except UsageError:
        is_day = False
    if not is_day:
        yield f"{path}: must be a date like 2011-03-14, not {shown(value)}"


def one_of(*known: object) -> Rule:
    """One of some values."""

    def rule(value: Any, path: str) -> Iterator[str]:
        if not any(value == one and type(value) is type(one) for one in known):
            yield f"{path}: must be one of {', '.join(map(str, known))}, not {shown(value)}"

    return rule


def number(
    *,
    whole: bool = False,
    least: float | None = None,
    above: float | None = None,
    most: float = _LARGE,
) -> Rule:
    """A number of a range: `least` and `most` are in it, `above` is not."""
    kind = "a whole number" if whole else "a number"
    bounds = " and ".join(
        [
            *([f"above {above:,.15g}"] if above is not None else []),
            *([f"at least {least:,.15g}"] if least is not None else []),
            *([f"at most {most:,.15g}"] if most != _LARGE else []),
        ]
    )

    says = f", {bounds}" if bounds else ""

    def rule(value: Any, path: str) -> Iterator[str]:
        is_number = isinstance(value, int if whole else int | float)
        is_right = is_number and not isinstance(value, bool) and (
            (above is None or value > above) and (least is None or value >= least) and value <= most
        )  # fmt: skip
        if not is_right:
            yield f"{path}: must be {kind}{says}, not {shown(value)}"

    return rule


def listing(item: Rule, *, is_set: bool = False, least: int = 0) -> Rule:
    """A list, every item of which keeps a rule; a set holds nothing twice."""

    def rule(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{path}: must be a list, not {shown(value)}"
            return
        if not least <= len(value) <= _ITEMS:
            yield f"{path}: has {len(value):,} items, and {least} to {_ITEMS:,} are taken"
            return
        seen = set()
        for k, one in enumerate(value):
            yield from item(one, f"{path}[{k}]")
            if is_set and repr(one) in seen:
                yield f"{path}[{k}]: {shown(one)} is given twice"
            seen.add(repr(one))

    return rule


def named(item: Rule) -> Rule:
    """An object with names of any kind, every value of which keeps a rule."""

    def rule(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: must be an object, not {shown(value)}"
            return
        for name, one in value.items():
            yield from item(one, _join(path, name))

    return rule


def fields(known: Mapping[str, Rule], *, needed: tuple[str, ...] = ()) -> Rule:
    """An object with known fields and no others."""

    def rule(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path or 'the file'}: must be an object, not {shown(value)}"
            return
        for name in needed:
            if name not in value:
                yield f"{_join(path, name)}: is missing"
        for name, one in value.items():
            if name in known:
                yield from known[name](one, _join(path, name))
            else:
                near = get_close_matches(name, known, n=1)
                guess = f"; is `{near[0]}` meant?" if near else ""
                yield f"{_join(path, name)}: is not a known field{guess}"

    return rule


def shown(value: Any) -> str:
    """A value in a message, as JSON has it; long ones are cut."""
    found = {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))
    return found if len(found) <= _SHOWN else f"{found[:_SHOWN]}…"


def _join(path: str, name: str) -> str:
    name = name if name.isidentifier() else shown(name)
    return f"{path}.{name}" if path else name
