"""What can be asked of a reader: makes a request of arguments, or refuses them by their names. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, SupportsIndex, TypedDict

from ..errors import UnknownSeries
from ..keys.keyspace import Keyspace
from ..model.naming import ambiguous, split_venue
from ..model.series import SeriesId
from ..model.timeframe import Timeframe, readable
from .answer import Empty, Request
from .asking import Asked, Seconds, Time, counted, each, pair_of, seconds_of, time_of, whole_number

__all__ = ["COUNT_MAX", "Keys", "Questions", "ReadOptions", "in_order"]

Keys = tuple[str, str, str]
"""The keys of a series: the set of candles, the state hash, the alive key."""

COUNT_MAX = 100_000
_REMEMBERED_MAX = 10_000  # requests and names, since checking and making them takes as long as decoding


class ReadOptions(TypedDict, total=False):
    """The options of a read, as `Reader.candles` explains them."""

    settled: bool
    forming: bool
    empty: Empty
    max_lag: Seconds | None
    at_least: SupportsIndex | None
    newest_within: Seconds | None


class Questions:
    """Makes requests, for the venues under one prefix.

    `keys` are those of the venue that is read; where it is not `named`, of the first of `venues`. These are
    None until they have been learnt; until then a request's series has no venue, and its symbol may hold it.
    It has none either where several have the symbol: what is read of it is `several`.
    """

    def __init__(self, keys: Keyspace, max_lag_s: Seconds, *, named: bool = True) -> None:
        self.keys = keys
        self.asked_venue = keys.venue if named else None
        self.venues: tuple[str, ...] | None = (keys.venue,) if named else None
        self._symbols: Mapping[str, Collection[str]] = {}  # by venue, where there are several
        self.max_lag_s = seconds_of("max_lag", max_lag_s)
        self._checked: Callable[..., Request] = lru_cache(maxsize=_REMEMBERED_MAX, typed=True)(self._check)
        self.keys_of = lru_cache(maxsize=_REMEMBERED_MAX)(self._name)
        """The keys of a series, if they can be keys: else `ConfigError`."""

    def request(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        count: SupportsIndex | None,
        *,
        settled: bool = False,
        forming: bool = False,
        empty: Empty = "skip",
        max_lag: Seconds | None = None,
        at_least: SupportsIndex | None = None,
        newest_within: Seconds | None = None,
    ) -> Request:
        """A read of the newest `count`. Raises `ValueError` or `UnknownTimeframe` for what makes no sense."""
        try:
            return self._checked(
                symbol, timeframe, count, settled, forming, empty, max_lag, at_least, newest_within
            )
        except TypeError:
            pass  # What cannot be remembered, such as a list, is refused by the argument's name.
        return self._check(
            symbol, timeframe, count, settled, forming, empty, max_lag, at_least, newest_within
        )

    def _check(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        count: SupportsIndex | None,
        settled: bool,
        forming: bool,
        empty: Empty,
        max_lag: Seconds | None,
        at_least: SupportsIndex | None,
        newest_within: Seconds | None,
    ) -> Request:
        wanted = whole_number("count", counted(count, None), COUNT_MAX)
        least = wanted
        if at_least is not None:
            least = whole_number("at_least", at_least, wanted, f"count ({wanted})")
        for name, flag in (("settled", settled), ("forming", forming)):
            if flag not in (True, False):
                raise ValueError(f"{name} is True or False, not {flag!r:.80}")
        if settled and forming:
            raise ValueError("a bucket in progress is never settled: ask for one or the other")
        if empty not in ("skip", "carry", "null"):
            raise ValueError(f"empty is 'skip', 'carry' or 'null', not {empty!r}")
        lag_s = self.max_lag_s if max_lag is None else seconds_of("max_lag", max_lag)
        within_s = None if newest_within is None else seconds_of("newest_within", newest_within)
        return Request(
            series=self.read_id(symbol, timeframe),
            count=wanted,
            at_least=least,
            settled=bool(settled),
            forming=bool(forming),
            empty=empty,
            max_lag=int(min(lag_s, 1e9) * 1000),
            newest_within=None if within_s is None else int(min(within_s, 1e9) * 1000),
            guessed=self.asked_venue is None and split_venue(symbol, self.venues or ())[0] is None,
        )

    def range_request(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Time,
        end: Time,
        *,
        settled: bool = False,
        empty: Empty = "skip",
        max_lag: Seconds | None = None,
    ) -> Request:
        """A read of the buckets that open within [start, end); a venue may have one more, or less."""
        series = self.read_id(symbol, timeframe)
        first, last = time_of("start", start), time_of("end", end)
        buckets = series.timeframe.grid.count(first, last)
        if last <= first or buckets > COUNT_MAX:
            raise ValueError(
                f"start {first} to end {last} must hold the opens of 1 to {COUNT_MAX} buckets of {timeframe}"
            )
        plain = self.request(
            symbol, timeframe, max(1, buckets), settled=settled, empty=empty, max_lag=max_lag
        )
        return replace(plain, span=(first, last))

    def requests(
        self,
        asked: Asked,
        timeframe: str | Timeframe | None,
        count: SupportsIndex | None,
        limit: SupportsIndex | None,
        options: ReadOptions,
    ) -> list[Request]:
        """Reads of many series, in the forms that `asking.each` knows."""
        return [self.request(*one, **options) for one in each(asked, timeframe, count, limit, self.venues)]

    def series_id(self, symbol: str, timeframe: str | Timeframe) -> SeriesId:
        """The name of a series, checked: `UnknownTimeframe`, or `ConfigError` for an unusable symbol."""
        return self._series_id(symbol, Timeframe.parse(timeframe))

    def read_id(self, symbol: str, timeframe: str | Timeframe) -> SeriesId:
        """The same of one that is read, whose timeframe may be a `Multiple`."""
        return self._series_id(symbol, readable(timeframe))

    def _series_id(self, symbol: str, timeframe: Timeframe) -> SeriesId:
        if not isinstance(symbol, str):
            raise ValueError(f"symbol is a text such as 'BTC-USD', not {symbol!r:.80}")
        series = SeriesId(*self._place(symbol), timeframe)
        self.keys_of(series)
        return series

    def keyspace(self, venue: str) -> Keyspace:
        """The names of that venue's keys."""
        return self.keys if venue in ("", self.keys.venue) else replace(self.keys, venue=venue)

    def learnt(self, venues: Sequence[str], symbols: Mapping[str, Collection[str]]) -> None:
        """These venues there are, and where there are several, these symbols of each."""
        self.keys, self._symbols = self.keyspace(venues[0]), symbols
        self.venues = tuple(venues)  # The last: another thread may be reading.
        self._checked = lru_cache(maxsize=_REMEMBERED_MAX, typed=True)(self._check)

    def meant(self, request: Request) -> Request:
        """The same, of the venue that is meant by what is known now."""
        if not request.guessed:
            return request
        named = split_venue(request.series.symbol, self.venues or ())[0] is not None
        return replace(request, series=self.read_id(*request.series[1:]), guessed=not named)

    def _place(self, symbol: str) -> tuple[str, str]:
        """The venue and the symbol that are meant; "" where several have it."""
        venues = self.venues
        if venues is None:
            return "", symbol
        venue, name = split_venue(symbol, venues)
        if venue is None and len(venues) > 1:
            found = self._having(symbol)
            return "" if len(found) > 1 else (found or venues)[0], symbol
        return venue or venues[0], name

    def _having(self, symbol: str) -> Sequence[str]:
        return [one for one in self.venues or () if symbol in self._symbols.get(one, ())]

    def several(self, series: SeriesId) -> UnknownSeries:
        """The error for a series of which nobody said at which of several venues."""
        return ambiguous(series.symbol, self._having(series.symbol))

    def refuse_several(self, asked: Iterable[SeriesId]) -> None:
        """Raise that error for the first of these, once it is known which venues there are."""
        for series in asked:
            if self.venues is not None and not series.venue:
                raise self.several(series)

    def names(self, series: Iterable[Any] | None) -> frozenset[str] | None:
        """How entries of the stream of closes name these series, pairs and symbols; None for all."""
        if series is None:
            return None
        if isinstance(series, str) or not (chosen := list(series)):
            raise ValueError(f"series is a list of series, pairs or symbols, not {series!r:.80}")
        return frozenset(
            self._of(self.series_id(one, Timeframe.M1)).symbol
            if isinstance(one, str)
            else self.keys.series_member(self._of(self.one(one)))
            for one in chosen
        )

    def one(self, series: SeriesId | tuple[str, str | Timeframe]) -> SeriesId:
        """The series that is named by itself, or by symbol and timeframe. Raises `ValueError`."""
        if not isinstance(series, tuple | list) or len(series) not in (2, 3):
            raise ValueError(f"a series or (symbol, timeframe) is asked for, not {series!r:.80}")
        return self.series_id(*pair_of(series, self.venues))

    def _of(self, series: SeriesId) -> SeriesId:
        """The series, of the one venue whose stream is read. Raises `ValueError`."""
        if series.venue not in ("", self.keys.venue):
            raise ValueError(f"{series} is of another venue than {self.keys.venue!r}, whose closes are read")
        return series

    def _name(self, series: SeriesId) -> Keys:
        """Its keys."""
        venue, symbol, timeframe = series
        keys = self.keyspace(venue)
        return keys.candles(symbol, timeframe), keys.state(symbol, timeframe), keys.alive(symbol)


def in_order(series: Iterable[SeriesId], symbols: Sequence[str], timeframes: Sequence[str]) -> list[SeriesId]:
    """By symbol and then by timeframe, in these orders; what is not in them comes last.

    That is by name, and from the shortest timeframe to the longest.
    """
    symbol_rank = {symbol: rank for rank, symbol in enumerate(symbols)}
    timeframe_rank = {timeframe: rank for rank, timeframe in enumerate(timeframes)}

    def rank(one: SeriesId) -> tuple[int, str, int, int]:
        _, symbol, timeframe = one
        return (
            symbol_rank.get(symbol, len(symbols)),
            symbol,
            timeframe_rank.get(timeframe.value, len(timeframes)),
            timeframe.ms,
        )

    return sorted(series, key=rank)
