"""What was traded in a day or an hour, spread over its parts in one go. Pure.

A *shape* says how, in weights; there are a few of each length, drawn once. The parts add up to the whole
exactly, and every one has trades enough to be told by them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from operator import sub
from random import Random
from typing import NamedTuple

__all__ = ["LEAST_TRADES", "Node", "Parts", "Shape", "add", "draw_shape", "spread_out", "total"]

LEAST_TRADES = 8
"""In a minute."""

_BITS = 20
_ONE = 1 << _BITS
_OFF = 0.01  # of the range: so far from a part's close the next may open
_WICK = 0.3
_INSIDE = 0.9  # of a price in the middle is chance, the rest leads from the open to the close


class Node(NamedTuple):
    """What was traded in some stretch of time: prices in ticks, volume in base units, at least one trade."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int
    first_id: int


class Parts(NamedTuple):
    """The parts of a stretch, each a `Node`, by columns."""

    open: Sequence[int]
    high: Sequence[int]
    low: Sequence[int]
    close: Sequence[int]
    volume: Sequence[int]
    trades: Sequence[int]
    first_id: Sequence[int]

    def at(self, index: int) -> Node:
        """One of them."""
        return Node(*(column[index] for column in self))

    def some(self, first: int, last: int) -> Parts:
        """Those from `first` to before `last`."""
        return Parts(*(column[first:last] for column in self))

    def by(self, count: int) -> Parts:
        """So many of them as one."""
        if count == 1:
            return self
        high, low, volume, trades = (
            zip(*[iter(column)] * count, strict=True)
            for column in (self.high, self.low, self.volume, self.trades)
        )
        return Parts(
            self.open[::count],
            [*map(max, high)],
            [*map(min, low)],
            self.close[count - 1 :: count],
            [*map(sum, volume)],
            [*map(sum, trades)],
            self.first_id[::count],
        )

    @classmethod
    def joined(cls, parts: Sequence[Parts]) -> Parts:
        """One behind the other."""
        return cls(*(list(chain.from_iterable(columns)) for columns in zip(*parts, strict=True)))


class Shape(NamedTuple):
    """How a stretch is spread over its parts; weights are in 2**-20.

    A price is so much of the stretch's open, of its close and of its range, above its low.
    """

    opens: Sequence[tuple[int, int, int]]
    closes: Sequence[tuple[int, int, int]]
    above: Sequence[int]  # of what lies between a part's prices and the stretch's high; all of it once
    below: Sequence[int]
    volume: Sequence[int]  # up to the end of each part
    trades: Sequence[int]


def draw_shape(random: Random, parts: int) -> Shape:
    """One of so many parts."""
    walk = [*accumulate(random.gauss(0, 1) for _ in range(parts))]
    least, most = min(walk), max(walk)
    chance = [(each - least) / (most - least) for each in walk]
    opens, closes = [(_ONE, 0, 0)], []
    for part, price in enumerate(chance, 1):
        through = part / parts
        inside = _INSIDE * math.sin(math.pi * through) if part < parts else 0.0
        next_price = min(1.0, max(0.0, price + _OFF * random.uniform(-1, 1)))
        lead = int((1 - inside) * (1 - through) * _ONE), int((1 - inside) * through * _ONE)
        closes.append((*lead, int(inside * price * _ONE)))
        opens.append((*lead, int(inside * next_price * _ONE)))
    above, below = ([int(_WICK * random.random() ** 4 * _ONE) for _ in walk] for _ in range(2))
    above[chance.index(1.0)] = below[chance.index(0.0)] = _ONE
    volume, trades = (_shares(random, parts) for _ in range(2))
    return Shape(opens[:-1], closes, above, below, volume, trades)


def _shares(random: Random, parts: int) -> Sequence[int]:
    upto = [*accumulate(0.3 + random.random() for _ in range(parts))]
    return [int(each / upto[-1] * _ONE) for each in upto[:-1]] + [_ONE]


def spread_out(node: Node, shape: Shape, minutes: int) -> Parts:
    """Its parts, of so many minutes each."""
    low, high = node.low, node.high
    a, b, width = node.open - low, node.close - low, high - low
    opens = [low + (a * u + b * v + width * w >> _BITS) for u, v, w in shape.opens]
    closes = [low + (a * u + b * v + width * w >> _BITS) for u, v, w in shape.closes]
    tops, feet = map(max, opens, closes), map(min, opens, closes)
    least = LEAST_TRADES * minutes
    trades = [least + each for each in _divided(node.trades - least * len(opens), shape.trades)]
    volumes = _divided(node.volume - node.trades, shape.volume)
    return Parts(
        opens,
        [top + ((high - top) * w >> _BITS) for top, w in zip(tops, shape.above, strict=True)],
        [foot - ((foot - low) * w >> _BITS) for foot, w in zip(feet, shape.below, strict=True)],
        closes,
        [volume + count for volume, count in zip(volumes, trades, strict=True)],
        trades,
        [*accumulate(trades[:-1], initial=node.first_id)],
    )


def _divided(amount: int, upto: Sequence[int]) -> list[int]:
    edges = [amount * each >> _BITS for each in upto]
    return [*map(sub, edges, (0, *edges[:-1]))]


def add(a: Node, b: Node) -> Node:
    """Both stretches as one; `a` comes first."""
    return Node(
        a.open,
        max(a.high, b.high),
        min(a.low, b.low),
        b.close,
        a.volume + b.volume,
        a.trades + b.trades,
        a.first_id,
    )


def total(nodes: Iterable[Node | None]) -> Node | None:
    """All of these as one, oldest first; None of none."""
    whole: Node | None = None
    for node in nodes:
        if node is not None:
            whole = node if whole is None else add(whole, node)
    return whole
