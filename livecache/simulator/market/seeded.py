"""A market made of nothing but a seed: any bucket of any day, without a stored history.

It is generated from the top down. A hash of (seed, product, day) settles the day's candle; hashes settle how
its trades fall into twelve 2h buckets, theirs into 1h buckets, and so on to the minute and the single trade.
Each step only distributes what the parent holds, in whole units of price and volume, so every candle is
the exact roll-up of the candles below it, and a year of daily candles costs no more than a year of days.

Of liquid products years of minutes are cheap, too: before 2026 a day's hours are made in one go, and an
hour's minutes (`shaped.py`).
"""

from __future__ import annotations

import hashlib
import math
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from random import Random
from typing import NamedTuple

from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from .market import Increments, MarketTrade, decimal_text, decimal_texts
from .products import DEFAULT_PRODUCTS, USDC_ALIASES, Liquidity, Product
from .shaped import Node, Parts, add, draw_shape, spread_out, total

__all__ = ["SeededMarket"]

_DAY_MS = Timeframe.D1.ms
_MINUTE_MS = Timeframe.M1.ms

# Each level divides the one before it. 4h and 6h do not fit into one such chain: they are summed from 2h.
_LEVELS = (
    Timeframe.D1,
    Timeframe.H2,
    Timeframe.H1,
    Timeframe.M30,
    Timeframe.M15,
    Timeframe.M5,
    Timeframe.M1,
)
_LEVEL_MS = tuple(t.ms for t in _LEVELS)
_MINUTE_LEVEL = len(_LEVELS) - 1
_UINT32 = 2.0**32

_SHAPED_UNTIL_MS = 1_767_225_600_000  # 2026-01-01
_HOUR_MS = Timeframe.H1.ms
_SHAPES = 64


class _Minute(NamedTuple):
    """A minute's trades: their times (µs since its open), themselves, and all up to each of them."""

    times_us: tuple[int, ...]
    trades: tuple[Node, ...]
    running: tuple[Node, ...]


class SeededMarket:
    """A market that follows from `seed` and `products` alone; see `Market` for the questions it answers."""

    def __init__(
        self,
        seed: int = 1,
        products: Iterable[Product] = DEFAULT_PRODUCTS,
        aliases: Mapping[str, str] = USDC_ALIASES,
    ) -> None:
        self._seed = seed
        self._products = {p.id: p for p in products}
        self._aliases = {a: p for a, p in aliases.items() if p in self._products and a not in self._products}
        # Sizes that hold the pages of some thirty products at every timeframe, in a few ten megabytes.
        self._day = lru_cache(maxsize=16_384)(self._make_day)
        self._children = lru_cache(maxsize=16_384)(self._make_children)
        self._minute = lru_cache(maxsize=1_024)(self._make_minute)
        self._hours = lru_cache(maxsize=1_024)(self._make_hours)
        self._minutes_of = lru_cache(maxsize=256)(self._make_minutes)
        random = Random(seed)
        self._shapes = {parts: [draw_shape(random, parts) for _ in range(_SHAPES)] for parts in (24, 60)}

    def products(self) -> list[str]:
        return list(self._products)

    def aliases(self) -> Mapping[str, str]:
        return dict(self._aliases)

    def increments(self, product: str) -> Increments:
        p = self._products[product]
        return Increments(decimal_text(1, p.price_decimals), decimal_text(1, p.base_decimals))

    def listed(self, product: str) -> int:
        return self._products[product].listed_ms // _DAY_MS * _DAY_MS

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        p = self._products[product]
        level = _LEVELS.index(timeframe if timeframe in _LEVELS else Timeframe.H2)
        first, last = timeframe.ceil(max(start_ms, self.listed(product))), min(end_ms, now_ms)
        rows: list[ExactCandle] = []
        shaped = min(timeframe.ceil(end_ms), timeframe.floor(now_ms), _SHAPED_UNTIL_MS)
        if first < shaped and level and p.liquidity is Liquidity.LIQUID:
            times, columns = range(first, shaped, timeframe.ms), self._shaped(p, timeframe, first, shaped)
            prices = (decimal_texts(column, p.price_decimals) for column in columns[:4])
            rows = [*map(ExactCandle, times, *prices, decimal_texts(columns.volume, p.base_decimals))]
            first = shaped
        for open_ms in range(first, last, timeframe.ms):
            whole = open_ms + timeframe.ms <= now_ms
            if timeframe is _LEVELS[level]:
                node = self._node(p, level, open_ms) if whole else self._partial(p, level, open_ms, now_ms)
            else:
                parts = range(open_ms, open_ms + timeframe.ms, _LEVEL_MS[level])
                node = total(self._partial(p, level, part, now_ms) for part in parts)
            if node is not None:
                rows.append(_exact(p, open_ms, node))
        return rows

    def trades(self, product: str, from_ms: int, to_ms: int) -> list[MarketTrade]:
        p = self._products[product]
        days = range(from_ms - from_ms % _DAY_MS, to_ms, _DAY_MS)
        minutes = (m for day in days for m in self._minutes(p, 0, day, from_ms, to_ms))
        return [trade for minute in minutes for trade in self._trades(p, minute, from_ms, to_ms)]

    # --- walking the tree

    def _node(self, p: Product, level: int, open_ms: int) -> Node | None:
        if level == 0:
            return self._day(p, open_ms)
        if _is_shaped(p, open_ms):
            end_ms = open_ms + _LEVEL_MS[level]
            return (
                self._shaped(p, _LEVELS[level], open_ms, end_ms).at(0)
                if self._day(p, open_ms - open_ms % _DAY_MS)
                else None
            )
        parent_ms = open_ms - open_ms % _LEVEL_MS[level - 1]
        children = self._children(p, level - 1, parent_ms)
        return children[(open_ms - parent_ms) // _LEVEL_MS[level]] if children else None

    def _partial(self, p: Product, level: int, open_ms: int, now_ms: int) -> Node | None:
        """What of a bucket was traded before `now_ms`."""
        if open_ms >= now_ms:
            return None
        if open_ms + _LEVEL_MS[level] <= now_ms:
            return self._node(p, level, open_ms)
        if level == _MINUTE_LEVEL:
            minute = self._minute(p, open_ms)
            seen = bisect_left(minute.times_us, (now_ms - open_ms) * 1000)
            return minute.running[seen - 1] if seen else None
        step = _LEVEL_MS[level + 1]
        return total(self._partial(p, level + 1, child, now_ms) for child in range(open_ms, now_ms, step))

    def _minutes(self, p: Product, level: int, open_ms: int, from_ms: int, to_ms: int) -> Iterator[int]:
        """The opens of the minutes of a bucket that have trades and overlap `[from_ms, to_ms)`."""
        if level == _MINUTE_LEVEL:
            yield open_ms
            return
        children, step = self._children(p, level, open_ms), _LEVEL_MS[level + 1]
        first = max(0, from_ms - open_ms) // step
        last = min(len(children), -((open_ms - to_ms) // step))
        for i in range(first, last):
            if children[i] is not None:
                yield from self._minutes(p, level + 1, open_ms + i * step, from_ms, to_ms)

    def _trades(self, p: Product, minute_ms: int, from_ms: int, to_ms: int) -> Iterator[MarketTrade]:
        minute = self._minute(p, minute_ms)
        first = bisect_left(minute.times_us, (from_ms - minute_ms) * 1000)
        last = bisect_left(minute.times_us, (to_ms - minute_ms) * 1000)
        for i in range(first, last):
            node = minute.trades[i]
            yield MarketTrade(
                p.id,
                node.first_id,
                decimal_text(node.close, p.price_decimals),
                decimal_text(node.volume, p.base_decimals),
                minute_ms * 1000 + minute.times_us[i],
                "BUY" if (node.first_id * 2_654_435_761 >> 7) & 1 else "SELL",
            )

    # --- generating it

    def _random(self, p: Product, what: str, time: int, count: int) -> Sequence[int]:
        """`count` uniform 32-bit integers that follow from the seed and the arguments alone."""
        key = f"{self._seed}|{p.id}|{what}|{time}".encode()
        return struct.unpack(f"<{count}I", hashlib.shake_128(key).digest(4 * count))

    def _make_day(self, p: Product, open_ms: int) -> Node | None:
        day = open_ms // _DAY_MS
        if day < p.listed_ms // _DAY_MS:
            return None
        first_id, next_id = self._trades_before(p, day), self._trades_before(p, day + 1)
        trades = next_id - first_id
        gap, up, down, size = self._random(p, "day", day, 4)
        close = self._level(p, day + 1)
        # The next day opens near this day's close, not on it, as with real candles.
        open_ = max(1, self._level(p, day) + gap % 5 - 2) if trades > 1 else close
        high, low = max(open_, close), min(open_, close)
        if trades >= 3:
            high += int(high * 0.03 * up / _UINT32)
        if trades >= 4:
            low = max(1, low - int(low * 0.03 * down / _UINT32))
        # About 500 dollars a trade, in base units, never less than a unit.
        unit_price = close / 10**p.price_decimals
        volume = int(trades * 500 / unit_price * 10**p.base_decimals * (0.5 + size / _UINT32))
        return Node(open_, high, low, close, max(volume, trades), trades, first_id)

    def _trades_before(self, p: Product, day: int) -> int:
        """Trades before that day, so that ids are dense and yet no day needs the days before it."""
        mean: int = p.liquidity.trades_per_day
        # Less than the mean, so that every day has a trade; of liquid products every minute has one.
        spread = mean // 4 if p.liquidity is Liquidity.LIQUID else mean
        return mean * day + self._random(p, "trades", day, 1)[0] % spread

    def _level(self, p: Product, day: int) -> int:
        """The price in ticks at that day's begin: slow waves and noise around the product's level."""
        slow, quick = self._random(p, "waves", 0, 2)
        noise = self._random(p, "level", day, 1)[0] / _UINT32
        drift = (
            0.15 * math.sin(math.tau * (day / 173 + slow / _UINT32))
            + 0.05 * math.sin(math.tau * (day / 31 + quick / _UINT32))
            + 0.04 * (noise - 0.5)
        )
        return max(2, round(p.price * math.exp(drift) * 10.0**p.price_decimals))

    def _make_children(self, p: Product, level: int, open_ms: int) -> tuple[Node | None, ...]:
        """What each bucket of the next level holds; empty if the parent is."""
        node = self._node(p, level, open_ms)
        if node is None:
            return ()
        step = _LEVEL_MS[level + 1]
        if _is_shaped(p, open_ms):
            times = range(open_ms, open_ms + _LEVEL_MS[level], step)
            return tuple(self._node(p, level + 1, time) for time in times)
        counts = self._scatter(p, node.trades, _LEVEL_MS[level] // step, step // _MINUTE_MS, open_ms)
        children = iter(self._split(p, node, [n for n in counts if n], f"split{level}", open_ms))
        return tuple(next(children) if n else None for n in counts)

    def _shaped(self, p: Product, timeframe: Timeframe, first: int, end: int) -> Parts:
        """The buckets of a liquid product in that stretch, none of them before its listing."""
        small = timeframe.ms < _HOUR_MS
        unit, whole = (_MINUTE_MS, _HOUR_MS) if small else (_HOUR_MS, _DAY_MS)
        of = self._minutes_of if small else self._hours
        parts = []
        for begin in range(first - first % whole, end, whole):
            inside = of(p, begin)
            if first > begin or end < begin + whole:
                inside = inside.some(max(0, first - begin) // unit, (min(end - begin, whole)) // unit)
            parts.append(inside)
        return Parts.joined(parts).by(timeframe.ms // unit)

    def _make_hours(self, p: Product, open_ms: int) -> Parts:
        day = self._day(p, open_ms)
        assert day is not None
        return self._spread(p, day, open_ms, 24)

    def _make_minutes(self, p: Product, open_ms: int) -> Parts:
        day_ms = open_ms - open_ms % _DAY_MS
        return self._spread(p, self._hours(p, day_ms).at((open_ms - day_ms) // _HOUR_MS), open_ms, 60)

    def _spread(self, p: Product, node: Node, open_ms: int, parts: int) -> Parts:
        shapes = self._shapes[parts]
        shape = shapes[self._random(p, f"shape{parts}", open_ms, 1)[0] % len(shapes)]
        return spread_out(node, shape, 60 if parts == 24 else 1)

    def _make_minute(self, p: Product, open_ms: int) -> _Minute:
        node = self._node(p, _MINUTE_LEVEL, open_ms)
        if node is None:
            return _Minute((), (), ())
        trades = self._split(p, node, [1] * node.trades, "trades", open_ms)
        moments = self._random(p, "times", open_ms, node.trades)
        times_us = tuple(sorted(m * (_MINUTE_MS * 1000) >> 32 for m in moments))
        return _Minute(times_us, tuple(trades), tuple(accumulate(trades, add)))

    def _scatter(self, p: Product, trades: int, slots: int, minutes_a_slot: int, open_ms: int) -> list[int]:
        """How many of the trades fall into each slot."""
        if p.liquidity is not Liquidity.LIQUID:
            counts = [0] * slots
            for r in self._random(p, f"scatter{slots}x{minutes_a_slot}", open_ms, trades):
                counts[r * slots >> 32] += 1
            return counts
        weights = self._random(p, f"scatter{slots}x{minutes_a_slot}", open_ms, slots)
        shares = _share(trades - slots * minutes_a_slot, [w + 2**30 for w in weights])
        return [minutes_a_slot + share for share in shares]

    def _split(self, p: Product, node: Node, counts: list[int], what: str, time: int) -> list[Node]:
        """Distribute a node over children of `counts` trades, each at least 1, so that they sum to it."""
        if len(counts) == 1:
            return [node]
        last, trades = len(counts) - 1, node.trades
        dice = self._random(p, what, time, 2 + 5 * len(counts))
        # An extreme that neither the first nor the last trade sets is set by one of the others: choose that
        # one first, and let the path of prices run through it.
        high_at = low_at = -1
        waypoints = [(0, node.open), (trades - 1, node.close)]
        if node.high > max(node.open, node.close):
            high_at = 1 + dice[0] % (trades - 2)
            waypoints.append((high_at, node.high))
        if node.low < min(node.open, node.close):
            low_at = 1 + dice[1] % (trades - 2)
            if low_at == high_at:
                low_at = low_at - 1 if low_at > 1 else low_at + 1
            waypoints.append((low_at, node.low))
        waypoints.sort()
        noise = (node.high - node.low) / math.sqrt(len(counts)) / _UINT32
        volumes = _share(
            node.volume - trades, [n * (w + 2**30) for n, w in zip(counts, dice[2::5], strict=True)]
        )
        children: list[Node] = []
        begin, price = 0, node.open
        for i, n in enumerate(counts):
            end = begin + n - 1  # the child's first and last trade, counted in the parent
            if begin == high_at:
                open_ = node.high
            elif begin == low_at:
                open_ = node.low
            elif i == last and n == 1:
                open_ = node.close
            else:
                open_ = price
            if n == 1:
                close = open_
                high = low = open_
            else:
                if end == high_at:
                    close = node.high
                elif end == low_at:
                    close = node.low
                elif i == last:
                    close = node.close
                else:
                    close = _path(waypoints, end) + int((dice[3 + 5 * i] - 2**31) * noise)
                    close = min(max(close, node.low), node.high)
                high, low = (open_, close) if open_ > close else (close, open_)
                spare = n - 2 - (begin < high_at < end) - (begin < low_at < end)
                if begin < high_at < end:
                    high = node.high
                elif spare > 0:
                    high = min(node.high, high + int(dice[4 + 5 * i] * noise * 0.3))
                    spare -= 1
                if begin < low_at < end:
                    low = node.low
                elif spare > 0:
                    low = max(node.low, low - int(dice[5 + 5 * i] * noise * 0.3))
            children.append(Node(open_, high, low, close, n + volumes[i], n, node.first_id + begin))
            begin = end + 1
            # The next child opens a little off this one's close.
            price = _path(waypoints, begin) if n == 1 else close
            price += int((dice[6 + 5 * i] - 2**31) * noise * 0.1)
            price = min(max(price, node.low), node.high)
        return children


def _is_shaped(p: Product, open_ms: int) -> bool:
    return open_ms < _SHAPED_UNTIL_MS and p.liquidity is Liquidity.LIQUID


def _path(waypoints: list[tuple[int, int]], at: int) -> int:
    """The height at `at` of the straight lines through the waypoints."""
    for (x0, y0), (x1, y1) in pairwise(waypoints):
        if at <= x1:
            return y0 + (y1 - y0) * (at - x0) // (x1 - x0)
    return waypoints[-1][1]


def _share(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide `amount` in proportion to the weights, whole and without remainder."""
    total = sum(weights)
    edges = [amount * w // total for w in accumulate(weights)]
    return [b - a for a, b in pairwise([0, *edges])]


def _exact(p: Product, open_ms: int, node: Node) -> ExactCandle:
    d = p.price_decimals
    return ExactCandle(
        open_ms,
        decimal_text(node.open, d),
        decimal_text(node.high, d),
        decimal_text(node.low, d),
        decimal_text(node.close, d),
        decimal_text(node.volume, p.base_decimals),
    )
