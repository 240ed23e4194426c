"""A market of shares: real sessions, prices of nothing but a seed, splits, dividends, halts, closed days."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from random import Random

from ...equities.calendar import Calendar
from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..market.market import Increments, MarketTrade, decimal_texts
from ..market.shaped import Node, Parts, Shape, draw_shape, spread_out
from .course import Course, Dividend
from .shares import Share, Split

__all__ = ["ShareMarket", "shortest"]

_MINUTE_MS = Timeframe.M1.ms
_HALF = 30  # minutes
_SHAPES = 16
_TOLD_EXACTLY = 1_000_000  # cents: what has so few digits is the shortest text of its float of 32 bits
_FLOAT = struct.Struct("f")
_THINNED = 20  # one minute in so many is traded


class ShareMarket:
    """`simulator.market.market.Market` of shares, in the sessions of `calendar`.

    On the days of `closed` the exchange was closed, unlike what its calendar says. Prices and volumes are
    adjusted for all splits up to when they are asked for, prices by the shortest text of a float of 32 bits.
    """

    def __init__(
        self, calendar: Calendar, shares: Iterable[Share], *, seed: int = 1, closed: Collection[date] = ()
    ) -> None:
        self.calendar = calendar
        self.shares: Mapping[str, Share] = {share.symbol: share for share in shares}
        self._seed = seed
        self._openings, self._closings = calendar.sessions.openings, calendar.sessions.closings
        self._minutes_long = [
            (b - a) // _MINUTE_MS for a, b in zip(self._openings, self._closings, strict=True)
        ]
        self._closed = frozenset(day.toordinal() for day in closed)
        self._courses: dict[str, Course] = {}
        self._minutes = lru_cache(maxsize=64)(self._make_minutes)
        self._shape = lru_cache(maxsize=256)(
            lambda parts, number: draw_shape(Random(f"{seed}|{parts}|{number}"), parts)
        )

    # --- as a market

    def products(self) -> list[str]:
        return [symbol for symbol, share in self.shares.items() if not share.renamed]

    def aliases(self) -> Mapping[str, str]:
        return {symbol: share.renamed for symbol, share in self.shares.items() if share.renamed}

    def increments(self, product: str) -> Increments:
        return Increments("0.01", "1")

    def listed(self, product: str) -> int:
        return self._openings[self.first_session(product)]

    def trades(self, product: str, from_ms: int, to_ms: int) -> list[MarketTrade]:
        return []

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        share = self.share(product)
        end_ms = min(end_ms, now_ms)
        if timeframe is Timeframe.D1:
            first, last = bisect_left(self._openings, start_ms), bisect_left(self._openings, end_ms)
        else:
            first, last = bisect_right(self._closings, start_ms), bisect_left(self._openings, end_ms)
        first = max(first, self.first_session(product))
        if share.delisted_ms:
            last = min(last, bisect_left(self._openings, share.delisted_ms))
        course, until = self._course(share), self.session(now_ms)
        rows: list[ExactCandle] = []
        sessions = [n for n in range(first, last) if self._traded(share, n)]
        for by, alike in groupby(sessions, course.shares_by):
            times: list[int] = []
            parts: list[Parts] = []
            if timeframe is Timeframe.D1:
                days = [(n, day) for n in alike if (day := self._day(course, n, now_ms))]
                times += [self._openings[n] for n, _ in days]
                parts.append(_parts([day for _, day in days]))
            else:
                for session in alike:
                    opens, some = self._within(course, session, timeframe.ms // _MINUTE_MS, now_ms)
                    within = bisect_left(opens, start_ms), bisect_left(opens, end_ms)
                    times += opens[slice(*within)]
                    parts.append(some.some(*within))
            rows += _quoted(course.shares_by(until) / by, times, Parts.joined(parts))
        return rows

    # --- what else there is to know of it

    def session(self, now_ms: int) -> int:
        """The number of the session that has opened last."""
        return bisect_right(self._openings, now_ms) - 1

    def first_session(self, product: str) -> int:
        """The number of the first one in which it was traded."""
        return min(bisect_left(self._openings, self.share(product).listed_ms), len(self._openings) - 1)

    def held(self, session: int) -> bool:
        """Whether the exchange was open then."""
        return self.calendar.days[session] not in self._closed

    def halts(self, product: str) -> Sequence[int]:
        """The sessions in which that share was not traded, though the exchange was open."""
        days = self.calendar.days
        at = {day: bisect_left(days, day.toordinal()) for day in self.share(product).halted}
        return [n for day, n in at.items() if days[n] == day.toordinal() and self.held(n)]

    def share(self, product: str) -> Share:
        """What that name stands for now."""
        share = self.shares[product]
        return self.shares[share.renamed] if share.renamed else share

    def number(self, product: str) -> int:
        """Any, but always the same."""
        return self._course(self.share(product)).number

    def delisted(self, product: str, now_ms: int) -> bool:
        """Whether nobody knows it any more."""
        return 0 < self.share(product).delisted_ms <= now_ms

    def shares_by(self, product: str, now_ms: int) -> Fraction:
        """How many of its shares one of the very first has become."""
        return self._course(self.share(product)).shares_by(self.session(now_ms))

    def splits(self, product: str) -> Sequence[tuple[int, Split]]:
        """All of them, by the session from which each holds."""
        return self._course(self.share(product)).splits

    def dividends(self, product: str, first: int, last: int) -> Sequence[Dividend]:
        """Those of the sessions from number `first` to before `last`."""
        first = max(first, self.first_session(product) + 1)
        return [*self._course(self.share(product)).dividends(first, last)]

    def split(self, product: str, split: Split) -> None:
        """Let there be one more."""
        self._course(self.share(product)).split(split)

    # --- how it is made

    def _traded(self, share: Share, session: int) -> bool:
        day = self.calendar.days[session]
        return day not in self._closed and not (share.halted and date.fromordinal(day) in share.halted)

    def _course(self, share: Share) -> Course:
        course = self._courses.get(share.symbol)
        if course is None:
            course = Course(self._seed, share, self.calendar.days, self._minutes_long)
            self._courses[share.symbol] = course
        return course

    def _day(self, course: Course, session: int, now_ms: int) -> Node | None:
        """All of a session, as it is seen at `now_ms`."""
        if now_ms < self._closings[session]:
            _, parts = self._within(course, session, self._minutes_long[session], now_ms)
            return parts.at(0) if parts.open else None
        day = course.day(session)
        final = session < self.session(now_ms)
        return day.node._replace(volume=day.volume if final else day.shown)

    def _within(self, course: Course, session: int, minutes: int, now_ms: int) -> tuple[list[int], Parts]:
        """The buckets of so many minutes within a session, as they are seen at `now_ms`."""
        opens, closes = self._openings[session], self._closings[session]
        symbol = course.share.symbol
        if now_ms >= closes and not minutes % _HALF and not course.share.thin:
            size, parts = _HALF, self._halves(course, session)
            indices: Sequence[int] = range(len(parts.open))
        else:
            size, (parts, indices) = 1, self._minutes(symbol, session)
            passed_ms = min(now_ms, closes) - opens
            whole = bisect_left(indices, passed_ms // _MINUTE_MS)
            begun = parts.some(whole, whole + 1)
            parts, share = parts.some(0, whole), passed_ms % _MINUTE_MS
            if begun.open and indices[whole] == passed_ms // _MINUTE_MS and share:
                parts = Parts.joined([parts, _parts([_begun(begun.at(0), share)])])
            indices = indices[: len(parts.open)]
        many = minutes // size
        if many > 1:
            firsts = [n for n, i in enumerate(indices) if not n or i // many != indices[n - 1] // many]
            indices, parts = [indices[n] // many for n in firsts], _grouped(parts, firsts, many)
        return [opens + i * minutes * _MINUTE_MS for i in indices], parts

    def _halves(self, course: Course, session: int) -> Parts:
        """Each half hour of a session; the last one may be shorter."""
        count = -(-self._minutes_long[session] // _HALF)
        return spread_out(course.day(session).node, self._shaped(course, session, count), _HALF)

    def _make_minutes(self, symbol: str, session: int) -> tuple[Parts, Sequence[int]]:
        """Those minutes of a session in which the share was traded, and which they are."""
        course, minutes = self._course(self.shares[symbol]), self._minutes_long[session]
        halves, parts = self._halves(course, session), []
        for half, begin in enumerate(range(0, minutes, _HALF)):
            shape = self._shaped(course, session + half + 1, min(_HALF, minutes - begin))
            parts.append(spread_out(halves.at(half), shape, 1))
        whole = Parts.joined(parts)
        if not course.share.thin:
            return whole, range(minutes)
        chosen = Random(f"{self._seed}|{symbol}|{session}").sample(range(minutes), minutes // _THINNED)
        return _parts([whole.at(n) for n in sorted(chosen)]), sorted(chosen)

    def _shaped(self, course: Course, which: int, parts: int) -> Shape:
        return self._shape(parts, (course.number + which) % _SHAPES)


_NOTHING = Parts(*([] for _ in Parts._fields))


def _parts(nodes: Sequence[Node]) -> Parts:
    return Parts(*map(list, zip(*nodes, strict=True))) if nodes else _NOTHING


def _grouped(parts: Parts, firsts: Sequence[int], many: int) -> Parts:
    """So many as one, where each of these begins; the last one may be of fewer."""
    if firsts != [*range(0, len(parts.open), many)]:
        bounds = zip(firsts, [*firsts[1:], len(parts.open)], strict=True)
        return _parts([_one(parts.some(a, b)) for a, b in bounds])
    regular = len(parts.open) // many * many
    rest = [_one(parts.some(regular, len(parts.open)))] if regular < len(parts.open) else []
    return Parts.joined([parts.some(0, regular).by(many), _parts(rest)])


def _one(parts: Parts) -> Node:
    """All of them as one; there is one at least."""
    prices = parts.open[0], max(parts.high), min(parts.low), parts.close[-1]
    return Node(*prices, sum(parts.volume), sum(parts.trades), parts.first_id[0])


def _begun(minute: Node, passed_ms: int) -> Node:
    """A minute in progress: its range only widens, its volume only grows."""
    price, volume = minute.open, max(1, minute.volume * passed_ms // _MINUTE_MS)
    return Node(price, price, price, price, volume, 1, 0)


def _quoted(later: Fraction, times: Sequence[int], parts: Parts) -> list[ExactCandle]:
    """Rows as they are told once there are `later` shares for each of then."""
    prices = [parts.open, parts.high, parts.low, parts.close]
    if later == 1 and max(parts.high, default=0) < _TOLD_EXACTLY:
        told = [decimal_texts(column, 2) for column in prices]
    else:
        cents = 100 * float(later)
        told = [[shortest(each / cents) for each in column] for column in prices]
    new, old = later.numerator, later.denominator
    volumes = [str(volume * new // old) for volume in parts.volume]
    return [*map(ExactCandle, times, *told, volumes)]


def shortest(number: float) -> str:
    """The shortest text of the float of 32 bits that is nearest."""
    (nearest,) = _FLOAT.unpack(_FLOAT.pack(number))
    text = next(t for digits in range(6, 10) if _same(t := f"{nearest:.{digits}g}", nearest))
    return text if "e" not in text else f"{Decimal(text):f}"


def _same(text: str, nearest: float) -> bool:
    return bool(_FLOAT.unpack(_FLOAT.pack(float(text)))[0] == nearest)
