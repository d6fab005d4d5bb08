"""A run in a terminal and in a notebook. All read summaries, so that stored runs show alike."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from rich.table import Table
from rich.text import Text

from openbell.backtest.figures import FIGURES
from openbell.backtest.orders import OPTIMISTIC
from openbell.market.counted import counted
from openbell.replay.tape import short_seal
from openbell.report import text

Summary = Mapping[str, Any]

HEADLINES = ("total_return", "sharpe", "max_drawdown", "round_trips", "win_rate")
_SHORT = {"total_return": "total return", "sharpe": "Sharpe", "max_drawdown": "max drawdown",
          "round_trips": "round trips", "win_rate": "win rate"}  # fmt: skip


def run_lines(summary: Summary, *, report: str = "") -> Text:
    """A run in a few lines: what it was, what it came to, how to go on.

    Parameters
    ----------
    summary
        Of `RunResult.summary`, or of a stored run.
    report
        Where its report was written; left out when empty.
    """
    lines = [_what_it_was(summary), *_what_is_wrong(summary), _headlines(summary["metrics"])]
    seal = f" seal {short_seal(summary['seal'])} · {text.number(summary['elapsed_s'], 1)} s"
    lines.append(Text(seal + (f" · report {report}" if report else "")))
    run = summary["id"]
    lines.append(Text(f"next: openbell verify {run} · openbell runs show {run}", style="dim"))
    return Text("\n").join(lines)


def facts(summary: Summary) -> list[tuple[str, str]]:
    """What a run was, as (words, style) pairs; the loud ones are styled."""
    strategy = text.title(summary["strategy"], summary["parameters"])
    is_whole = summary["completeness"] >= 1
    fill = f"fills {summary['fill']}"
    optimistic = summary["fill"] in OPTIMISTIC
    costs = text.costs(summary["config"]["costs"])
    return [
        (f"run {summary['id']}", "bold"),
        (strategy, ""),
        (", ".join(summary["on"]), ""),
        (counted(summary["bars"], "bar"), ""),
        (counted(summary["sessions"], "session"), ""),
        (
            f"completeness {text.completeness(summary['completeness'])}",
            "" if is_whole else "yellow",
        ),
        (f"{fill} (optimistic!)" if optimistic else fill, "yellow" if optimistic else ""),
        (costs, "bold yellow" if summary["is_free_of_cost"] else ""),
    ]


def _what_it_was(summary: Summary) -> Text:
    return Text(" ") + Text(" · ").join(Text(words, style) for words, style in facts(summary))


def _what_is_wrong(summary: Summary) -> Iterable[Text]:
    if summary["status"] != "done":
        reason = f": {summary['error']}" if summary["error"] else ""
        yield Text(f" {summary['status']}{reason}; figures are up to there", style="bold red")
    for warning in summary["warnings"]:
        yield Text(f" warning: {warning}", style="yellow")


def _headlines(metrics: Mapping[str, Any]) -> Text:
    pairs = (f"{_SHORT[name]}  {text.figure(name, metrics[name])}" for name in HEADLINES)
    return Text(" " + "     ".join(pairs))


def metrics_table(summary: Summary, zone: str = "UTC") -> Table:
    """All figures of a run with their definitions."""
    table = Table("figure", "", "definition", title=f"run {summary['id']}", title_justify="left")
    table.columns[1].justify = "right"
    table.columns[2].style = "dim"
    for name, value in summary["metrics"].items():
        table.add_row(FIGURES[name].label, text.figure(name, value, zone), FIGURES[name].says)
    return table


def runs_table(summaries: Sequence[Summary]) -> Table:
    """One line a run, in the order given."""
    table = Table("run", "strategy", "data", "sessions", "fills", "costs", "status")
    for name in HEADLINES:
        table.add_column(_SHORT[name], justify="right")
    for one in summaries:
        words = (
            one["id"],
            text.title(one["strategy"], one["parameters"]),
            ", ".join(one["on"]),
            f"{one['first_session']} → {one['last_session']}",
            one["fill"],
            text.costs(one["config"]["costs"]),
        )
        status = Text(one["status"], style="" if one["status"] == "done" else "red")
        figures = (text.figure(name, one["metrics"][name]) for name in HEADLINES)
        # Text, so that no name is taken for markup.
        table.add_row(*map(Text, words), status, *figures)
    return table


def compare_table(summaries: Sequence[Summary]) -> Table:
    """Runs side by side: what differs between them first, then every figure."""
    table = Table("", *(one["id"] for one in summaries))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, cells in _what_differs(summaries):
        table.add_row(name, *map(Text, cells))
    table.add_section()
    for name, figure in FIGURES.items():
        table.add_row(figure.label, *(text.figure(name, one["metrics"][name]) for one in summaries))
    return table


def _what_differs(summaries: Sequence[Summary]) -> Iterable[tuple[str, list[str]]]:
    for name, of in (
        ("strategy", lambda one: text.title(one["strategy"], one["parameters"])),
        ("data", lambda one: ", ".join(one["on"])),
        ("sessions", lambda one: f"{one['first_session']} → {one['last_session']}"),
        ("fills", lambda one: one["fill"]),
        ("costs", lambda one: text.costs(one["config"]["costs"])),
        ("code", lambda one: short_seal(one["code_hash"])),
        ("openbell", lambda one: one["version"]),
        ("status", lambda one: one["status"]),
    ):
        cells = [of(one) for one in summaries]
        if len(set(cells)) > 1:
            yield name, cells


def run_html(summary: Summary) -> str:
    """A run as an HTML snippet without scripts, for notebooks."""
    what = " · ".join(
        f"<b>{escape(words)}</b>" if style else escape(words) for words, style in facts(summary)
    )
    wrong = "".join(
        f'<p style="color:#c62828"><b>{escape(line.plain.strip())}</b></p>'
        for line in _what_is_wrong(summary)
    )
    head = "".join(f"<th>{_SHORT[name]}</th>" for name in HEADLINES)
    cells = "".join(f"<td>{text.figure(name, summary['metrics'][name])}</td>" for name in HEADLINES)
    seal = escape(short_seal(summary["seal"]))
    return (
        f"<div><p>{what}</p>{wrong}<table><thead><tr>{head}</tr></thead>"
        f"<tbody><tr>{cells}</tr></tbody></table><p>seal <code>{seal}</code></p></div>"
    )
