"""Doors through which other programs read a lake."""

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from openbell.app import wiring
from openbell.market.errors import UsageError
from openbell.ports import Store

if TYPE_CHECKING:
    from fastapi import FastAPI

    from openbell.bridge.contracts import Contracts


def read_users(path: Path) -> Mapping[str, str]:
    """API keys by user name, from a file with a line ``NAME=KEY`` for each.

    Empty lines and those that begin with ``#`` say nothing. No message repeats a line: it may hold
    a key.

    Raises
    ------
    UsageError
        If the file cannot be read, holds no user, or a line is no user or names one again.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UsageError(f"{path} cannot be read: {why}", hint="name a file of users") from None
    users: dict[str, str] = {}
    for at, name, key in _pairs(lines):
        if not (name and key) or name in users:
            problem = "names a user again" if name in users else "is no user and key"
            raise UsageError(f"line {at} of {path} {problem}", hint="write one NAME=KEY a line")
        users[name] = key
    if not users:
        raise UsageError(f"{path} holds no user", hint="write NAME=KEY into it, one a line")
    return users


def _pairs(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    for at, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            name, _, key = text.partition("=")
            yield at, name.strip(), key.strip()


def projectx(store: Store, users: Mapping[str, str] | None) -> "tuple[FastAPI, Contracts]":
    """The history interface of ProjectX over a store, and the contracts it serves.

    Tokens are signed with a secret that ends with this process.

    Parameters
    ----------
    users
        API keys by user name; None asks for no login.

    Raises
    ------
    MissingExtraError
        If the extra ``http`` is not installed.
    UsageError
        If the store holds no bars.
    """
    from openbell.bridge.contracts import contracts_of
    from openbell.bridge.projectx import create_app

    contracts = contracts_of(store)
    if not contracts:
        raise UsageError("the lake holds no bars to serve", hint="see: openbell data import --help")
    app = create_app(
        store,
        contracts,
        users=users,
        secret=secrets.token_hex(32),
        now_ns=wiring.now_ns,
        wall_ns=wiring.now_ns,
    )
    return app, contracts
