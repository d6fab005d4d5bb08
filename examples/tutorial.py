"""The tutorial, docs/tutorial.md, as one script. It leaves everything in a folder of its own."""

import tempfile
from pathlib import Path

import openbell as ob

samples = Path(__file__).parents[1] / "tests" / "samples"
place = Path(tempfile.mkdtemp(prefix="openbell-tutorial-"))

lake = ob.open_lake(place / "lake")
lake.import_file(
    samples / "pyalgotrade" / "nt-spy-minute-2011-03.csv.gz",
    series="XNYS:SPY/1m",
    zone="UTC",
    stamp="close",
)

bars = lake.bars("XNYS:SPY/1m", start="2011-03-14", end="2011-03-19")
print(bars)
print(bars.to_pandas().head(3))
print(ob.check(bars))


class Cross(ob.Strategy):
    """Long while the fast average is above the slow one."""

    fast: int = ob.param(12, "bars of the fast average", low=1)
    slow: int = ob.param(26, "bars of the slow average", low=2)

    def on_start(self, ctx):
        self.f, self.s = ctx.ema(self.fast), ctx.ema(self.slow)

    def on_bar(self, ctx, bar):
        if self.s.ready:
            ctx.target(bar.instrument, 1 if self.f.value > self.s.value else 0)


costs = ob.Costs(fee_per_unit=0.005)
run = ob.backtest(Cross(fast=12, slow=26), on="XNYS:SPY/1m", cash=100_000, costs=costs, lake=lake)
print(run)
print(run.metrics.sharpe, len(run.trades), run.seal)
print(run.equity.to_polars().tail(3))

run.report(place / "report.html")
run.save(place / "runs")
print(ob.verify(run).text)

grid = {"fast": "5:20", "slow": "20:60:5"}
found = ob.sweep("ema-cross", "XNYS:SPY/1m", grid, costs=costs, lake=lake)
print(found.best)
found.heat_map(place / "sweep.png")

daily = samples / "lean" / "Data"
lake.import_folder(daily, symbols=["spy"], resolutions=["daily"])
lake.import_folder(daily, symbols=["aapl"], resolutions=["daily"], venue="XNAS")
names = ["XNYS:SPY/1d", "XNAS:AAPL/1d"]
for now in ob.replay(names, lake=lake, start="2014-06-05", end="2014-06-11"):
    print(now.time, now["XNYS:SPY"].close, now["XNAS:AAPL"].close)
