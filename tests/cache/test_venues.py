"""Several venues under one prefix: which are there, and which of them a symbol is of."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from redis.exceptions import ResponseError

from livecache import AsyncReader, Candles, ConfigError, Reader, ReadError, RedisUnavailable, UnknownSeries
from livecache.keys.keyspace import Keyspace
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.read.reading import Core

from .either import either
from .support import BTC, ETH, Source, state, until
from .test_close_events import announce
from .test_reader import put
from .writing import on_valkey, running, writer_of

KEYS = Keyspace()
OTHER = SeriesId("binance-eu", "BTC/USDT:USDT", Timeframe.M5)
TWIN = SeriesId("binance-eu", "BTC-USD", Timeframe.M5)


def put_at(store: Any, series: SeriesId, count: int = 10) -> None:
    put(store, state(0, count, count), range(count), series=series)


@pytest.fixture
def two(store: Any) -> Any:
    """Two venues, of which both have BTC-USD: 10 candles at one, 6 at the other."""
    for series, count in ((BTC, 10), (ETH, 10), (OTHER, 8), (TWIN, 6)):
        put_at(store, series, count)
    store.sadd(KEYS.venues, "coinbase", "binance-eu")
    return store


def test_where_nothing_is_told_there_is_the_venue_of_old(kind: str, store: Any, clean_valkey: str) -> None:
    put_at(store, BTC)
    with either(kind, clean_valkey) as reader:
        assert reader.candles("BTC-USD", "5m", 3).series == BTC
        assert reader.series() == [BTC]


def test_the_only_venue_there_is_is_read(kind: str, store: Any, clean_valkey: str) -> None:
    put_at(store, OTHER)
    store.sadd(KEYS.venues, "binance-eu")
    with either(kind, clean_valkey) as reader:
        assert reader.candles("BTC/USDT:USDT", "5m", 3).series == OTHER
        assert reader.candles("binance-eu:BTC/USDT:USDT", "5m", 3).series == OTHER
        assert reader.many(["BTC/USDT:USDT"], "5m", 3).ok.keys() == {OTHER}
        assert reader.state("BTC/USDT:USDT", "5m").series == OTHER
        assert reader.series() == [OTHER]


def test_a_service_of_old_beside_a_new_venue_is_there_too(kind: str, store: Any, clean_valkey: str) -> None:
    put_at(store, BTC)
    put_at(store, OTHER)
    store.sadd(KEYS.venues, "binance-eu")
    with either(kind, clean_valkey) as reader:
        assert reader.candles("BTC-USD", "5m", 3).series == BTC
        assert reader.candles("BTC/USDT:USDT", "5m", 3).series == OTHER


@pytest.mark.usefixtures("two")
def test_a_symbol_says_its_venue_where_several_have_it(kind: str, clean_valkey: str) -> None:
    with either(kind, clean_valkey) as reader:
        assert len(reader.candles("coinbase:BTC-USD", "5m", 10)) == 10
        assert len(reader.candles("binance-eu:BTC-USD", "5m", 6)) == 6
        assert reader.candles("ETH-USD", "5m", 3).series == ETH, "one venue only has it"
        with pytest.raises(UnknownSeries, match="BTC-USD is at coinbase and at binance-eu") as caught:
            reader.candles("BTC-USD", "5m", 3)
        assert "coinbase:BTC-USD or binance-eu:BTC-USD" in caught.value.hint
        assert set(reader.series()) == {BTC, ETH, OTHER, TWIN}
        assert set(reader.many(reader.series(), count=5).ok) == {BTC, ETH, OTHER, TWIN}
        assert {view.series for view in reader.states()} == {BTC, ETH, OTHER, TWIN}


@pytest.mark.usefixtures("two")
def test_of_many_a_symbol_that_several_have_is_an_error_of_its_own(kind: str, clean_valkey: str) -> None:
    with either(kind, clean_valkey) as reader:
        for _ in range(2):  # before the venues are known, and after
            answers = reader.many(["ETH-USD", "BTC-USD", "coinbase:BTC-USD"], "5m", 3)
            assert [str(series) for series in answers] == [str(ETH), "BTC-USD:5m", str(BTC)]
            assert set(answers.ok) == {ETH, BTC}
            (several,) = answers.errors
            error = answers.errors[several]
            assert isinstance(error, UnknownSeries)
            assert error.hint == "say coinbase:BTC-USD or binance-eu:BTC-USD"
        assert reader.many([several], count=3).errors.keys() == {several}, "it is asked for by its name"
        with pytest.raises(UnknownSeries, match="at coinbase and at binance-eu"):
            reader.states([several])
        with pytest.raises(UnknownSeries, match="at coinbase and at binance-eu"):
            reader.wait_ready(["ETH-USD", "BTC-USD"], "5m", 3, timeout=60)


@pytest.mark.usefixtures("two")
def test_what_is_like_a_symbol_that_nobody_has_is_told_of_all_venues(kind: str, clean_valkey: str) -> None:
    with either(kind, clean_valkey) as reader:
        with pytest.raises(UnknownSeries) as caught:
            reader.candles("BTC-USDT", "5m", 3)
        assert "coinbase:BTC-USD" in caught.value.hint and "binance-eu:BTC" in caught.value.hint
        with pytest.raises(UnknownSeries) as caught:
            reader.candles("btc/usdt:USDT", "5m", 3)
        assert "binance-eu:BTC/USDT:USDT" in caught.value.hint, "a venue that is not the first"
        with pytest.raises(UnknownSeries) as caught:
            reader.candles("ZZZZZZ", "5m", 3)
        assert "coinbase:ETH-USD" in caught.value.hint and "binance-eu:BTC-USD" in caught.value.hint


@pytest.mark.usefixtures("two")
def test_what_is_followed_beside_a_symbol_that_several_have_goes_on(clean_valkey: str) -> None:
    with Reader(clean_valkey) as reader:
        told = reader.follow_many(["BTC-USD", "ETH-USD"], "5m", 3, patience=0)
        outcomes = {str(series): type(outcome) for series, outcome in (next(told), next(told))}
        assert outcomes == {"BTC-USD:5m": UnknownSeries, str(ETH): Candles}
        with pytest.raises(UnknownSeries, match="at coinbase and at binance-eu"):
            next(reader.follow("BTC-USD", "5m", 3))


@pytest.mark.usefixtures("two")
def test_ccxts_call_finds_what_its_symbol_means(kind: str, store: Any, clean_valkey: str) -> None:
    put_at(store, SeriesId("binance-eu", "SOLUSDT", Timeframe.M5), 4)
    with either(kind, clean_valkey) as reader:
        assert len(reader.fetch_ohlcv("ETH/USD", "5m")) == 10
        assert len(reader.fetch_ohlcv("BTC/USDT:USDT", "5m")) == 8
        assert len(reader.fetch_ohlcv("SOL/USDT", "5m")) == 4
        assert len(reader.fetch_ohlcv("binance-eu:BTC/USD", "5m")) == 6
        with pytest.raises(UnknownSeries, match="at coinbase and at binance-eu"):
            reader.fetch_ohlcv("BTC/USD", "5m")
        with pytest.raises(UnknownSeries):
            reader.fetch_ohlcv("DOGE/USDT", "5m")


@pytest.mark.usefixtures("two")
def test_a_reader_of_one_venue_reads_that_one(kind: str, clean_valkey: str) -> None:
    with either(kind, clean_valkey, venue="binance-eu") as reader:
        assert reader.candles("BTC-USD", "5m", 3).series == TWIN
        assert reader.series() == [TWIN, OTHER]


@pytest.mark.usefixtures("two")
def test_what_is_one_venues_wants_it_named(clean_valkey: str) -> None:
    with Reader(clean_valkey) as reader:
        with pytest.raises(ConfigError, match="several venues: coinbase, binance-eu"):
            reader.status()
        with pytest.raises(ConfigError, match="several venues"):
            next(reader.closes(after="0"))


@pytest.mark.usefixtures("two")
def test_what_is_followed_says_its_venue_likewise(clean_valkey: str) -> None:
    with Reader(clean_valkey) as reader:
        assert next(reader.follow("binance-eu:BTC-USD", "5m", 3)).series == TWIN
        assert next(reader.follow_many(["coinbase:BTC-USD"], "5m", 3))[0] == BTC
        assert list(reader.wait_ready(["ETH-USD", "coinbase:BTC-USD"], "5m", 3, timeout=5)) == [ETH, BTC]


@pytest.mark.usefixtures("two")
def test_so_it_is_with_asyncio(clean_valkey: str) -> None:
    async def main() -> None:
        async with AsyncReader(clean_valkey) as reader:
            async with aclosing(reader.follow("binance-eu:BTC-USD", "5m", 3)) as answers:
                assert (await anext(answers)).series == TWIN
            assert list(await reader.wait_ready(["ETH-USD"], "5m", 3, timeout=5)) == [ETH]

    asyncio.run(main())


def test_a_writer_names_its_venue_and_leaves_the_others(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        await client.sadd(KEYS.venues, "binance-eu")
        writer = writer_of(client, source)
        async with running(writer):
            await until(lambda: writer.stats.upserts == 2)
            assert await client.smembers(KEYS.venues) == {b"binance-eu", b"coinbase"}

    on_valkey(clean_valkey, test)


def test_what_is_asked_before_the_venues_are_known_is_meant_as_it_was_said() -> None:
    """Another thread may learn them between a question and its sending."""
    core = Core(KEYS, 30, named=False)
    asked = core.requests([BTC, ETH], None, 5, None, {})
    core.learnt(["coinbase"], {})
    with pytest.raises(StopIteration) as done:
        next(core.placed(asked))
    assert [request.series for request in done.value.value] == [BTC, ETH]


@pytest.mark.parametrize("reply", ["MASTERDOWN Link with MASTER is down", "BUSY Redis is busy", "LOADING"])
def test_a_bad_moment_at_the_first_read_is_not_remembered(reply: str) -> None:
    core = Core(KEYS, 30, named=False)
    steps = core.learn()
    next(steps)
    with pytest.raises(RedisUnavailable):
        steps.send([ResponseError(reply)])
    assert core.venues is None


def test_what_somebody_else_keeps_under_that_name_is_no_venue(
    kind: str, store: Any, clean_valkey: str
) -> None:
    put_at(store, BTC)
    store.sadd(KEYS.venues, "kraken", "binance")
    with either(kind, clean_valkey) as reader:
        assert reader.candles("BTC-USD", "5m", 3).series == BTC
        assert reader.status().writer is None


def test_a_venue_whose_key_cannot_be_read_takes_no_other_away(
    kind: str, store: Any, clean_valkey: str
) -> None:
    put_at(store, BTC)
    store.sadd(KEYS.venues, "coinbase", "kraken")
    store.set(Keyspace("livecache", "kraken").series, "somebody else's")
    with either(kind, clean_valkey) as reader:
        assert reader.candles("BTC-USD", "5m", 3).series == BTC
        with pytest.raises(ReadError, match="kraken}:series holds"):
            reader.candles("kraken:XBT", "5m", 3)


# --- a venue that comes later


def test_a_reader_that_was_there_first_learns_of_a_venue_when_it_comes(
    kind: str, store: Any, clean_valkey: str
) -> None:
    with either(kind, clean_valkey) as reader:
        with pytest.raises(UnknownSeries):
            reader.candles("BTC/USDT:USDT", "5m", 3)
        assert reader.series() == [] and reader.status().writer is None
        put_at(store, OTHER)
        store.sadd(KEYS.venues, "binance-eu")
        assert reader.candles("BTC/USDT:USDT", "5m", 3).series == OTHER
        put_at(store, BTC)
        put_at(store, ETH)
        store.sadd(KEYS.venues, "coinbase")
        assert reader.many(["ETH-USD", "BTC/USDT:USDT"], "5m", 3).ok.keys() == {ETH, OTHER}
        assert reader.state("coinbase:BTC-USD", "5m").series == BTC
        put_at(store, TWIN)
        assert set(reader.series()) == {BTC, ETH, OTHER, TWIN}


def test_a_venue_that_was_named_is_not_left_for_another(kind: str, store: Any, clean_valkey: str) -> None:
    put_at(store, BTC)
    with either(kind, clean_valkey) as reader:
        assert reader.candles("BTC-USD", "5m", 3).series == BTC
        put_at(store, SeriesId("binance-eu", "DOGE-USD", Timeframe.M5))
        store.sadd(KEYS.venues, "binance-eu", "coinbase")
        with pytest.raises(UnknownSeries, match="coinbase:DOGE-USD"):
            reader.candles("coinbase:DOGE-USD", "5m", 3)
        assert reader.candles("DOGE-USD", "5m", 3).series.venue == "binance-eu"


def test_what_waits_goes_on_at_a_venue_that_comes(store: Any, clean_valkey: str) -> None:
    put_at(store, BTC)

    async def main() -> None:
        async with AsyncReader(clean_valkey) as reader, asyncio.timeout(60):
            pairs = [("BTC-USD", "5m", 3), ("BTC/USDT:USDT", "5m", 3)]
            waiting = asyncio.create_task(reader.wait_ready(pairs, timeout=60))
            async with aclosing(reader.follow_many(pairs)) as answers:
                assert (await anext(answers))[0] == BTC
                put_at(store, OTHER)
                store.sadd(KEYS.venues, "coinbase", "binance-eu")
                assert (await anext(answers))[0] == OTHER
            assert list(await waiting) == [BTC, OTHER]

    asyncio.run(main())


def test_closes_wait_for_the_venue_that_comes(store: Any, clean_valkey: str) -> None:
    async def main() -> None:
        async with AsyncReader(clean_valkey) as reader, asyncio.timeout(60):
            with pytest.raises(UnknownSeries):
                await reader.candles("BTC/USDT:USDT", "5m", 3)
            async with aclosing(reader.closes()) as events:
                store.config_resetstat()
                first = asyncio.ensure_future(anext(events))
                await until(lambda: "cmdstat_type" in store.info("commandstats"))
                announce(store, 3, series=OTHER)
                put_at(store, OTHER)
                store.sadd(KEYS.venues, "binance-eu")
                assert (await first).series == OTHER

    asyncio.run(main())


def test_a_warm_read_asks_nothing_of_the_venues(store: Any, clean_valkey: str) -> None:
    put_at(store, BTC)
    with Reader(clean_valkey) as reader:
        reader.candles("BTC-USD", "5m", 3)
        before = store.info("commandstats")
        for _ in range(5):
            reader.candles("BTC-USD", "5m", 3)
        after = store.info("commandstats")

    def count(told: Any, name: str) -> int:
        return int(told.get(f"cmdstat_{name}", {}).get("calls", 0))

    assert count(after, "smembers") == count(before, "smembers")
    assert count(after, "evalsha_ro") == count(before, "evalsha_ro") + 5
