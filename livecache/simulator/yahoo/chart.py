"""A share's chart as the venue draws it: rows by columns, what it says of the share, splits and dividends."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from ...equities.action import Action
from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..market.market import Market
from .course import Dividend
from .market import ShareMarket

__all__ = ["RANGES", "Chart", "Row", "Window"]

_DAYS = {"1mo": 31, "3mo": 92, "6mo": 183, "1y": 366, "2y": 731, "5y": 1_827, "10y": 3_653}
RANGES = {"1d": 0, "5d": 0, **_DAYS, "ytd": 0, "max": 0}
"""What may be asked for in place of times, and how many days most of them are."""

_CURRENCIES = {
    "Europe/London": "GBp",
    "Asia/Tokyo": "JPY",
    "Asia/Hong_Kong": "HKD",
    "Australia/Sydney": "AUD",
    "Asia/Kolkata": "INR",
    "Europe/Zurich": "CHF",
    "America/Toronto": "CAD",
}
_PRE_S, _POST_S = 19_800, 14_400  # before and after hours
_COLUMNS = ("open", "high", "low", "close", "volume")


class Window(NamedTuple):
    """What is asked for: the buckets that open in `[start, end)`, as they are `seen` then; Unix ms."""

    symbol: str
    timeframe: Timeframe
    start: int
    end: int
    seen: int


class Row(NamedTuple):
    """One as it is printed: under which time (Unix s), and its candle; None where nothing was traded."""

    stamp: int
    candle: ExactCandle | None


class Chart:
    """Draws a market of shares. `market` is the same one, with what is changed in it by faults."""

    def __init__(self, shares: ShareMarket, market: Market) -> None:
        self.shares = shares
        self._market = market
        self._zone = ZoneInfo(shares.calendar.zone)
        self._sessions = shares.calendar.sessions

    # --- what there is

    def candles(self, window: Window) -> list[ExactCandle]:
        """Its candles, as they have to be known then."""
        return self._market.candles(*window)

    def actions(self, window: Window) -> list[Action]:
        """Splits and dividends of the sessions that open within it, as they are told then; oldest first."""
        symbol, openings = window.symbol, self._sessions.openings
        first, last = bisect_left(openings, window.start), bisect_right(openings, window.seen)
        last = min(last, bisect_left(openings, window.end))
        told = [
            Action(openings[at], "split", f"{split.new}/{split.old}")
            for at, split in self.shares.splits(symbol)
            if first <= at < last
        ]
        for paid in self.shares.dividends(symbol, first, last):
            told.append(Action(openings[paid.session], "dividend", f"{self._amount(window, paid):.6f}"))
        plain = [a._replace(value=a.value.rstrip("0").rstrip(".")) if "." in a.value else a for a in told]
        return sorted(plain)

    def adjusted(self, window: Window, candles: Sequence[ExactCandle]) -> list[float]:
        """Each one's close without what was paid since, by `1 - dividend / the close before` for each."""
        factors = []
        for action in self.actions(window._replace(end=window.seen + 1)):
            if action.kind == "dividend":
                before = self._market.candles(
                    window.symbol, Timeframe.D1, action.time - 14 * Timeframe.D1.ms, action.time, window.seen
                )
                if before:
                    factors.append((action.time, 1 - float(action.value) / float(before[-1].close)))
        told, factor = [], 1.0
        for candle in reversed(candles):
            while factors and factors[-1][0] > candle.time:
                factor *= factors.pop()[1]
            told.append(float(candle.close) * factor)
        return told[::-1]

    # --- how it is drawn

    def rows(self, window: Window, candles: Sequence[ExactCandle]) -> list[Row]:
        """As they are printed: with those of a halt, and the newest day under the time of its last trade."""
        known = {candle.time: candle for candle in candles}
        times = sorted({*known, *self._nulls(window)})
        rows = [Row(time // 1000, known.get(time)) for time in times]
        if rows and rows[-1].candle and window.timeframe is Timeframe.D1:
            session = self.shares.session(window.seen)
            if times[-1] == self._sessions.openings[session]:
                rows[-1] = rows[-1]._replace(stamp=self._traded_s(window.seen))
        elif rows and window.timeframe is not Timeframe.D1:
            rows += self._prints(window, candles)
            rows.sort(key=lambda row: row.stamp)
        return rows

    def live(self, window: Window) -> Row | None:
        """The newest row of all, where it lies after the window: the venue tells it all the same."""
        opened = self._sessions.floor(window.seen)
        if window.timeframe is Timeframe.D1 and opened < window.end:
            return None
        candles = self.candles(window._replace(start=opened, end=window.seen + 1))
        if not candles or candles[-1].time < window.end:
            return None
        candle = candles[-1]
        if window.timeframe is not Timeframe.D1:
            candle = _last_price(candle)
        return Row(self._traded_s(window.seen), candle)

    def result(self, window: Window, rows: Sequence[Row], *, granularity: str, events: str) -> dict[str, Any]:
        """The one result of an answer. `events`: which are to be told, as they are asked for."""
        result: dict[str, Any] = {"meta": self._meta(window, rows, granularity)}
        if not rows:
            return result | {"indicators": {"quote": [{}], "adjclose": [{}]}}
        result["timestamp"] = [row.stamp for row in rows]
        told = {kind: each for kind, each in self._events(window, events).items() if each}
        if told:
            result["events"] = told
        candles = [row.candle for row in rows]
        quote = {name: _column(candles, name) for name in _COLUMNS}
        result["indicators"] = {"quote": [quote]}
        if window.timeframe is Timeframe.D1:
            adjusted = iter(_wide(self.adjusted(window, [each for each in candles if each])))
            column = [None if each is None else next(adjusted) for each in candles]
            result["indicators"]["adjclose"] = [{"adjclose": column}]
        return result

    def _events(self, window: Window, events: str) -> dict[str, dict[str, Any]]:
        told: dict[str, dict[str, Any]] = {"dividends": {}, "splits": {}}
        for time, kind, value in self.actions(window):
            date = time // 1000
            if kind == "dividend" and "div" in events:
                told["dividends"][str(date)] = {"amount": float(value), "date": date}
            elif kind == "split" and "split" in events:
                new, old = value.split("/")
                numbers = {"numerator": float(new), "denominator": float(old)}
                told["splits"][str(date)] = {"date": date, **numbers, "splitRatio": f"{new}:{old}"}
        return told

    def _amount(self, window: Window, paid: Dividend) -> float:
        shares = self.shares.shares_by
        then = self._sessions.openings[paid.session]
        return paid.cents / 100 / float(shares(window.symbol, window.seen) / shares(window.symbol, then))

    def _nulls(self, window: Window) -> list[int]:
        """The buckets of the window in which nothing was traded of that share alone, as far as it says so.

        Of a halt it does, and of every second one of a share that is thin.
        """
        sessions, share = self._sessions, self.shares.share(window.symbol)
        grid = self.shares.calendar.grid(window.timeframe)
        end = min(window.end, window.seen)
        nulls: list[int] = []
        for session in self.shares.halts(window.symbol):
            first = max(window.start, sessions.openings[session])
            nulls += grid.opens(first, min(end, sessions.closings[session]))
        if share.thin and window.timeframe is not Timeframe.D1:
            opens = grid.opens(max(window.start, self.shares.listed(window.symbol)), end)
            nulls += [time for time in opens[::2] if self.shares.held(self.shares.session(time))]
        return nulls

    def _prints(self, window: Window, candles: Sequence[ExactCandle]) -> list[Row]:
        """Of a bucket in progress the last price once more; on half days that of the closing auction."""
        if not candles:
            return []
        told: list[Row] = []
        times = [candle.time for candle in candles]
        first, last = (self.shares.session(time) for time in (times[0], times[-1]))
        for session in range(first, last + 1):
            opens, closes = self._sessions.openings[session], self._sessions.closings[session]
            before = bisect_left(times, closes)
            half = closes - opens < self._usual_ms(session) and before and times[before - 1] >= opens
            if half and closes <= window.seen and closes < window.end:
                told.append(Row(closes // 1000, _last_price(candles[before - 1])))
        if self.shares.calendar.grid(window.timeframe).end(times[-1]) > window.seen:
            told.append(Row(window.seen // 1000, _last_price(candles[-1])))
        return told

    def _usual_ms(self, session: int) -> int:
        nearby = slice(max(0, session - 3), session + 4)
        lengths = zip(self._sessions.openings[nearby], self._sessions.closings[nearby], strict=True)
        return max(b - a for a, b in lengths)

    def _traded_s(self, seen: int) -> int:
        """When it was traded last, Unix s."""
        return min(seen, self._sessions.closings[self.shares.session(seen)] + 1_000) // 1000

    # --- what is said of it

    def _meta(self, window: Window, rows: Sequence[Row], granularity: str) -> dict[str, Any]:
        share = self.shares.share(window.symbol)
        listed = self._sessions.openings[self.shares.first_session(window.symbol)]
        session = self.shares.session(window.seen)
        recent = window._replace(timeframe=Timeframe.D1, end=window.seen + 1)
        opened = self._sessions.openings
        starts = (opened[max(0, session - back)] for back in (0, 10))
        newest = next(filter(None, (self.candles(recent._replace(start=start)) for start in starts)), None)
        zone, offset = self._local(window.seen)
        nyse = self.shares.number(share.symbol) % 2
        exchange = {"America/New_York": (("NYQ", "NYSE"), ("NMS", "NasdaqGS"))[1 - nyse]}
        own = (self.shares.calendar.name, self.shares.calendar.name)
        name, full = ("SNP", "SNP") if share.is_index else exchange.get(self.shares.calendar.zone, own)
        meta: dict[str, Any] = {
            "currency": _CURRENCIES.get(self.shares.calendar.zone, "USD"),
            "symbol": share.symbol,
            "exchangeName": name,
            "fullExchangeName": full,
            "instrumentType": "INDEX" if share.is_index else "EQUITY",
            "firstTradeDate": listed // 1000,
            "regularMarketTime": self._traded_s(window.seen),
            "hasPrePostMarketData": not share.is_index,
            "gmtoffset": offset,
            "timezone": zone,
            "exchangeTimezoneName": self.shares.calendar.zone,
            "longName": share.name or f"{share.symbol} Inc.",
            "shortName": share.name or f"{share.symbol} Inc.",
            "priceHint": 2,
            "currentTradingPeriod": {
                "pre": self._period(session, -_PRE_S, 0),
                "regular": self._period(session),
                "post": self._period(session, 0, _POST_S),
            },
            "dataGranularity": granularity,
            "range": "",
            "validRanges": [*RANGES],
        }
        if newest:
            meta["regularMarketPrice"] = _wide([float(newest[-1].close)])[0]
            meta["regularMarketVolume"] = int(newest[-1].volume)
        if window.timeframe is not Timeframe.D1:
            first, last = (
                (self.shares.session(row.stamp * 1000) for row in (rows[0], rows[-1])) if rows else (0, -1)
            )
            meta["tradingPeriods"] = [
                [self._period(n)] for n in range(first, last + 1) if self.shares.held(n)
            ]
        return meta

    def _period(self, session: int, before_s: int = 0, after_s: int | None = None) -> dict[str, Any]:
        """A session's regular hours, or those before (`before_s` negative) or after it."""
        begin, end = self._sessions.openings[session] // 1000, self._sessions.closings[session] // 1000
        if before_s:
            begin, end = begin + before_s, begin
        elif after_s is not None:
            begin, end = end, end + after_s
        zone, offset = self._local(begin * 1000)
        return {"timezone": zone, "start": begin, "end": end, "gmtoffset": offset}

    def _local(self, time: int) -> tuple[str, int]:
        """The zone's short name then, and its seconds from UTC."""
        local = datetime.fromtimestamp(time // 1000, self._zone)
        offset = local.utcoffset()
        assert offset is not None
        return local.tzname() or "", int(offset.total_seconds())


def _last_price(candle: ExactCandle) -> ExactCandle:
    """Its last price alone, without a volume."""
    return ExactCandle(candle.time, candle.close, candle.close, candle.close, candle.close, "0")


def _column(candles: Sequence[ExactCandle | None], name: str) -> list[Any]:
    told = [None if candle is None else getattr(candle, name) for candle in candles]
    if name == "volume":
        return [None if text is None else int(text) for text in told]
    known = iter(_wide([float(text) for text in told if text is not None]))
    return [None if text is None else next(known) for text in told]


def _wide(numbers: Sequence[float]) -> list[float]:
    """As floats of 32 bits that are printed as such of 64."""
    return array("f", numbers).tolist()
