"""The timeline under any order of events, against what the venue really said and really knew.

The model is small: what trades in each 5m bucket, whether the feed is unbroken, and which pages came. Nothing
that the timeline tells may go beyond it.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from livecache.ledger.timeline import Timeline
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.policy import Policy
from livecache.model.series import Kind, SeriesId, SeriesState
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage
from livecache.proof.evidence import PageFacts
from livecache.proof.plan import plan
from livecache.venues.coinbase.traits import TRAITS
from tests.core.driver import SYMBOL, candle
from tests.sizes import examples

M5, M15, H1 = Timeframe.M5, Timeframe.M15, Timeframe.H1
CONFIGURED = (M5, M15, H1)
W = M5.ms
START = 1_770_000_000_000 // H1.ms * H1.ms
POLICY = Policy(candles=30, min_candles=3)
DELAY = POLICY.settle_delay_ms


class Venue(RuleBasedStateMachine):
    """A market of which each bucket's story is known beforehand; a timeline is told parts of it."""

    traits = TRAITS.paged(300)

    def __init__(self) -> None:
        super().__init__()
        self.now = START + 61_000
        self.timeline = Timeline("coinbase", [SYMBOL], CONFIGURED, POLICY, self.traits)
        self.symbol = self.timeline.symbols[SYMBOL]
        self.final: dict[int, int] = {}  # volume per 5m bucket; 0: nothing traded
        self.paged: dict[Timeframe, Coverage] = {t: Coverage() for t in self.symbol.tracks}
        self.listening_from = 0  # unbroken since, 0 while the feed is broken
        self.held: dict[SeriesId, dict[int, ExactCandle]] = {}  # what Redis would hold
        self.states: dict[SeriesId, SeriesState] = {}
        self.closed: set[tuple[SeriesId, int]] = set()
        self.shown: dict[int, Decimal] = {}  # the richest that the feed or a page showed of a 5m bucket

    # --- the market

    def volume(self, bucket: int) -> int:
        """All that trades in a 5m bucket: a third of them are empty, without a pattern."""
        return self.final.setdefault(bucket, 5 + bucket // W * 7919 % 13 if bucket // W % 3 else 0)

    def so_far(self, bucket: int, at: int) -> int:
        """What has traded in it by then: a part of it for each whole minute."""
        passed = min(max(at - bucket, 0), W) // 60_000
        return self.volume(bucket) * passed // 5

    def truth(self, timeframe: Timeframe, bucket: int, at: int) -> int:
        return sum(self.so_far(t, at) for t in range(bucket, bucket + timeframe.ms, W))

    # --- what happens

    @rule(ms=st.sampled_from([1, 999, 1_000, 9_999, 10_000, 60_000, 239_000, 300_000, 1_000_000, 3_600_000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(
        before=st.sampled_from([W, M15.ms, H1.ms]), off=st.sampled_from([-1, 0, 1, 1_000, DELAY - 1, DELAY])
    )
    def time_comes_to_a_boundary(self, before: int, off: int) -> None:
        self.now = max(self.now, self.now - self.now % before + before + off)

    @rule()
    def the_feed_subscribes(self) -> None:
        self._say_what_is_new()
        self.listening_from = self.listening_from or self.now
        self.timeline.subscribe(0, self.now, [SYMBOL], self.now)

    @rule(back=st.integers(0, 3), lag=st.sampled_from([0, 0, 60_000, 240_000]))
    def the_feed_shows_a_candle(self, back: int, lag: int) -> None:
        """Of the bucket in progress or one before, and perhaps an old state of it, as a replay has it."""
        self._say_what_is_new()
        self.listening_from = self.listening_from or self.now
        self._show(M5.floor(self.now) - back * W, self.now)
        self._show(M5.floor(self.now) - back * W, self.now - lag)

    @rule()
    def the_feed_goes_on(self) -> None:
        self._say_what_is_new()
        if self.listening_from:
            self.timeline.heard(0, self.now, self.now)

    def _say_what_is_new(self) -> None:
        """On an unbroken connection everything that has traded comes before the stamp that says so."""
        if self.listening_from:
            oldest = max(M5.floor(self.listening_from), M5.floor(self.now) - 11 * W)
            for bucket in range(oldest, self.now, W):
                if self.so_far(bucket, self.now) > self.so_far(bucket, self.listening_from):
                    self._show(bucket, self.now)

    def _show(self, bucket: int, at: int) -> None:
        if volume := self.so_far(bucket, at):
            told = (SYMBOL, M5, self.candle(bucket, volume), self.says_last(bucket, at))
            self.timeline.feed_candles(0, self.now, [told], self.now)
            self.shown[bucket] = max(self.shown.get(bucket, Decimal(0)), Decimal(volume))

    def says_last(self, bucket: int, at: int) -> bool:
        """Whether a candle says that it is the last of its bucket."""
        return False

    @rule(resumes=st.booleans())
    def the_feed_breaks(self, resumes: bool) -> None:
        self.timeline.broken(0, [SYMBOL], resumes=resumes, now=self.now)
        self.listening_from = 0

    @rule(resumes=st.booleans(), ms=st.sampled_from([1_000, 60_000, 250_000, 300_000, 900_000]))
    def the_feed_misses_something(self, resumes: bool, ms: int) -> None:
        """It breaks, and what trades until it is back is never said."""
        self.the_feed_shows_a_candle(0, 0)
        self.the_feed_breaks(resumes)
        self.now += ms
        self.the_feed_subscribes()

    @rule(
        timeframe=st.sampled_from([M5, M5, M5, M15, H1]),
        length=st.integers(1, 40),
        back=st.integers(0, 3),
        age=st.sampled_from([0, 0, 5_000, 40_000]),
        whole=st.booleans(),
        behind=st.sampled_from([0, 0, 5_000, 9_999, 59_000]),
    )
    def a_page_comes(
        self, timeframe: Timeframe, length: int, back: int, age: int, whole: bool, behind: int
    ) -> None:
        """As an edge of the venue's saw it, which may be behind; perhaps without the bucket in progress."""
        heard = self.now - age
        end = timeframe.floor(heard) + timeframe.ms * (1 if whole else -back)
        start = end - length * timeframe.ms
        rows = {
            t: self.candle(t, volume)
            for t in range(start, end, timeframe.ms)
            if (volume := self.truth(timeframe, t, heard - behind))
        }
        edge = timeframe.floor(heard - DELAY)
        self.paged[timeframe] = self.paged[timeframe].add(start, min(end, edge))
        page = PageFacts(start, end, rows, heard)
        self.timeline.apply_page(SYMBOL, timeframe, page, self.now)

    @rule(timeframe=st.sampled_from(CONFIGURED), back=st.integers(0, 40), length=st.integers(1, 40))
    def somebody_has_a_span_read_again(self, timeframe: Timeframe, back: int, length: int) -> None:
        start = timeframe.floor(self.now) - (back + length) * timeframe.ms
        self.timeline.read_again(SYMBOL, timeframe, start, start + length * timeframe.ms)

    @rule()
    def redis_takes_what_changed(self) -> None:
        changes = self.timeline.take(self.now)
        assert len({change.series for change in changes.series}) == len(changes.series)
        for change in changes.series:
            held = {} if change.whole else self.held.setdefault(change.series, {})
            self.held[change.series] = held
            for time, new in change.members.items():
                held.pop(time, None)
                if new is not None:
                    held[time] = new
            for time in [t for t in held if t < change.keep_from]:
                del held[time]
            if change.state is not None:
                self.states[change.series] = change.state
        for close in changes.closes:
            if close.kind is Kind.CLOSED:
                assert (close.series, close.time) not in self.closed, "closed twice"
                assert close.time + close.series.timeframe.ms <= self.now, "closed before its end"
                self.closed.add((close.series, close.time))
        # All the changes ever taken amount to what there is; and nothing is told twice.
        assert self.timeline.take(self.now).series == ()
        for change in self.timeline.whole(self.held, self.now).series:
            members = {t: c for t, c in change.members.items() if t >= change.keep_from}
            assert self.held[change.series] == members, f"{change.series}: what Redis holds is not what is"
            assert self.states[change.series] == change.state

    def candle(self, bucket: int, volume: int) -> ExactCandle:
        return candle(bucket, str(volume))

    # --- what always holds

    @invariant()
    def nothing_is_settled_that_no_page_brought(self) -> None:
        """Or that is not the sum of children which pages brought."""
        grounds = Coverage()
        for timeframe, track in self.symbol.tracks.items():
            grown = [(s.start + -s.start % timeframe.ms, s.end - s.end % timeframe.ms) for s in grounds.spans]
            grounds = self.paged[timeframe] | Coverage(grown)
            assert not track.coverage.without(grounds), f"{timeframe} claims what was not fetched"

    @invariant()
    def what_is_settled_is_what_the_venue_says(self) -> None:
        """Every settled bucket had closed, and holds all that traded in it, be it nothing."""
        for timeframe, track in self.symbol.tracks.items():
            width = timeframe.ms
            oldest = timeframe.floor(self.now) - 60 * width
            for start, end in track.coverage.clip(oldest, 1 << 62):
                assert end <= self.now
                for bucket in range(start, end, width):
                    settled = track.settled.get(bucket)
                    volume = Decimal(settled.volume) if settled else Decimal(0)
                    truth = self.truth(timeframe, bucket, self.now)
                    assert volume == truth, f"{timeframe} {bucket}: settled with {volume}, not {truth}"

    @invariant()
    def a_provisional_candle_never_stands_in_a_settled_bucket(self) -> None:
        for track in self.symbol.tracks.values():
            assert not [t for t in track.provisional if t in track.coverage]
            assert not [t for t in track.settled if t not in track.coverage]

    @invariant()
    def of_two_candles_the_richer_stays(self) -> None:
        track = self.symbol.tracks[M5]
        for bucket, volume in self.shown.items():
            shown = track.provisional.get(bucket)
            if shown is not None:
                assert Decimal(shown.candle.volume) >= volume

    @invariant()
    def watermarks_are_in_order_and_closed_is_closed(self) -> None:
        for state in self.states.values():
            marks = (state.contiguous_from, state.settled_through, state.known_through, state.closed_through)
            assert list(marks) == sorted(marks)
            assert state.closed_through <= self.now

    @invariant()
    def what_is_called_known_is_all_that_traded(self) -> None:
        """A reader is served [contiguous_from, known_through): every bucket there is the whole truth."""
        for series, state in self.states.items():
            width = series.timeframe.ms
            held = self.held[series]
            for bucket in range(state.contiguous_from, state.known_through, width):
                volume = Decimal(held[bucket].volume) if bucket in held else Decimal(0)
                assert volume == self.truth(series.timeframe, bucket, bucket + width), (
                    f"{series} {bucket}: a reader gets {volume}"
                )

    @invariant()
    def the_bucket_in_progress_is_vouched_for_only_by_an_unbroken_feed(self) -> None:
        for timeframe, track in self.symbol.tracks.items():
            forming = self.symbol.forming(track, self.now)
            if not forming:
                continue
            assert forming == timeframe.floor(self.now)
            assert self.listening_from, f"{timeframe} is vouched for over a broken feed"


class FlaggingVenue(Venue):
    """The same with a feed of which some candles say that they are the last: late, twice, or never."""

    traits = replace(Venue.traits, carries=(Carriage(M5, flag=True),))
    loses_flags = False

    @rule(lost=st.booleans())
    def flags_are_lost_from_now_on(self, lost: bool) -> None:
        self.loses_flags = lost

    def says_last(self, bucket: int, at: int) -> bool:
        return bucket + W <= at and not self.loses_flags

    @invariant()
    def a_word_settles_nothing_and_is_confirmed_in_time(self) -> None:
        track = self.symbol.tracks[M5]
        assert not [t for t in track.flagged if t in track.coverage]
        assert all(due <= t + W + POLICY.confirm_after_ms for t, due in track.flagged.items())
        assert self.listening_from or not any(track.flagged.values()), "who knows what a broken feed lost"
        heard = self.now
        due = [t for t, at in track.flagged.items() if at <= heard and t + W + DELAY <= heard]
        if due and not track.open and track.coverage:
            wants = plan(self.symbol.tracks, self.timeline.children, now=heard, in_flight={})
            assert [w for w in wants if w.timeframe is M5], f"nobody asks for {due}"


_SETTINGS = settings(
    max_examples=examples(100),
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestTimelineUnderAnyEvents = Venue.TestCase
TestTimelineUnderAnyEvents.settings = _SETTINGS
TestTimelineWhoseFeedFlags = FlaggingVenue.TestCase
TestTimelineWhoseFeedFlags.settings = _SETTINGS
