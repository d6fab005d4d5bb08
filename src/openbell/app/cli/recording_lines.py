"""A recording as people see it: how far it is, and what it came to."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from openbell.app.cli.terminal import note
from openbell.market.moments import SECOND_NS, iso

if TYPE_CHECKING:
    from openbell.app.recording import Recorded
    from openbell.app.watching import Line


@contextmanager
def shown() -> Iterator[Any]:
    """What shows how far it is: a table in a terminal, else a line now and then; on stderr."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    from rich.live import Live

    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda lines: live.update(table_of(lines, title="LIVE"), refresh=True)


class _Lines:
    """Notes a line a series every so many calls; the watch calls some times a second."""

    _EVERY = 50

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, lines: Sequence["Line"]) -> None:
        self._calls += 1
        if self._calls % self._EVERY == 0:
            for line in lines:
                note(f"live {'   '.join(_cells(line))}")


_COLUMNS = ("series", "received", "withheld", "last", "complete", "source")


def table_of(lines: Sequence["Line"], *, title: str = "") -> Any:
    """A row a series: how far it is."""
    from rich.table import Table

    table = Table(*_COLUMNS, title=title or None)
    for line in lines:
        table.add_row(*_cells(line))
    return table


def _cells(line: "Line") -> list[str]:
    from openbell.quality.report import percent

    withheld = {**line.withheld, **({"not whole": line.left_out} if line.left_out else {})}
    complete = "–" if line.completeness is None else percent(line.completeness)
    last = f"{iso(line.last_ns // SECOND_NS * SECOND_NS)[11:]}" if line.last_ns else "–"
    return [
        line.series, f"{line.received:,}", words_of(withheld) or "none", last, complete,
        words_of(line.noted) or "steady",
    ]  # fmt: skip


def words_of(counts: Mapping[str, int]) -> str:
    """Counts in a line: ``3 repeated, 1 out of order``; empty for none."""
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items())


def ending(found: "Recorded") -> Iterator[str]:
    """What a person wants to know of a recording that has ended, and what to do next."""
    from openbell.replay.tape import short_seal

    yield f"recorded {found.id}" + "".join(
        f" · {label} {short_seal(digest)}" for label, digest in found.digests.items()
    )
    if found.versions:
        yield f"in the lake: {', '.join(str(version.pin) for version in found.versions)}"
    if found.run is not None:
        yield f"run {found.run.id} {found.run.status}, seal {short_seal(found.run.seal)}"
        yield f"next: openbell parity {found.run.id} RUN (see: openbell runs list)"
    yield f"next: openbell replay recording:{found.id}"


def as_dict(found: "Recorded") -> dict[str, Any]:
    """What a recording came to, JSON-ready."""
    return {
        "id": found.id,
        "series": [line.to_dict() for line in found.lines],
        "digests": found.digests,
        "versions": [str(version.pin) for version in found.versions],
        "run": found.run.result.summary() if found.run is not None else None,
        "error": str(found.error) if found.error is not None else None,
    }
