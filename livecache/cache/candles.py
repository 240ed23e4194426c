"""What a read returns: candles, and who vouches for them how far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, overload

from ..core.candle import Candle
from ..core.series import SeriesId

__all__ = ["Candles"]


class Candles(Sequence[Candle]):
    """Consecutive candles of one series, oldest first. Immutable.

    A sequence of `Candle`, and columns: `.time .open .high .low .close .volume` are numpy arrays where numpy
    is installed (int64 for the time, float64 for the rest, read-only), else tuples.
    """

    __slots__ = (
        "_candles",
        "_columns",
        "age",
        "contiguous_from",
        "feed",
        "forming",
        "known_through",
        "series",
        "settled_through",
        "synthetic",
    )

    def __init__(
        self,
        candles: Sequence[Candle],
        *,
        series: SeriesId,
        contiguous_from: int,
        settled_through: int,
        known_through: int,
        forming: int,
        feed: str,
        age: int,
        synthetic: frozenset[int],
    ) -> None:
        self._candles = tuple(candles)
        self._columns: dict[str, Any] = {}
        self.series = series
        self.contiguous_from = contiguous_from
        """From here to `known_through` nothing is missing (Unix ms)."""
        self.settled_through = settled_through
        """Before this every bucket was read from the venue after it had closed (Unix ms)."""
        self.known_through = known_through
        """Before this every bucket is settled, or vouched for by an unbroken feed (Unix ms)."""
        self.forming = forming
        """Open time of the bucket in progress, if it was asked for; else 0."""
        self.feed = feed
        """"up" or "down". While it is down, closed candles come from REST, a little later."""
        self.age = age
        """Milliseconds of the venue's clock from `known_through` to the last sign of life."""
        self.synthetic = synthetic
        """Open times of the candles that stand for buckets in which nothing was traded."""

    def __len__(self) -> int:
        return len(self._candles)

    @overload
    def __getitem__(self, index: int) -> Candle: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Candle, ...]: ...

    def __getitem__(self, index: int | slice) -> Candle | tuple[Candle, ...]:
        return self._candles[index]

    def __iter__(self) -> Iterator[Candle]:
        return iter(self._candles)

    def __repr__(self) -> str:
        series, size = self.series, len(self._candles)
        return f"<Candles: {size} of {series.symbol} {series.timeframe}, feed {self.feed}, age {self.age} ms>"

    @property
    def time(self) -> Any:
        """Open times, Unix ms."""
        return self._column("time")

    @property
    def open(self) -> Any:
        """Opening prices."""
        return self._column("open")

    @property
    def high(self) -> Any:
        """Highest prices."""
        return self._column("high")

    @property
    def low(self) -> Any:
        """Lowest prices."""
        return self._column("low")

    @property
    def close(self) -> Any:
        """Closing prices."""
        return self._column("close")

    @property
    def volume(self) -> Any:
        """Volumes, in base units."""
        return self._column("volume")

    def _column(self, name: str) -> Any:
        column = self._columns.get(name)
        if column is None:
            values = map(attrgetter(name), self._candles)
            try:
                # Imported when the first column is asked for: it is no dependency, and it is slow to import.
                import numpy
            except ImportError:
                column = tuple(values)
            else:
                dtype = numpy.int64 if name == "time" else numpy.float64
                column = numpy.fromiter(values, dtype, len(self._candles))
                column.setflags(write=False)
            self._columns[name] = column
        return column
