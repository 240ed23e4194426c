"""Many series at once: more than fit into one round trip, and each keeps its own outcome."""

from __future__ import annotations

import asyncio

import redis
import redis.asyncio

from livecache import AsyncReader, Candles, Reader, ReadError, UnknownSeries
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from .support import STEP, T0, state
from .test_reader import put

SERIES = [SeriesId("coinbase", f"S{number:03}-USD", Timeframe.M5) for number in range(250)]
WANTED = [(series.symbol, series.timeframe, 1) for series in SERIES]


def expected(outcomes: dict[SeriesId, Candles | ReadError]) -> None:
    """Each has as many candles as `fill` gave it; nobody fills every tenth."""
    assert list(outcomes) == SERIES, "in the order of asking"
    for number, outcome in enumerate(outcomes.values()):
        if number % 10 == 0:
            assert isinstance(outcome, UnknownSeries)
        else:
            assert isinstance(outcome, Candles), outcome
            assert outcome[-1].time == T0 + (number - 1) * STEP, "its own, not its neighbour's"


def fill(client: redis.Redis) -> None:
    """Series `n` has candles up to bucket `n`, exclusive."""
    for number, series in enumerate(SERIES):
        if number % 10:
            first = max(0, number - 5)
            put(client, state(first, number, number), range(first, number), series=series)


def test_more_series_than_one_round_trip_takes_each_have_their_own_outcome(clean_valkey: str) -> None:
    with redis.Redis.from_url(clean_valkey) as client:
        fill(client)

        expected(Reader(client=client).many(WANTED))
        views = Reader(client=client).states(SERIES)
        assert [view.series for view in views] == SERIES
        assert [view.record is None for view in views] == [number % 10 == 0 for number in range(250)]


def test_so_they_do_with_asyncio(clean_valkey: str) -> None:
    async def read() -> dict[SeriesId, Candles | ReadError]:
        async with redis.asyncio.Redis.from_url(clean_valkey) as client:
            return await AsyncReader(client=client).many(WANTED)

    with redis.Redis.from_url(clean_valkey) as client:
        fill(client)
    expected(asyncio.run(read()))
