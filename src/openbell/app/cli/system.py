"""`openbell system`: play what a session configuration asks for; see and control what runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli import options
from openbell.app.cli.exits import INTERRUPTED
from openbell.app.cli.terminal import note, say, say_json, say_lines, working
from openbell.market.counted import counted

if TYPE_CHECKING:
    from openbell.app.session_config import SessionConfig
    from openbell.app.status import Ask
    from openbell.app.systems import Asked

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
            help="0: as fast as it goes; else how many times real time.",
            show_default="the configuration's",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check it and say what would be played.")
    ] = False,
    lake: options.Lake = None,
    state: State = None,
    as_json: options.Json = False,
) -> None:
    """Play the sessions a configuration asks for, here, until they end or somebody stops it.

    Both generations of session_config are taken; what openbell does not do is named. From
    elsewhere: openbell system status, pause, resume, stop.

    [bold]Examples[/]

      openbell system start session.json

      openbell system start session.json --speed 360
    """
    from dataclasses import asdict, replace

    from openbell.app.lake import open_lake
    from openbell.app.session_config import read_session_config
    from openbell.app.systems import Player, build, resolve
    from openbell.replay.filling import in_words

    asked_for = read_session_config(config)
    if speed is not None:
        asked_for = replace(asked_for, speed=speed)
    at = open_lake(lake)
    asked = resolve(asked_for, at)
    system = build(asked_for, asked, at)
    pins = [str(pin) for pin in system.plan.pins]
    found = {**_summary(asked_for, asked), "pins": pins, "sessions": []}
    if not as_json:
        say_lines(_lines(found))
    for line in asked_for.not_done:
        note(f"not done: {line}")
    if not dry_run:
        tell = note if as_json else lambda line: say_lines([line])
        player = Player(system, asked_for, str(config.absolute()), tell)
        with working("playing") as (_, cancel):
            found["end"] = player.play(_folder(state), cancel)
        found["sessions"] = player.sessions
        found["upkeep"] = {name: asdict(counts) for name, counts in system.upkeep.items()}
    if as_json:
        say_json(found)
    elif not dry_run:
        say_lines(in_words(system.upkeep))
        say_lines(
            [f"{asked_for.name}: {found['end']}, {counted(len(found['sessions']), 'session')}"]
        )
    if found.get("end") == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _summary(config: "SessionConfig", asked: "Asked") -> dict[str, Any]:
    return {
        "name": config.name, "mode": config.mode, "start": config.start, "end": config.end,
        "speed": config.speed, "trailing": config.trailing, "derived": list(asked.derived),
        "fill": list(asked.fill), "not_done": list(config.not_done),
    }  # fmt: skip


def _lines(found: dict[str, Any]) -> list[str]:
    pace = f"{found['speed']:g}× real time" if found["speed"] else "as fast as it goes"
    lines = [
        f"{found['name']}: {found['mode']} from {found['start']} to before {found['end']}, {pace}",
        f"plays {', '.join(found['pins'])}",
    ]
    if found["derived"]:
        lines.append(f"builds {', '.join(found['derived'])}")
    if found["trailing"]:
        lines.append(f"keeps {counted(found['trailing'], 'session')} of history")
    if found["fill"]:
        lines.append(f"fills missing bars from {', '.join(found['fill'])}")
    return lines


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


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person wants to know, in order; what is not known is left out."""
    from openbell.quality.report import percent

    state = found["state"]
    if state != "stopped" and not found["is_alive"]:
        state = f"gone: process {found.get('pid')} ended without a word while it was {state}"
    elif found.get("end") not in (None, state):
        state = f"{state} ({found['end']})"
    plain = {
        "name": "name", "mode": "mode", "config": "config", "start_date": "from",
        "end_date": "to before", "session_date": "session date", "local_time": "local time",
        "time": "time",
    }  # fmt: skip
    rows = [("state", state)]
    rows += [(words, str(found[name])) for name, words in plain.items() if found.get(name)]
    rows += [(name, ", ".join(found[name])) for name in ("plays", "derived") if found.get(name)]
    if "sessions" in found:
        rows.append(("sessions closed", f"{found['sessions_closed']} of {found['sessions']}"))
    if "speed" in found:
        rows.append(("speed", f"{found['speed']:g}×" if found["speed"] else "as fast as it goes"))
    for name, one in found.get("symbols", {}).items():
        bars = "" if one["bars"] is None else f"   {counted(one['bars'], 'bar')}"
        rows.append((name, f"{percent(one['completeness'])} complete{bars}"))
    rows += [(n, str(found[n])) for n in ("pid", "started", "updated") if n in found]
    return rows


@app.command()
def pause(state: State = None, as_json: options.Json = False) -> None:
    """Hold the running system before its next slice.

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
