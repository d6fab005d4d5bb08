"""ProjectX clients get our bars: paths, fields, codes, limits, and nothing from the future."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from openbell.bridge.contracts import Contract, Contracts, contracts_of
from openbell.bridge.projectx import MAX_BODY, Limiter, create_app, serve
from openbell.bridge.retrieving import Asked, Found, retrieve
from openbell.market.bars import Bars, bars_from
from openbell.market.build import widen
from openbell.market.columns import CORRUPT
from openbell.market.errors import UnavailableError, UsageError
from openbell.market.moments import DAY_NS, MINUTE_NS, SECOND_NS, parse_moment
from openbell.market.timeframe import timeframe
from openbell.stores.lake import Lake
from openbell.stores.memory import MemoryStore
from tests.backtest.made import store_of
from tests.house import run
from tests.report.spy import spy_bars

BARS = "/api/History/retrieveBars"
SECRET = "tests sign with this secret of forty bytes"
KEY = "an API key of the tests"
END_NS = parse_moment("2011-04-01")


@dataclass
class Desk:
    """The app over SPY of March 2011, its clocks, and a client of it."""

    now_ns: int = END_NS
    wall_ns: int = parse_moment("2026-11-02")
    users: dict[str, str] | None = field(default_factory=lambda: {"ann": KEY})
    store: MemoryStore = field(default_factory=lambda: store_of(spy_bars()))
    contracts: Contracts | None = None

    def __post_init__(self) -> None:
        app = create_app(
            self.store,
            self.contracts or contracts_of(self.store),
            users=self.users,
            secret=SECRET,
            now_ns=lambda: self.now_ns,
            wall_ns=lambda: self.wall_ns,
        )
        self.client = TestClient(app)

    def post(self, path: str, body: Any, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.client.post(path, json=body, headers=headers)

    def login(self) -> str:
        answer = self.post("/api/Auth/loginKey", {"userName": "ann", "apiKey": KEY}).json()
        assert (answer["success"], answer["errorCode"], answer["errorMessage"]) == (True, 0, None)
        token: str = answer["token"]
        return token

    def ask(self, **changes: Any) -> Any:
        return self.post(BARS, {**ASKED, **changes}, self.login()).json()


ASKED = {
    "contractId": "XNYS:SPY",
    "live": False,
    "startTime": "2011-03-14T13:30:00Z",
    "endTime": "2011-03-14T20:00:00Z",
    "unit": 2,
    "unitNumber": 5,
    "limit": 20_000,
    "includePartialBar": True,
}


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    with made.client:
        yield made


def wire(bars: Bars) -> list[tuple[Any, ...]]:
    """Bars as they stand on the wire, in their own order."""
    stamps = [f"{t}+00:00" for t in bars.start_ns.astype("M8[ns]").astype("M8[s]")]
    columns = (c.tolist() for c in (bars.open, bars.high, bars.low, bars.close, bars.volume))
    return list(zip(stamps, *columns, strict=True))


def told(answer: Any) -> list[tuple[Any, ...]]:
    """The bars of an answer, oldest first."""
    assert answer["success"], answer
    return [tuple(bar[name] for name in "tohlcv") for bar in reversed(answer["bars"])]


# Login


def test_a_token_is_a_jwt_for_a_day(desk: Desk) -> None:
    claims = desk.login().split(".")[1]
    found = orjson.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert found["exp"] - desk.wall_ns // SECOND_NS == 24 * 3600
    assert found["sub"] == "ann"


@pytest.mark.parametrize(("user", "key"), [("ann", "wrong"), ("bob", KEY), ("ann", ""), ("", "")])
def test_a_wrong_key_gets_no_token(desk: Desk, user: str, key: str) -> None:
    answer = desk.post("/api/Auth/loginKey", {"userName": user, "apiKey": key}).json()
    assert (answer["token"], answer["success"], answer["errorCode"]) == (None, False, 3)


@pytest.mark.parametrize("path", [BARS, "/api/Contract/search"])
def test_without_a_valid_token_nothing_is_told(desk: Desk, path: str) -> None:
    body = ASKED if path == BARS else {"searchText": "SPY"}
    good = desk.login()
    for token in ("", "x", good[:-2], good + "x", f"{good.rpartition('.')[0]}."):
        answer = desk.post(path, body, token)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_runs_out_after_a_day(desk: Desk) -> None:
    token = desk.login()
    desk.wall_ns += DAY_NS - SECOND_NS
    assert desk.post(BARS, ASKED, token).status_code == 200
    desk.wall_ns += SECOND_NS
    assert desk.post(BARS, ASKED, token).status_code == 401


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(UsageError, match="5 bytes"):
        create_app(
            store_of(), Contracts([]), users={}, secret="short",
            now_ns=lambda: 0, wall_ns=lambda: 0,
        )  # fmt: skip


# Bars


@pytest.mark.parametrize(
    ("unit", "number", "code"),
    [(2, 1, "1m"), (2, 5, "5m"), (3, 1, "1h"), (4, 1, "1d"), (5, 1, "1w"), (6, 1, "1M")],
)
def test_bars_are_those_that_are_built_newest_first(
    desk: Desk, unit: int, number: int, code: str
) -> None:
    answer = desk.ask(startTime="2011-01-01", endTime="2012-01-01", unit=unit, unitNumber=number)
    bars = spy_bars()
    built = bars if code == "1m" else widen(bars, timeframe(code))
    assert told(answer) == wire(built)
    assert [b["t"] for b in answer["bars"]] == sorted(
        (b["t"] for b in answer["bars"]), reverse=True
    )


def test_an_answer_has_the_form_that_the_documentation_shows(desk: Desk) -> None:
    answer = desk.ask(limit=1)
    assert answer == {
        "bars": [{"t": "2011-03-14T19:55:00+00:00", **{k: answer["bars"][0][k] for k in "ohlcv"}}],
        "success": True,
        "errorCode": 0,
        "errorMessage": None,
    }


def test_the_limit_keeps_the_newest(desk: Desk) -> None:
    everything = told(desk.ask(startTime="2011-03-01", unitNumber=7))
    assert told(desk.ask(startTime="2011-03-01", unitNumber=7, limit=13)) == everything[-13:]


@given(
    minutes=st.sampled_from([1, 3, 7, 30, 60, 390]),
    start=st.integers(0, 31 * 24 * 60),
    length=st.integers(-60, 31 * 24 * 60),
    limit=st.integers(1, 300),
)
def test_reading_backwards_finds_what_reading_everything_finds(
    minutes: int, start: int, length: int, limit: int
) -> None:
    start_ns = parse_moment("2011-02-28") + start * MINUTE_NS
    end_ns = start_ns + length * MINUTE_NS
    asked = Asked(start_ns, end_ns, 2, minutes, limit)
    contract = Contract(id="SPY", ref="XNYS:SPY/1m", name="SPY", description="")
    found = retrieve(STORE, contract, asked, END_NS)
    assert isinstance(found, Found)
    bars = spy_bars()
    code = {1: "1m", 3: "3m", 7: "7m", 30: "30m", 60: "1h", 390: "390m"}[minutes]
    if minutes > 1:
        width = replace(timeframe("1m"), code=code, width_ns=minutes * MINUTE_NS)
        bars = widen(bars, width)
    fits = (bars.start_ns >= start_ns) & (bars.end_ns <= end_ns)
    assert wire(found.bars) == wire(bars.take(fits))[-limit:]


STORE = store_of(spy_bars())


def test_nothing_later_than_now_is_told(desk: Desk) -> None:
    desk.now_ns = parse_moment("2011-03-14T14:02:30Z")
    whole = told(desk.ask(includePartialBar=False))
    assert whole[-1][0] == "2011-03-14T13:55:00+00:00"
    partial = told(desk.ask())
    assert partial[:-1] == whole
    known = spy_bars().between(parse_moment("2011-03-14T14:00Z"), parse_moment("2011-03-14T14:02Z"))
    assert partial[-1] == (
        "2011-03-14T14:00:00+00:00", known.open[0], known.high.max(), known.low.min(),
        known.close[-1], known.volume.sum(),
    )  # fmt: skip


def test_the_end_of_the_range_bounds_what_is_told_as_now_does(desk: Desk) -> None:
    desk.now_ns = parse_moment("2011-03-14T14:02:30Z")
    bounded = desk.ask()
    desk.now_ns = END_NS
    assert desk.ask(endTime="2011-03-14T14:02:30Z") == bounded


def test_times_are_read_with_any_offset(desk: Desk) -> None:
    plain = desk.ask()
    start, end = "2011-03-14T08:30:00.000000-05:00", "2011-03-14T15:00:00.000000-05:00"
    assert desk.ask(startTime=start, endTime=end) == plain
    assert desk.ask(startTime="2011-03-14T13:30:00", endTime="2011-03-14T20:00:00.000Z") == plain


def test_a_range_without_bars_gives_none(desk: Desk) -> None:
    for start, end in (("1800-01-01", "1900-01-01"), ("9998-01-01", "9999-01-01"),
                       ("2011-03-20", "2011-03-10")):  # fmt: skip
        assert told(desk.ask(startTime=start, endTime=end)) == []


def test_corrupt_bars_are_withheld_and_counted() -> None:
    bars = spy_bars()
    label = bars.label.copy()
    at = int(np.searchsorted(bars.start_ns, parse_moment("2011-03-14T15:00Z")))
    label[at] = CORRUPT
    desk = Desk(store=store_of(replace(bars, label=label)))
    answer = desk.post(BARS, {**ASKED, "unitNumber": 1}, desk.login())
    assert answer.headers["X-Withheld"] == "1"
    day = bars.between(parse_moment("2011-03-14T13:30Z"), parse_moment("2011-03-14T20:00Z"))
    expected = [row for row in wire(day) if row[0] != "2011-03-14T15:00:00+00:00"]
    assert told(answer.json()) == expected


# Refusals


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (1, {"contractId": "CON.F.US.RTY.Z24"}),
        (1, {"contractId": ""}),
        (2, {"unit": 0}),
        (2, {"unit": 7}),
        (2, {"unit": -1}),
        (3, {"unitNumber": 0}),
        (3, {"unitNumber": 1441}),
        (3, {"unit": 1, "unitNumber": 30}),  # narrower than what is stored
        (3, {"unit": 1, "unitNumber": 90}),  # no multiple of it
        (3, {"unit": 5, "unitNumber": 2}),
        (3, {"unit": 6, "unitNumber": 10**30}),
        (4, {"limit": 0}),
        (4, {"limit": 20_001}),
        (4, {"limit": -5}),
    ],
)
def test_what_cannot_be_answered_has_its_code(
    desk: Desk, code: int, changes: dict[str, Any]
) -> None:
    answer = desk.ask(**changes)
    assert (answer["success"], answer["errorCode"], answer["bars"]) == (False, code, None)
    assert answer["errorMessage"]


def test_a_contract_whose_series_is_gone_is_not_found() -> None:
    gone = Contract(id="X", ref="XNYS:QQQ/1m", name="QQQ", description="")
    answer = Desk(contracts=Contracts([gone])).ask(contractId="X")
    assert (answer["errorCode"], answer["bars"]) == (1, None)
    assert "QQQ" in answer["errorMessage"]


def test_a_store_that_fails_is_a_server_error_with_words(tmp_path: Path) -> None:
    spy = Contract(id="X", ref="XNYS:SPY/1m", name="SPY", description="")
    app = create_app(
        Lake(tmp_path / "none", lambda: 0), Contracts([spy]), users=None,
        now_ns=lambda: END_NS, wall_ns=lambda: 0,
    )  # fmt: skip
    answer = TestClient(app).post(BARS, json={**ASKED, "contractId": "X"})
    assert (answer.status_code, answer.json()["status"]) == (500, 500)
    assert "there is no lake" in answer.json()["title"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"{}", b"[" * 60_000, b"\xff\xfe",
        orjson.dumps({**ASKED, "unit": "minute"}), orjson.dumps({**ASKED, "startTime": "soon"}),
        orjson.dumps({**ASKED, "startTime": 5}), orjson.dumps({**ASKED, "limit": 1.5}),
        orjson.dumps({**ASKED, "endTime": "0000-00-00"}), orjson.dumps({**ASKED, "contractId": []}),
        orjson.dumps({k: v for k, v in ASKED.items() if k != "limit"}),
    ],
)  # fmt: skip
def test_a_body_that_does_not_fit_is_a_bad_request(desk: Desk, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {desk.login()}", "Content-Type": "application/json"}
    answer = desk.client.post(BARS, content=body, headers=headers)
    assert answer.status_code == 400
    assert told(desk.ask())


def test_a_long_body_is_not_read(desk: Desk) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(MAX_BODY):
            sent.append(1)
            yield b" " * 1024

    sent: list[int] = []
    headers = {"Authorization": f"Bearer {desk.login()}"}
    whole = desk.client.post(BARS, content=b" " * (MAX_BODY + 1), headers=headers)
    assert whole.status_code == 413
    assert desk.client.post(BARS, content=chunks(), headers=headers).status_code == 413


# Limits


def test_history_can_be_asked_fifty_times_in_half_a_minute(desk: Desk) -> None:
    token = desk.login()
    small = {**ASKED, "limit": 1}
    assert [desk.post(BARS, small, token).status_code for _ in range(51)] == [200] * 50 + [429]
    assert desk.post(BARS, small, token).headers["Retry-After"] == "30"
    assert desk.post("/api/Contract/search", {"searchText": "SPY"}, token).status_code == 200
    desk.wall_ns += 30 * SECOND_NS
    assert desk.post(BARS, small, token).status_code == 200


def test_other_paths_can_be_asked_two_hundred_times_a_minute(desk: Desk) -> None:
    token = desk.login()
    asked = [desk.post("/api/Contract/search", {}, token).status_code for _ in range(201)]
    assert asked == [200] * 200 + [429]


def test_guessing_keys_and_tokens_is_limited(desk: Desk) -> None:
    wrong = {"userName": "ann", "apiKey": "guess"}
    for _ in range(100):
        assert desk.post("/api/Auth/loginKey", wrong).status_code == 200
        assert desk.post("/api/Contract/search", {}, "guess").status_code == 401
    assert desk.post("/api/Auth/loginKey", wrong).status_code == 429
    assert desk.post("/api/Contract/search", {}, "guess").status_code == 429


@given(steps=st.lists(st.integers(0, 4 * SECOND_NS), max_size=60))
def test_no_window_ever_holds_more_than_allowed(steps: list[int]) -> None:
    limiter = Limiter(3, 5)
    let_in: list[int] = []
    for now_ns in np.cumsum(steps, dtype=np.int64).tolist():
        wait_ns = limiter.wait_ns("ann", now_ns)
        recent = [t for t in let_in if t > now_ns - 5 * SECOND_NS]
        assert (wait_ns == 0) == (len(recent) < 3)
        if wait_ns == 0:
            let_in.append(now_ns)
        else:
            assert wait_ns == recent[-3] + 5 * SECOND_NS - now_ns


def test_the_limiter_forgets_those_who_do_not_ask_and_holds_no_more_than_it_can() -> None:
    limiter = Limiter(1, 5)
    assert {limiter.wait_ns(str(n), 0) for n in range(4096)} == {0}
    assert limiter.wait_ns("one more", 0) > 0
    assert limiter.wait_ns("one more", 6 * SECOND_NS) == 0


# Contracts


def futures() -> Bars:
    start = parse_moment("2024-11-20T15:00Z") + np.arange(3) * MINUTE_NS
    price = np.array([4000.0, 4001.0, 4002.0])
    return bars_from("XCME:MES-202412/1m", start, start + MINUTE_NS, [price] * 4 + [price])


def test_futures_have_the_names_of_the_gateway() -> None:
    later = bars_from("XCME:MES-202503/1m", *(futures().start_ns, futures().end_ns),
                      [futures().open] * 5)  # fmt: skip
    desk = Desk(store=store_of(futures(), later, spy_bars()))
    found = desk.post("/api/Contract/search", {"searchText": "mes", "live": False}, desk.login())
    assert found.json() == {
        "contracts": [
            {
                "id": "CON.F.US.MES.H25", "name": "MESH5", "description": "XCME:MES-202503",
                "tickSize": 0.25, "tickValue": 1.25, "activeContract": True,
            },
            {
                "id": "CON.F.US.MES.Z24", "name": "MESZ4", "description": "XCME:MES-202412",
                "tickSize": 0.25, "tickValue": 1.25, "activeContract": False,
            },
        ],
        "success": True,
        "errorCode": 0,
        "errorMessage": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("CON.F.US.MES.Z24", "CON.F.US.MES.Z24"),
        ("XCME:MES-202412", "CON.F.US.MES.Z24"),
        ("F.US.MES", "CON.F.US.MES.H25"),
        ("CON.F.US.MES", "CON.F.US.MES.H25"),
        ("F.US.ME", None),
        ("MES", None),
        ("XNYS:SPY", "XNYS:SPY"),
    ],
)
def test_a_contract_is_found_by_its_id_its_root_and_its_own_name(
    asked: str, found: str | None
) -> None:
    later = futures().renamed(replace(futures().series, instrument=MES_IN_MARCH))
    contract = contracts_of(store_of(futures(), later, spy_bars())).find(asked)
    assert (contract.id if contract else None) == found


MES_IN_MARCH = replace(futures().series.instrument, symbol="MES-202503")


def test_es_and_nq_are_called_as_their_feed_calls_them() -> None:
    es = futures().renamed(
        replace(futures().series, instrument=replace(MES_IN_MARCH, symbol="ES-202503"))
    )
    assert contracts_of(store_of(es)).find("CON.F.US.EP.H25")


def test_a_search_gives_at_most_twenty_the_one_of_that_name_first() -> None:
    many = [
        Contract(id=f"C{n}", ref="XNYS:SPY/1m", name=f"SPY{n}", description="") for n in range(30)
    ]
    spy = Contract(id="X", ref="XNYS:SPY/1m", name="SPY", description="")
    found = Contracts([*many, spy]).search("spy")
    assert len(found) == 20
    assert found[0] is spy


def test_a_contract_can_stand_for_one_version() -> None:
    store = store_of(spy_bars().take(slice(0, 1000)), spy_bars())
    first = Contract(id="OLD", ref="XNYS:SPY/1m@1", name="SPY", description="")
    desk = Desk(store=store, contracts=Contracts([first]))
    asked = {"contractId": "OLD", "startTime": "2011-01-01", "endTime": "2012-01-01"}
    assert len(told(desk.ask(**asked, unitNumber=1))) == 1000


# The connection manager's path


@pytest.mark.parametrize("symbol", ["MGC", "MGC-202412"])
def test_without_users_bars_are_told_without_a_login(symbol: str) -> None:
    gold = replace(MES_IN_MARCH, venue="XCEC", symbol=symbol)
    mgc = futures().renamed(replace(futures().series, instrument=gold))
    desk = Desk(users=None, store=store_of(mgc), now_ns=parse_moment("2024-11-21"))
    body = {
        "contractId": "F.US.MGC", "live": False, "startTime": "2024-11-19T00:00:00.000Z",
        "endTime": "2024-11-21T00:00:00.000Z", "unit": 2, "unitNumber": 5, "limit": 1000,
        "includePartialBar": False,
    }  # fmt: skip
    answer = desk.post(BARS, body)
    assert [bar["c"] for bar in answer.json()["bars"]] == [4002.0]
    assert [desk.post(BARS, body).status_code for _ in range(50)] == [200] * 49 + [429]


def test_without_users_it_stays_on_this_machine() -> None:
    app = Desk(users=None).client.app
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):
        with pytest.raises(UsageError, match="anybody could read"):
            serve(app, host, 0)  # type: ignore[arg-type]  # the client says less of its app


def test_a_port_that_is_taken_is_said() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"cannot listen on 127.0.0.1:{port}"):
            serve(Desk().client.app, "127.0.0.1", port)  # type: ignore[arg-type]


def test_without_the_library_it_is_said_how_to_get_it() -> None:
    code = "import sys; sys.modules['fastapi'] = None; import openbell.bridge.projectx"
    done = run("-c", code)
    assert "MissingExtraError: the HTTP interface needs the optional part `http`" in done.stderr


def test_many_at_once_get_the_same_answer() -> None:
    desk = Desk(users=None)
    expected = desk.post(BARS, ASKED).json()
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(desk.post(BARS, ASKED).json()))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 20
