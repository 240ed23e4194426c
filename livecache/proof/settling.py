"""What a REST page settles: asks `evidence` of each bucket, and acts."""

from __future__ import annotations

from collections.abc import Mapping

from ..model.candle import ExactCandle
from ..model.policy import CONFIRM_MS
from ..model.rollup import same_sum
from .evidence import (
    APART_MS,
    DISPUTE_MS,
    ENDS_MS,
    LAG_MS,
    UNUSABLE_MS,
    UNUSABLE_TRIES,
    Kin,
    Open,
    PageFacts,
    PageOutcome,
    Verdict,
    Witnesses,
    verdict,
)
from .feeding import Channel, show
from .history import final_edge
from .joining import KinOf, join, longest_sleep
from .recognition import lags, recognise
from .track import Track

_DAY_MS = 86_400_000
_LOOKS = 5  # at what stays open while an exchange is closed
_FIRST_AGAIN_MS = 2_000  # after a page poorer than the feed, or not to be believed; then more slowly
_PAGES_LACKING = 2  # take back a settled candle which somebody doubts

__all__ = ["settle_page"]


def settle_page(
    track: Track,
    page: PageFacts,
    channel: Channel,
    *,
    feed: bool,
    kin: KinOf = lambda _: Kin.SILENT,
    halted: bool = False,
    searched: bool = False,
) -> PageOutcome:
    """Settle every bucket of the page that it proves; keep what it says of the others for the next one.

    `feed`: the feed carries this timeframe itself, so that its silence means something. `halted`: the venue's
    list says that the product is not traded. `searched`: nothing older is looked for, so absence needs no
    older row.
    """
    if not recognise(track, page):
        return PageOutcome(strange=True)
    reading = _Reading(track, page, channel, feed=feed, kin=kin, halted=halted, searched=searched)
    edge = final_edge(track, page.heard)
    run: dict[int, ExactCandle] = {}  # of plain rows, one after another
    for bucket in track.grid.opens(page.start, min(page.end, edge)):
        if row := reading.plain(bucket):
            run[bucket] = row
            continue
        if run:  # first, for it may bear witness
            reading.settle(run)
            run = {}
        if bucket in track.coverage:
            reading.again(bucket)
        else:
            reading.first(bucket)
    if run:
        reading.settle(run)
    reading.outcome.touched += show(track, page, edge)
    reading.end()
    reading.outcome.touched += join(track, page, kin)
    if page.start < track.history_from:
        track.end_asked = page.heard
        if any(bucket < track.history_from for bucket in page.rows):
            track.resume_search()
    return reading.outcome


class _Reading:
    """One page being taken into one track."""

    def __init__(
        self,
        track: Track,
        page: PageFacts,
        channel: Channel,
        *,
        feed: bool,
        kin: KinOf,
        halted: bool,
        searched: bool,
    ) -> None:
        self.outcome = PageOutcome()
        self._track, self._page, self._channel = track, page, channel
        self._feed, self._kin, self._halted, self._searched = feed, kin, halted, searched
        closed_edge = track.grid.closed(page.heard)
        rows = page.rows
        newest = sorted((*rows, *page.flat), reverse=True)
        self._newest_row = max(rows, default=0)
        # The newest row that is no poorer than it was known.
        self._newer_than = next(
            (t for t in newest if t >= closed_edge or not self._poorer(t, rows.get(t))), 0
        )
        self._known_newest: int | None = None
        self._longest_sleep: int | None = None
        self._closed = [t for t in newest if t < closed_edge]
        self._oldest = newest[-1] if newest else (page.start - 1 if self._continues() else page.end)
        spans = track.coverage.spans
        self._historical = bool(spans) and page.end <= min(
            (t for t in track.settled if t >= spans[-1].start), default=0
        )
        lacking = track.settled.keys() - rows.keys() - page.rejected - track.contested.keys()
        self._whole = not any(page.start <= t < min(page.end, closed_edge) for t in lacking)
        if lags(track, page, kin):
            track.behind_at = page.heard
        self._first_fill = not track.coverage
        self._last = max(track.newest(), self._newest_row)
        self._sound_again = False  # whether rows that could not be believed can be now

    def _continues(self) -> bool:
        """Whether it goes on where something settled ends, with nothing but open buckets between."""
        track, bucket = self._track, self._page.start
        while bucket not in track.coverage:
            bucket = track.grid.back(bucket)
            if bucket not in track.open and bucket not in track.coverage:
                return False
        return True

    # --- what the page shows ----------------------------------------------------------------------

    def _poorer(self, bucket: int, row: ExactCandle | None) -> bool:
        held = self._track.candle(bucket)
        return held is not None and (row is None or held.richer_than(row))

    def _fresh(self, bucket: int) -> bool:
        """Whether the page shows something newer that had closed and was known, no poorer than that."""
        if self._known_newest is None:
            known = (
                t for t in self._closed if self._was_shown(t) and not self._poorer(t, self._page.rows.get(t))
            )
            self._known_newest = next(known, 0)
        return self._known_newest > bucket

    def _was_shown(self, bucket: int) -> bool:
        """Whether somebody but a page like this one stands behind what is known of the bucket."""
        track, shown = self._track, self._track.provisional.get(bucket)
        if shown is not None:
            return shown.vouched
        return bucket in track.settled and bucket not in track.presumed

    def _sleeps(self) -> bool:
        """Whether the product is known to sleep about as long between trades as it does now."""
        heard, newest = self._page.heard, self._newest_row
        if not newest or (asleep := heard - self._track.grid.end(newest)) < APART_MS:
            return False
        if self._longest_sleep is None:
            self._longest_sleep = longest_sleep(self._track, self._page)
        return asleep <= 2 * self._longest_sleep

    # --- a bucket that is not settled -------------------------------------------------------------

    def plain(self, bucket: int) -> ExactCandle | None:
        """The row of a bucket of which nothing was known, where it takes nobody else's word."""
        track, page = self._track, self._page
        row = page.rows.get(bucket)
        if row is None or not (self._newer_than > bucket or self._historical) or bucket in page.rejected:
            return None
        if bucket in track.provisional or bucket in track.open or bucket in track.flagged:
            return None
        fed = self._feed and 0 < self._channel.since <= bucket  # Its silence may mean something.
        return None if fed or bucket in track.coverage else row

    def settle(self, run: Mapping[int, ExactCandle]) -> None:
        """What plain rows prove: nearly all that a page has, and so all of them at once."""
        self._track.settle_run(run)
        self.outcome.touched += run

    def first(self, bucket: int) -> None:
        """What the page proves of a bucket that is not settled."""
        track, page = self._track, self._page
        row = page.rows.get(bucket)
        if bucket in page.rejected:
            self._reject(bucket)
            return
        shown = track.provisional.get(bucket)
        poorer = shown is not None and (row is None or shown.outdoes(row))
        unbroken = self._feed and self._channel.unbroken_over(bucket, track.grid.end(bucket))
        newer = self._newer_than > bucket or (self._historical and (row is not None or bucket in page.flat))
        likely = presumed = False
        if row is None or not newer or poorer or bucket in track.open:
            found = self._judge(bucket, row, poorer=poorer, newer=newer, silent=unbroken and shown is None)
            if found is Verdict.OPEN:
                return
            if found is Verdict.OVERRULED:
                self.outcome.overruled.append(bucket)
            likely = found is Verdict.LIKELY
            presumed = likely or found is Verdict.PRESUMED
        if row is not None and shown is None and unbroken:
            self.outcome.channel_dead = self.outcome.channel_dead or bucket
        track.settle(bucket, row, derived=False, likely=page.heard if likely else 0)
        if presumed:
            track.presumed[bucket] = page.heard
        self.outcome.touched.append(bucket)

    def _judge(
        self, bucket: int, row: ExactCandle | None, *, poorer: bool, newer: bool, silent: bool
    ) -> Verdict:
        """What all witnesses together prove; what they leave open is kept for the next page."""
        track, page, heard = self._track, self._page, self._page.heard
        told, empty = track.open.get(bucket), not (page.rows or page.flat)
        self._sound_again = self._sound_again or (told is not None and bool(told.unusable))
        # A page that shows nothing newer than was known has no say in a dispute.
        fresh = self._fresh(bucket) if poorer or row is None else False
        if told is None:
            told = Open(row, heard, heard, fresh=int(fresh), empty=empty, newer=newer, whole=self._whole)
        elif fresh or not poorer:
            told.hear(row, heard, fresh=fresh, empty=empty, newer=newer, whole=self._whole)
        kin = Kin.SILENT if row is not None else self._kin(bucket)
        said = bucket in page.flat  # that nothing was traded
        found = verdict(Witnesses(
            row=row is not None or said, poorer=poorer or (said and kin is Kin.DENIES), newer=newer,
            whole=self._whole, empty=empty, silent=silent,
            aged=heard >= track.grid.end(bucket) + LAG_MS, kin=kin, halted=self._halted, told=told,
            older=self._oldest < bucket or self._searched, behind=heard < track.behind_at + DISPUTE_MS,
            sleeps=not empty and not newer and self._sleeps(), filled=track.traits.empty == "flat",
            quiet=self._channel.since > 0 and bucket > self._last,
        ))  # fmt: skip
        if found is Verdict.OPEN:
            disputed = poorer or kin is Kin.DENIES
            self.outcome.disputed += poorer
            told.again = max(self._next(bucket, told, disputed=disputed), self._reopens(told))
            track.open[bucket] = told
            if row is not None and not poorer and track.lay(row, vouched=False):
                self.outcome.touched.append(bucket)
        return found

    def _next(self, bucket: int, told: Open, *, disputed: bool) -> int:
        """When an open bucket is worth another page."""
        heard, told.tries = self._page.heard, told.tries + 1
        if disputed:
            return heard + min(_FIRST_AGAIN_MS << min(told.tries - 1, 10), DISPUTE_MS)
        if self._first_fill and not self._page.rows and told.tries <= 2 and not self._deeper():
            return heard + _FIRST_AGAIN_MS
        if self._towards_the_past(bucket):
            return heard + CONFIRM_MS
        return max(heard, told.last + min(APART_MS << min(told.pages - 1, 6), CONFIRM_MS))

    def _reopens(self, told: Open) -> int:
        """When it is open again: nothing changes while an exchange is closed, after some looks. Else 0."""
        track, heard = self._track, self._page.heard
        finals = track.traits.finals
        if finals is None or told.tries <= _LOOKS or finals.closed(heard) <= finals.floor(heard):
            return 0
        return finals.after(heard) + track.policy.settle_delay_ms

    def _towards_the_past(self, bucket: int) -> bool:
        """Whether it is older than all that is known: the search goes on beyond it, or has ended."""
        track, page = self._track, self._page
        if page.rows:
            return bucket < self._oldest and not (track.coverage and track.coverage.spans[0].start < bucket)
        return self._deeper()

    def _deeper(self) -> bool:
        """Whether an empty page lies beyond another empty one: the nearer is asked for again first."""
        nearer = self._track.open.get(self._track.grid.ceil(self._page.end))
        return nearer is not None and nearer.empty

    def end(self) -> None:
        """The venue's rows are sound again, as far as is seen: all that were not are worth another page."""
        if self._sound_again:
            for told in self._track.open.values():
                if told.unusable:
                    told.again = min(told.again, self._page.heard)

    def _reject(self, bucket: int) -> None:
        """The row cannot be believed, or may be one that was meant for another bucket."""
        track, heard = self._track, self._page.heard
        told = track.open.get(bucket)
        reason = self._page.reasons.get(bucket, "a row of the page cannot be believed")
        if told is None or not told.unusable:
            told = track.open[bucket] = Open(None, heard, heard, unusable=reason, since=heard)
        before = told.told_unusable
        told.unusable, told.last, told.tries = reason, heard, told.tries + 1
        if told.told_unusable:
            given_up = told.tries - UNUSABLE_TRIES
            told.again = heard + min(UNUSABLE_MS << max(0, min(given_up, 8)), _DAY_MS)
            if not before:
                self.outcome.unusable.append(bucket)
                self.outcome.touched.append(bucket)
                track.state_dirty = True
        else:
            told.again = heard + min(_FIRST_AGAIN_MS << min(2 * told.tries - 2, 20), DISPUTE_MS)

    # --- a bucket that is -------------------------------------------------------------------------

    def again(self, bucket: int) -> None:
        """A settled bucket was read again. A row that has vanished is a short page, not news."""
        track, page = self._track, self._page
        row, held = page.rows.get(bucket), track.settled.get(bucket)
        if bucket in page.rejected:
            track.trust(bucket)
            return
        if row is not None and held is not None and bucket in track.derived and same_sum(row, held):
            row = held
        if held is None and row is None:
            self._still_empty(bucket)
        elif held is not None and (row is None or held.richer_than(row)):
            self._lacks(bucket, row, held)
        elif row is not None:
            self._compare(bucket, row, held)

    def _still_empty(self, bucket: int) -> None:
        track = self._track
        track.trust(bucket)
        if bucket not in track.presumed and bucket not in track.likely:
            return
        sound = self._whole and self._oldest < bucket
        if sound and self._newer_than > bucket and (self._page.rows or self._page.flat):
            track.presumed.pop(bucket, None)
            self._prove(bucket)
            return
        track.presumed[bucket] = self._page.heard
        kin = self._kin(bucket) if bucket in track.likely else Kin.SILENT
        if kin is Kin.DENIES and track.take_back(bucket):
            self.outcome.touched.append(bucket)
        elif sound and (kin is Kin.CONFIRMS or self._aged(bucket)):
            self._prove(bucket)

    def _aged(self, bucket: int) -> bool:
        """Whether this page agrees on what was likely so long after its end that no edge lags so far."""
        heard, behind = self._page.heard, self._track.behind_at + DISPUTE_MS
        since = self._track.likely.get(bucket, heard)
        apart = APART_MS if self._page.rows else LAG_MS
        return heard >= max(self._track.grid.end(bucket) + LAG_MS, since + apart, behind)

    def _prove(self, bucket: int) -> None:
        """It is told as settled now, and parents may be."""
        if self._track.prove(bucket):
            self.outcome.touched.append(bucket)

    def _lacks(self, bucket: int, row: ExactCandle | None, held: ExactCandle) -> None:
        """The page has less than was settled: an old or a short page, until fresh ones agree on it."""
        track, page = self._track, self._page
        contested = bucket in track.contested
        if not contested:
            track.trust(bucket)
        if row is None and not contested:
            return
        newer = self._newer_than > bucket
        if contested and newer:
            track.contested[bucket] += 1
            proven = track.contested[bucket] >= _PAGES_LACKING
        elif contested or self._fresh(bucket):
            told = track.open.get(bucket)
            if told is None:
                told = track.open[bucket] = Open(row, page.heard, page.heard, fresh=1)
            else:
                told.hear(row, page.heard, fresh=True, empty=False, newer=newer, whole=True)
            proven = told.fresh >= 3 and told.last - told.first >= (ENDS_MS if contested else DISPUTE_MS)
        else:
            return
        if proven:
            differ = self.outcome.mismatched if bucket in track.derived else self.outcome.revised
            differ.append(bucket)
            track.revise(bucket, row, derived=False)
            self.outcome.touched.append(bucket)

    def _compare(self, bucket: int, row: ExactCandle, held: ExactCandle | None) -> None:
        """The page shows as much as was settled, or more."""
        track, outcome = self._track, self.outcome
        track.trust(bucket)  # Whatever the page says: it is not asked for over and over.
        newer = self._newer_than > bucket
        if newer:
            track.presumed.pop(bucket, None)
        elif bucket in track.presumed or bucket in track.likely:
            track.presumed[bucket] = self._page.heard
        track.open.pop(bucket, None)
        if held is not None and held.equals(row):
            track.derived.discard(bucket)
            if newer or self._aged(bucket):
                self._prove(bucket)
            return
        if bucket in track.derived:
            outcome.mismatched.append(bucket)
            if held is None or row.richer_than(held):
                outcome.doubtful.append(bucket)
        else:
            outcome.revised.append(bucket)
        likely = bucket in track.likely
        track.revise(bucket, row, derived=False)
        if newer:
            track.prove(bucket)
        elif likely:
            track.likely[bucket] = self._page.heard
        outcome.touched.append(bucket)
