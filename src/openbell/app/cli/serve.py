"""`openbell serve`: doors through which other programs read the lake."""

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli import options
from openbell.app.cli.terminal import note
from openbell.market.counted import counted

app = typer.Typer(no_args_is_help=True, help="Let other programs read the lake.")


@app.command()
def projectx(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where to listen.")] = 7500,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; others than this need users.")
    ] = "127.0.0.1",
    users: Annotated[
        Path | None,
        typer.Option(
            "--users",
            envvar="OPENBELL_PROJECTX_USERS",
            metavar="FILE",
            help="Who may log in, NAME=KEY a line; without it nobody has to.",
        ),
    ] = None,
    lake: options.Lake = None,
) -> None:
    """Serve bars to clients of ProjectX (TopstepX), until Ctrl-C or SIGTERM.

    [bold]Examples[/]

      openbell serve projectx

      openbell serve projectx --port 8080 --users users.txt
    """
    from openbell.app import serving

    known = serving.read_users(users) if users else None
    served, contracts = serving.projectx(options.lake_at(lake).store, known)
    from openbell.bridge.projectx import serve

    who = f"{counted(len(known), 'user')} may log in" if known else "nobody has to log in"
    note(
        f"{counted(len(contracts), 'contract')} on http://{host}:{port}/api; {who}; Ctrl-C ends it"
    )
    serve(served, host, port)
