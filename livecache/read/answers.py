"""What a read of many series returns: each one's candles, or why they cannot be had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ..errors import ReadError
from ..model.series import SeriesId
from ..model.timeframe import Timeframe
from .candles import Candles, package

if TYPE_CHECKING:
    import pandas
    import polars

__all__ = ["Answers"]

_T = TypeVar("_T")
_D = TypeVar("_D")


class Answers(dict[SeriesId, _T]):
    """A dict by `SeriesId`, in the order of asking, found by shorter names too.

    `answers["BTC-USD", "5m"]`, and `answers["BTC-USD"]` where only one of its timeframes was asked for.

    >>> answers = reader.many(["BTC-USD", "SOL-USD"], "5m", 60)
    >>> answers["BTC-USD", "5m"] is answers["BTC-USD"]
    True
    >>> [series.symbol for series in answers.ok]
    ['BTC-USD']
    >>> for series, error in answers.errors.items():
    ...     print(series.symbol, type(error).__name__)
    SOL-USD UnknownSeries
    """

    def __missing__(self, key: object) -> _T:
        found = self._found(key)
        if len(found) > 1:
            of = " or ".join(repr(str(one.timeframe)) for one in found)
            raise KeyError(f"{key!r} was asked for in several timeframes: [{key!r}, {of}]")
        if not found:
            raise KeyError(key)
        return dict.__getitem__(self, found[0])

    if TYPE_CHECKING:

        def __getitem__(self, key: SeriesId | tuple[str, str | Timeframe] | str) -> _T: ...

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or len(self._found(key)) == 1

    @overload
    def get(self, key: object, default: None = None) -> _T | None: ...

    @overload
    def get(self, key: object, default: _D) -> _T | _D: ...

    def get(self, key: Any, default: Any = None) -> Any:
        """What was read of that series, by the same names; `default` where that finds none, or several."""
        if key not in self:
            return default
        return self[key]

    @property
    def ok(self) -> Answers[Candles]:
        """Those of which there are candles."""
        return Answers({series: one for series, one in self.items() if isinstance(one, Candles)})

    @property
    def errors(self) -> Answers[ReadError]:
        """Those of which there are none, and why."""
        return Answers({series: one for series, one in self.items() if isinstance(one, ReadError)})

    def to_pandas(self) -> pandas.DataFrame:
        """One pandas frame: the index is the time (UTC), columns are (symbol, field); NaN without a candle.

        Raises the first error where a series has one: `answers.ok.to_pandas()` leaves those out. `ValueError`
        for several timeframes, `ModuleNotFoundError` where pandas is not installed.

        >>> frame = reader.many(["BTC-USD"], "5m", 60).to_pandas()
        >>> frame.shape, float(frame["BTC-USD", "close"].iloc[-1])
        ((60, 5), 76324.18)
        """
        pd = package("pandas", "to_pandas")
        frames, timeframe = self._of_one_timeframe()
        if not frames:
            return cast("pandas.DataFrame", pd.DataFrame())
        parts = {candles.series.symbol: candles.to_pandas() for candles in frames}
        frame: pandas.DataFrame = pd.concat(parts, axis=1, names=["symbol", "field"], sort=True)
        frame.attrs = {"venue": frames[0].series.venue, "timeframe": timeframe}
        return frame

    def to_polars(self) -> polars.DataFrame:
        """One polars frame: a row a candle, first those of the first symbol, with the column `symbol` before.

        Raises as `to_pandas` does.

        >>> reader.many(["BTC-USD"], "5m", 60).to_polars().columns
        ['symbol', 'time', 'open', 'high', 'low', 'close', 'volume']
        """
        pl = package("polars", "to_polars")
        frames, _ = self._of_one_timeframe()
        if not frames:
            return cast("polars.DataFrame", pl.DataFrame())
        parts = [
            candles.to_polars().select(pl.lit(candles.series.symbol).alias("symbol"), pl.all())
            for candles in frames
        ]
        frame: polars.DataFrame = pl.concat(parts)
        return frame

    def _of_one_timeframe(self) -> tuple[Sequence[Candles], str]:
        for error in self.errors.values():
            raise error
        timeframes = list(dict.fromkeys(str(series.timeframe) for series in self))
        if len(timeframes) > 1:
            raise ValueError(f"one frame is of one timeframe, and these are of {', '.join(timeframes)}")
        return list(self.ok.values()), next(iter(timeframes), "")

    def _found(self, key: object) -> list[SeriesId]:
        if isinstance(key, str):
            return [series for series in self if series.symbol == key]
        if isinstance(key, tuple) and len(key) == 2:
            return [series for series in self if (series.symbol, series.timeframe) == key]
        return []
