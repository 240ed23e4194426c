"""`/api/v1/series`: how every series stands, cheap for thousands."""

from __future__ import annotations

import gzip
import time
from typing import Any

from livecache.http.watch.lookout import LOOK_AGAIN_S
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from ..cache.support import ETH, STEP, T0, state
from ..cache.test_reader import KEYS, SET, STATE, put
from .api import Served
from .support import ask
from .test_candles import raw

HOURLY = SeriesId("coinbase", "BTC-USD", Timeframe.H1)


def rows(server: Served) -> dict[tuple[str, str], Any]:
    answer = ask(server.url, "/api/v1/series")
    assert answer.status == 200, answer
    return {(row["symbol"], row["timeframe"]): row for row in answer.content["series"]}


def test_each_series_tells_state_lag_price_and_feed(store: Any, server: Served) -> None:
    put(store, state(0, 8, 10, forming=10), range(11))
    put(store, state(0, 5, 5, ready=False, reason="warming up: 5 of 60"), range(5), series=ETH, feed="down")
    store.sadd(KEYS.series, KEYS.series_member(HOURLY))
    answer = ask(server.url, "/api/v1/series").content
    assert (answer["venue"], answer["total"], answer["ready"]) == ("coinbase", 3, 1)
    assert answer["time"] == T0 + 10 * STEP + 1000
    btc, hourly, eth = answer["series"]
    assert btc == {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "timeframe": "5m",
        "state": "ready",
        "reason": "",
        "feed": "up",
        "candles": 11,
        "contiguous_from": T0,
        "settled_through": T0 + 8 * STEP,
        "known_through": T0 + 10 * STEP,
        "closed_through": T0 + 10 * STEP,
        "lag_ms": 2 * STEP,
        "last": 101.5,
        "last_time": T0 + 10 * STEP,
    }
    assert (eth["state"], eth["reason"], eth["feed"]) == ("warming", "warming up: 5 of 60", "down")
    assert (hourly["timeframe"], hourly["state"], hourly["candles"]) == ("1h", "warming", 0)
    assert (hourly["last"], hourly["last_time"], hourly["lag_ms"]) == (None, None, None)


def test_an_empty_cache_has_no_series(server: Served) -> None:
    answer = ask(server.url, "/api/v1/series").content
    assert answer == {"venue": "coinbase", "time": 0, "total": 0, "ready": 0, "series": []}


def test_what_is_damaged_or_unvouched_is_told_as_such(store: Any, server: Served) -> None:
    put(store, state(0, 10, 10), range(10))
    store.zadd(SET, {"no candle": T0 + 50 * STEP})
    store.hset(STATE, "known_through", "soon")
    put(store, state(0, 10, 10), range(10), series=ETH)
    store.delete(KEYS.alive("ETH-USD"))
    store.set(KEYS.candles(*HOURLY[1:]), "foreign")
    store.hset(KEYS.state(*HOURLY[1:]), "schema", "1")
    store.sadd(KEYS.series, KEYS.series_member(HOURLY))
    seen = rows(server)
    assert {key: (row["state"], row["last"]) for key, row in seen.items()} == {
        ("BTC-USD", "5m"): ("damaged", None),
        ("BTC-USD", "1h"): ("damaged", None),
        ("ETH-USD", "5m"): ("stale", 101.5),
    }
    assert "known_through" in seen["BTC-USD", "5m"]["reason"]
    assert (seen["ETH-USD", "5m"]["feed"], seen["ETH-USD", "5m"]["reason"]) == (
        "",
        "nobody vouches for it now",
    )


def test_redis_is_looked_at_once_however_many_ask(store: Any, server: Served) -> None:
    put(store, state(0, 10, 10), range(10))

    def looks() -> int:
        return int(store.info("commandstats").get("cmdstat_smembers", {"calls": 0})["calls"])

    rows(server)
    before, began = looks(), time.monotonic()
    tags = {raw(server, "/api/v1/series")[2]["ETag"] for _ in range(50)}
    assert looks() - before <= 1 + (time.monotonic() - began) / LOOK_AGAIN_S
    assert len(tags) == 1, "nothing has changed"
    assert ask(server.url, "/api/v1/series", If_None_Match=tags.pop()).status == 304


def test_thousands_of_series_are_one_compressed_answer(store: Any, server: Served) -> None:
    names = [f"COIN{number}-USD:{timeframe}" for number in range(900) for timeframe in list(Timeframe)[:7]]
    store.sadd(KEYS.series, *names)
    until = time.monotonic() + 60.0  # What was looked at a moment ago is told for so long.
    headers: Any = {}
    while headers.get("Content-Encoding") != "gzip":
        assert time.monotonic() < until
        _, packed, headers = raw(server, "/api/v1/series", Accept_Encoding="gzip")
    plain = gzip.decompress(packed)
    assert plain.count(b'"state":"warming"') == len(names) == 6_300
    assert len(packed) < len(plain) / 10


def test_there_is_nothing_to_say(server: Served) -> None:
    answer = ask(server.url, "/api/v1/series?symbol=BTC-USD")
    assert (answer.status, answer.content["detail"]) == (400, "there is no parameter 'symbol'")
