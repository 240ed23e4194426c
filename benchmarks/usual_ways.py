"""What one would otherwise write to warm a cache. They run in the benchmark's own process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import redis.asyncio

from benchmarks.loopback import Exchange
from benchmarks.warming import CANDLES, MIN_CANDLES, Row, Series, Setting
from livecache import Timeframe
from livecache.simulator.coinbase.exchange import API, GRANULARITIES

__all__ = ["by_ccxt", "ccxt_loop", "five_a_batch", "usual"]

ATTEMPTS_MAX = 5

Way = Callable[[Row, Exchange, redis.asyncio.Redis], Awaitable[None]]
_Fetch = Callable[[str, Timeframe], Awaitable[None]]


def usual(name: str, way: Way, setting: Setting, venue: Exchange, url: str) -> Row:
    """A row of one of these, on an emptied store. The start of an interpreter is not counted."""

    async def measure() -> Row:
        async with redis.asyncio.Redis.from_url(url) as store:
            await store.flushall()
            row, cpu_s = Row(name, setting), time.process_time()
            try:
                async with asyncio.timeout(setting.patience_s()):
                    await way(row, venue, store)
            except Exception as error:
                row.problem = f"{type(error).__name__}: {error}"
            row.cpu_s = time.process_time() - cpu_s
        row.requests = venue.requests_since(row.started_s)
        return row

    return asyncio.run(measure())


async def five_a_batch(row: Row, venue: Exchange, store: redis.asyncio.Redis) -> None:
    """One page a series, five a batch, a second between batches, written by ZADD."""
    names = {timeframe: name for name, timeframe in GRANULARITIES.items()}
    now, series = venue.now(), row.setting.series

    async def fetch(http: aiohttp.ClientSession, symbol: str, timeframe: Timeframe) -> None:
        end = timeframe.floor(now) // 1000
        start = end - 299 * timeframe.ms // 1000
        window = {"start": str(start), "end": str(end), "granularity": names[timeframe]}
        url = f"{venue.address.rest_url}{API}/market/products/{symbol}/candles"
        async with http.get(url, params=window) as response:
            response.raise_for_status()
            rows = (await response.json())["candles"]
        values = ("open", "high", "low", "close", "volume")
        candles = [[int(r["start"]) * 1000, *(float(r[value]) for value in values)] for r in rows]
        await _keep(row, store, (symbol, timeframe), candles)

    async with aiohttp.ClientSession() as http:
        for first in range(0, len(series), 5):
            if first:
                await asyncio.sleep(1)
            await asyncio.gather(*(fetch(http, *one) for one in series[first : first + 5]))


async def by_ccxt(row: Row, venue: Exchange, store: redis.asyncio.Redis) -> None:
    """All series at once, paced by ccxt's throttler as it comes, written by ZADD."""
    async with _asking(row, venue, store) as fetch:
        await asyncio.gather(*(fetch(*series) for series in row.setting.series))


async def ccxt_loop(row: Row, venue: Exchange, store: redis.asyncio.Redis) -> None:
    """One series after another, as it is mostly written."""
    async with _asking(row, venue, store) as fetch:
        for series in row.setting.series:
            await fetch(*series)


@asynccontextmanager
async def _asking(row: Row, venue: Exchange, store: redis.asyncio.Redis) -> AsyncIterator[_Fetch]:
    """What fetches a series by ccxt and keeps it."""
    import ccxt

    client, names = _client(row.setting, venue.address.rest_url)
    now = venue.now()

    async def fetch(symbol: str, timeframe: Timeframe) -> None:
        since = timeframe.floor(now) - 299 * timeframe.ms
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                candles = await client.fetch_ohlcv(names[symbol], timeframe.value, since)
                break
            except (ccxt.RateLimitExceeded, ccxt.DDoSProtection):
                if attempt == ATTEMPTS_MAX:  # It does not try again by itself.
                    raise
        await _keep(row, store, (symbol, timeframe), candles)

    row.started_s = time.monotonic()  # What stands above is not counted.
    try:
        yield fetch
    finally:
        await client.close()


def _client(setting: Setting, url: str) -> tuple[Any, dict[str, str]]:
    """ccxt's exchange, which goes to `url`, and what it calls our symbols.

    Its markets are told, for its own loading would ask for products, currencies and fees first.
    """
    import ccxt.async_support as ccxt

    client: Any = getattr(ccxt, setting.venue)()
    told: dict[str, Any] = {"spot": True}
    match setting.venue:
        case "binance":
            client.urls["api"]["public"] = f"{url}/api/v3"
            names = {symbol: f"{symbol.removesuffix('USDT')}/USDT" for symbol in setting.symbols}
        case "deribit":
            client.urls["api"]["rest"] = url
            client.timeframes["4h"] = "120"  # It has none; as many of 2h cost as much.
            bases = {symbol: symbol.removesuffix("-PERPETUAL") for symbol in setting.symbols}
            names = {symbol: f"{base}/USD:{base}" for symbol, base in bases.items()}
            told = {"swap": True, "contract": True, "inverse": True}
        case _:
            client.urls["api"]["rest"] = url
            client.timeframes["4h"] = "FOUR_HOUR"  # which it does not list
            names = {symbol: symbol.replace("-", "/") for symbol in setting.symbols}
    markets = [{"id": symbol, "symbol": name, **told} for symbol, name in names.items()]
    client.set_markets([client.safe_market_structure(market) for market in markets])
    return client, names


async def _keep(
    row: Row, store: redis.asyncio.Redis, series: Series, candles: Sequence[Sequence[float]]
) -> None:
    """Write candles as such loops do, and note what the series has then."""
    members = {msgspec.json.encode(candle): candle[0] for candle in candles}
    await store.zadd(":".join(series), members)
    closed = len(candles) - 1  # The newest one is in progress.
    if closed >= MIN_CANDLES:
        row.ready[series] = row.elapsed()
    if closed >= CANDLES:
        row.full[series] = row.elapsed()
