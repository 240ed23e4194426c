"""The examples in the docstrings of what `import livecache` offers are run, over a store that is filled."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import importlib.util
from typing import Any

import pytest
import redis

import livecache
from livecache import Answers, AsyncReader, Candles, NotReady, Reader, ReadError, SeriesId, Timeframe
from livecache.keys.keyspace import (
    AliveRecord,
    Keyspace,
    LeaseRecord,
    encode_alive,
    encode_close,
    encode_lease,
    encode_state,
)
from livecache.model.coverage import Coverage
from livecache.model.series import Close, Kind, SeriesState
from livecache.simulator import Product, SeededMarket

KEYS = Keyspace()
BTC = "BTC-USD"
FIVE_PAST = 1_771_589_100_000  # 2026-02-20T12:05:00Z
NOW = FIVE_PAST + 15_000
EMPTY_HOUR = FIVE_PAST - 125 * 60_000  # 10:00


@pytest.fixture
def reader(clean_valkey: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A reader of the candles that the README shows, of a service that lives at a quarter past five."""
    monkeypatch.setenv("LIVECACHE_REDIS_URL", clean_valkey)
    with redis.Redis.from_url(clean_valkey) as client:
        for timeframe in (Timeframe.M5, Timeframe.H1):
            fill(client, timeframe)
        client.set(KEYS.alive(BTC), encode_alive(AliveRecord("one", NOW, "up")))
        client.set(KEYS.lease, encode_lease(LeaseRecord("one", 1)))
        client.hset(KEYS.feed, mapping={"instance": "one", "connected": "1", "connections": "1/1"})
    with Reader() as opened:
        yield opened


def fill(client: Any, timeframe: Timeframe) -> None:
    """Write the 100 newest closed candles and the one in progress, as the service would."""
    market = SeededMarket(products=[Product.parse(BTC)])
    edge = timeframe.floor(NOW)
    start = edge - 100 * timeframe.ms
    traded = market.candles(BTC, timeframe, start, NOW, NOW)
    shown = [candle for candle in traded if timeframe is Timeframe.M5 or candle.time != EMPTY_HOUR]
    key = KEYS.candles(BTC, timeframe)
    client.zadd(key, {candle.member(): candle.time for candle in shown})
    span = Coverage([(start, edge)])
    vouched = SeriesState(True, "", start, edge, edge, edge, span, history_from=0, forming=edge)
    flat = encode_state(vouched, origin="https://api.coinbase.com", fence=1, revision=1, updated_at=NOW)
    client.hset(f"{key}:state", mapping=dict(zip(flat[::2], flat[1::2], strict=True)))
    client.hset(f"{key}:state", "count", len(shown))
    client.sadd(KEYS.series, f"{BTC}:{timeframe}")
    if timeframe is Timeframe.M5:
        newest = shown[-2]
        series = SeriesId("coinbase", BTC, timeframe)
        hours = SeriesId("coinbase", BTC, Timeframe.H1)
        closes = (
            Close(Kind.SETTLED, hours, EMPTY_HOUR, None, None),
            Close(Kind.SETTLED, series, newest.time, newest, None),
        )
        for number, close in enumerate(closes):
            entry = encode_close(close, KEYS)
            name = f"{edge + 10_000}-{number}"
            client.xadd(KEYS.closes, dict(zip(entry[::2], entry[1::2], strict=True)), id=name)


@pytest.mark.parametrize("kind", [Reader, AsyncReader, Answers, Candles])
def test_the_examples_in_the_docstrings_show_what_is_so(kind: type, reader: Reader) -> None:
    pytest.importorskip("numpy")  # which shows
    names = {
        "NotReady": NotReady,
        "ReadError": ReadError,
        "asyncio": asyncio,
        "aclosing": contextlib.aclosing,
    }
    names |= {"Reader": Reader, "AsyncReader": AsyncReader, "reader": reader}
    runner = doctest.DocTestRunner(verbose=False)
    mistakes: list[str] = []
    for test in doctest.DocTestFinder(recurse=True).find(kind, globs=names):
        package = test.name.rpartition(".to_")[2]
        if package in ("polars", "pandas") and importlib.util.find_spec(package) is None:
            continue
        runner.run(test, out=mistakes.append)
    assert mistakes == [], "".join(mistakes)
    assert runner.tries > {AsyncReader: 2, Answers: 5}.get(kind, 10)


def test_every_public_method_is_explained() -> None:
    for name in ("Reader", "AsyncReader", "Answers", "Candles", "CloseEvent", "ServiceStatus"):
        kind = getattr(livecache, name)
        public = [attribute for attribute in vars(kind) if not attribute.startswith("_")]
        wanting = [a for a in public if callable(getattr(kind, a)) and not getattr(kind, a).__doc__]
        assert (kind.__doc__ and wanting) == [], name
