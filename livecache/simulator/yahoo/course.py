"""What becomes of a share over the years: each session's prices and volume, its splits, its dividends. Pure.

Every session follows from the seed, the symbol and its day alone, so that none needs those before it. Prices
are in cents and volumes in shares, as they were on that day: no later split has touched them.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from math import exp, pi, sin
from operator import mul
from typing import NamedTuple

from ..market.shaped import LEAST_TRADES, Node
from .shares import Share, Split

__all__ = ["Course", "Day", "Dividend"]

_CHANCES = struct.Struct("<6I")
_DAY_NUMBER = struct.Struct("<I")
_ONE = 2.0**32
_RATIOS = ((2, 1), (4, 1), (3, 2), (10, 1), (1, 8))
_SPLIT_FROM, _SPLIT_UNTIL = date(2010, 1, 1).toordinal(), date(2030, 1, 1).toordinal()
_VOLUME_LEAST = 60_000  # so that each minute has its trades
_QUARTER = 3


class Day(NamedTuple):
    """What was traded in a session: continuously (`node`), and with auctions and late prints (`volume`)."""

    node: Node
    volume: int
    shown: int
    """What is shown of the volume from the close on, until the next session opens."""


class Dividend(NamedTuple):
    """So much is paid a share, as of then, to whoever holds it before the session of that number."""

    session: int
    cents: int


class Course:
    """One share's. `days` are the sessions', as `date.toordinal` counts; `minutes` how long they are."""

    def __init__(self, seed: int, share: Share, days: Sequence[int], minutes: Sequence[int]) -> None:
        self.share = share
        self._days, self._minutes = days, minutes
        self._key = blake2b(f"{seed}|{share.symbol}".encode(), digest_size=16).digest()
        # Those of a day and of the one before it are asked for in turn.
        self._chances, self._level = lru_cache(2)(self._make_chances), lru_cache(2)(self._make_level)
        a, b, c, d, e, f = self._chances(0)
        self.number = int(a * _ONE)  # any, but always the same
        self._price = share.price or 40.0 * 12.0**a
        self._volume = 3e5 * 100.0**b * (100 if share.is_index else 1)
        self._phases = tuple(2 * pi * ((a + b * n + c) % 1) for n in (3, 5, 7, 11))
        self._pays = share.dividends and not share.is_index and d < 0.8
        self._month, self._of_month = int(e * _QUARTER), 5 + int(e * 60) % 20
        self._yield = 0.002 + 0.006 * f
        splits = list(share.splits)
        if share.split_at_random and not share.is_index and c < 0.35:
            day = _SPLIT_FROM + int((_SPLIT_UNTIL - _SPLIT_FROM) * (c / 0.35))
            splits.append(Split(date.fromordinal(day), *_RATIOS[int(f * len(_RATIOS))]))
        self._split_at: list[int] = []
        self._shares = [Fraction(1)]
        self.splits: list[tuple[int, Split]] = []
        """Each by the number of the session from which it holds, oldest first."""
        for split in splits:
            self.split(split)
        self._price *= float(self._shares[-1])
        self._volume /= float(self._shares[-1])

    def split(self, split: Split) -> None:
        """One more of them."""
        self.splits.append((bisect_left(self._days, split.day.toordinal()), split))
        self.splits.sort()
        self._split_at = [at for at, _ in self.splits]
        ratios = (Fraction(each.new, each.old) for _, each in self.splits)
        self._shares = [*accumulate(ratios, mul, initial=Fraction(1))]

    def shares_by(self, session: int) -> Fraction:
        """How many shares one of the very first has become by then."""
        return self._shares[bisect_right(self._split_at, session)]

    def day(self, session: int) -> Day:
        """What was traded in the session of that number."""
        chances = self._chances(self._days[session])
        shares = float(self.shares_by(session))
        before = self._level(max(0, session - 1))
        cents = 100 / shares
        opened = max(1, round(before * exp(0.01 * (chances[1] - 0.5)) * cents))
        closed = max(1, round(self._level(session) * cents))
        high = int(max(opened, closed) * (1 + 0.02 * chances[2] ** 2))
        low = max(1, int(min(opened, closed) * (1 - 0.02 * chances[3] ** 2)))
        volume = max(_VOLUME_LEAST, int(self._volume * shares * exp(1.2 * (chances[4] - 0.5))))
        traded = int(volume * (0.7 + 0.2 * chances[5]))
        shown = traded + int((volume - traded) * 0.9 * (chances[1] * 1_000 % 1))
        trades = 2 * LEAST_TRADES * (self._minutes[session] + 30)
        return Day(Node(opened, high, low, closed, traded, trades, 0), volume, shown)

    def dividends(self, first: int, last: int) -> Iterator[Dividend]:
        """Those of the sessions from number `first` to before `last`, oldest first."""
        if not self._pays or first >= last:
            return
        day = date.fromordinal(self._days[first])
        month = day.year * 12 + (day.month - 1) // _QUARTER * _QUARTER + self._month - _QUARTER
        while True:
            year, of_year = divmod(month, 12)
            session = bisect_left(self._days, date(year, of_year + 1, self._of_month).toordinal())
            if session >= last:
                return
            if session >= max(first, 1):
                cents = round(self._level(session - 1) * 100 / float(self.shares_by(session)) * self._yield)
                yield Dividend(session, max(1, cents))
            month += _QUARTER

    def _make_level(self, session: int) -> float:
        """At a session's close, in dollars, as if there had been no split."""
        day, (a, b, c, d) = self._days[session], self._phases
        moved = 0.02 * sin(day / 23 + a) + 0.05 * sin(day / 97 + b) + 0.12 * sin(day / 411 + c)
        return self._price * exp(moved + 0.3 * sin(day / 1_709 + d) + 0.04 * (self._chances(day)[0] - 0.5))

    def _make_chances(self, day: int) -> list[float]:
        """Six of a day, from 0 to 1."""
        digest = blake2b(_DAY_NUMBER.pack(day), key=self._key, digest_size=24).digest()
        return [each / _ONE for each in _CHANCES.unpack(digest)]
