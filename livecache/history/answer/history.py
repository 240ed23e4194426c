"""What a read of history returns: columns of candles, and what is known of the stretch. Needs numpy."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...equities.action import Action
from ...equities.adjust import Adjust
from ...model.candle import ExactCandle
from ...model.coverage import Coverage
from ...model.grid import Grid
from ...model.series import SeriesId
from ...model.timeframe import Timeframe, iso
from ...read.answer import Empty
from ...read.candles import package
from ..columns import Array, Decimals
from ..store import Answer
from .derive import opens_in

if TYPE_CHECKING:
    import pandas
    import polars

__all__ = ["History"]

_PRICES = ("open", "high", "low", "close")
_COLUMNS = ("time", *_PRICES, "volume")


class History:
    """Candles of one series over a stretch of time, oldest first.

    `.time .open .high .low .close .volume` are numpy arrays, read-only: int64 (Unix ms) and float64, each
    number what `float` makes of the exchange's digits. A bucket without a row is empty where `coverage` has
    it, else it is missing.
    """

    def __init__(
        self,
        series: SeriesId,
        known: Answer,
        missing: Coverage,
        *,
        grid: Grid,
        empty: Empty = "skip",
        carried: float = np.nan,
        derived_from: Timeframe | None = None,
        adjust: Adjust = "splits",
        split: Action | None = None,
    ) -> None:
        self.series = series
        self.coverage = known.coverage
        """What is known of the stretch that was asked for: spans, half-open, Unix ms."""
        self.provisional = known.provisional
        """The part of it that is not final yet: of an exchange's newest session, until the next one opens."""
        self.missing = missing
        """What is not."""
        self.converted = known.converted
        """What was read before a split, and is converted to today's shares until it has been read again."""
        self.revision = known.rev
        """Of the stored series: it grows whenever something in it changes. 0 where nothing is stored."""
        self.rows_revision = known.block_rev
        """The largest revision of what was read: while it stays, what is stored of the stretch does."""
        self.derived_from = derived_from
        """The timeframe that was added up for all or a part of it, or None."""
        self.adjust = adjust
        """What prices are adjusted for: "splits", "none", or "all": splits and dividends."""
        self.split = split
        """The newest split that is accounted for, or None: there is none, or nobody has told of it."""
        self.grid = grid
        """Where its buckets lie."""
        self.rows = known.rows
        """The candles that were traded, as exact columns."""
        self._empty, self._carried = empty, carried

    def __len__(self) -> int:
        return len(self.time)

    def __repr__(self) -> str:
        spans = self.coverage.spans
        known = f"{iso(spans[0].start)} to {iso(spans[-1].end)}" if spans else "nothing is known"
        adjusted = "" if self.adjust == "splits" else f", adjusted for {self.adjust}"
        told = f", added up from {self.derived_from.value}" if self.derived_from else ""
        later = ", the newest provisional" if self.provisional else ""
        later += ", partly converted after a split" if self.converted else ""
        holes = f", {len(self.missing.spans)} missing" if self.missing else ""
        return (
            f"<History: {len(self)} of {self.series.symbol} {self.series.timeframe.value}, "
            f"{known}{adjusted}{told}{later}{holes}>"
        )

    @property
    def settled_through(self) -> int:
        """The end of the newest bucket that is settled (Unix ms); 0 if none is."""
        settled = self.coverage.without(self.provisional)
        return settled.spans[-1].end if settled else 0

    def exact(self) -> list[ExactCandle]:
        """The candles that were traded, in the exchange's own digits less trailing zeros."""
        return self.rows.candles()

    # --- columns

    @cached_property
    def time(self) -> Array:
        """Open times, Unix ms."""
        return _frozen(self.rows.time if self._empty == "skip" else self._opens)

    @cached_property
    def open(self) -> Array:
        """Opening prices."""
        return self._price(self.rows.open)

    @cached_property
    def high(self) -> Array:
        """Highest prices."""
        return self._price(self.rows.high)

    @cached_property
    def low(self) -> Array:
        """Lowest prices."""
        return self._price(self.rows.low)

    @cached_property
    def close(self) -> Array:
        """Closing prices."""
        return self._price(self.rows.close)

    @cached_property
    def volume(self) -> Array:
        """Volumes in base units."""
        return self._filled(self.rows.volume, np.float64(0.0 if self._empty == "carry" else np.nan))

    def to_numpy(self) -> Array:
        """A structured array of your own: a row a candle, fields named as the columns."""
        array = np.empty(len(self), [(name, "i8" if name == "time" else "f8") for name in _COLUMNS])
        for name in _COLUMNS:
            array[name] = getattr(self, name)
        return array

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas frame of floats, whose index `time` is in UTC. `ModuleNotFoundError` without pandas."""
        pd = package("pandas", "to_pandas")
        index = pd.DatetimeIndex(pd.to_datetime(self.time, unit="ms", utc=True), name="time")
        columns = {name: getattr(self, name) for name in _COLUMNS[1:]}
        frame: pandas.DataFrame = pd.DataFrame(columns, index=index, copy=True)
        venue, symbol, timeframe = self.series
        frame.attrs = {"venue": venue, "symbol": symbol, "timeframe": timeframe.value}
        frame.attrs |= {"settled_through": self.settled_through, "missing": [*map(tuple, self.missing)]}
        frame.attrs |= {"adjust": self.adjust, "split": self.split and tuple(self.split)}
        frame.attrs["provisional"] = [*map(tuple, self.provisional)]
        return frame

    def to_polars(self) -> polars.DataFrame:
        """A polars frame: `time` is Datetime in UTC. `ModuleNotFoundError` without polars."""
        pl = package("polars", "to_polars")
        frame: polars.DataFrame = pl.DataFrame({name: getattr(self, name) for name in _COLUMNS})
        return frame.with_columns(pl.col("time").cast(pl.Datetime("ms", "UTC")))

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`: `time` is a timestamp in UTC. `ModuleNotFoundError` without pyarrow."""
        pa = package("pyarrow", "to_arrow")
        arrays = {name: pa.array(getattr(self, name)) for name in _COLUMNS}
        arrays["time"] = arrays["time"].cast(pa.timestamp("ms", "UTC"))
        return pa.table(arrays)

    # --- buckets that stand empty

    @cached_property
    def _opens(self) -> Array:
        """The opens of all buckets that are known."""
        grid = self.grid
        opens = [opens_in(grid, grid.ceil(start), end) for start, end in self.coverage]
        return np.concatenate(opens) if opens else np.empty(0, np.int64)

    @cached_property
    def _row_before(self) -> Array:
        """For each known bucket, the index of its row or of the last one before it; -1 for none."""
        return np.searchsorted(self.rows.time, self._opens, "right") - 1

    @cached_property
    def _traded(self) -> Array:
        """For each known bucket, whether it has a row."""
        if not len(self.rows):
            return np.zeros(len(self._opens), np.bool_)
        return np.asarray(self.rows.time[self._row_before] == self._opens)

    @cached_property
    def _carries(self) -> Array:
        """The close that stands for an empty bucket; never over a hole."""
        spans = self.coverage.spans
        starts = np.array([start for start, _ in spans], np.int64)
        begins = starts[np.searchsorted(starts, self._opens, "right") - 1]
        closes = np.append(self.rows.close.floats(), np.nan)
        times = np.append(self.rows.time, -1)
        closes = np.where(times[self._row_before] >= begins, closes[self._row_before], np.nan)
        first = (self._row_before < 0) & (begins == spans[0].start) if spans else np.empty(0, np.bool_)
        return np.where(first, self._carried, closes)

    def _price(self, numbers: Decimals) -> Array:
        return self._filled(numbers, self._carries if self._empty == "carry" else np.float64(np.nan))

    def _filled(self, numbers: Decimals, instead: Any) -> Array:
        floats = numbers.floats()
        if self._empty == "skip":
            return _frozen(floats)
        if not len(floats):
            return _frozen(np.broadcast_to(np.asarray(instead, np.float64), len(self._opens)).copy())
        return _frozen(np.where(self._traded, floats[self._row_before], instead))


def _frozen(array: Array) -> Array:
    view = array.view()
    view.setflags(write=False)
    return view
