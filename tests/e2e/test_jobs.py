"""Years ordered over HTTP, by whichever instance is asked, worked on by the one that writes, over its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from livecache.history.sqlite.store import SqliteHistory
from livecache.model.candle import ExactCandle
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from ..http.api import listening
from ..http.schemathesis import checked
from ..http.support import Answer, ask
from .support import NOON, Process, exchange, livecache, market_of, until

DAY = 86_400_000
END = NOON // DAY * DAY
FROM = END - 40 * DAY
ORDER = {"symbols": ["ETH-USD"], "timeframe": "5m", "from": FROM, "to": END}


def url_of(service: Process) -> str:
    url: str = service.event("http_listening")["url"]
    return url


def posted(url: str, path: str, body: object, **headers: str) -> Answer:
    named: dict[str, Any] = {"Content-Type": "application/json", **headers}
    return ask(url, path, method="POST", body=json.dumps(body).encode(), **named)


def job(url: str, number: int) -> Any:
    answer = ask(url, f"/api/v1/jobs/{number}")
    assert answer.status == 200, answer
    return answer.content


def test_an_order_outlives_whoever_took_it_and_whoever_works_on_it(clean_valkey: str, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with exchange(market_of("ETH-USD"), latency_s=0.1) as venue:
        env = venue.settings(
            clean_valkey,
            VENUES_COINBASE_REQUESTS_PER_SECOND=8,
            CACHE_TIMEFRAMES="5m",
            HISTORY_URL=f"sqlite:///{path}",
            HISTORY_SINCE="1d",
            HTTP_LISTEN="127.0.0.1:0",
        )
        with livecache("run", env=env) as first:
            first.event("warm")
            with livecache("run", env=env) as second:
                here, there = url_of(first), url_of(second)
                until("it waits", lambda: ask(there, "/healthz").content["role"] == "waiting")
                order = until("it takes orders", lambda: accepted(posted(there, BACKFILL, ORDER, **KEY)))
                number = order["jobs"][-1]
                assert posted(here, BACKFILL, ORDER, **KEY).content == order
                with listening(there, jobs=True) as stream:
                    worker = ask(here, "/api/v1/service").content["instance"]
                    told = stream.event("job").data
                    while not (told["id"] == number and told["state"] == "running" and told["pages"]):
                        told = stream.event("job").data
                    assert told["worker"] == worker and 0 < told["progress"] < 1
                    first.stop()
                    while not (told["id"] == number and told["state"] == "succeeded"):
                        told = stream.event("job").data
                assert told["progress"] == 1.0 and told["pages"] > 10
                longer = ORDER | {"from": FROM - 2_000 * DAY}
                more = accepted(posted(there, BACKFILL, longer))
                assert more
                for each in more["jobs"]:
                    ask(there, f"/api/v1/jobs/{each}", method="DELETE")
                    assert job(there, each)["state"] in ("cancelled", "succeeded")
                second.stop()
        with livecache("run", env=env) as third:
            url = url_of(third)
            until("it takes orders", lambda: accepted(posted(url, BACKFILL, ORDER, **KEY)) == order)
            assert job(url, number) == told | {"eta_s": None}
            assert job(url, more["jobs"][-1])["state"] == "cancelled", "and it stays so"
            assert posted(url, f"/api/v1/jobs/{more['jobs'][-1]}/retry", {}).status == 202
            third.stop()
    store = SqliteHistory.open(path, read_only=True)
    series = store.series(SeriesId("coinbase", "ETH-USD", Timeframe.M5))
    assert series
    answer = store.read(series.id, FROM, END)
    assert answer.coverage.covers(FROM, END)
    truth = market_of("ETH-USD").candles("ETH-USD", Timeframe.M5, FROM, END, END)
    assert all(map(ExactCandle.equals, answer.rows.candles(), truth)) and len(answer.rows) == len(truth)
    store.close()


@pytest.mark.long
def test_a_whole_service_keeps_its_word_to_a_checker(clean_valkey: str, tmp_path: Path) -> None:
    with exchange(market_of("BTC-USD", "ETH-USD")) as venue:
        env = venue.settings(
            clean_valkey,
            HISTORY_URL=f"sqlite:///{tmp_path}/history.db",
            HISTORY_SINCE="30d",
            HTTP_LISTEN="127.0.0.1:0",
        )
        with livecache("run", env=env) as service:
            service.event("warm")
            checked(url_of(service), tmp_path, left_out="api/v1/stream", examples=40)
            assert service.events("http_failed") == [] and service.errors == []
            service.stop()


BACKFILL = "/api/v1/candles/backfill"
KEY = {"Idempotency-Key": "years of ETH"}


def accepted(answer: Answer) -> Any:
    """The order; None while no service runs that would take it."""
    if answer.status == 503 and answer.content["kind"] == "starting":
        return None
    assert answer.status == 202, answer
    return answer.content
