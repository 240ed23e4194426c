"""What a REST page settles. The rules of DESIGN "Settled", in one function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .candle import ExactCandle
from .feeding import Channel
from .track import Track

_DISPUTE_MOST_MS = 16_000
_NONSENSE_MOST_MS = 300_000
"""The longest waits before a page is read again that was poorer than the feed, or not to be believed."""

_PAGES_LACKING = 2
"""Pages without a row that take back a settled candle: one page alone may simply be short."""

__all__ = ["PageFacts", "PageOutcome", "settle_page"]


@dataclass(frozen=True, slots=True)
class PageFacts:
    """A page of one series over `[start, end)`, Unix ms, with `heard` from before the request was sent."""

    start: int
    end: int
    rows: Mapping[int, ExactCandle]
    heard: int
    rejected: frozenset[int] = frozenset()  # buckets whose row could not be believed
    absence_proves: bool = True  # False where a row could not even be placed


@dataclass(slots=True)
class PageOutcome:
    """What became of the page's buckets."""

    touched: list[int] = field(default_factory=list)  # buckets of which more is known now
    revised: list[int] = field(default_factory=list)
    mismatched: list[int] = field(default_factory=list)  # differ from their own roll-up
    doubtful: list[int] = field(default_factory=list)  # … and hold more than it
    disputed: int = 0
    disputes_lost: list[int] = field(default_factory=list)
    channel_dead: int = 0  # the first bucket with a settled candle where an unbroken feed showed nothing


def settle_page(track: Track, page: PageFacts, channel: Channel, *, feed: bool) -> PageOutcome:
    """Settle every bucket of the page that it can settle; lay the rest of its rows as provisional.

    `feed`: the feed carries this timeframe itself, so that its silence means something.
    """
    outcome = PageOutcome()
    policy = track.policy
    width = track.width
    edge = track.series.timeframe.floor(page.heard - policy.settle_delay_ms)
    newest_row = max(page.rows, default=0)
    reaches_back = not track.coverage or page.start < track.coverage.spans[-1].start
    retry_at = open_from = 0

    for bucket in range(page.start, min(page.end, edge), width):
        end = bucket + width
        row = page.rows.get(bucket)
        if bucket in track.coverage:
            held = track.settled.get(bucket)
            may_be_old = newest_row <= bucket and page.heard < end + policy.dispute_ms
            absent = row is None and page.absence_proves and bucket not in page.rejected
            if absent and held is not None and bucket in track.contested:
                if newest_row > bucket or page.heard >= end + policy.proof_ms:
                    _miss(track, bucket, outcome)
            elif not (may_be_old and row and held and held.richer_than(row)):
                _compare(track, bucket, row, outcome)
            continue
        if bucket in page.rejected or (row is None and not page.absence_proves):
            retry_at = _sooner(retry_at, _backoff(track, page.heard, _NONSENSE_MOST_MS))
            open_from = open_from or bucket
            continue
        shown = track.provisional.get(bucket)
        unbroken = feed and channel.unbroken_over(bucket, end)
        if shown is not None and (row is None or shown.candle.richer_than(row)):
            since = track.disputes.setdefault(bucket, page.heard)
            if page.heard < since + policy.dispute_ms:
                outcome.disputed += 1
                retry_at = _sooner(retry_at, _backoff(track, page.heard, _DISPUTE_MOST_MS))
                open_from = open_from or bucket
                continue
            outcome.disputes_lost.append(bucket)
        elif row is None and not (newest_row > bucket or unbroken or page.heard >= end + policy.proof_ms):
            retry_at = _sooner(retry_at, end + policy.proof_ms)
            open_from = open_from or bucket
            continue
        elif row is not None and newest_row <= bucket and page.heard < end + policy.dispute_ms:
            # The venue's edge may run behind: a page made 10 s after the close can show the bucket as it was
            # before it. A later row refutes that; without one, only time does.
            retry_at = _sooner(retry_at, end + policy.dispute_ms)
            open_from = open_from or bucket
            continue
        if row is not None and shown is None and unbroken:
            outcome.channel_dead = outcome.channel_dead or bucket
        track.settle(bucket, row, derived=False)
        outcome.touched.append(bucket)

    closed_edge = track.series.timeframe.floor(page.heard)
    for bucket, row in page.rows.items():
        # The bucket in progress is the feed's to show; here it only proves how fresh the page is.
        if edge <= bucket < closed_edge and track.lay(row, vouched=False):
            outcome.touched.append(bucket)

    _note_where_history_ends(track, page, reaches_back=reaches_back)
    if min(page.end, edge) >= track.tried_edge:  # A page of older buckets says nothing of the newest ones.
        track.tried_edge = min(page.end, edge)
        track.tries = track.tries + 1 if retry_at else 0
        track.retry_at = retry_at
        track.open_from = open_from
    return outcome


def _miss(track: Track, bucket: int, outcome: PageOutcome) -> None:
    """The venue was asked about a settled candle, and shows none: proven empty, once two pages say so."""
    track.contested[bucket] += 1
    if track.contested[bucket] >= _PAGES_LACKING:
        track.revise(bucket, None, derived=False)
        outcome.revised.append(bucket)
        outcome.touched.append(bucket)


def _compare(track: Track, bucket: int, row: ExactCandle | None, outcome: PageOutcome) -> None:
    """A covered bucket was read again. A row that has vanished is a short page, not news."""
    track.trust(bucket)  # Whatever the page says: it is not asked for over and over.
    if row is None:
        return
    before = track.settled.get(bucket)
    if before is not None and before.equals(row):
        track.derived.discard(bucket)
        return
    if bucket in track.derived:
        outcome.mismatched.append(bucket)
        if before is None or row.richer_than(before):
            outcome.doubtful.append(bucket)
    else:
        outcome.revised.append(bucket)
    track.revise(bucket, row, derived=False)
    outcome.touched.append(bucket)


def _note_where_history_ends(track: Track, page: PageFacts, *, reaches_back: bool) -> None:
    """An empty page means that the venue has nothing older: the search stops there."""
    if (
        reaches_back
        and not page.rows
        and not page.rejected
        and page.absence_proves
        and track.coverage
        and track.coverage.spans[-1].start <= page.start
    ):
        track.history_from = track.coverage.spans[-1].start
        track.state_dirty = True


def _backoff(track: Track, heard: int, most_ms: int) -> int:
    """When an open bucket is worth reading again: 2, 4, 8 … s later."""
    return heard + min(2_000 << min(track.tries, 10), most_ms)


def _sooner(one: int, other: int) -> int:
    return min(one, other) if one else other
