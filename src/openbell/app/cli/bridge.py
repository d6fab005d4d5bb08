"""`openbell bridge`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from openbell.app.cli import options
from openbell.app.cli.backtest import code_of, keep, values_of
from openbell.app.cli.terminal import note, say_json, say_lines, working

if TYPE_CHECKING:
    from openbell.backtest.engines.pybroker_run import PyBrokerRun


def bridge(
    strategy: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A Node strategy: my_strategy.js.", show_default=False),
    ],
    on: options.On = None,
    start: options.From = "",
    end: options.To = "",
    hours: options.Hours = None,
    set_: options.Set = None,
    cash: options.Cash = None,
    size: options.Size = None,
    sizing: options.Sizing = None,
    fill: options.Fill = None,
    leverage: options.Leverage = None,
    fee_per_unit: options.FeePerUnit = None,
    fee_rate: options.FeeRate = None,
    slip_steps: options.SlipSteps = None,
    multiplier: options.Multiplier = None,
    config: options.Config = None,
    redis: Annotated[
        str,
        typer.Option(
            "--redis",
            metavar="URL",
            help="A running Redis: redis://user:password@host:6379; a private one otherwise.",
        ),
    ] = "",
    transport: Annotated[
        str,
        typer.Option(
            "--transport",
            help="lock-step: sealed and reproducible; compatible: the original's channels.",
        ),
    ] = "lock-step",
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="S", help="Seconds to wait for a signal, if compatible."),
    ] = 0.1,
    within: Annotated[
        float,
        typer.Option(
            "--within", metavar="S", min=0.001, help="Seconds the strategy may take to answer."
        ),
    ] = 30.0,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="native: sealed and kept; pybroker: its figures are shown, and nothing is kept.",
        ),
    ] = "native",
    no_bot: Annotated[bool, typer.Option("--no-bot", help="Run without the mock bot.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no HTML page.")] = False,
    lake: options.Lake = None,
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """Run a Node strategy with all it needs: Redis, history service, mock bot, runner.

    Market data of a replay go out, signals come back and become orders of the native engine; the
    run is kept with its report and its seal like any other.

    [bold]Examples[/]

      openbell bridge examples/node/ema-strategy.js --on XNYS:SPY/1m --set entry=cross

      openbell bridge emaStrategy.js --on march --transport compatible --redis redis://127.0.0.1

      openbell bridge emaStrategy.js --on march --fill intrabar --engine pybroker
    """
    given = dict(locals())
    at = options.lake_at(lake, runs=runs)
    values = values_of(given, at)
    from openbell.app.bridging import Circuit, run_circuit

    spoken = {"transport": transport} | ({"wait_s": wait} if transport == "compatible" else {})
    values["parameters"] = {**spoken, **values.get("parameters", {})}
    circuit = Circuit(redis_url=redis, within_s=within, bot=not no_bot, engine=engine)
    with working("bridging") as (progress, cancel):
        ran = run_circuit(values, at, circuit, progress=progress, cancel=cancel)
    if any(ran.counts.values()):
        note(_told(ran.counts))
    if ran.pybroker is not None:
        _show(ran.pybroker, as_json=as_json)
        return
    assert ran.native is not None
    keep(ran.native, report=not no_report, png=None, as_json=as_json)
    if code := code_of(ran.native):
        raise typer.Exit(code)


_WORDS = {
    "sent": "messages to the strategy",
    "answered": "answers",
    "late": "late",
    "lost": "lost",
    "malformed": "malformed",
    "repeated": "repeated",
    "refused": "signals refused",
    "restarted": "begun anew",
    "history_requests": "history requests",
    "history_bars": "bars of history",
    "bot_forwarded": "messages carried by the bot",
    "bot_malformed": "malformed at the bot",
}


def _told(counts: Mapping[str, int]) -> str:
    """What went over the channels, in one line."""
    return "bridge: " + " · ".join(
        f"{counts[name]:,} {words}" for name, words in _WORDS.items() if counts.get(name)
    )


_FIGURES = {
    "trade_count": "round trips",
    "total_return_pct": "total return %",
    "max_drawdown_pct": "max drawdown %",
    "win_rate": "win rate %",
    "total_fees": "fees",
    "end_market_value": "equity at the end",
}


def _show(run: "PyBrokerRun", *, as_json: bool) -> None:
    """What a run in PyBroker came to."""
    from dataclasses import asdict

    metrics = asdict(run.result.metrics)
    if as_json:
        pins = list(map(str, run.pins))
        say_json({"engine": "pybroker", "pins": pins, "metrics": metrics, "remarks": run.remarks})
        return
    say_lines([f"in PyBroker, on {', '.join(map(str, run.pins))}"])
    say_lines(f"warning: {remark}" for remark in run.remarks)
    say_lines([" · ".join(f"{what} {metrics[name]:,g}" for name, what in _FIGURES.items())])
