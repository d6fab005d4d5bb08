"""The event engine beside a bare Python loop of the same run: a ratio, as machines differ."""

from benchmarks.bench_backtest import events


def test_an_event_strategy_takes_no_more_than_some_times_a_bare_loop() -> None:
    ratio = next(row for row in events(quick=True) if "÷" in row.what)
    assert ratio.figure < 25  # measured 6 to 9 on a year; a few sessions weigh the start more
