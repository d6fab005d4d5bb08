"""`openbell system`: play what a session configuration asks for; see and control what runs."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli import options
from openbell.app.cli.exits import INTERRUPTED, exit_code
from openbell.app.cli.record import Recordings, how_long
from openbell.app.cli.recording_lines import as_dict, ending, table_of
from openbell.app.cli.terminal import (
    complain,
    note,
    say,
    say_json,
    say_lines,
    stoppable,
    working,
)
from openbell.market.counted import counted
from openbell.market.errors import OpenbellError, UsageError
from openbell.market.moments import iso

if TYPE_CHECKING:
    from openbell.app.lake import Lake
    from openbell.app.playing_live import LiveSystemPlayer
    from openbell.app.recording import Recorded
    from openbell.app.session_config import SessionConfig
    from openbell.app.status import Ask

_LIVE = "Live"

app = typer.Typer(
    no_args_is_help=True, help="Play what a session configuration asks for; control what runs."
)

State = Annotated[
    Path | None,
    typer.Option(
        "--state", envvar="OPENBELL_STATE", rich_help_panel="Where things are",
        help="Folder of the running system's status; yours alone.",
        show_default="system in the cache folder",
    ),
]  # fmt: skip


@app.command()
def start(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="A session configuration: session.json.")
    ],
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            min=0,
            help="0: as fast as it goes; else how many times real time. Not live.",
            show_default="the configuration's",
        ),
    ] = None,
    from_url: Annotated[
        str,
        typer.Option(
            "--from-url",
            metavar="URL",
            rich_help_panel=_LIVE,
            help="Where a live system's data comes from, as of openbell record: "
            "wss://stream.binance.com:9443, or tcp://host:port for a line feed.",
        ),
    ] = "",
    ask_url: Annotated[
        str,
        typer.Option(
            "--ask-url",
            metavar="URL",
            rich_help_panel=_LIVE,
            help="Where bars that did not come are asked for again: https://api.binance.com.",
        ),
    ] = "",
    for_: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="TIME",
            rich_help_panel=_LIVE,
            help="How long a live system goes on: 90s, 30m, 1h, 1d.",
            show_default="1d",
        ),
    ] = "",
    until: Annotated[
        str,
        typer.Option(
            "--until", metavar="MOMENT", rich_help_panel=_LIVE, help="Until when, instead."
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check it and say what would be played.")
    ] = False,
    lake: options.Lake = None,
    recordings: Recordings = None,
    state: State = None,
    as_json: options.Json = False,
) -> None:
    """Play the sessions a configuration asks for, here, until they end or somebody stops it.

    Both generations of session_config are taken; what openbell does not do is named. One of mode
    live is played as it comes and recorded, as by openbell record. From elsewhere: openbell
    system status, pause, resume, stop.

    [bold]Examples[/]

      openbell system start session.json

      openbell system start session.json --speed 360

      openbell system start live.json --from-url wss://stream.binance.com:9443
    """
    given = dict(locals())
    from openbell.app.session_config import read_session_config

    asked_for = read_session_config(config)
    _refuse_unused(asked_for, given)
    (_start_live if asked_for.mode == "live" else _start_stored)(asked_for, given)


# What says nothing about a configuration of the other mode.
_ONLY = {
    "backtest": {"speed": "--speed"},
    "live": {"from_url": "--from-url", "ask_url": "--ask-url", "for_": "--for", "until": "--until"},
}
_MEANS = {
    "backtest": "what is live goes at the market's own speed",
    "live": "a backtest plays what the lake holds",
}


def _refuse_unused(config: "SessionConfig", given: dict[str, Any]) -> None:
    other = "live" if config.mode == "backtest" else "backtest"
    for name, option in _ONLY[other].items():
        if given[name] not in (None, ""):
            raise UsageError(
                f"{option} is given, and {config.name} is of mode {config.mode}",
                hint=f"leave it out: {_MEANS[other]}",
            )


def _start_stored(config: "SessionConfig", given: dict[str, Any]) -> None:
    from dataclasses import asdict, replace

    from openbell.app.lake import open_lake
    from openbell.app.playing import SystemPlayer
    from openbell.app.systems import build, resolve
    from openbell.replay.filling import in_words

    if given["speed"] is not None:
        config = replace(config, speed=given["speed"])
    at = open_lake(given["lake"])
    asked = resolve(config, at)
    system = build(config, asked, at)
    pins = [str(pin) for pin in system.plan.pins]
    found = {**_summary(config), "derived": asked.derived, "fill": asked.fill, "pins": pins}
    found["sessions"] = []
    as_json = given["as_json"]
    _announce(found, as_json=as_json)
    if not given["dry_run"]:
        player = SystemPlayer(config, str(given["config"].absolute()), _tell(as_json=as_json))
        with working("playing") as (_, cancel):
            found["end"] = player.play(system, _folder(given["state"]), cancel)
        found["sessions"] = player.sessions
        found["upkeep"] = {name: asdict(counts) for name, counts in system.upkeep.items()}
    if as_json:
        say_json(found)
    elif not given["dry_run"]:
        say_lines([*in_words(system.upkeep), _last_line(found)])
    if found.get("end") == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _start_live(config: "SessionConfig", given: dict[str, Any]) -> None:
    from dataclasses import replace

    from openbell.app.playing_live import LiveSystemPlayer
    from openbell.app.recording import begin, check
    from openbell.app.systems import live_not_done, resolve_live

    at = options.lake_at(given["lake"], recordings=given["recordings"])
    asked = resolve_live(config, at, given["from_url"], given["ask_url"])
    asked = replace(asked, **how_long(given["for_"], given["until"]))
    config = replace(config, not_done=(*config.not_done, *live_not_done(config, asked, at)))
    header = begin(asked)
    found = {
        **_summary(config), "trailing": asked.trailing, "derived": asked.derived,
        "series": [str(each) for each in header.series], "from_url": asked.url,
        "until": iso(header.end_ns), "ask_url": asked.ask_url, "sessions": [],
    }  # fmt: skip
    as_json = given["as_json"]
    if given["dry_run"]:
        check(header, asked, at)
    _announce(found, as_json=as_json)
    error = None
    if not given["dry_run"]:
        note(f"recording {header.id} until {iso(header.end_ns)}")
        where, tell = str(given["config"].absolute()), _tell(as_json=as_json)
        player = LiveSystemPlayer(config, where, tell, asked=asked, header=header)
        done = _play_live(player, at, _folder(given["state"]))
        error = done.error
        found |= {"end": player.end, "sessions": player.sessions, "recorded": as_dict(done)}
        if not as_json:
            say(table_of(done.lines))
            say_lines([*ending(done), _last_line(found)])
    if as_json:
        say_json(found)
    if isinstance(error, OpenbellError):
        complain(error.message, error.hint)
        raise typer.Exit(exit_code(error))


def _play_live(player: "LiveSystemPlayer", at: "Lake", folder: Path) -> "Recorded":
    """Play to the end; if it breaks off, say what stays."""
    from openbell.app.recorded import recordings

    name = player.header.id
    try:
        with stoppable(signal.SIGTERM) as cancel:
            return player.record(at, folder, cancel)
    except BaseException as error:
        if name in [header.id for header in recordings(at).list_recordings()]:
            note(f"it broke off; what was recorded stays: openbell record store {name}")
        if isinstance(error, KeyboardInterrupt):
            raise typer.Exit(INTERRUPTED) from None
        raise


def _summary(config: "SessionConfig") -> dict[str, Any]:
    return {
        "name": config.name, "mode": config.mode, "start": config.start, "end": config.end,
        "speed": config.speed, "trailing": config.trailing, "not_done": config.not_done,
    }  # fmt: skip


def _announce(found: dict[str, Any], *, as_json: bool) -> None:
    if not as_json:
        say_lines(_lines(found))
    for line in found["not_done"]:
        note(f"not done: {line}")


def _tell(*, as_json: bool) -> Callable[[str], None]:
    return note if as_json else lambda line: say_lines([line])


def _last_line(found: dict[str, Any]) -> str:
    return f"{found['name']}: {found['end']}, {counted(len(found['sessions']), 'session')}"


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if found["mode"] == "live":
        yield f"{found['name']}: live from {found['from_url']} until {found['until']}"
        yield f"plays {', '.join(found['series'])}"
    else:
        pace = f"{found['speed']:g}× real time" if found["speed"] else "as fast as it goes"
        yield f"{found['name']}: backtest from {found['start']} to before {found['end']}, {pace}"
        yield f"plays {', '.join(found['pins'])}"
    if found["derived"]:
        yield f"builds {', '.join(found['derived'])}"
    if found["trailing"]:
        yield f"keeps {counted(found['trailing'], 'session')} of history"
    if found.get("fill"):
        yield f"fills missing bars from {', '.join(found['fill'])}"
    if found.get("ask_url"):
        yield f"asks for missing bars at {found['ask_url']}"


def _folder(state: Path | None) -> Path:
    from openbell.app.settings import settings

    return settings(state=state).state


@app.command()
def status(state: State = None, as_json: options.Json = False) -> None:
    """What the running system says of itself: state, session, time, completeness.

    [bold]Examples[/]

      openbell system status

      openbell system status --json | jq .state
    """
    from openbell.app.status import read_status

    folder = _folder(state)
    found = read_status(folder)
    if as_json:
        say_json(found or {"state": "stopped", "is_alive": False})
    elif found is None:
        say_lines(["no system has run", "next: openbell system start CONFIG"])
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("what", "value")
    for name, value in _rows(found):
        table.add_row(name, value)
    say(table)
    for line in found.get("not_done", []):
        note(f"not done: {line}")
    if _is_gone(found) and "recording" in found:
        note(f"what it recorded stays: openbell record store {found['recording']}")


def _is_gone(found: dict[str, Any]) -> bool:
    return found["state"] != "stopped" and not found["is_alive"]


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person wants to know, in order; what is not known is left out."""
    from openbell.quality.report import percent

    state = found["state"]
    if _is_gone(found):
        state = f"gone: process {found.get('pid')} ended without a word while it was {state}"
    elif found.get("end") not in (None, state):
        state = f"{state} ({found['end']})"
    plain = {
        "name": "name", "mode": "mode", "config": "config", "start_date": "from",
        "end_date": "to before", "session_date": "session date", "local_time": "local time",
        "time": "time", "recording": "recording", "from_url": "comes from", "until": "until",
    }  # fmt: skip
    rows = [("state", state)]
    rows += [(words, str(found[name])) for name, words in plain.items() if found.get(name)]
    rows += [(name, ", ".join(found[name])) for name in ("plays", "derived") if found.get(name)]
    if "sessions" in found:
        rows.append(("sessions closed", f"{found['sessions_closed']} of {found['sessions']}"))
    if found.get("speed") is not None:
        rows.append(("speed", f"{found['speed']:g}×" if found["speed"] else "as fast as it goes"))
    for name, one in found.get("symbols", {}).items():
        words = [f"{percent(one['completeness'])} complete"]
        words += [counted(one["bars"], "bar")] if one["bars"] is not None else []
        words += [f"{counted(one['history'], 'session')} before"] if one["history"] else []
        rows.append((name, "   ".join(words)))
    rows += [(one["series"], _arrived(one)) for one in found.get("series", [])]
    rows += [(n, str(found[n])) for n in ("pid", "started", "updated") if n in found]
    return rows


def _arrived(one: dict[str, Any]) -> str:
    """What came of a live series."""
    counts = {**one["withheld"], **one["noted"]}
    if one["left_out"]:
        counts["not whole"] = one["left_out"]
    words = [f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items()]
    return ", ".join([f"{one['received']:,} received", *words])


@app.command()
def pause(state: State = None, as_json: options.Json = False) -> None:
    """Hold the running system before its next slice. A live one cannot be held.

    [bold]Examples[/]

      openbell system pause
    """
    _ask("pause", state, as_json=as_json)


@app.command()
def resume(state: State = None, as_json: options.Json = False) -> None:
    """Let the running system go on.

    [bold]Examples[/]

      openbell system resume
    """
    _ask("resume", state, as_json=as_json)


@app.command()
def stop(state: State = None, as_json: options.Json = False) -> None:
    """Stop the running system at its next safe point.

    [bold]Examples[/]

      openbell system stop
    """
    _ask("stop", state, as_json=as_json)


def _ask(what: "Ask", state: Path | None, *, as_json: bool) -> None:
    from openbell.app.status import ask

    found = ask(_folder(state), what)
    if as_json:
        say_json(found)
    else:
        done = {"pause": "paused", "resume": "running", "stop": "stopping"}[what]
        say_lines([f"{found.get('name', 'the system')}: {done}"])
