"""Candles: what a venue says was traded in one bucket.

Two shapes, for two jobs. `ExactCandle` carries the venue's own digits from the wire to Redis, so that
nothing is ever rounded on the way. `Candle` is what a reader gets: floats, decoded straight from a member.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from .grid import Grid
from .timeframe import Timeframe, moment

__all__ = ["NUMBER", "Candle", "ExactCandle", "FeedCandle", "plain_number", "rejection", "within_bounds"]


class Candle(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One candle as a reader sees it. `time` is the bucket's open, Unix ms, UTC; volume in base units.

    It can be unpacked, in ccxt's order, and frames and arrays are made of many as of named tuples.
    """

    _fields: ClassVar = ("time", "open", "high", "low", "close", "volume")

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def datetime(self) -> datetime:
        """The bucket's open, as a datetime in UTC."""
        return moment(self.time)

    def __iter__(self) -> Iterator[float]:
        return iter(msgspec.structs.astuple(self))

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, index: Any) -> Any:
        return msgspec.structs.astuple(self)[index]


Sequence.register(Candle)  # which pandas and others go by


class ExactCandle(msgspec.Struct, frozen=True, order=True, gc=False):
    """One candle in the venue's own digits. `time` is its open in Unix ms; the rest are JSON numbers.

    `gc=False`, because a collector that follows a hundred thousand tuples stops the event loop for 0.1 s.
    """

    time: int
    open: str
    high: str
    low: str
    close: str
    volume: str

    @property
    def numbers(self) -> tuple[str, str, str, str, str]:
        """Open, high, low, close and volume."""
        return self.open, self.high, self.low, self.close, self.volume

    def member(self) -> str:
        """The candle as a member of the sorted set: `[time,open,high,low,close,volume]`, ccxt's order."""
        return f"[{self.time},{self.open},{self.high},{self.low},{self.close},{self.volume}]"

    @property
    def flat(self) -> bool:
        """Whether nothing was traded: it has no volume, and all its prices are the same."""
        prices = self.open, self.high, self.low, self.close
        return float(self.volume) == 0 and len(set(map(Decimal, prices))) == 1

    def equals(self, other: ExactCandle) -> bool:
        """Whether both are the same candle numerically: `1.50` equals `1.5`."""
        if self == other:
            return True
        if self.time != other.time or Decimal(self.volume) != Decimal(other.volume):
            return False  # what differs is mostly the volume
        return all(
            a == b or Decimal(a) == Decimal(b) for a, b in zip(self.numbers, other.numbers, strict=True)
        )

    def reaches(self, other: ExactCandle) -> bool:
        """Whether this one's range holds the other's. A later candle of the same bucket's does."""
        return float(self.low) <= float(other.low) and float(self.high) >= float(other.high)

    def richer_than(self, other: ExactCandle) -> bool:
        """Whether this one holds more volume. A venue's candles are cumulative: more volume is later."""
        if self.volume == other.volume:
            return False
        # Rounding never turns the order around, so only where the floats are equal it takes exact ones.
        ours, theirs = float(self.volume), float(other.volume)
        if ours != theirs:
            return ours > theirs
        return Decimal(self.volume) > Decimal(other.volume)


FeedCandle = tuple[str, Timeframe, ExactCandle, bool]
"""A feed's candle: the product, the timeframe, and last whether it says that it is the bucket's last one."""

# A JSON number without sign: what the venue prints, and what may be copied into a member verbatim.
# The length is bounded, so that no absurd string can bloat a set; so is the size of what it says, below.
_PLAIN = r"(?:0|[1-9]\d{0,27})(?:\.\d{1,36})?"
NUMBER = rf"{_PLAIN}(?:[eE][+-]?\d{{1,9}})?"
_NUMBERS = re.compile(rf"{NUMBER}(?:,{NUMBER}){{4}}", re.ASCII)
_PLAIN_NUMBERS = re.compile(rf"{_PLAIN}(?:,{_PLAIN}){{4}}", re.ASCII)
_LOOSE_NUMBER = re.compile(r"\+?(\d{0,64})(?:\.(\d{0,64}))?([eE][+-]?\d{1,9})?", re.ASCII)

# Between these powers of ten every number lies, so that an exact sum of such numbers has a bounded length.
_POWERS = range(-36, 28)


def plain_number(text: str) -> str:
    """A number as JSON writes it, digits verbatim, where `text` is one in another form: `.5`, `5.`, `+5`.

    Anything else comes back as it is.
    """
    found = _LOOSE_NUMBER.fullmatch(text.strip())
    if not found or not (found[1] or found[2]):
        return text
    whole = found[1].lstrip("0") or "0"
    return f"{whole}{f'.{found[2]}' if found[2] else ''}{found[3] or ''}"


def within_bounds(number: str) -> bool:
    """Whether a number, an exponent included, is neither absurdly large nor absurdly fine."""
    if "e" not in number and "E" not in number:
        return True  # by its length
    _, digits, power = Decimal(number).as_tuple()
    if not isinstance(power, int):
        return False
    return digits == (0,) or (power >= _POWERS.start and power + len(digits) <= _POWERS.stop)


def rejection(
    candle: ExactCandle, timeframe: Timeframe, now: int | None, grid: Grid | None = None
) -> str | None:
    """Why `candle` cannot be believed, or None if it can.

    `now` is the venue's clock in Unix ms, None where it is not known yet. A bucket may be in progress but
    must have begun. `grid` is where buckets lie, if not where the timeframe says.
    """
    time, open_, high, low, close = candle.time, candle.open, candle.high, candle.low, candle.close
    joined = f"{open_},{high},{low},{close},{candle.volume}"
    if not _PLAIN_NUMBERS.fullmatch(joined):  # nearly all have no exponents
        if not _NUMBERS.fullmatch(joined):
            return "a price or the volume is not a plain number"
        if not all(map(within_bounds, candle.numbers)):
            return "a price or the volume is absurdly large or fine"
    if time <= 0 or time not in (grid or timeframe.grid):
        return f"time {time} is not the open of a {timeframe} bucket"
    if now is not None and time > now:
        return f"time {time} is in the future of the venue's clock ({now})"
    o, h, l, c = float(open_), float(high), float(low), float(close)  # noqa: E741
    if l <= 0:
        return "a price is not positive"
    if not (l <= o <= h and l <= c <= h):
        return "open and close are not within low and high"
    return None
