"""A process that writes to a lake until it is done or killed: ``python -m tests.stores.writer``."""

import sys
from pathlib import Path

import numpy as np

from openbell.market.instrument import Pin
from openbell.market.moments import MINUTE_NS
from openbell.ports import Manifest
from openbell.stores.lake import Lake
from tests.stores.made import START_NS, FakeClock, bars


def append(lake: Lake, number: int, times: int) -> None:
    """Write `times` bars, each as one version: the minutes that are `number` modulo 4."""
    for turn in range(times):
        lake.write(bars([4 * turn + number]), Manifest(f"writer {number}"))


def mixed(lake: Lake, seed: int) -> None:
    """Do everything a lake allows, for ever, in an order that the seed decides."""
    rng = np.random.default_rng(seed)
    series = bars([]).series
    while True:
        at = int(rng.integers(100_000))
        match int(rng.integers(6)):
            case 0 | 1:
                lake.write(bars(range(at, at + 50)), Manifest("append"))
            case 2:
                lake.write(bars(range(at, at + 30_000, 10), float(at)), Manifest("revise"))
            case 3:
                start_ns = START_NS + at * MINUTE_NS
                lake.drop(series, start_ns, start_ns + 500 * MINUTE_NS, Manifest("drop"))
            case 4:
                newest = lake.resolve(str(series)).version
                lake.pin(f"pin-{newest}", Pin(series, newest))
            case _:
                lake.compact(series)
                lake.vacuum(series, keep_days=0)


def ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main() -> None:
    root, task, number = sys.argv[1:]
    clock = FakeClock()
    clock.now_ns += int(number)
    lake = Lake(Path(root), clock)
    if task == "append":
        ready()
        sys.stdin.readline()
        append(lake, int(number), 10)
        return
    if task == "first":
        ready()
    lake.write(bars(range(0, 100_000, 100)), Manifest("first"))
    if task == "mixed":
        ready()
    mixed(lake, int(number))


if __name__ == "__main__":
    main()
