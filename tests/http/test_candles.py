"""`/api/v1/candles` over a store that a test has filled: the stored digits, or why they cannot be had."""

from __future__ import annotations

import gzip
import http.client
import json
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache import Reader
from livecache.errors import ConfigError
from livecache.http.api.candles import moment
from livecache.http.conditional import GZIP_FROM_BYTES
from livecache.http.shapes.candles import CandlesAnswer
from livecache.model.candle import ExactCandle
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from ..cache.support import BTC, STEP, T0, candle, state
from ..cache.test_reader import ALIVE, KEYS, SET, put
from .api import Served, served
from .filling import FROM_EIGHT, fill
from .support import Answer, ask

HOURLY = SeriesId("coinbase", "BTC-USD", Timeframe.H1)


def candles(server: Served, query: str = "", **headers: Any) -> Answer:
    """The answer for BTC-USD 5m."""
    return ask(server.url, f"/api/v1/candles?symbol=BTC-USD&timeframe=5m{query}", **headers)


def raw(server: Served, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    try:
        return response.status, response.read(), dict(response.headers)
    finally:
        connection.close()


def times(answer: Answer) -> list[int]:
    assert answer.status == 200, answer
    return [(row[0] - T0) // STEP for row in answer.content["candles"]]


# --- what is answered


def test_the_newest_closed_candles_come_with_who_vouches_for_them(store: Any, server: Served) -> None:
    put(store, state(0, 8, 10, forming=10), range(11))
    answer = candles(server, "&limit=4")
    assert times(answer) == [6, 7, 8, 9]
    told = {name: value for name, value in answer.content.items() if name != "candles"}
    assert told == {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "timeframe": "5m",
        "ready": True,
        "reason": "",
        "feed": "up",
        "contiguous_from": T0,
        "settled_through": T0 + 8 * STEP,
        "known_through": T0 + 10 * STEP,
        "closed_through": T0 + 10 * STEP,
        "forming_from": 0,
        "forming": None,
    }


def test_the_digits_are_the_stored_ones(store: Any, server: Served) -> None:
    put(store, state(0, 2, 2), range(2))
    odd = ExactCandle(T0 + STEP, "0.00001230", "1.10e2", "0.00001", "110.000000000000000001", "2.50")
    store.zremrangebyscore(SET, odd.time, odd.time)
    store.zadd(SET, {odd.member(): odd.time})
    _, body, _ = raw(server, "/api/v1/candles?symbol=BTC-USD&timeframe=5m&limit=2")
    assert body.endswith(f'"candles":[{candle(0).member()},{odd.member()}]}}'.encode())
    assert msgspec.json.decode(body, type=CandlesAnswer).candles[1].close == 110.000000000000000001


def test_it_answers_what_a_reader_returns(store: Any, server: Served, clean_valkey: str) -> None:
    put(store, state(3, 18, 20, forming=20), [*range(2, 9), *range(12, 21)])
    with Reader(clean_valkey) as reader:
        for count, options in ((5, {}), (13, {}), (9, {"settled": True}), (4, {"forming": True})):
            expected = reader.candles("BTC-USD", "5m", count, **options)  # type: ignore[arg-type]
            query = "".join(f"&{name}=true" for name in options)
            answer = msgspec.convert(candles(server, f"&limit={count}{query}").content, CandlesAnswer)
            given = answer.candles + ([answer.forming] if answer.forming else [])
            assert given == list(expected), (count, options)
            assert answer.known_through == expected.known_through
            assert answer.forming_from == expected.forming


def test_a_bucket_in_progress_without_a_trade_is_told_as_such(store: Any, server: Served) -> None:
    put(store, state(0, 10, 10, forming=10), range(10))
    answer = candles(server, "&limit=2&forming=true")
    assert (answer.content["forming_from"], answer.content["forming"]) == (T0 + 10 * STEP, None)
    put(store, state(0, 10, 10, forming=10), range(10), feed="down")
    refused = candles(server, "&limit=2&forming=true")
    assert (refused.status, refused.content["kind"]) == (503, "out_of_sync")
    assert candles(server, "&limit=2").content["feed"] == "down", "closed ones can be had all the same"


def test_a_span_is_given_whole_or_not_at_all(store: Any, server: Served) -> None:
    put(store, state(0, 20, 20, forming=20), [n for n in range(21) if n not in (5, 6)])
    at = [T0 + n * STEP for n in range(30)]
    assert times(candles(server, f"&from={at[3]}&to={at[8]}")) == [3, 4, 7], "5 and 6 are proven empty"
    assert times(candles(server, "&from=2025-07-21T00:15:00Z&to=2025-07-21T00:25")) == [3, 4]
    assert times(candles(server, "&from=2025-07-21T02:15:00%2B02:00&to=2025-07-21T00:25")) == [
        3,
        4,
    ]
    assert times(candles(server, f"&from={at[17]}")) == [17, 18, 19], "as far as is known"
    assert times(candles(server, f"&from={at[17] + 1}")) == [18, 19]
    assert times(candles(server, f"&from={at[20]}")) == [], "nothing has closed since"
    for query in (f"&from={at[18]}&to={at[22]}", f"&from={T0 - STEP}&to={at[3]}", f"&from={T0 - STEP}"):
        refused = candles(server, query)
        assert (refused.status, refused.content["kind"]) == (503, "not_ready"), query
    assert candles(server, f"&from={at[2]}&limit=5").status == 400
    assert candles(server, f"&from={at[2]}&to={at[8]}&limit=5").status == 400
    assert times(candles(server, f"&from={at[2]}&to={at[7]}&limit=5")) == [2, 3, 4]


def test_a_multiple_of_what_is_kept_is_added_up_exactly(store: Any, server: Served) -> None:
    put(store, state(0, 9, 10, forming=10), range(11))

    def multiple(query: str) -> Answer:
        return ask(server.url, f"/api/v1/candles?symbol=BTC-USD&timeframe=15m{query}")

    answer = multiple("&limit=3&forming=true")
    assert times(answer) == [0, 3, 6] and answer.content["timeframe"] == "15m"
    assert answer.content["forming"] == [T0 + 9 * STEP, 100.0, 110.0, 90, 101.5, 5], "known and in progress"
    assert answer.content["known_through"] == answer.content["settled_through"] == T0 + 9 * STEP
    _, body, _ = raw(server, "/api/v1/candles?symbol=BTC-USD&timeframe=15m&limit=1")
    assert body.endswith(b',"candles":[[%d,100.00,110.0,90,101.5,7.5]]}' % (T0 + 6 * STEP)), "by the digits"
    assert times(multiple(f"&from={T0 + 1}")) == [3, 6]
    assert times(multiple(f"&from={T0}&to={T0 + 6 * STEP}")) == [0, 3]
    short = multiple("&limit=60")
    assert (short.status, short.content["kind"]) == (503, "not_ready")
    assert "added up from 5m, of which [2025-07-21T00:00Z, 2025-07-21T00:50Z)" in short.content["hint"]
    refused = ask(server.url, "/api/v1/stream?series=BTC-USD:45m")
    assert refused.status == 400 and "unknown timeframe" in refused.content["detail"], (
        "it tells of what is kept"
    )


# --- what is refused


@pytest.mark.parametrize(
    ("query", "error", "hint"),
    [
        ("symbol=BTC-USD", "missing parameter timeframe", "openapi"),
        ("timeframe=5m", "missing parameter symbol", ""),
        ("symbol=BTC-USD&timeframe=5min", "unknown timeframe '5min'", "did you mean 5m?"),
        ("symbol=BTC-USD&timeframe=0m", "unknown timeframe '0m'", "a whole multiple such as 45m"),
        ("symbol=BTC-USD&timeframe=", "timeframe: it has to be text, 1 or more characters", ""),
        ("symbol=BTC-USD&timeframe=5m&limit=0", "limit: it has to be a whole number, 1 or more", ""),
        ("symbol=BTC-USD&timeframe=5m&limit=5001", "limit: it has to be a whole number, at most 5000", ""),
        ("symbol=BTC-USD&timeframe=5m&limit=many", "limit: it has to be a whole number", ""),
        ("symbol=BTC-USD&timeframe=5m&limit=", "limit: ", ""),
        ("symbol=BTC-USD&timeframe=5m&limt=5", "there is no parameter 'limt'", "did you mean limit?"),
        ("symbol=BTC-USD&symbol=ETH-USD&timeframe=5m", "symbol is there 2 times", ""),
        ("symbol=BTC-USD&timeframe=5m&to=2025-07-21", "to is there without from", "limit"),
        ("symbol=BTC-USD&timeframe=5m&from=yesterday", "from: 'yesterday' is no time", "ISO-8601"),
        ("symbol=BTC-USD&timeframe=5m&from=1960-01-01", "from: '1960-01-01' is before 1970", ""),
        ("symbol=BTC-USD&timeframe=5m&from=2025-07-22&to=2025-07-21", "holds the opens of 0 buckets", ""),
        ("symbol=BTC-USD&timeframe=5m&from=0&forming=true", "forming is for the newest", ""),
        ("symbol=BTC-USD&timeframe=5m&from=0&at_least=3", "at_least is for the newest", ""),
        ("symbol=BTC-USD&timeframe=5m&limit=3&at_least=4", "at_least is a number from 1 to count (3)", ""),
        ("symbol=BTC-USD&timeframe=5m&settled=true&forming=true", "a bucket in progress is never", ""),
        ("symbol=B%7BC&timeframe=5m", "the symbol 'B{C' cannot be", "no braces"),
        ("symbol=%00&timeframe=5m", "the symbol", ""),
        ("symbol=&timeframe=5m", "symbol: it has to be text, 1 or more characters", ""),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(
    store: Any, server: Served, query: str, error: str, hint: str
) -> None:
    put(store, state(0, 10, 10), range(10))
    answer = ask(server.url, f"/api/v1/candles?{query}")
    assert (answer.status, answer.content["kind"]) == (400, "bad_request"), answer
    assert error in answer.content["detail"] and hint in answer.content["hint"], answer.content


def test_days_from_eight_are_asked_for_by_their_own_opens(store: Any, server: Served) -> None:
    """The store has those that open at 08:00 of the 15th to the 19th of February."""
    fill(store, "BTC-USD", "1d", [5.0, 6.0, 7.0, 8.0, 9.0], grid=FROM_EIGHT)

    def closes(query: str) -> list[float]:
        answer = ask(server.url, f"/api/v1/candles?symbol=BTC-USD&timeframe=1d&{query}")
        assert answer.status == 200, answer
        return [row[4] for row in answer.content["candles"]]

    assert closes("from=2026-02-15") == [5.0, 6.0, 7.0, 8.0, 9.0]
    assert closes("from=2026-02-18T01:00") == [8.0, 9.0], "the 18th opens after that"
    assert closes("from=2026-02-18T09:00") == [9.0]
    assert closes("from=2026-02-16T01:00&to=2026-02-16T09:00") == [6.0]
    assert closes("from=2026-02-16T00:00&to=2026-02-17T01:00&limit=1") == [6.0]
    assert closes("from=2026-02-16T00:00&to=2026-02-16T08:00") == []
    both = "/api/v1/candles?symbol=BTC-USD&timeframe=1d&from=2026-02-16T01:00&to=2026-02-17T09:00&limit=1"
    assert "holds the opens of 2 buckets" in ask(server.url, both).content["detail"]


def test_a_series_that_nobody_fills_names_what_there_is(store: Any, server: Served) -> None:
    put(store, state(0, 10, 10), range(10))
    store.sadd(KEYS.series, KEYS.series_member(HOURLY), "ETH-USD:5m")
    for symbol, timeframe, hint in (
        ("BTC-USD", "7m", "BTC-USD has 5m, 1h, which do not add up to 7m"),
        ("btc-usd", "5m", "did you mean BTC-USD"),
        ("BTC-USDT", "5m", "did you mean BTC-USD"),
        ("EHT-USD", "5m", "did you mean ETH-USD"),
        ("☃", "5m", "/api/v1/series"),
    ):
        answer = ask(server.url, f"/api/v1/candles?symbol={quote(symbol)}&timeframe={timeframe}")
        assert (answer.status, answer.content["kind"]) == (404, "unknown_series"), answer
        assert hint in answer.content["hint"], answer.content


def test_what_a_reader_would_raise_is_a_503_that_says_why(store: Any, server: Served) -> None:
    put(store, state(0, 10, 10, reason="warming up: 10 of 60", ready=False), range(10))
    short = candles(server, "&limit=60")
    assert (short.status, short.content["kind"]) == (503, "not_ready")
    assert "10 of 60 candles" in short.content["detail"] and "warming up" in short.content["detail"]
    fewer = candles(server, "&limit=60&at_least=1")
    assert times(fewer) == [*range(10)]
    assert (fewer.content["ready"], fewer.content["reason"]) == (False, "warming up: 10 of 60")

    put(store, state(0, 10, 10), range(10), now=T0 + 100 * STEP)
    assert candles(server, "&limit=5").content["kind"] == "stale"
    put(store, state(0, 10, 10), range(10))
    store.delete(ALIVE)
    assert "nobody vouches" in candles(server, "&limit=5").content["detail"]

    put(store, state(0, 10, 10), range(10))
    store.zremrangebyscore(SET, T0 + 9 * STEP, T0 + 9 * STEP)
    store.zadd(SET, {'[1,"} , {"admin": true': T0 + 9 * STEP})
    damaged = candles(server, "&limit=5")
    assert (damaged.status, damaged.content["kind"]) == (503, "unreadable"), "and none of it is handed on"

    store.delete(SET)
    store.set(SET, "something foreign")
    assert candles(server, "&limit=5").content["kind"] == "unreadable"
    store.flushall()
    store.sadd(KEYS.series, KEYS.series_member(BTC))
    assert "no state yet" in candles(server, "&limit=5").content["detail"]


def test_without_a_service_or_a_redis_it_says_so(store: Any, server: Served) -> None:
    put(store, state(0, 10, 10), range(10))
    server.leave()
    assert (candles(server).status, candles(server).content["kind"]) == (503, "starting")
    with served("redis://127.0.0.1:1") as lost:
        for path in ("/api/v1/candles?symbol=BTC-USD&timeframe=5m", "/api/v1/series"):
            answer = ask(lost.url, path)
            assert (answer.status, answer.content["kind"]) == (503, "redis_unavailable"), answer


# --- how it is sent


def test_what_a_client_has_already_is_not_sent_again(store: Any, server: Served) -> None:
    put(store, state(0, 10, 10), range(10))
    first = candles(server, "&limit=5")
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"
    for header in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = candles(server, "&limit=5", If_None_Match=header)
        assert (again.status, again.content, again.headers["ETag"]) == (304, "", tag)
    store.set(ALIVE, store.get(ALIVE).replace(b"1000", b"2000"))
    assert candles(server, "&limit=5", If_None_Match=tag).status == 304, "a sign of life is no change"
    put(store, state(0, 11, 11), range(11))
    changed = candles(server, "&limit=5", If_None_Match=tag)
    assert changed.status == 200 and changed.headers["ETag"] != tag
    assert candles(server, "&limit=5", If_None_Match='"other"').status == 200


def test_what_gains_by_it_is_compressed_for_who_takes_it(store: Any, server: Served) -> None:
    put(store, state(0, 100, 100), range(100))
    path = "/api/v1/candles?symbol=BTC-USD&timeframe=5m"
    _, plain, headers = raw(server, path)
    assert "Content-Encoding" not in headers and len(plain) > GZIP_FROM_BYTES
    for accepted in ("gzip", "deflate, gzip;q=0.5", "*", "GZIP"):
        _, packed, headers = raw(server, path, Accept_Encoding=accepted)
        assert (headers["Content-Encoding"], headers["Vary"]) == ("gzip", "Accept, Accept-Encoding")
        assert len(packed) < len(plain) / 2 and gzip.decompress(packed) == plain
    for accepted in ("gzip;q=0", "br, identity"):
        assert raw(server, path, Accept_Encoding=accepted)[1] == plain
    _, small, headers = raw(server, f"{path}&limit=1", Accept_Encoding="gzip")
    assert "Content-Encoding" not in headers and json.loads(small)["candles"]


def test_with_a_token_nothing_is_told_without_it(store: Any, clean_valkey: str) -> None:
    put(store, state(0, 10, 10), range(10))
    token = "0123456789abcdef-secret"
    with served(clean_valkey, token=token) as server:
        paths = ["/api/v1/candles?symbol=BTC-USD&timeframe=5m&limit=5", "/api/v1/series", "/openapi.json"]
        for path in [*paths, "/api/v1/stream?series=BTC-USD:5m"]:
            assert ask(server.url, path).status == 401, path
        for path in paths:
            assert ask(server.url, path, Authorization=f"Bearer {token}").status == 200, path


def test_web_pages_of_other_sites_are_refused(store: Any, server: Served) -> None:
    put(store, state(0, 10, 10), range(10))
    refused = candles(server, "&limit=5", Origin="https://example.com")
    assert refused.status == 403
    own = candles(server, "&limit=5", Origin=server.url)
    assert own.status == 200 and "Access-Control-Allow-Origin" not in own.headers


# --- times


def test_times_are_told_in_ms_or_iso() -> None:
    for text, time in (
        ("0", 0),
        ("1753056000000", T0),
        ("2025-07-21", T0),
        ("20250721", T0),
        ("2025-07-21T00:00:00Z", T0),
        ("2025-07-21 00:05", T0 + STEP),
        ("2025-07-21T02:00:00+02:00", T0),
        ("2025-07-21T02:00:00 02:00", T0),
        ("2025-07-21T00:00:00.123Z", T0 + 123),
    ):
        assert moment("from", text) == time, text


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_an_error_that_names_the_parameter(text: str) -> None:
    try:
        time = moment("from", text)
    except ConfigError as error:
        told = error.message
    else:
        assert 0 <= time < 1 << 47
        return
    assert told.startswith("from: ")
