"""What a read returns: candles, and who vouches for them how far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, overload

from ..model.candle import Candle
from ..model.series import SeriesId

if TYPE_CHECKING:
    import numpy
    import pandas
    import polars

__all__ = ["Candles", "package"]

_SHOWN = 5  # candles at either end, in a notebook
_COLUMNS = ("time", "open", "high", "low", "close", "volume")


class Candles(Sequence[Candle]):
    """Consecutive candles of one series, oldest first. Immutable.

    A sequence of `Candle`, whose slices are `Candles` too (by a step they leave some out); and columns:
    `.time .open .high .low .close .volume` are numpy arrays (int64 for the time, float64 for the rest,
    read-only), for which numpy has to be installed, the extra `livecache[numpy]`. `values` gives lists, with
    numpy and without.

    >>> candles = reader.candles("BTC-USD", "5m", 3)
    >>> len(candles), candles[0].time, candles.close
    (3, 1771588200000, array([76396.23, 76381.7 , 76324.18]))
    >>> [candle.close > candle.open for candle in candles]
    [True, False, False]
    """

    # Private, since then an assignment to what they are read by fails, and making one costs nothing more.
    __slots__ = (
        "_age",
        "_candles",
        "_columns",
        "_contiguous_from",
        "_feed",
        "_forming",
        "_known_through",
        "_series",
        "_settled_through",
        "_standing",
        "_synthetic",
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
        standing: str = "",
    ) -> None:
        self._candles = tuple(candles)
        self._columns: dict[str, Any] = {}
        self._series = series
        self._contiguous_from = contiguous_from
        self._settled_through = settled_through
        self._known_through = known_through
        self._forming = forming
        self._feed = feed
        self._age = age
        self._synthetic = synthetic
        self._standing = standing

    # --- a sequence

    def __len__(self) -> int:
        return len(self._candles)

    @overload
    def __getitem__(self, index: int) -> Candle: ...

    @overload
    def __getitem__(self, index: slice) -> Candles: ...

    def __getitem__(self, index: int | slice) -> Candle | Candles:
        if not isinstance(index, slice):
            try:
                return self._candles[index]
            except TypeError:
                raise TypeError(
                    f"candles are found by number or slice, not by {index!r:.80}; a column is an attribute, "
                    "such as candles.close"
                ) from None
        chosen = self._candles[index]
        times = {candle.time for candle in chosen}
        # Whoever leaves the last candle out by its `forming` must not lose one that has closed.
        reaches_the_end = bool(chosen) and self._candles[-1].time in times
        return Candles(
            chosen,
            series=self._series,
            contiguous_from=self._contiguous_from,
            settled_through=self._settled_through,
            known_through=self._known_through,
            forming=self._forming if reaches_the_end else 0,
            feed=self._feed,
            age=self._age,
            synthetic=self._synthetic & times,
            standing=self._standing,
        )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Candles):
            return self._series == other._series and self._candles == other._candles
        return self._candles == tuple(other) if isinstance(other, tuple | list) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._candles)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the columns: an array that was pickled can be written to.
        held = [getattr(self, name) for name in self.__slots__ if name != "_columns"]
        return _made, (held,)

    def __iter__(self) -> Iterator[Candle]:
        return iter(self._candles)

    def __repr__(self) -> str:
        series, size = self.series, len(self._candles)
        told = f", age {self.age} ms" + (f", {self.standing}" if self.standing else "")
        return f"<Candles: {size} of {series.symbol} {series.timeframe}, feed {self.feed}{told}>"

    def _repr_html_(self) -> str:
        """As a notebook shows them: the first and the last few."""
        from html import escape

        rows = [*self._candles[:_SHOWN], *self._candles[max(_SHOWN, len(self) - _SHOWN) :]]
        head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
        lines = []
        for candle in rows:
            cells = [f"{candle.datetime:%Y-%m-%d %H:%M}", *(f"{number:.12g}" for number in candle[1:])]
            lines.append("".join(f"<td>{cell}</td>" for cell in cells))
        if len(self) > len(rows):
            lines.insert(_SHOWN, f"<td colspan=6>… {len(self) - len(rows)} more …</td>")
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<table><caption>{escape(repr(self))}</caption><tr>{head}</tr>{body}</table>"

    # --- who vouches for them

    @property
    def series(self) -> SeriesId:
        """Whose candles they are: venue, symbol, timeframe."""
        return self._series

    @property
    def contiguous_from(self) -> int:
        """From here to `known_through` nothing is missing (Unix ms)."""
        return self._contiguous_from

    @property
    def settled_through(self) -> int:
        """Before this every bucket was read from the venue's REST API after it had closed (Unix ms).

        >>> candles = reader.candles("BTC-USD", "5m", 60)
        >>> all(candle.time < candles.settled_through for candle in candles)
        True
        """
        return self._settled_through

    @property
    def known_through(self) -> int:
        """Before this every bucket is settled, or vouched for by an unbroken feed, or likely empty (Unix ms).

        >>> candles = reader.candles("BTC-USD", "5m", 60)
        >>> candles.known_through - candles[-1].time  # the end of the last one: a bucket is 5 min long
        300000
        """
        return self._known_through

    @property
    def forming(self) -> int:
        """Open time of the bucket in progress (Unix ms), if it was asked for; else 0."""
        return self._forming

    @property
    def standing(self) -> str:
        """How the venue stands to the product: "" while it trades, "halted" or "unknown" (delisted) if not.

        >>> reader.candles("BTC-USD", "5m", 60).standing
        ''
        """
        return self._standing

    @property
    def feed(self) -> str:
        """ "up" or "down". While it is down, closed candles come from REST, a little later.

        >>> reader.candles("BTC-USD", "5m", 60).feed
        'up'
        """
        return self._feed

    @property
    def age(self) -> int:
        """Milliseconds of the venue's clock from `known_through` to the last sign of life.

        Up to the length of a bucket it is the bucket in progress that takes so long; `max_lag` bounds what is
        beyond that.

        >>> reader.candles("BTC-USD", "5m", 60).age
        15000
        """
        return self._age

    @property
    def synthetic(self) -> frozenset[int]:
        """Open times of the candles that stand for buckets in which nothing was traded (Unix ms).

        >>> reader.candles("BTC-USD", "1h", 3, empty="carry").synthetic
        frozenset({1771581600000})
        """
        return self._synthetic

    # --- columns

    def values(self, name: str) -> list[Any]:
        """A column as a list: "time" (Unix ms), "open", "high", "low", "close" or "volume".

        >>> reader.candles("BTC-USD", "5m", 3).values("close")
        [76396.23, 76381.7, 76324.18]
        """
        if name not in _COLUMNS:
            raise ValueError(f"there is no column {name!r}: {', '.join(_COLUMNS)} there are")
        return list(map(attrgetter(name), self._candles))

    @property
    def time(self) -> Any:
        """Open times, Unix ms, as a numpy array. `ModuleNotFoundError` where numpy is not installed."""
        return self._column("time")

    @property
    def open(self) -> Any:
        """Opening prices, as `time`."""
        return self._column("open")

    @property
    def high(self) -> Any:
        """Highest prices, as `time`."""
        return self._column("high")

    @property
    def low(self) -> Any:
        """Lowest prices, as `time`."""
        return self._column("low")

    @property
    def close(self) -> Any:
        """Closing prices, as `time`."""
        return self._column("close")

    @property
    def volume(self) -> Any:
        """Volumes in base units, as `time`."""
        return self._column("volume")

    def to_numpy(self) -> numpy.ndarray[Any, Any]:
        """A structured array of your own: a row a candle, fields named as the columns.

        `ModuleNotFoundError` where numpy is not installed.

        >>> array = reader.candles("BTC-USD", "5m", 60).to_numpy()
        >>> array.shape, array.dtype.names
        ((60,), ('time', 'open', 'high', 'low', 'close', 'volume'))
        >>> float(array["high"].max())
        76718.43
        """
        np = package("numpy", "to_numpy")
        array: numpy.ndarray[Any, Any] = np.empty(
            len(self), [(name, "i8" if name == "time" else "f8") for name in _COLUMNS]
        )
        for name in _COLUMNS:
            array[name] = self._column(name)
        return array

    def to_polars(self) -> polars.DataFrame:
        """A polars frame: `time` as Datetime in UTC, the rest as Float64.

        `ModuleNotFoundError` where polars is not installed.

        >>> reader.candles("BTC-USD", "5m", 60).to_polars().columns
        ['time', 'open', 'high', 'low', 'close', 'volume']
        """
        pl = package("polars", "to_polars")
        kinds = {name: pl.Int64 if name == "time" else pl.Float64 for name in _COLUMNS}
        columns = {name: self.values(name) for name in _COLUMNS}
        time = pl.col("time").cast(pl.Datetime("ms", "UTC"))
        frame: polars.DataFrame = pl.DataFrame(columns, schema=kinds).with_columns(time)
        return frame

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas frame: the index is a DatetimeIndex in UTC named `time`, the columns are floats.

        Its `attrs` say whose they are and who vouches for them how far: `venue`, `symbol`, `timeframe`,
        `feed`, `standing`, and in Unix ms `contiguous_from`, `settled_through`, `known_through`, `forming`.

        `ModuleNotFoundError` where pandas is not installed.

        >>> frame = reader.candles("BTC-USD", "5m", 60).to_pandas()
        >>> str(frame.index[-1]), list(frame.columns)
        ('2026-02-20 12:00:00+00:00', ['open', 'high', 'low', 'close', 'volume'])
        """
        pd = package("pandas", "to_pandas")
        index = pd.DatetimeIndex(pd.to_datetime(self.time, unit="ms", utc=True), name="time")
        columns = {name: self._column(name) for name in _COLUMNS[1:]}
        frame: pandas.DataFrame = pd.DataFrame(columns, index=index, copy=True)
        told = ("feed", "standing", "contiguous_from", "settled_through", "known_through", "forming")
        frame.attrs = {"venue": self.series.venue, "symbol": self.series.symbol}
        frame.attrs |= {"timeframe": str(self.series.timeframe)} | {
            name: getattr(self, name) for name in told
        }
        return frame

    def _column(self, name: str) -> Any:
        column = self._columns.get(name)
        if column is None:
            try:
                # Imported when the first column is asked for: it is no dependency, and it is slow to import.
                import numpy
            except ModuleNotFoundError as error:
                if error.name != "numpy":
                    raise
                raise ModuleNotFoundError(
                    f"candles.{name} is a numpy array, and numpy is not installed: "
                    f"pip install 'livecache[numpy]'; candles.values({name!r}) is a list without it",
                    name="numpy",
                ) from None
            dtype = numpy.int64 if name == "time" else numpy.float64
            column = numpy.fromiter(map(attrgetter(name), self._candles), dtype, len(self._candles))
            column.setflags(write=False)
            self._columns[name] = column
        return column


def _made(held: Sequence[Any]) -> Candles:
    names = [name for name in Candles.__slots__ if name != "_columns"]
    options = {name.removeprefix("_"): value for name, value in zip(names, held, strict=True)}
    return Candles(**options)


def package(name: str, method: str) -> Any:
    """The package, which is no dependency; or an error that names it, and not the method's insides."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(
            f"{method}() needs the package {name}, which is not installed: pip install 'livecache[{name}]'",
            name=name,
        ) from None
