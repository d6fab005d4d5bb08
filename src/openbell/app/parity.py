"""Two stored runs compared: what the command and a notebook both do."""

from dataclasses import replace
from pathlib import Path

from openbell.app.lake import Lake, open_lake
from openbell.app.recorded import replay_recording
from openbell.app.running import load_run
from openbell.backtest.live import recording_id
from openbell.backtest.parity import Parity, Seen, Side, compare, watch
from openbell.backtest.result import RunResult
from openbell.backtest.run import plan_run, resolve
from openbell.replay.system import System


def parity(
    live: str,
    replay: str,
    *,
    lake: Lake | Path | str | None = None,
    runs: Path | str | None = None,
) -> Parity:
    """Explain how a live run and a replay, or any two stored runs, differ.

    Parameters
    ----------
    live, replay
        Ids of stored runs, or their beginnings.

    Raises
    ------
    NotRecordedError
        If a run, or the data it stood on, is not there.
    """
    at = lake if isinstance(lake, Lake) else open_lake(lake)
    return compare(*(_side(load_run(run, runs), at) for run in (live, replay)))


def _side(result: RunResult, lake: Lake) -> Side:
    return Side(result, _seen(result, lake))


def _seen(result: RunResult, lake: Lake) -> dict[str, Seen]:
    """What a run saw: its data is played again, without its strategy."""
    config = result.config
    if recording_id(config.on):
        names = ("hours", "session_start", "session_end")
        asked = {**{name: getattr(config, name) for name in names}, "derived": ()}
        return watch(replay_recording(lake, config.on[0], asked))
    pinned = replace(config, on=result.pins, as_of="")
    plan = plan_run(pinned, lake.store, resolve(pinned, lake.store))
    return watch(System(lake.store, replace(plan, trailing=0), {}))
