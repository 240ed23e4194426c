"""Where buckets begin and end: in fixed steps, by calendar months, or by the sessions of an exchange. Pure.

A bucket is named by its open time. It owns the closed hours before it: what a settled one adds to a coverage
is `[grid.end_before(bucket), grid.end(bucket))`, so that spans stay contiguous over nights and weekends and
none of them ends in the future. All times are Unix ms, UTC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import accumulate
from operator import le, lt, sub

from ..errors import OutsideCalendar

__all__ = ["ANYTIME", "WEEKS", "EpochGrid", "Grid", "MonthGrid", "SessionGrid", "read_grid"]

DAY_MS = 86_400_000
_ORDINAL = date(1970, 1, 1).toordinal()
_YEAR_10000 = (date.max.toordinal() + 1 - _ORDINAL) * DAY_MS


class Grid(ABC):
    """An unending row of buckets, numbered. Kinds bring the numbers; all else follows from them.

    Times outside of an exchange's calendar raise `OutsideCalendar`, but for those that only bound a stretch.
    """

    __slots__ = ()

    late: int = 0
    """So many ms after its end nobody expects to know of a bucket."""

    @abstractmethod
    def number(self, time: int) -> int:
        """The number of the newest bucket that opens at `time` or before."""

    @abstractmethod
    def opening(self, number: int) -> int:
        """When the bucket of that number opens."""

    @abstractmethod
    def ending(self, number: int) -> int:
        """When the bucket of that number ends (exclusive): at the next open, or at closing time."""

    @abstractmethod
    def divides(self, parent: Grid) -> bool:
        """Whether each bucket of `parent`, and the closed hours that it owns, is a union of ours."""

    def agrees(self, other: Grid) -> bool:
        """Whether both have the same buckets, as far as both may know."""
        return self == other

    @abstractmethod
    def times(self, n: int) -> Grid | None:
        """`n` buckets as one, always the same ones; None where numbers depend on how much is known."""

    @abstractmethod
    def text(self, start: int, end: int) -> str:
        """What `read_grid` makes a grid of that is the same over `[start, end)` and shortly after."""

    def __contains__(self, time: int) -> bool:
        """Whether a bucket opens at `time`."""
        return self.floor(time) == time

    def floor(self, time: int) -> int:
        """Open of the newest bucket that opens at `time` or before: the one in progress, or the last one."""
        return self.opening(self.number(time))

    def ceil(self, time: int) -> int:
        """The first open at `time` or after."""
        return self.opening(self.number(time - 1) + 1)

    def after(self, time: int, n: int = 1) -> int:
        """The open `n` buckets after `floor(time)`: by one, the next open after `time`."""
        return self.opening(self.number(time) + n)

    def back(self, time: int, n: int = 1) -> int:
        """The open `n` buckets before `ceil(time)`: by one, the last open before `time`."""
        return self.opening(self.number(time - 1) + 1 - n)

    def far_back(self, time: int, n: int) -> int:
        """As `back`, but no further than 1970, or than the calendar goes."""
        return max(self.back(time, n), self.ceil(0))

    def end(self, bucket: int) -> int:
        """When the bucket that opens at `bucket` ends (exclusive)."""
        return self.ending(self.number(bucket))

    def end_before(self, bucket: int) -> int:
        """When the bucket before it ended: where the closed hours begin that this one owns."""
        return self.ending(self.number(bucket) - 1)

    def closed(self, time: int) -> int:
        """The end of the newest bucket that is over at `time`."""
        number = self.number(time)
        end = self.ending(number)
        return end if end <= time else self.ending(number - 1)

    def due(self, through: int) -> int:
        """From when on it is behind that nothing is known of what opens at `through` or after."""
        return self.ending(self.number(through - 1) + 1) + self.late

    def final_due(self, through: int) -> int:
        """From when on it is behind that nothing is final of what opens at `through` or after."""
        return self.due(through)

    def bounds(self, time: int) -> bool:
        """Whether a bucket opens or ends at `time`."""
        return self.closed(time) == time or time in self

    def count(self, start: int, end: int) -> int:
        """How many buckets open in `[start, end)`."""
        return max(0, self.number(end - 1) - self.number(start - 1))

    def opens(self, start: int, end: int) -> Sequence[int]:
        """The opens in `[start, end)`, oldest first."""
        opening = self.opening
        return [opening(n) for n in range(self.number(start - 1) + 1, self.number(end - 1) + 1)]


@dataclass(frozen=True, slots=True)
class EpochGrid(Grid):
    """Steps of so many ms, one of which opens at `origin`: days from 08:00, weeks from Monday."""

    step: int
    origin: int = 0

    def __post_init__(self) -> None:
        if self.step <= 0 or not 0 <= self.origin < self.step:
            raise ValueError(f"no grid: steps of {self.step} ms from {self.origin}")

    def number(self, time: int) -> int:
        return (time - self.origin) // self.step

    def opening(self, number: int) -> int:
        return number * self.step + self.origin

    def ending(self, number: int) -> int:
        return (number + 1) * self.step + self.origin

    def divides(self, parent: Grid) -> bool:
        if isinstance(parent, EpochGrid):
            return not parent.step % self.step and not (parent.origin - self.origin) % self.step
        return isinstance(parent, MonthGrid) and not DAY_MS % self.step and not self.origin

    def times(self, n: int) -> EpochGrid:
        return EpochGrid(self.step * n, self.origin)

    def text(self, start: int, end: int) -> str:
        return f"{self.step} from {self.origin}"

    # What follows is asked for every candle and frame: it is spelled out, for speed.

    def __contains__(self, time: int) -> bool:
        return not (time - self.origin) % self.step

    def floor(self, time: int) -> int:
        return time - (time - self.origin) % self.step

    closed = floor

    def bounds(self, time: int) -> bool:
        return not (time - self.origin) % self.step

    def ceil(self, time: int) -> int:
        return time + (self.origin - time) % self.step

    def after(self, time: int, n: int = 1) -> int:
        return time - (time - self.origin) % self.step + n * self.step

    def back(self, time: int, n: int = 1) -> int:
        return time + (self.origin - time) % self.step - n * self.step

    def end(self, bucket: int) -> int:
        return bucket + self.step

    def end_before(self, bucket: int) -> int:
        return bucket

    def due(self, through: int) -> int:
        return through + (self.origin - through) % self.step + self.step

    def count(self, start: int, end: int) -> int:
        return max(0, (end - 1 - self.origin) // self.step - (start - 1 - self.origin) // self.step)

    def opens(self, start: int, end: int) -> range:
        return range(start + (self.origin - start) % self.step, end, self.step)


ANYTIME = EpochGrid(1)
"""For what does not tell where its buckets lie."""

WEEKS = EpochGrid(7 * DAY_MS, 4 * DAY_MS)
"""Weeks from Monday: the epoch was a Thursday."""


@dataclass(frozen=True, slots=True)
class MonthGrid(Grid):
    """So many calendar months of UTC, the year's first among their opens if they divide a year."""

    months: int = 1

    def __post_init__(self) -> None:
        if self.months < 1:
            raise ValueError(f"no grid: {self.months} months")

    def number(self, time: int) -> int:
        return _month(time // DAY_MS) // self.months

    def opening(self, number: int) -> int:
        return _first_day(number * self.months) * DAY_MS

    def ending(self, number: int) -> int:
        return self.opening(number + 1)

    def divides(self, parent: Grid) -> bool:
        return isinstance(parent, MonthGrid) and not parent.months % self.months

    def times(self, n: int) -> MonthGrid:
        return MonthGrid(self.months * n)

    def text(self, start: int, end: int) -> str:
        return f"{self.months} months"


# Years that begin in March end with their leap day, so that the months before it follow one rule. datetime
# knows the same, but no year after 9999, where the last bucket of that year ends.

_MARCH_0000 = 719_468  # days before the epoch
_FOUR_CENTURIES = 146_097  # days


def _month(day: int) -> int:
    """The month, counted from January of the year 0, in which a day lies, counted from the epoch."""
    era, day = divmod(day + _MARCH_0000, _FOUR_CENTURIES)
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    return (era * 400 + year) * 12 + (5 * day + 2) // 153 + 2


def _first_day(month: int) -> int:
    year, month = divmod(month - 2, 12)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 - _MARCH_0000


@dataclass(frozen=True, slots=True, eq=False)  # Comparing calendars would be slow: one is itself only.
class SessionGrid(Grid):
    """The sessions of an exchange, `[opening, closing)` each, or `step` ms at a time within them.

    A session that is no multiple of `step` ends with a shorter bucket: an hour of New York opens at 09:30,
    10:30 … 15:30, and the last one ends at 16:00. Weeks of an exchange are given as the open of each week's
    first session and the end of its last.
    """

    openings: tuple[int, ...] = field(repr=False)  # ascending
    closings: tuple[int, ...] = field(repr=False)
    step: int = 0  # 0: a bucket is a whole session
    late: int = 0
    _firsts: Sequence[int] = field(init=False, repr=False)  # the number of each session's first bucket

    def __post_init__(self) -> None:
        # A copy: what a caller goes on changing must not move the buckets.
        openings, closings = tuple(self.openings), tuple(self.closings)
        sound = all(map(lt, openings, closings)) and all(map(le, closings, openings[1:]))
        if self.step < 0 or not openings or len(openings) != len(closings) or not sound:
            raise ValueError("no calendar: each session must end before the next one opens")
        object.__setattr__(self, "openings", openings)
        object.__setattr__(self, "closings", closings)
        firsts: Sequence[int] = range(len(openings) + 1)
        if step := self.step:
            sizes = (-((a - b) // step) for a, b in zip(openings, closings, strict=True))
            firsts = array("q", accumulate(sizes, initial=0))  # a fifth of a tuple's memory
        object.__setattr__(self, "_firsts", firsts)

    def within(self, step: int) -> SessionGrid:
        """Steps of so many ms within the same sessions."""
        return SessionGrid(self.openings, self.closings, step, self.late)

    def expected_after(self, late: int) -> SessionGrid:
        """The same, where nobody expects to know of a bucket until so many ms after its end."""
        return self if late == self.late else SessionGrid(self.openings, self.closings, self.step, late)

    def times(self, n: int) -> SessionGrid | None:
        if n == 1:
            return self
        return self.within(self.step * n) if self.step else None

    def number(self, time: int) -> int:
        session = bisect_right(self.openings, time) - 1
        if session < 0 or not self.step:
            return session
        inside = min(time, self.closings[session] - 1) - self.openings[session]
        return self._firsts[session] + inside // self.step

    def opening(self, number: int) -> int:
        session = self._session(number)
        return self.openings[session] + (number - self._firsts[session]) * self.step

    def ending(self, number: int) -> int:
        if number == -1:  # the first one owns no closed hours, as far as is known
            return self.openings[0]
        session = self._session(number)
        closing = self.closings[session]
        return min(self.opening(number) + self.step, closing) if self.step else closing

    def text(self, start: int, end: int) -> str:
        first = max(0, bisect_right(self.openings, start) - 2)
        within = slice(first, bisect_right(self.openings, end) + 2)
        sessions = zip(self.openings[within], self.closings[within], strict=True)
        late = f" +{self.late}" if self.late else ""
        return f"{self.step} in {','.join(f'{opening}-{closing}' for opening, closing in sessions)}{late}"

    def back(self, time: int, n: int = 1) -> int:
        """As `Grid.back`; before the first session, which is no end of a search, a time before it."""
        number = self.number(time - 1) + 1 - n
        return self.opening(number) if number >= 0 else self.openings[0] - 1

    def far_back(self, time: int, n: int) -> int:
        return self.opening(max(0, self.number(time - 1) + 1 - n))

    def final_due(self, through: int) -> int:
        """As `due`; where a bucket is expected late it is final once the next session has opened."""
        if not self.late:
            return self.due(through)
        session = self._session(self.number(through - 1) + 1) + 1
        return self.openings[session] + self.late if session < len(self.openings) else self.due(through)

    def _session(self, number: int) -> int:
        if not 0 <= number < self._firsts[-1]:
            first, last = (
                date.fromordinal(_ORDINAL + t // DAY_MS) for t in (self.openings[0], self.closings[-1])
            )
            raise OutsideCalendar(f"the calendar knows sessions from {first} to {last} only", "renew it")
        return bisect_right(self._firsts, number) - 1 if self.step else number

    def divides(self, parent: Grid) -> bool:
        return isinstance(parent, SessionGrid) and _divides(self, parent)

    def agrees(self, other: Grid) -> bool:
        if not isinstance(other, SessionGrid) or self.step != other.step:
            return False
        known = [(g.openings, g.closings) for g in (self.known_to(other), other.known_to(self)) if g]
        return len(known) == 2 and known[0] == known[1]

    def known_to(self, other: SessionGrid) -> SessionGrid | None:
        """The same, of those sessions only that `other` may know; None if there are none."""
        first = bisect_left(self.openings, other.openings[0])
        within = slice(first, bisect_right(self.closings, other.closings[-1]))
        opens = self.openings[within]
        return SessionGrid(opens, self.closings[within], self.step) if opens else None


@lru_cache(1024)  # Who plans asks for the same ones again and again, and years of sessions are many.
def _divides(child: SessionGrid, parent: SessionGrid) -> bool:
    if parent.openings is child.openings and parent.closings is child.closings:
        longest = max(map(sub, parent.closings, parent.openings))
        step, steps = child.step or longest, parent.step or longest
        return steps >= longest or (step < longest and not steps % step)
    if parent.openings[0] < child.openings[0] or parent.closings[-1] > child.closings[-1]:
        return False
    return all(
        child.floor(opening) == opening
        and child.end(child.floor(end - 1)) == end
        and (not number or child.end_before(opening) == parent.ending(number - 1))
        for number in range(parent._firsts[-1])
        for opening, end in [(parent.opening(number), parent.ending(number))]
    )


@lru_cache(1024)
def read_grid(text: str, shortest: int = 1) -> Grid:
    """The grid that `Grid.text` wrote down. Raises ValueError for anything else.

    So it does for steps of less than `shortest` ms, of which there would be more than anybody expects.
    """
    step, kind, rest = text.split(" ", 2) if text.count(" ") > 1 else (*text.split(" "), "")
    if kind in ("from", "in") and step != "0" and int(step) < shortest:
        raise ValueError(f"no grid: {text[:40]!r}, in steps shorter than {shortest} ms")
    if kind == "from":
        return EpochGrid(int(step), int(rest))
    if kind == "months" and not rest:
        return MonthGrid(int(step))
    if kind != "in":
        raise ValueError(f"no grid: {text[:40]!r}")
    rest, _, late = rest.partition(" +")
    if late and not 0 < int(late) < DAY_MS:
        raise ValueError(f"no grid: {text[:40]!r}, of which nobody expects to know for {late[:40]} ms")
    sessions = [tuple(map(int, session.split("-"))) for session in rest.split(",")]
    if sessions[-1][-1] >= _YEAR_10000:
        raise ValueError(f"no grid: {text[:40]!r}, until {sessions[-1][-1]}")
    return SessionGrid(
        tuple(o for o, _ in sessions), tuple(c for _, c in sessions), int(step), int(late or 0)
    )
