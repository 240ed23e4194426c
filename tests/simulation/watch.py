"""A reader that never stops looking: what must hold of the cache at every moment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import redis

from livecache.keys.keyspace import Keyspace, decode_state
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.simulator.market.market import Market

__all__ = ["Watcher"]


@lru_cache(maxsize=100_000)
def _parsed(member: bytes) -> tuple[Decimal, ...]:
    return tuple(json.loads(member, parse_float=Decimal, parse_int=Decimal))


class Watcher:
    """Looks at the raw keys, as redis-cli would, and compares them with the market's truth."""

    def __init__(self, url: str, market: Market, series: Sequence[SeriesId], prefix: str = "sim") -> None:
        self.client = redis.Redis.from_url(url, protocol=2)  # whose scores take a third of the time to read
        self.market = market
        self.series = series
        self.keys = Keyspace(prefix, "coinbase")
        self.compared = 0
        self.exact_when_known = True  # whether a provisional candle that is known is the final one
        self._seen: dict[SeriesId, tuple[Any, Any]] = {}
        self._volumes: dict[tuple[str, Timeframe, int], Decimal] = {}
        self._final: dict[tuple[str, Timeframe], dict[int, tuple[Decimal, ...] | None]] = {}

    def members(self, symbol: str, timeframe: Timeframe) -> dict[int, tuple[Decimal, ...]]:
        """Open time → open, high, low, close, volume, as they lie in the set."""
        raw: Any = self.client.zrange(self.keys.candles(symbol, timeframe), 0, -1)
        rows = [_parsed(member) for member in raw]
        return {int(row[0]): row[1:] for row in rows}

    def look(self) -> None:
        """Check every series once: all of them as they lie there at one moment."""
        with self.client.pipeline(transaction=True) as pipeline:
            for _, symbol, timeframe in self.series:
                pipeline.zrange(self.keys.candles(symbol, timeframe), 0, -1, withscores=True)
                pipeline.hgetall(self.keys.state(symbol, timeframe))
            replies = pipeline.execute()
        for series, members, fields in zip(self.series, replies[::2], replies[1::2], strict=True):
            # What lies there as it did was right then, and the market's past does not change.
            if fields and self._seen.get(series) != (members, fields):
                self._judge(series, members, fields)
                self._seen[series] = (members, fields)

    def _judge(self, series: SeriesId, members: Any, fields: Any) -> None:
        """Nothing doubled, nothing poorer than before, everything settled true and none of it missing."""
        _, symbol, timeframe = series
        record = decode_state({k.decode(): v.decode() for k, v in fields.items()})
        state = record.state
        assert state.contiguous_from <= state.settled_through <= state.known_through <= state.closed_through
        assert record.count == len(members)
        rows = {int(score): _parsed(member) for member, score in members}
        assert len(rows) == len(members), f"{series}: two members in one bucket"
        for time, row in rows.items():
            assert row[0] == time
            key = (symbol, timeframe, time)
            volume = row[5]
            assert volume >= self._volumes.get(key, Decimal(0)), f"{series}: {time} became poorer"
            self._volumes[key] = volume
        for start, end in state.coverage:
            truth = self._truth(symbol, timeframe, start, end)
            held = {t: row[1:] for t, row in rows.items() if start <= t < end}
            assert held == truth, f"{series}: settled candles differ from the venue's"
            self.compared += len(held)
        known = self._truth(symbol, timeframe, state.settled_through, state.known_through)
        for time in range(state.settled_through, state.known_through, timeframe.ms):
            assert (time in known) == (time in rows), (
                f"{series}: the known bucket {time} is wrong about trades"
            )
            if time in known and self.exact_when_known:
                assert rows[time][1:] == known[time], f"{series}: {time} is known but not final"

    def _truth(
        self, symbol: str, timeframe: Timeframe, start: int, end: int
    ) -> dict[int, tuple[Decimal, ...]]:
        """What the venue will say for ever of the closed buckets in `[start, end)`."""
        final = self._final.setdefault((symbol, timeframe), {})
        wanted = range(start, end, timeframe.ms)
        unseen = [t for t in wanted if t not in final]
        if unseen:
            final.update(dict.fromkeys(range(unseen[0], end, timeframe.ms)))
            for candle in self.market.candles(symbol, timeframe, unseen[0], end, 1 << 60):
                final[candle.time] = tuple(map(Decimal, candle.numbers))
        return {t: row for t in wanted if (row := final[t]) is not None}
