"""Settled candles against what the venue returns now: which pages to ask for, and what differs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from ..model.candle import ExactCandle
from ..model.series import SeriesId
from ..model.timeframe import iso
from .findings import FINDINGS_A_KIND_MAX, Flaw
from .stored import Examined

__all__ = ["Compared", "PageWanted", "compare_page", "pages_wanted"]

_EDGE_BEHIND_MS = 60_000
"""How far the venue's edge may be behind: a bucket that closed later is compared only under a later row."""


class PageWanted(NamedTuple):
    """One request: the buckets `[start, end)` of one series, Unix ms."""

    series: SeriesId
    start: int
    end: int


class Compared(msgspec.Struct):
    """What became of a comparison: buckets, by outcome, and requests."""

    requests_wanted: int = 0
    requests: int = 0
    failures: int = 0
    same: int = 0
    differ: int = 0
    passed_over: int = 0  # the venue's answer of them may be from before their close, or makes no sense

    @classmethod
    def sum_of(cls, parts: Sequence[Compared]) -> Compared:
        """Several comparisons as one."""
        names = cls.__struct_fields__
        return cls(**{name: sum(getattr(part, name) for part in parts) for name in names})


def pages_wanted(series: Sequence[Examined], page_limit: int) -> list[PageWanted]:
    """The pages that hold all settled buckets: the newest of every series first, then the one before."""
    lists = [list(_pages(stored, page_limit)) for stored in series]
    longest = max(map(len, lists), default=0)
    return [pages[i] for i in range(longest) for pages in lists if i < len(pages)]


def _pages(stored: Examined, page_limit: int) -> Iterator[PageWanted]:
    if stored.record is None:
        return
    grid = stored.grid
    spans = [(grid.ceil(s.start), grid.closed(s.end)) for s in stored.record.state.coverage]
    for start, end in reversed(spans):
        while start < end:
            # And the bucket after: its row proves that the page is no older than the last close.
            first = max(start, grid.far_back(end, page_limit - 1))
            yield PageWanted(stored.series, first, end)
            end = first


def compare_page(
    stored: Examined,
    page: PageWanted,
    rows: Mapping[int, ExactCandle],
    rejected: Collection[int],
    compared: Compared,
) -> None:
    """Compare the settled buckets of a page; what differs goes to the series' findings.

    `rows` may hold the bucket after the page's end. `rejected`: buckets whose row cannot be believed.
    """
    assert stored.record is not None
    grid, coverage = stored.grid, stored.record.state.coverage
    newest_row = max(rows, default=0)
    told = sum(finding.kind is Flaw.VENUE for finding in stored.findings)
    for time in grid.opens(page.start, page.end):
        if time not in coverage:
            continue
        held, row = stored.candles.get(time), rows.get(time)
        may_be_old = newest_row <= time and stored.now < grid.end(time) + _EDGE_BEHIND_MS
        if held.equals(row) if held and row else held is row:
            compared.same += 1
        elif may_be_old or time in rejected:
            compared.passed_over += 1
        else:
            compared.differ += 1
            told += 1
            if told <= FINDINGS_A_KIND_MAX:
                ours, theirs = (one.member() if one else "nothing" for one in (held, row))
                stored.report(
                    Flaw.VENUE,
                    f"{iso(time)} holds {ours}, and the venue shows {theirs}",
                    start=time,
                    end=grid.end(time),
                )
