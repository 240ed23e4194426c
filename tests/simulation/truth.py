"""What the venue says of each bucket, and since when: a market that may change its mind."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from itertools import chain, combinations
from typing import NamedTuple

import msgspec

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import SeededMarket
from livecache.simulator.market.market import MarketTrade

__all__ = ["Revision", "Truth", "market"]


class RememberedMarket:
    """A seeded market that computes each closed bucket once in a process's life."""

    def __init__(self, seed: int) -> None:
        self.source = SeededMarket(seed)
        self._closed: dict[tuple[str, Timeframe], dict[int, ExactCandle | None]] = {}

    def closed(self, product: str, timeframe: Timeframe, time: int) -> ExactCandle | None:
        """The bucket's candle once it is over; None if nothing traded in it."""
        known = self._closed.setdefault((product, timeframe), {})
        if time not in known:
            rows = self.source.candles(product, timeframe, time, time + timeframe.ms, 1 << 60)
            known[time] = rows[0] if rows else None
        return known[time]

    def so_far(self, product: str, timeframe: Timeframe, time: int, now: int) -> ExactCandle | None:
        """The bucket's candle as of `now`."""
        if time + timeframe.ms <= now:
            return self.closed(product, timeframe, time)
        rows = self.source.candles(product, timeframe, time, time + 1, now)
        return rows[0] if rows else None


@lru_cache(maxsize=8)
def market(seed: int) -> RememberedMarket:
    """The market of that seed, shared by all runs of this process."""
    return RememberedMarket(seed)


class Revision(NamedTuple):
    """From `since` on, every bucket that holds `minute` has `extra` more volume."""

    product: str
    minute: int
    since: int
    extra: Decimal


class Truth:
    """The market of one run, with the revisions of this run."""

    def __init__(self, seed: int) -> None:
        self._market = market(seed)
        self.revisions: list[Revision] = []

    def revise(self, product: str, minute: int, since: int, extra: Decimal) -> None:
        """From `since` on there was more volume in that minute."""
        self.revisions.append(Revision(product, minute, since, extra))

    def products(self) -> list[str]:
        """The ids of what is traded."""
        return self._market.source.products()

    def trades(self, product: str, from_ms: int, to_ms: int) -> list[MarketTrade]:
        """The trades of `[from_ms, to_ms)`."""
        return self._market.source.trades(product, from_ms, to_ms)

    def candle(self, product: str, timeframe: Timeframe, time: int, now: int) -> ExactCandle | None:
        """What the venue says at `now` of the bucket."""
        candle = self._market.so_far(product, timeframe, time, now)
        if self.revisions and candle is not None:
            for revision in self._of(product, timeframe, time):
                if revision.since <= now:
                    candle = _revised(candle, revision.extra)
        return candle

    def candles(
        self, product: str, timeframe: Timeframe, start: int, end: int, now: int
    ) -> list[ExactCandle]:
        """What the venue says at `now` of the buckets that open in `[start, end)`."""
        times = range(timeframe.ceil(start), min(end, now), timeframe.ms)
        return [c for t in times if (c := self.candle(product, timeframe, t, now)) is not None]

    def versions(self, product: str, timeframe: Timeframe, time: int, now: int) -> list[ExactCandle | None]:
        """Whatever may have been read of a closed bucket by `now`, the venue's present word last.

        A parent rolled up from children that were read at different times may hold any of their revisions.
        """
        candle = self._market.closed(product, timeframe, time)
        if candle is None or not self.revisions:
            return [candle]
        known = [r.extra for r in self._of(product, timeframe, time) if r.since <= now]
        subsets = chain.from_iterable(combinations(known, n) for n in range(len(known) + 1))
        return [_revised(candle, sum(extra, Decimal(0))) for extra in subsets]

    def _of(self, product: str, timeframe: Timeframe, time: int) -> Iterator[Revision]:
        end = time + timeframe.ms
        return (r for r in self.revisions if r.product == product and time <= r.minute < end)


def _revised(candle: ExactCandle, extra: Decimal) -> ExactCandle:
    if not extra:
        return candle
    return msgspec.structs.replace(candle, volume=format(Decimal(candle.volume) + extra, "f"))
