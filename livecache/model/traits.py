"""What a venue is like, as data: which candles it serves and carries, and what its word is worth. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

import msgspec

from .budget import NOTHING, Budget, Costs
from .grid import Grid, SessionGrid
from .timeframe import Timeframe

__all__ = ["MINUTE", "Carriage", "Served", "Traits"]

MINUTE = Timeframe.M1
"""What is built of trades, where a venue numbers them without a gap."""


class Carriage(NamedTuple):
    """What a feed carries: cumulative candles of one timeframe, in progress or closed."""

    timeframe: Timeframe
    flag: bool = False
    """Whether the last candle of a bucket says that it is the last."""


class Served(NamedTuple):
    """What is to be had of one timeframe by asking for pages."""

    page: int
    """Buckets in the longest page that the venue is known to accept."""
    costs: Costs = NOTHING
    """What such a page costs in the budgets."""
    cheaper: tuple[tuple[int, Costs], ...] = ()
    """What pages of up to so many buckets cost, where that is less; the shortest first."""
    reach: int = 0
    """Closed buckets that are to be had, the newest; 0: all that there ever were."""
    most: int = 0
    """Buckets in the longest page where years are wanted; 0: no more than `page`."""

    def costs_of(self, buckets: int) -> Costs:
        """What a page of so many buckets costs in the budgets."""
        return next((costs for most, costs in self.cheaper if buckets <= most), self.costs)


@dataclass(frozen=True)
class Traits:
    """What one venue is like, as far as is known now. When it teaches more, another value takes its place."""

    served: Mapping[Timeframe, Served]
    """The timeframes that can be asked for; others are rolled up from them."""
    carries: tuple[Carriage, ...] = ()
    """What its feed carries; nothing where there is none."""
    trades: bool = False
    """Whether its feed carries trades too, numbered without a gap, of which minutes are built."""

    empty: Literal["absent", "flat"] = "absent"
    """What is shown of a bucket in which nothing was traded: no row, or one without volume at the last price.

    Such rows and candles are dropped on entry, and prove that nothing was traded. Where they are the rule, an
    absent row proves nothing by itself: the venue may have been down.
    """

    order: Literal["volume", "stamp"] = "volume"
    """Which of two of the feed's candles of one bucket is the later: the one with more volume, as candles are
    cumulative, or the one with the later stamp, which may take volume back. A page's rows bear no stamps.
    """

    prepends: bool = False
    """Whether a page holds the first rows from its start on: then nothing lies before them."""

    settle_delay_ms: int = 10_000
    """So long after a bucket's end, in ms of its clock, a page may settle it; unless else is configured."""

    calendar: str = ""
    """The exchange whose sessions its buckets lie in, by name; "" where something may be traded any time."""

    calendar_through: int = 0
    """Unix ms: beyond it that exchange's sessions are only presumed; 0 where nothing ends."""

    finals: Grid | None = None
    """Whose opens make final what has ended before: the sessions of an exchange, where a day's volume is told
    right only after the next open. None: a bucket is final `settle_delay_ms` after its end.
    """

    shown_after_ms: Mapping[Timeframe, int] = field(default_factory=dict)
    """So long after its end, in ms of its clock, a page shows a bucket that `finals` makes final later. Until
    then nobody expects it.
    """

    clock: bool = True
    """Whether it tells its time when asked. Else stamps do, and before the first the host's clock."""

    lists: bool = True
    """Whether it has a list of products. Else its pages tell which there are, and what each is."""

    dated: bool = False
    """Whether its list tells since when a product is listed: nothing older is looked for."""

    begins: bool = False
    """Whether it shows the first candle of a product to whoever asks for one since the beginning of time."""

    sums_below: Timeframe | None = None
    """From this timeframe on candles are no sums of smaller ones: days with auctions. None: all are."""

    grids: Mapping[Timeframe, Grid] = field(default_factory=dict)
    """Where buckets begin, of those timeframes that do not keep to `Timeframe.grid`."""

    def __post_init__(self) -> None:
        late = {
            timeframe: grid.expected_after(self._expected_after(timeframe))
            for timeframe, grid in self.grids.items()
            if isinstance(grid, SessionGrid)
        }
        object.__setattr__(self, "grids", {**self.grids, **late})

    def _expected_after(self, timeframe: Timeframe) -> int:
        """How long after its end it is shown; what is added up, as long after as the last of its parts."""
        parts = [t for t in self.shown_after_ms if t.ms <= timeframe.ms]
        return self.shown_after_ms[max(parts, key=lambda t: t.ms)] if parts else 0

    def grid(self, timeframe: Timeframe) -> Grid:
        """Where its buckets of that timeframe begin and end."""
        return self.grids.get(timeframe, timeframe.grid)

    def final_at(self, end: int, delay_ms: int) -> int:
        """When a bucket is final that ended at `end` (Unix ms)."""
        return (end if self.finals is None else self.finals.ceil(end)) + delay_ms

    def final_by(self, now: int, delay_ms: int) -> int:
        """What ended by then is final at `now` (Unix ms), so long after: a page may settle it."""
        settled = now - delay_ms
        return settled if self.finals is None else self.finals.floor(settled)

    def told(self) -> dict[str, str]:
        """What readers are told, who add candles up themselves; nothing of what is usual."""
        own = {
            t.value: grid.text(0, 0) for t, grid in self.grids.items() if not isinstance(grid, SessionGrid)
        }
        told = {"grids": msgspec.json.encode(own).decode()} if own else {}
        if self.calendar:
            told |= {"calendar": self.calendar, "calendar_through": str(self.calendar_through)}
        return told | {"sums_below": self.sums_below.value} if self.sums_below else told

    def adds_up(self, smaller: Timeframe, bigger: Timeframe) -> bool:
        """Whether candles of the smaller timeframe add up to those of the bigger one."""
        if smaller.ms >= bigger.ms or (self.sums_below and smaller.ms < self.sums_below.ms <= bigger.ms):
            return False
        return self.grid(smaller).divides(self.grid(bigger))

    budgets: tuple[Budget, ...] = ()
    """What it allows; what is configured bounds requests beside these."""

    list_costs: Costs = field(default_factory=dict)
    """What its list of products costs in the budgets."""

    def page(self, timeframe: Timeframe) -> int:
        """Buckets in the longest page; of what is not served, as of what would be asked for in its stead."""
        served = self.served.get(timeframe)
        return served.page if served else max(each.page for each in self.served.values())

    def deep_page(self, timeframe: Timeframe) -> int:
        """Buckets in the longest page that years are asked for by."""
        served = self.served.get(timeframe)
        return max(served.page, served.most) if served else self.page(timeframe)

    def costs(self, timeframe: Timeframe) -> Costs:
        """What its longest page costs in the budgets."""
        served = self.served.get(timeframe)
        return served.costs if served else NOTHING

    def oldest(self, timeframe: Timeframe, now: int) -> int:
        """The oldest bucket that is sure to be had by a page asked for now; 0 where all are.

        While the answer is on its way one more may be gone.
        """
        served = self.served.get(timeframe)
        if served is None or not served.reach:
            return 0
        grid = self.grid(timeframe)
        return grid.far_back(grid.closed(now), served.reach - 1)

    def paged(self, most: int) -> Traits:
        """The same with pages of so many buckets."""
        return replace(self, served={t: each._replace(page=most, most=0) for t, each in self.served.items()})

    def without(self, timeframe: Timeframe) -> Traits:
        """The same without pages of this timeframe."""
        return replace(self, served={t: each for t, each in self.served.items() if t is not timeframe})

    @cached_property
    def carried(self) -> tuple[Timeframe, ...]:
        """The timeframes of the candles that its feed carries."""
        return tuple(each.timeframe for each in self.carries)

    @property
    def flags(self) -> bool:
        """Whether any candle of its feed says that it is the last of its bucket."""
        return any(each.flag for each in self.carries)

    @cached_property
    def built(self) -> tuple[Timeframe, ...]:
        """The timeframes of the candles that are built of its trades."""
        return (MINUTE,) if self.trades and MINUTE not in self.carried else ()

    @cached_property
    def fed(self) -> tuple[Timeframe, ...]:
        """The timeframes whose provisional candles come from the feed itself, whichever way."""
        return self.built + self.carried

    def smallest_fed(self, among: Iterable[Timeframe]) -> Timeframe:
        """The first of these, smallest first, that comes from the feed."""
        return next((t for t in among if t in self.fed), MINUTE)
