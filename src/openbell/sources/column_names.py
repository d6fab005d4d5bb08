"""What the columns of a file are, told from the names people give them."""

import re
from collections.abc import Mapping, Sequence

from openbell.market.errors import BadDataError, UsageError
from openbell.market.instrument import Series

_STAMP = (
    "datetime", "timestamp", "datetimeutc", "date", "starttime", "start", "startns", "opentime",
    "time", "timens", "gmttime", "localtime", "utc", "unix", "unixtimestamp", "ts", "tsevent",
    "dt", "t", "dtyyyymmdd",
)  # fmt: skip
_SPELLINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "bars": {
        "open": ("open", "o", "openprice", "first"),
        "high": ("high", "h", "highprice", "max"),
        "low": ("low", "l", "lowprice", "min"),
        "close": ("close", "c", "closeprice", "last", "closelast", "price"),
        "volume": ("volume", "v", "vol", "tickvol", "tickvolume"),
    },
    "trades": {
        "price": ("price", "p", "last", "rate"),
        "size": ("size", "qty", "quantity", "amount", "volume", "q", "v"),
        "side": ("side", "takerside", "type", "direction"),
    },
    "quotes": {
        "bid": ("bid", "bidprice", "bestbid", "b"),
        "ask": ("ask", "askprice", "bestask", "offer", "a"),
        "bid_size": ("bidsize", "bidqty", "bidvolume", "bestbidsize", "bestbidqty", "volbid"),
        "ask_size": ("asksize", "askqty", "askvolume", "bestasksize", "bestaskqty", "voloffer"),
    },
}
_OPTIONAL = {"volume", "side", "bid_size", "ask_size", "time", "end", "label"}


def kind_of(series: Series) -> str:
    """The kind of rows a series holds: bars, trades or quotes."""
    return "bars" if series.is_bars else series.kind


def spelled(name: str) -> str:
    """A column's name for comparing: ``Open (O)`` and ``<OPEN>`` become ``open``."""
    bare = re.sub(r"\(.*?\)", "", name) or name
    return re.sub(r"[^a-z0-9]", "", bare.lower())


def find_columns(
    names: Sequence[str], kind: str, given: Mapping[str, str], *, file: str
) -> dict[str, str]:
    """Which column of a file is what: our name → its name.

    Parameters
    ----------
    names
        The file's column names, in order.
    given
        Our name → its name, where the caller says so; these come first.

    Raises
    ------
    UsageError
        If `given` names something that is not there.
    BadDataError
        If a column that is needed is not found.
    """
    wanted = {"stamp": _STAMP, **_SPELLINGS[kind]}
    found: dict[str, str] = {}
    for role, name in given.items():
        if role not in (*wanted, *_OPTIONAL) or name not in names:
            what = "column" if role in wanted else "meaning"
            there = [n for n in names if n] if role in wanted else [*wanted, *sorted(_OPTIONAL)]
            raise UsageError(
                f"{file}: there is no {what} `{name if role in wanted else role}`",
                hint=f"there are {', '.join(dict.fromkeys(there[:20]))}",
            )
        found[role] = name
    free = {spelled(name): name for name in reversed(names) if name not in found.values()}
    for role, spellings in wanted.items():
        match = next((free[s] for s in spellings if s in free), None)
        if role not in found and match is not None:
            found[role] = match
            del free[spelled(match)]
    if "time" in free and "time" not in found and _is_date(found.get("stamp", ""), names):
        found["time"] = free["time"]
    similar = [name for spelling, name in free.items() if spelling.startswith("vol")]
    if kind == "bars" and "volume" not in found and similar:
        found["volume"] = similar[-1]
    _require(found, names, kind, file)
    return found


def _is_date(stamp: str, names: Sequence[str]) -> bool:
    """Whether a column looks as if it held the date alone, with the time in the next one."""
    after = [spelled(name) for name in names[names.index(stamp) + 1 :]] if stamp else []
    return spelled(stamp) in ("date", "dtyyyymmdd", "timestamp") and after[:1] == ["time"]


def _require(found: dict[str, str], names: Sequence[str], kind: str, file: str) -> None:
    roles = ("stamp", *_SPELLINGS[kind])
    if missing := [role for role in roles if role not in found and role not in _OPTIONAL]:
        likely = [k for k in _SPELLINGS if k != kind and _fits({spelled(n) for n in names}, k)]
        other = f"; it looks like {likely[0]}" if likely else ""
        raise BadDataError(
            f"{file} has no column for {', '.join(missing)} of {kind}{other}; "
            f"its columns are {', '.join(names[:12])}",
            hint=f"name the series /{likely[0]}"
            if likely and likely[0] != "bars"
            else f"say which is which: --column {missing[0]}=NAME",
        )


def _fits(names: set[str], kind: str) -> bool:
    return all(
        names.intersection(spellings)
        for role, spellings in _SPELLINGS[kind].items()
        if role not in _OPTIONAL
    )
