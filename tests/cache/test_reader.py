"""The readers: the answer that is right and vouched for, or the error that says why there is none."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import fakeredis
import pytest
import redis
import redis.asyncio

from livecache import (
    AsyncReader,
    NotReady,
    OutOfSync,
    Reader,
    ReadError,
    RedisUnavailable,
    Stale,
    UnknownSeries,
)
from livecache.keys.keyspace import AliveRecord, Keyspace, encode_alive, encode_state
from livecache.model.series import SeriesId, SeriesState
from livecache.model.timeframe import Timeframe

from .support import BTC, ETH, ORIGIN, STEP, T0, candle, state

KEYS = Keyspace()
SET, STATE, ALIVE = KEYS.candles(*BTC[1:]), KEYS.state(*BTC[1:]), KEYS.alive("BTC-USD")


def put(
    client: Any,
    vouched: SeriesState,
    buckets: Any,
    *,
    series: SeriesId = BTC,
    now: int | None = None,
    feed: str = "up",
    **fields: Any,
) -> None:
    """Write a series as the writer would; `now` is the venue's time in the alive key."""
    venue, symbol, timeframe = series
    keys = replace(KEYS, venue=venue)
    key = keys.candles(symbol, timeframe)
    client.delete(key)
    members = {candle(n).member(): candle(n).time for n in buckets}
    if members:
        client.zadd(key, members)
    flat = encode_state(vouched, origin=ORIGIN, fence=5, revision=1, updated_at=1)
    client.hset(f"{key}:state", mapping=dict(zip(flat[::2], flat[1::2], strict=True)))
    client.hset(f"{key}:state", mapping={"count": len(members), **fields})
    time = vouched.closed_through + 1000 if now is None else now
    client.set(keys.alive(symbol), encode_alive(AliveRecord("one", time, feed)), px=600_000)
    client.sadd(keys.series, keys.series_member(series))


@pytest.fixture(params=["fakeredis", "valkey"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A server without EVALSHA_RO and one with it."""
    if request.param == "fakeredis":
        with fakeredis.FakeRedis() as fake:
            yield fake
    else:
        with redis.Redis.from_url(request.getfixturevalue("clean_valkey")) as real:
            yield real


@pytest.fixture
def reader(client: Any) -> Reader:
    return Reader(client=client)


def times(buckets: Any) -> list[int]:
    return [T0 + n * STEP for n in buckets]


def test_the_newest_closed_candles_come_oldest_first_with_who_vouches_for_them(
    client: Any, reader: Reader
) -> None:
    put(client, state(0, 8, 10, forming=10), range(11))
    candles = reader.candles("BTC-USD", "5m", 4)
    assert [c.time for c in candles] == times(range(6, 10)), "the bucket in progress is not among them"
    assert (candles[-1].open, candles[-1].close, candles[-1].volume) == (100.0, 101.5, 2.5)
    assert candles.settled_through == T0 + 8 * STEP
    assert candles.known_through == T0 + 10 * STEP
    assert candles.contiguous_from == T0
    assert (candles.feed, candles.age, candles.forming, candles.synthetic) == ("up", 1000, 0, frozenset())
    assert candles.series == BTC and candles[-2:] == tuple(candles)[-2:]
    assert "4 of BTC-USD 5m" in repr(candles)
    assert reader.latest("BTC-USD", Timeframe.M5) == candles[-1]


def test_columns_are_arrays_that_cannot_be_changed(client: Any, reader: Reader) -> None:
    put(client, state(0, 10, 10), range(10))
    candles = reader.candles("BTC-USD", "5m", 3)
    assert candles.time.dtype == "int64" and candles.close.dtype == "float64"
    assert list(candles.time) == times(range(7, 10))
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    assert [column[0] for column in columns] == [100, 110, 90, 101.5, 2.5]
    with pytest.raises(ValueError, match="read-only"):
        candles.close[0] = 0


def test_settled_candles_stop_where_the_venue_has_confirmed_them(client: Any, reader: Reader) -> None:
    put(client, state(0, 8, 10), range(10))
    assert reader.candles("BTC-USD", "5m", 2, settled=True)[-1].time == T0 + 7 * STEP


# --- why there is no answer


def test_a_series_that_nobody_fills_is_unknown(reader: Reader) -> None:
    with pytest.raises(UnknownSeries, match="nobody fills"):
        reader.candles("BTC-USD", "5m", 1)


def test_a_configured_series_without_a_state_is_not_ready_yet(client: Any, reader: Reader) -> None:
    client.sadd(KEYS.series, "BTC-USD:5m")
    with pytest.raises(NotReady, match="no state yet"):
        reader.candles("BTC-USD", "5m", 1)


def test_a_dead_writer_is_stale_whatever_the_state_says(client: Any, reader: Reader) -> None:
    put(client, state(0, 10, 10), range(10))
    client.delete(ALIVE)
    with pytest.raises(Stale, match="nobody vouches"):
        reader.candles("BTC-USD", "5m", 1)


def test_a_set_from_yesterday_is_stale_and_says_how_far_it_lags(client: Any, reader: Reader) -> None:
    yesterday = state(0, 10, 10, ready=False, reason="288 buckets of 5m are missing")
    put(client, yesterday, range(10), now=T0 + (10 + 288) * STEP)
    with pytest.raises(Stale, match=r"overdue by 86100 s.*288 buckets of 5m are missing"):
        reader.candles("BTC-USD", "5m", 5)


def test_a_bucket_may_lag_for_as_long_as_max_lag_allows(client: Any, reader: Reader) -> None:
    put(client, state(0, 10, 10), range(10), now=T0 + 11 * STEP + 600_000)
    assert len(reader.candles("BTC-USD", "5m", 5)) == 5
    with pytest.raises(Stale, match="max_lag is 599 s"):
        reader.candles("BTC-USD", "5m", 5, max_lag=599)


def test_the_venues_clock_in_the_state_makes_stale_too(client: Any, reader: Reader) -> None:
    put(client, state(0, 10, 10, closed_through=T0 + 20 * STEP), range(10), now=T0)
    with pytest.raises(Stale):
        reader.candles("BTC-USD", "5m", 5)


def test_candles_before_a_hole_do_not_count_and_the_reason_names_it(client: Any, reader: Reader) -> None:
    holed = state(6, 10, 10, ready=False, reason="hole at 2025-07-21 00:25")
    put(client, holed, [0, 1, 2, 3, 4, 6, 7, 8, 9])
    assert len(reader.candles("BTC-USD", "5m", 4)) == 4, "not ready, and yet there is what is asked for"
    with pytest.raises(NotReady, match=r"4 of 5 candles.*hole at 2025-07-21") as caught:
        reader.candles("BTC-USD", "5m", 5)
    assert (caught.value.have, caught.value.want) == (4, 5)


def test_a_venue_that_has_fewer_can_be_read_on_request(client: Any, reader: Reader) -> None:
    put(client, state(0, 3, 3, ready=False, reason="venue has only 3 of 60"), range(3))
    with pytest.raises(NotReady, match="venue has only 3 of 60"):
        reader.candles("BTC-USD", "5m", 60)
    assert len(reader.candles("BTC-USD", "5m", 60, at_least=2)) == 3
    with pytest.raises(NotReady):
        reader.candles("BTC-USD", "5m", 60, at_least=4)


def test_a_series_of_which_nothing_is_known_is_not_ready_rather_than_stale(
    client: Any, reader: Reader
) -> None:
    nothing = state(
        0, 0, 0, ready=False, reason="warming up", contiguous_from=0, settled_through=0, known_through=0
    )
    put(client, nothing, [], now=T0 + 1000 * STEP)
    with pytest.raises(NotReady, match="nothing is known yet; warming up"):
        reader.candles("BTC-USD", "5m", 1)


def test_a_set_that_lost_members_is_not_ready(client: Any, reader: Reader) -> None:
    put(client, state(0, 10, 10), range(10))
    client.zremrangebyrank(SET, 3, 3)
    with pytest.raises(NotReady, match="9 of its 10 candles"):
        reader.candles("BTC-USD", "5m", 2)
    client.delete(SET)
    with pytest.raises(NotReady, match="0 of its 10 candles"):
        reader.candles("BTC-USD", "5m", 2, empty="null")


@pytest.mark.parametrize(
    "member",
    [
        "junk",
        "[1,2]",
        f"[{T0 + 9 * STEP},1,1,1,1,null]",
        f"[{T0 + 9 * STEP + 1},1,1,1,1,1]",
        f"[{T0 + 8 * STEP},1,1,1,1,1]",  # a second one for the bucket before
        f"[{T0 + 2 * STEP},1,1,1,1,1]",  # one that belongs elsewhere
    ],
)
def test_a_damaged_member_is_an_error_that_names_the_key(client: Any, reader: Reader, member: str) -> None:
    put(client, state(0, 10, 10), range(9), count=10)
    client.zadd(SET, {member: T0 + 9 * STEP})
    with pytest.raises(ReadError, match=r"livecache:\{coinbase:BTC-USD\}:5m"):
        reader.candles("BTC-USD", "5m", 2)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("schema", "2", "update livecache"),
        ("count", "x", "understood"),
        ("known_through", "", "understood"),
        ("known_through", "soon", "understood"),
        ("forming", "soon", "understood"),
    ],
)
def test_a_state_that_cannot_be_understood_is_an_error(
    client: Any, reader: Reader, field: str, value: str, message: str
) -> None:
    put(client, state(0, 10, 10), range(10))
    client.hset(STATE, field, value)
    with pytest.raises(ReadError, match=message):
        reader.candles("BTC-USD", "5m", 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"known_through": 9_007_199_254_740_993},
        {"known_through": T0 + 10 * STEP + 1},
        {"settled_through": T0 + 11 * STEP},
        {"contiguous_from": -STEP},
        {"forming": T0 + 1},
        {"count": -1},
    ],
    ids=str,
)
def test_watermarks_that_no_writer_wrote_are_an_error_and_not_a_truth(
    client: Any, reader: Reader, fields: dict[str, Any]
) -> None:
    put(client, state(0, 10, 10), range(10), **fields)
    with pytest.raises(ReadError, match="cannot be understood"):
        reader.candles("BTC-USD", "5m", 3)


@pytest.mark.parametrize("key", [SET, STATE, ALIVE])
def test_a_key_of_another_type_is_an_error_that_names_it(client: Any, reader: Reader, key: str) -> None:
    put(client, state(0, 10, 10), range(10))
    client.delete(key)
    client.rpush(key, "precious")
    with pytest.raises(ReadError, match="holds a list"):
        reader.candles("BTC-USD", "5m", 2)
    assert "holds a list" in reader.state("BTC-USD", "5m").damage


def test_a_view_has_the_word_that_the_command_line_shows(client: Any, reader: Reader) -> None:
    words = {
        "": "ready",
        "venue has only 5 of 60, searched back to 2025-07-21T00:00Z": "short",
        "hole: nothing is known from 2025-07-21T00:15Z": "hole",
        "halted: status is offline": "halted",
    }
    for reason, word in words.items():
        put(client, state(0, 10, 10, ready=not reason, reason=reason), range(10))
        assert reader.state("BTC-USD", "5m").state == word
    client.delete(ALIVE)
    assert reader.state("BTC-USD", "5m").state == "stale"
    assert reader.state("ETH-USD", "5m").state == "warming"


# --- the bucket in progress


def test_the_bucket_in_progress_comes_as_one_more(client: Any, reader: Reader) -> None:
    put(client, state(0, 8, 10, forming=10), range(11))
    candles = reader.candles("BTC-USD", "5m", 2, forming=True)
    assert [c.time for c in candles] == times([8, 9, 10])
    assert candles.forming == T0 + 10 * STEP


def test_a_bucket_in_progress_without_a_trade_is_empty(client: Any, reader: Reader) -> None:
    put(client, state(0, 8, 10, forming=10), range(10))
    assert [c.time for c in reader.candles("BTC-USD", "5m", 1, forming=True)] == times([9])
    carried = reader.candles("BTC-USD", "5m", 1, forming=True, empty="carry")
    assert [c.time for c in carried] == times([9, 10]) and carried.synthetic == {T0 + 10 * STEP}


@pytest.mark.parametrize(
    ("vouched", "feed"),
    [(state(0, 8, 10), "up"), (state(0, 8, 9, forming=10), "up"), (state(0, 8, 10, forming=10), "down")],
    ids=["none", "after a gap", "feed down"],
)
def test_a_bucket_in_progress_that_the_feed_does_not_vouch_for_is_out_of_sync(
    client: Any, reader: Reader, vouched: SeriesState, feed: str
) -> None:
    put(client, vouched, range(11), feed=feed)
    with pytest.raises(OutOfSync):
        reader.candles("BTC-USD", "5m", 2, forming=True)
    assert reader.candles("BTC-USD", "5m", 2).feed == feed, "closed candles are served all the same"


# --- empty buckets


def test_empty_buckets_are_skipped_carried_or_null_as_asked(client: Any, reader: Reader) -> None:
    put(client, state(0, 10, 10), [0, 1, 2, 5, 8])
    assert [c.time for c in reader.candles("BTC-USD", "5m", 4)] == times([1, 2, 5, 8])
    carried = reader.candles("BTC-USD", "5m", 4, empty="carry")
    assert [c.time for c in carried] == times([6, 7, 8, 9])
    assert carried.synthetic == set(times([6, 7, 9]))
    flat = carried[0]
    assert (flat.open, flat.high, flat.low, flat.close, flat.volume) == (101.5, 101.5, 101.5, 101.5, 0.0)
    nulls = reader.candles("BTC-USD", "5m", 4, empty="null")
    assert [math.isnan(c.close) for c in nulls] == [True, True, False, True]
    assert math.isnan(nulls[0].volume) and nulls.synthetic == carried.synthetic


def test_nothing_is_carried_from_before_the_contiguous_part(client: Any, reader: Reader) -> None:
    put(client, state(3, 10, 10, reason="hole"), [0, 5, 8])
    assert [c.time for c in reader.candles("BTC-USD", "5m", 5, empty="carry")] == times(range(5, 10))
    with pytest.raises(NotReady, match="5 of 6 buckets"):
        reader.candles("BTC-USD", "5m", 6, empty="carry")
    assert len(reader.candles("BTC-USD", "5m", 7, empty="null")) == 7
    with pytest.raises(NotReady, match=r"7 of 8 buckets.*hole"):
        reader.candles("BTC-USD", "5m", 8, empty="null")


# --- the other reads


def test_a_range_is_read_whole_or_not_at_all(client: Any, reader: Reader) -> None:
    put(client, state(2, 8, 10), [0, 2, 3, 6, 7, 8, 9])
    candles = reader.range("BTC-USD", "5m", T0 + 3 * STEP, T0 + 8 * STEP)
    assert [c.time for c in candles] == times([3, 6, 7])
    carried = reader.range("BTC-USD", "5m", T0 + 4 * STEP - 1, T0 + 7 * STEP, empty="carry")
    assert [c.time for c in carried] == times([4, 5, 6]) and carried[0].close == 101.5
    for start, end in ((1, 5), (8, 11)):
        with pytest.raises(NotReady, match="is known without a gap"):
            reader.range("BTC-USD", "5m", T0 + start * STEP, T0 + end * STEP)
    with pytest.raises(NotReady):
        reader.range("BTC-USD", "5m", T0 + 8 * STEP, T0 + 9 * STEP, settled=True)


def test_many_series_each_have_their_own_outcome(client: Any, reader: Reader) -> None:
    put(client, state(0, 10, 10), range(10))
    put(client, state(9, 10, 10), range(10), series=ETH)
    found = reader.many([("BTC-USD", "5m", 5), ("ETH-USD", "5m", 5), ("SOL-USD", "5m", 5)])
    assert [type(outcome).__name__ for outcome in found.values()] == ["Candles", "NotReady", "UnknownSeries"]
    many = [(f"X{n}-USD", "5m", 1) for n in range(250)]
    assert len(reader.many(many)) == 250


def test_states_are_shown_whatever_they_are_worth(client: Any, reader: Reader) -> None:
    put(client, state(0, 10, 10), range(10))
    put(client, state(0, 10, 10), range(3), series=ETH, schema=7)
    client.sadd(KEYS.series, "SOL-USD:1h", "SOL-USD:3w")
    assert [str(s) for s in reader.series()] == [
        "coinbase:BTC-USD:5m",
        "coinbase:ETH-USD:5m",
        "coinbase:SOL-USD:1h",
    ]
    btc, eth, sol = reader.states()
    assert btc.record and btc.record.state == state(0, 10, 10) and btc.members == 10
    assert btc.alive == AliveRecord("one", T0 + 10 * STEP + 1000, "up")
    assert eth.record is None and "schema is 7" in eth.damage and eth.alive
    assert (sol.record, sol.alive, sol.members, sol.damage) == (None, None, 0, "")


# --- asyncio


@contextlib.asynccontextmanager
async def asynchronous(url: str) -> AsyncIterator[AsyncReader]:
    async with asyncio.timeout(30), AsyncReader(url) as reader:
        yield reader


def test_the_asynchronous_reader_reads_the_same(clean_valkey: str) -> None:
    with redis.Redis.from_url(clean_valkey) as client, Reader(clean_valkey) as reader:
        put(client, state(0, 8, 10, forming=10), range(11))
        client.script_flush()

        async def body() -> None:
            async with asynchronous(clean_valkey) as other:
                one = await other.candles("BTC-USD", "5m", 4, forming=True)
                assert list(one) == list(reader.candles("BTC-USD", "5m", 4, forming=True))
                assert await other.latest("BTC-USD", "5m") == reader.latest("BTC-USD", "5m")
                span = ("BTC-USD", "5m", T0, T0 + 3 * STEP)
                assert list(await other.range(*span)) == list(reader.range(*span))
                found = await other.many([("BTC-USD", "5m", 2), ("ETH-USD", "5m", 2)])
                assert [type(outcome).__name__ for outcome in found.values()] == ["Candles", "UnknownSeries"]
                assert await other.state("BTC-USD", "5m") == reader.state("BTC-USD", "5m")
                assert await other.states() == reader.states()
                with pytest.raises(NotReady):
                    await other.candles("BTC-USD", "5m", 60)

        asyncio.run(body())


def test_the_asynchronous_reader_tells_of_a_server_that_does_not_answer() -> None:
    async def body(url: str) -> None:
        async with asynchronous(url) as reader:
            with pytest.raises(RedisUnavailable):
                await reader.series()

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        asyncio.run(body(f"redis://127.0.0.1:{unused.getsockname()[1]}"))
