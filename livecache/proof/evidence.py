"""Evidence: what may be said of a bucket, given what each witness has told of it. Pure.

Time proves nothing: a venue's lies (an empty answer, an edge that lags, a spoilt row) pass or stay by
themselves. Agreement between independent witnesses does. The table of docs/reliability.md is `verdict`, a
line a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import msgspec
from msgspec.structs import replace

from ..model.candle import ExactCandle

__all__ = [
    "APART_MS",
    "DISPUTE_MS",
    "ENDS_MS",
    "LAG_MS",
    "UNUSABLE_MS",
    "UNUSABLE_TRIES",
    "Kin",
    "Open",
    "PageFacts",
    "PageOutcome",
    "Strange",
    "Verdict",
    "Witnesses",
    "verdict",
]

APART_MS = 60_000
"""Two pages that say the same are two words only if so far apart: the venue's edge keeps answers."""

DISPUTE_MS = 300_000
"""Over so long three fresh pages must agree before they count for more than the feed, or than kin."""

LAG_MS = 3_600_000
"""The venue's edge lags by minutes: a row of a bucket that ended so long ago is no part of it."""

ENDS_MS = 120_000
"""Over so long three wholly empty pages must agree."""

UNUSABLE_TRIES = 5
UNUSABLE_MS = 600_000
"""So often and so long a row must have been impossible to believe before its bucket is told as unusable."""


class Kin(Enum):
    """What bigger and smaller timeframes say of a bucket that a page shows no row for."""

    SILENT = "they do not know"
    CONFIRMS = "a bigger bucket holds no more than what is known within it"
    BEARS_OUT = "so does a page of a bigger timeframe that was asked for because nobody else could say"
    DENIES = "smaller ones traded, or a bigger one holds more than what is known within it"


class Verdict(Enum):
    """What follows for the bucket."""

    SETTLED = "it is as the page says"
    PRESUMED = "it is as the page says, two witnesses agree, and is asked for again: nobody saw beyond it"
    LIKELY = "it is as the page says, which nobody else bears out: it can be read, and is not told as settled"
    OVERRULED = "it is as the pages say, against what the feed or kin had told"
    OPEN = "it is read again"


class Open(msgspec.Struct):
    """What pages have said so far of a bucket that they did not settle. Times are `heard`, Unix ms."""

    row: ExactCandle | None
    first: int  # when they said so first
    last: int  # when the last page came that counts
    pages: int = 1  # that said the same, `APART_MS` or more after one another
    fresh: int = 0  # … and showed something newer that had closed, no poorer than it was known
    empty: bool = False  # the pages held no row at all
    alone: bool = False  # candles on both sides are known, and no other timeframe says anything
    newer: bool = False  # the last page showed something newer
    whole: bool = False  # … and lacked no settled candle
    again: int = 0  # when it is worth another page
    tries: int = 0
    unusable: str = ""  # why the row cannot be believed, or may be missing
    since: int = 0  # when that was found
    rebuilt: ExactCandle | None = None  # what smaller candles add up to
    rebuilt_at: int = 0
    asked_others: int = 0  # how often other timeframes were asked because of it
    others_again: int = 0  # when that is worth another page

    def hear(
        self, row: ExactCandle | None, heard: int, *, fresh: bool, empty: bool, newer: bool, whole: bool
    ) -> None:
        """Another page has spoken. What differs begins anew; what comes too soon says nothing more."""
        self.newer, self.whole = newer, whole
        agrees = row is self.row or (row is not None and self.row is not None and row.equals(self.row))
        self.empty = self.empty and empty
        if not agrees or self.unusable:
            self.row, self.first, self.last, self.pages, self.fresh = row, heard, heard, 1, int(fresh)
            self.empty, self.unusable, self.since = empty, "", 0
        elif heard >= self.last + APART_MS:
            self.last, self.pages, self.fresh = heard, self.pages + 1, self.fresh + fresh

    @property
    def told_unusable(self) -> bool:
        """Whether the bucket was given up: a hole that is told, and asked for once a day."""
        return bool(self.unusable) and self.tries >= UNUSABLE_TRIES and self.last >= self.since + UNUSABLE_MS


@dataclass(slots=True)  # Not frozen, for speed: it is made for many buckets of a page.
class Witnesses:
    """What each witness says of one closed bucket, the page that has just come first."""

    row: bool  # the page has a row for it, be it one that says that nothing was traded
    poorer: bool  # the row, or its absence, is less than the feed or an earlier page showed
    newer: bool  # the page shows something newer, no poorer than it was known, or is older than all known
    aged: bool  # the bucket ended longer ago than any edge lags
    older: bool  # something before it is known, from any page, or nothing older is looked for
    whole: bool  # the page lacks no settled candle that lies in it
    behind: bool  # it lacks what the feed or an earlier page showed, or shows what an earlier one lacked
    empty: bool  # it has no row at all
    silent: bool  # an unbroken feed carried the symbol through the bucket and showed nothing
    quiet: bool  # the feed carries the symbol now, and nobody has shown anything newer
    kin: Kin
    sleeps: bool  # the product's own page shows that it sleeps as long between trades as since this bucket
    halted: bool  # the venue's list says that it is not traded
    told: Open  # what pages said so far, this one among them
    filled: bool = False  # the venue shows rows where nothing is traded: an absent one may be a fault

    @property
    def _agreed_ms(self) -> int:
        return self.told.last - self.told.first


def verdict(w: Witnesses) -> Verdict:
    """What the witnesses prove. The first line that fits counts."""
    told = w.told
    against = w.poorer or (not w.row and w.kin is Kin.DENIES)
    seen = w.poorer or (w.newer and w.older and w.whole)
    if against and seen and told.fresh >= 3 and w._agreed_ms >= DISPUTE_MS:
        return Verdict.OVERRULED
    if against:
        return Verdict.OPEN
    if w.row and (w.newer or w.aged):
        return Verdict.SETTLED
    if w.row and not w.behind and (told.pages >= 2 or w.sleeps):
        return Verdict.LIKELY
    if w.row:
        return Verdict.OPEN
    between = w.newer and w.older and not w.empty
    if not w.whole and between and not w.behind and told.pages >= 3 and w._agreed_ms >= DISPUTE_MS:
        return Verdict.PRESUMED
    if not w.whole:
        return Verdict.OPEN
    if between and not w.filled:
        return Verdict.SETTLED
    if w.kin is Kin.CONFIRMS:
        return Verdict.PRESUMED if w.empty else Verdict.SETTLED
    if w.kin is Kin.BEARS_OUT and (told.pages >= 2 or not w.empty):
        return Verdict.PRESUMED if w.empty else Verdict.SETTLED
    if w.silent or w.halted:
        return Verdict.PRESUMED
    if w.behind:
        return Verdict.OPEN
    if w.sleeps:
        return Verdict.LIKELY
    if w.older and told.pages >= 2 and not told.empty and w.quiet:
        return Verdict.LIKELY
    if w.older and told.pages >= 3 and w._agreed_ms >= ENDS_MS and w.quiet:
        return Verdict.LIKELY
    return Verdict.OPEN


class PageFacts(msgspec.Struct, frozen=True):
    """A page of one series over `[start, end)`, Unix ms, with `heard` from before the request was sent."""

    start: int
    end: int
    rows: Mapping[int, ExactCandle]  # oldest first
    heard: int
    rejected: frozenset[int] = frozenset()  # buckets whose row could not be believed, or may be missing
    reasons: Mapping[int, str] = {}  # why those rows could not be believed
    flat: frozenset[int] = frozenset()  # buckets whose row said that nothing was traded

    def without_flat(self) -> PageFacts:
        """The same where rows without a trade are the rule: they are rows no more."""
        flat = frozenset(t for t, row in self.rows.items() if row.flat)
        return replace(self, rows={t: row for t, row in self.rows.items() if t not in flat}, flat=flat)


class Strange(msgspec.Struct, frozen=True):
    """Pages of one place that did not fit what is known, and agreed with each other. Times are `heard`."""

    first: int
    last: int
    pages: int  # that came `APART_MS` or more after one another
    rows: Mapping[int, ExactCandle]  # of the last one


class PageOutcome(msgspec.Struct):
    """What became of the page's buckets."""

    touched: list[int] = []  # buckets of which more is known now
    revised: list[int] = []
    mismatched: list[int] = []  # differ from their own roll-up
    doubtful: list[int] = []  # … and hold more than it
    disputed: int = 0
    overruled: list[int] = []  # the pages agree against the feed, or against kin
    unusable: list[int] = []  # given up with this page
    strange: bool = False  # it is another series' as far as is seen, and nothing of it was taken
    channel_dead: int = 0  # the first bucket with a settled candle where an unbroken feed showed nothing
