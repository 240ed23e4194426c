"""A cache as a service leaves it, without one: series of any length and state, as a writer writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from livecache.keys.keyspace import AliveRecord, encode_alive, encode_state
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.grid import EpochGrid
from livecache.model.series import SeriesId, SeriesState
from livecache.model.timeframe import Timeframe

from ..cache.support import ORIGIN
from ..cache.test_reader import KEYS

__all__ = ["FROM_EIGHT", "NOW", "announce", "fill"]

FROM_EIGHT = EpochGrid(86_400_000, 8 * 3_600_000)  # days as Deribit has them

NOW = 1_771_588_815_000  # 2026-02-20T12:00:15Z


def fill(
    store: Any,
    symbol: str,
    timeframe: str,
    closes: Sequence[float | None],
    *,
    provisional: int = 0,
    forming: float | None = None,
    reason: str = "",
    ready: bool | None = None,
    feed: str | None = "up",
    now: int = NOW,
    venue: str = "coinbase",
    grid: EpochGrid | None = None,
) -> None:
    """A series whose newest closed bucket is the last of `closes`, each of which opens at the one before.

    None: nothing was traded. So many of the last are not settled yet. `feed` None: nobody vouches.
    """
    series, keys = SeriesId(venue, symbol, Timeframe(timeframe)), replace(KEYS, venue=venue)
    step = series.timeframe.ms
    through = (grid or series.timeframe.grid).floor(now)
    first = through - len(closes) * step
    members: dict[str, int] = {}
    price = next((close for close in closes if close is not None), 1.0)
    bars = [(first + n * step, close) for n, close in enumerate(closes)]
    for time, close in [*bars, (through, forming)]:
        if close is None:
            continue
        prices = (price, max(price, close), min(price, close), close)
        opened, high, low, closed = (f"{one:.2f}" for one in prices)
        members[ExactCandle(time, opened, high, low, closed, "2.5").member()] = time
        price = close
    settled = through - provisional * step if closes else 0
    known = through if closes else 0
    told = SeriesState(
        ready=not reason if ready is None else ready,
        reason=reason,
        contiguous_from=first if closes else 0,
        settled_through=settled,
        known_through=known,
        closed_through=through,
        coverage=Coverage([(first, settled)] if closes else []),
        history_from=0,
        forming=through if forming is not None else 0,
        grid=grid.text(0, 0) if grid else "",
    )
    key = keys.candles(symbol, series.timeframe)
    store.delete(key)
    if members:
        store.zadd(key, members)
    flat = encode_state(told, origin=ORIGIN, fence=5, revision=1, updated_at=now)
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    store.hset(f"{key}:state", mapping={**fields, "count": len(members)})
    if feed is not None:
        store.set(keys.alive(symbol), encode_alive(AliveRecord("one", now, feed)))
    store.sadd(keys.series, keys.series_member(series))


def announce(store: Any, symbols: Sequence[str], timeframes: Sequence[str]) -> None:
    """Say that these are configured, in this order."""
    members = [KEYS.series_member(SeriesId("coinbase", s, Timeframe(t))) for s in symbols for t in timeframes]
    store.sadd(KEYS.series, *members)
    store.hset(KEYS.feed, mapping={"symbols": " ".join(symbols), "timeframes": " ".join(timeframes)})
