"""In which order the series are told: as they are configured, the most urgent first."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any

import pytest
import redis
import redis.asyncio

from livecache import Reader
from livecache.clock import SystemClock
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.read.questions import in_order
from livecache.write.lease import Lease
from livecache.write.presence import Presence

from .writing import KEYS

SYMBOLS, TIMEFRAMES = ("SOL-USD", "BTC-USD", "ETH-USD"), (Timeframe.H1, Timeframe.M5)


def by_urgency(*symbols: str) -> list[SeriesId]:
    """As a service has them: timeframes outside, symbols within."""
    return [SeriesId("coinbase", symbol, timeframe) for timeframe, symbol in product(TIMEFRAMES, symbols)]


def announce(url: str, *symbols: str) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(url) as client:
            series = by_urgency(*symbols)
            lease = Lease(client, KEYS, "one", [], clock=SystemClock())
            await lease.acquire()
            presence = Presence(client, KEYS, series, "one", announced=series)
            await presence.announce(lease.record, lease.token)

    asyncio.run(main())


def names(client: Any) -> list[str]:
    with Reader(client=client) as reader:
        return [f"{series.symbol} {series.timeframe}" for series in reader.series()]


@pytest.mark.parametrize("symbols", [SYMBOLS, SYMBOLS[::-1], SYMBOLS[1:]])
def test_a_reader_finds_the_series_in_the_configured_order(
    clean_valkey: str, symbols: tuple[str, ...]
) -> None:
    announce(clean_valkey, *SYMBOLS)
    announce(clean_valkey, *symbols)
    with redis.Redis.from_url(clean_valkey) as client:
        assert names(client) == [f"{symbol} {timeframe}" for symbol in symbols for timeframe in TIMEFRAMES]


@pytest.mark.parametrize("spoiled", ["gone", "a string", "no text"])
def test_where_nothing_says_the_order_it_is_by_name(clean_valkey: str, spoiled: str) -> None:
    announce(clean_valkey, *SYMBOLS)
    with redis.Redis.from_url(clean_valkey) as client:
        client.delete(KEYS.feed)
        if spoiled == "a string":
            client.set(KEYS.feed, "foreign")
        elif spoiled == "no text":
            client.hset(KEYS.feed, mapping={"symbols": b"\xff\xfe \x00", "timeframes": "soon"})
        assert names(client) == [f"{symbol} {t}" for symbol in sorted(SYMBOLS) for t in ("5m", "1h")]


def test_what_the_order_does_not_name_comes_last() -> None:
    found = in_order(by_urgency("NEW-USD", "ADA-USD", "BTC-USD"), ["BTC-USD", "GONE-USD"], ["1h"])
    assert [f"{s.symbol} {s.timeframe}" for s in found] == [
        *("BTC-USD 1h", "BTC-USD 5m", "ADA-USD 1h", "ADA-USD 5m", "NEW-USD 1h", "NEW-USD 5m"),
    ]
