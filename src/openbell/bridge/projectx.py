"""A store behind the history interface of ProjectX: login, contracts, bars.

Paths, fields, error codes and limits are those of the ProjectX gateway (its documentation, read
2026-11), so that a client of theirs reads our bars once its address is changed. Without users the
app asks for no login, as the connection manager of the original bot: one of its strategies posts to
``http://localhost:7500/api/History/retrieveBars`` without any.
"""

import hmac
import ipaddress
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any

import orjson

from openbell.bridge import answers
from openbell.bridge.answers import Answer
from openbell.bridge.contracts import Contract, Contracts
from openbell.bridge.retrieving import Asked, Refusal, retrieve
from openbell.market.errors import (
    MissingExtraError,
    OpenbellError,
    UnavailableError,
    UsageError,
)
from openbell.market.moments import SECOND_NS, parse_moment
from openbell.ports import ReadStore

try:
    import jwt
    import uvicorn
    from fastapi import Depends, FastAPI, HTTPException, Request, Response
    from fastapi.exceptions import RequestValidationError
    from jwt.types import Options
    from pydantic import BaseModel, ConfigDict, Field
    from pydantic.alias_generators import to_camel
except ImportError as error:
    raise MissingExtraError("the HTTP interface", "http") from error

MAX_BODY = 64 * 1024
TOKEN_S = 24 * 3600
LEAST_SECRET = 32  # bytes; RFC 7518, 3.2 asks for as many with HS256
_MOST_ASKERS = 4096
_INVALID_CREDENTIALS = 3
_DECIMALS = 12  # of prices: those of the cheapest coins survive


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class LoginKey(_Body):
    """Body of ``/api/Auth/loginKey``."""

    user_name: str = Field(max_length=256)
    api_key: str = Field(max_length=1024)


class ContractSearch(_Body):
    """Body of ``/api/Contract/search``; `live` makes no difference here."""

    search_text: str = Field("", max_length=256)
    live: bool = False


class RetrieveBars(_Body):
    """Body of ``/api/History/retrieveBars``; `live` makes no difference here.

    Times are ISO 8601, UTC where they have no offset.
    """

    contract_id: str = Field(max_length=256)
    live: bool = False
    start_time: str = Field(max_length=64)
    end_time: str = Field(max_length=64)
    unit: int
    unit_number: int
    limit: int
    include_partial_bar: bool = False


class Limiter:
    """Lets each asker in so many times within a stretch of time.

    Parameters
    ----------
    count, window_s
        At most `count` requests within any `window_s` seconds.
    """

    def __init__(self, count: int, window_s: int) -> None:
        self._count, self._window_ns = count, window_s * SECOND_NS
        self._asked: dict[str, deque[int]] = {}
        self._lock = threading.Lock()

    def wait_ns(self, asker: str, now_ns: int) -> int:
        """How long an asker has to wait; 0 lets it in, and counts."""
        with self._lock:
            if asker not in self._asked and len(self._asked) >= _MOST_ASKERS:
                self._forget(now_ns)
                if len(self._asked) >= _MOST_ASKERS:
                    return self._window_ns
            times = self._asked.setdefault(asker, deque())
            while times and times[0] <= now_ns - self._window_ns:
                times.popleft()
            if len(times) >= self._count:
                return times[0] + self._window_ns - now_ns
            times.append(now_ns)
            return 0

    def _forget(self, now_ns: int) -> None:
        """Forget those that did not ask within the window."""
        first_ns = now_ns - self._window_ns
        self._asked = {name: times for name, times in self._asked.items() if times[-1] > first_ns}


class Gate:
    """Who may ask, and how often.

    Parameters
    ----------
    users
        API keys by user name; None lets everybody in without a login.
    secret
        What tokens are signed with; at least 32 bytes if there are users.
    wall_ns
        The time that tokens and limits go by.
    """

    def __init__(
        self, users: Mapping[str, str] | None, secret: str, wall_ns: Callable[[], int]
    ) -> None:
        if users is not None and len(secret.encode()) < LEAST_SECRET:
            raise UsageError(
                f"a secret of {len(secret.encode())} bytes signs nothing safely",
                hint=f"give at least {LEAST_SECRET}, drawn at random",
            )
        self.users = users
        self._secret = secret
        self._wall_ns = wall_ns
        self._history = Limiter(50, 30)
        self._others = Limiter(200, 60)

    def login(self, user: str, key: str) -> str | None:
        """A token for a day; None if the key is not the user's."""
        known = (self.users or {}).get(user)
        if not hmac.compare_digest((known or "").encode(), key.encode()) or known is None:
            return None
        now_s = self._wall_ns() // SECOND_NS
        claims = {"sub": user, "iat": now_s, "exp": now_s + TOKEN_S}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def user(self, request: Request) -> str:
        """Who asks, by the token it shows; HTTP 401 without a valid one."""
        if self.users is None:
            return _address(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user = self._read(token) if scheme.lower() == "bearer" else None
        if user is None:
            self.let_in(_address(request), request)
            raise HTTPException(401, "log in first", {"WWW-Authenticate": "Bearer"})
        return user

    def let_in(self, asker: str, request: Request) -> None:
        """Count a request; HTTP 429 if it is one too many."""
        is_history = request.url.path.startswith("/api/History/")
        limiter = self._history if is_history else self._others
        if wait_ns := limiter.wait_ns(asker, self._wall_ns()):
            seconds = -(-wait_ns // SECOND_NS)
            raise HTTPException(429, "too many requests", {"Retry-After": str(seconds)})

    def _read(self, token: str) -> str | None:
        """The user of a token, unless it is forged or has run out, or the user is gone."""
        # The library would go by the operating system's clock.
        checks: Options = {"verify_exp": False, "verify_iat": False, "require": ["exp", "sub"]}
        try:
            claims = jwt.decode(token, self._secret, algorithms=["HS256"], options=checks)
        except jwt.InvalidTokenError:
            return None
        is_valid = claims["exp"] > self._wall_ns() // SECOND_NS
        return claims["sub"] if is_valid and claims["sub"] in (self.users or {}) else None


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def create_app(
    store: ReadStore,
    contracts: Contracts,
    *,
    users: Mapping[str, str] | None,
    secret: str = "",
    now_ns: Callable[[], int],
    wall_ns: Callable[[], int],
) -> FastAPI:
    """The app that answers from a store.

    Parameters
    ----------
    contracts
        What is served of it; see `contracts.contracts_of`.
    users
        API keys by user name; None asks for no login (see `serve`, which then stays on this
        machine).
    secret
        What tokens are signed with, at least 32 bytes; needed if there are users.
    now_ns
        Nothing later than this is told: a replay's clock, or the wall clock.
    wall_ns
        What tokens and limits go by: always the wall clock, outside of tests.
    """
    gate = Gate(users, secret, wall_ns)
    one_at_a_time = threading.Lock()  # bounds the memory that answers take
    app = FastAPI(title="openbell, ProjectX history", docs_url=None, redoc_url=None)
    app.state.needs_login = users is not None
    app.add_middleware(_BodyLimit, most=MAX_BODY)
    app.add_exception_handler(RequestValidationError, _bad_body)
    app.add_exception_handler(OpenbellError, _failed)

    def asker(request: Request) -> str:
        found = gate.user(request)
        gate.let_in(found, request)
        return found

    @app.post("/api/Auth/loginKey")
    def login_key(body: LoginKey, request: Request) -> Response:
        gate.let_in(_address(request), request)
        token = gate.login(body.user_name, body.api_key)
        if token is None:
            return _answer({"token": None}, _INVALID_CREDENTIALS, "invalid credentials")
        return _answer({"token": token})

    @app.post("/api/Contract/search")
    def search(body: ContractSearch, _: Annotated[str, Depends(asker)]) -> Response:
        found = contracts.search(body.search_text)
        return _answer({"contracts": [_contract(c) for c in found]})

    @app.post("/api/History/retrieveBars")
    def retrieve_bars(body: RetrieveBars, _: Annotated[str, Depends(asker)]) -> Response:
        contract, asked, at_ns = contracts.find(body.contract_id), _asked(body), now_ns()
        with one_at_a_time:
            found = retrieve(store, contract, asked, at_ns)
            if isinstance(found, Refusal):
                return _json(answers.projectx_error(found.code, found.message))
            answer = Answer(found.bars, str(found.pin), at_ns, _DECIMALS)
            return _json(answers.projectx(answer), {"X-Withheld": str(found.withheld)})

    return app


def _asked(body: RetrieveBars) -> Asked:
    try:
        start_ns, end_ns = parse_moment(body.start_time), parse_moment(body.end_time)
    except (UsageError, OverflowError) as error:
        raise HTTPException(400, f"startTime or endTime: {error}") from None
    return Asked(
        start_ns, end_ns, body.unit, body.unit_number, body.limit, body.include_partial_bar
    )


def _contract(contract: Contract) -> dict[str, Any]:
    return {
        "id": contract.id,
        "name": contract.name,
        "description": contract.description,
        "tickSize": contract.tick_size,
        "tickValue": contract.tick_value,
        "activeContract": contract.is_active,
    }


def _answer(content: Mapping[str, Any], code: int = 0, message: str | None = None) -> Response:
    outcome = {"success": code == 0, "errorCode": code, "errorMessage": message}
    return _json(orjson.dumps({**content, **outcome}))


def _json(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, headers=headers, media_type="application/json")


def _bad_body(_: Request, error: Exception) -> Response:
    """HTTP 400 instead of the framework's 422, as the gateway has it; nothing given is repeated."""
    assert isinstance(error, RequestValidationError)
    found = [{"field": list(e["loc"]), "problem": e["msg"]} for e in error.errors()]
    body = orjson.dumps({"title": "the body does not fit", "status": 400, "errors": found})
    return Response(body, 400, media_type="application/problem+json")


def _failed(_: Request, error: Exception) -> Response:
    """HTTP 500 for what the store cannot do."""
    assert isinstance(error, OpenbellError)
    body = orjson.dumps({"title": error.message, "status": 500, "detail": error.hint})
    return Response(body, 500, media_type="application/problem+json")


Receive = Callable[[], Awaitable[Any]]
Asgi = Callable[[Any, Receive, Any], Awaitable[None]]


class _BodyLimit:
    """Breaks off a request whose body is longer than allowed, before it is read."""

    def __init__(self, app: Asgi, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Any, receive: Receive, send: Any) -> None:
        read = 0

        async def bounded() -> Any:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most:
                raise HTTPException(413, f"a body has at most {self._most} bytes")
            return message

        await self._app(scope, bounded if scope["type"] == "http" else receive, send)


def server_of(app: FastAPI) -> uvicorn.Server:
    """The server that `serve` runs: quiet, and bounded in the connections it keeps."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=64,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
        )
    )


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 7500) -> None:
    """Serve an app until the process is told to end (SIGINT, SIGTERM).

    Raises
    ------
    UsageError
        If the app needs no login and `host` is not this machine alone.
    UnavailableError
        If the port cannot be had.
    """
    if not (app.state.needs_login or _is_loopback(host)):
        raise UsageError(f"anybody could read from {host}", hint="name users, or use 127.0.0.1")
    try:
        listener = socket.create_server((host, port), reuse_port=False)
    except OSError as error:
        raise UnavailableError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="name another port: --port"
        ) from error
    with listener, suppress(KeyboardInterrupt):  # what SIGINT becomes once all is shut down
        server_of(app).run(sockets=[listener])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
