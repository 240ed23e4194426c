"""`/api/v1/repair` over a real socket: what is taken, and what is refused and why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from livecache.clock import SystemClock
from livecache.config.schema import Config
from livecache.engine.engine import Engine
from livecache.engine.fleet import Place
from livecache.errors import RepairNotNow, RepairRefused, UnknownSeries
from livecache.http.guard import Guard
from livecache.http.listen import bind
from livecache.http.route import Requests
from livecache.http.routes import routes
from livecache.http.server import Server
from livecache.http.watch.instance import Instance
from livecache.http.watch.repair import PATH
from livecache.ledger.repair import RepairPlan
from livecache.model.timeframe import Timeframe

BODY = {"symbol": "BTC-USD", "timeframe": "5m", "start": 300_000, "end": 600_000}


class Reading:
    """Has every span read again, unless told to refuse."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.orders: list[tuple[str, Timeframe, int | None, int | None]] = []

    def order(self, symbol: str, timeframe: Timeframe, start: int | None, end: int | None) -> RepairPlan:
        if self.refusal is not None:
            raise self.refusal
        self.orders.append((symbol, timeframe, start, end))
        return RepairPlan(start or 0, end or 900_000, 2, 5)

    def left(self, symbol: str, timeframe: Timeframe) -> int:
        if symbol != "BTC-USD":
            raise UnknownSeries(f"{symbol}: nobody fills it")
        return 3


Ask = Callable[[aiohttp.ClientSession], Awaitable[aiohttp.ClientResponse]]


def asked(ask: Ask, reading: Reading | None, token: str | None = None) -> tuple[int, Any]:
    """The status and the decoded answer of one request."""

    async def scenario() -> tuple[int, Any]:
        clock = SystemClock()
        instance = Instance(Config(), clock)
        if reading is not None:
            instance.places = {"coinbase": Place(cast(Engine, SimpleNamespace(repairs=reading)))}
        (listening,) = bind("127.0.0.1", 0)
        stats = Requests()
        table = routes(instance, stats, clock)
        server = Server(table, Guard(token, loopback=True), stats, clock)
        serving = asyncio.create_task(server.run([listening]), name="server")
        try:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with aiohttp.ClientSession(url) as client, await ask(client) as answer:
                return answer.status, await answer.json()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    return asyncio.run(scenario())


def posted(body: Any, reading: Reading | None) -> tuple[int, Any]:
    return asked(lambda client: client.post(PATH, json=body), reading)


def test_an_order_is_taken_and_the_answer_says_how_many_pages_it_takes() -> None:
    reading = Reading()
    assert posted(BODY, reading) == (202, {**BODY, "pages": 2, "waiting": 5})
    assert reading.orders == [("BTC-USD", Timeframe.M5, 300_000, 600_000)]


def test_without_a_start_or_an_end_it_is_as_far_as_is_kept() -> None:
    reading = Reading()
    status, answer = posted({"symbol": "BTC-USD", "timeframe": "1h"}, reading)
    assert (status, answer["start"], answer["end"]) == (202, 0, 900_000)
    assert reading.orders == [("BTC-USD", Timeframe.H1, None, None)]


@pytest.mark.parametrize(
    ("refusal", "status", "kind"),
    [
        (RepairRefused("no", "why"), 400, "bad_request"),
        (UnknownSeries("no", "why"), 404, "unknown_series"),
        (RepairNotNow("no", "why"), 503, "not_now"),
    ],
)
def test_a_refusal_is_told_with_its_hint(refusal: Exception, status: int, kind: str) -> None:
    told, problem = posted(BODY, Reading(refusal))
    assert (told, problem["status"], problem["type"]) == (status, status, f"urn:livecache:problem:{kind}")
    assert (problem["detail"], problem["hint"], problem["kind"]) == ("no", "why", kind)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ([], "it has to be a table"),
        ({}, "missing required field symbol"),
        ({**BODY, "timeframe": "5min"}, "unknown timeframe '5min'"),
        ({**BODY, "start": -1}, "start: "),
        ({**BODY, "start": 1.5}, "start: "),
        ({**BODY, "end": 1 << 60}, "end: "),
        ({**BODY, "symbol": ""}, "symbol: "),
        ({**BODY, "from": 1}, "unknown field from"),
    ],
)
def test_what_cannot_be_read_is_answered_with_what_is_wrong_with_it(body: Any, told: str) -> None:
    reading = Reading()
    status, answer = posted(body, reading)
    assert status == 400
    assert told in answer["detail"]
    assert reading.orders == []


def test_a_body_that_a_foreign_page_could_send_is_not_taken() -> None:
    reading = Reading()
    status, _ = asked(lambda client: client.post(PATH, data='{"symbol":"BTC-USD","timeframe":"5m"}'), reading)
    assert status == 415
    assert reading.orders == []


def test_what_is_left_of_a_series_is_told() -> None:
    def ask(symbol: str) -> Ask:
        return lambda client: client.get(PATH, params={"symbol": symbol, "timeframe": "5m"})

    told = {"symbol": "BTC-USD", "timeframe": "5m", "pages": 3}
    assert asked(ask("BTC-USD"), Reading()) == (200, told)
    assert asked(ask("NO-USD"), Reading())[0] == 404
    assert asked(lambda client: client.get(PATH), Reading())[0] == 400


def test_a_process_without_a_service_says_so() -> None:
    status, answer = posted(BODY, None)
    assert status == 503
    assert "no service" in answer["detail"]


def test_where_there_is_a_token_only_who_knows_it_may_order() -> None:
    reading, token = Reading(), 32 * "t"
    assert asked(lambda client: client.post(PATH, json=BODY), reading, token)[0] == 401
    assert reading.orders == []
    headers = {"Authorization": f"Bearer {token}"}
    assert asked(lambda client: client.post(PATH, json=BODY, headers=headers), reading, token)[0] == 202
