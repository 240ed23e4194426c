"""What readers are told, and when."""

from __future__ import annotations

from livecache.ledger.timeline import Timeline
from livecache.model.coverage import Coverage, Span
from livecache.model.policy import Policy
from livecache.model.series import Close, Kind, SeriesId, Stored
from livecache.model.timeframe import TIMEFRAME_PRIORITY, Timeframe
from livecache.venues.coinbase.traits import TRAITS
from tests.core.driver import SYMBOL, Driver, candle

M5, M15, H1, H4, D1 = TIMEFRAME_PRIORITY
W = M5.ms
DAY = 1_770_000_000_000 // D1.ms * D1.ms
NOW = DAY + 2 * H1.ms + 61_000


def live(timeframes: tuple[Timeframe, ...] = (M5, M15)) -> Driver:
    """A filled timeline whose feed has been up since before the bucket in progress began."""
    driver = Driver(timeframes, NOW)
    driver.fill()
    driver.timeline.take(driver.now)
    driver.timeline.subscribe(0, M5.floor(NOW) - 1, [SYMBOL], driver.now)
    return driver


def feed(driver: Driver, time: int, volume: str, at: int) -> None:
    driver.now = at
    driver.timeline.feed_candles(0, at, [(SYMBOL, M5, candle(time, volume), False)], at)


def closes(driver: Driver) -> list[tuple[Kind, str, int]]:
    return [(c.kind, str(c.series.timeframe), c.time) for c in driver.timeline.take(driver.now).closes]


def forming(driver: Driver) -> dict[Timeframe, int]:
    changes = driver.timeline.take(driver.now).series
    return {c.series.timeframe: c.state.forming for c in changes if c.state is not None}


def test_of_many_symbols_each_has_its_turn_however_often_others_change() -> None:
    symbols = [f"C{n:03}-USD" for n in range(250)]
    timeline = Timeline("coinbase", symbols, [M5], Policy(), TRAITS)
    told: list[str] = []
    for turn in range(3):
        told += [change.series.symbol for change in timeline.take(NOW).series]
        assert len(told) <= 100 * (turn + 1)
        timeline.subscribe(turn, NOW + turn, symbols[:100], NOW)  # they have changed again meanwhile
        timeline.broken(turn, symbols[:100], resumes=False, now=NOW)
    assert told == symbols and not timeline.turns
    assert [change.series.symbol for change in timeline.take(NOW).series] in ([], symbols[:100])


def test_the_first_fill_is_not_announced() -> None:
    driver = Driver(TIMEFRAME_PRIORITY, NOW)
    driver.fill()
    changes = driver.timeline.take(driver.now)
    assert changes.closes == ()
    assert all(change.whole and not change.updates for change in changes.series)
    assert {len(c.members) for c in changes.series} == {100}


def test_a_bucket_closes_once_at_the_first_newer_one_and_settles_later() -> None:
    driver = live()
    bucket = M5.floor(NOW)
    feed(driver, bucket, "0.5", NOW + 1_000)
    feed(driver, bucket, "1", bucket + W - 1_000)
    assert closes(driver) == []
    feed(driver, bucket + W, "0.1", bucket + W + 200)
    assert closes(driver) == [(Kind.CLOSED, "5m", bucket)]
    driver.now = bucket + W + 5_000
    assert closes(driver) == [], "only once"
    driver.now = bucket + W + 10_000
    driver.fill()
    assert closes(driver) == [(Kind.SETTLED, "5m", bucket)]


def test_a_bucket_without_a_newer_one_closes_a_second_after_its_end() -> None:
    driver = live()
    bucket = M5.floor(NOW)
    feed(driver, bucket, "1", bucket + W - 5_000)
    for at, expected in ((999, []), (1_000, [(Kind.CLOSED, "5m", bucket)])):
        driver.now = bucket + W + at
        driver.timeline.heard(0, driver.now, driver.now)
        assert closes(driver) == expected


def test_a_bucket_whose_feed_was_not_heard_beyond_its_end_is_not_announced_as_closed() -> None:
    driver = live()
    bucket = M5.floor(NOW)
    feed(driver, bucket, "1", bucket + W - 5_000)
    driver.now = bucket + W + 3_000  # Time passes, but no frame comes.
    assert closes(driver) == []


def test_settled_says_what_it_replaced_only_if_that_was_different() -> None:
    driver = live((M5,))
    bucket = M5.floor(NOW)
    feed(driver, bucket, "0.75", bucket + W - 5_000)
    driver.now = bucket + W + 10_000
    driver.timeline.heard(0, driver.now, driver.now)
    driver.timeline.take(driver.now)
    driver.fill()  # The venue says 1.
    (close,) = driver.timeline.take(driver.now).closes
    series = SeriesId("coinbase", SYMBOL, M5)
    assert close == Close(Kind.SETTLED, series, bucket, candle(bucket), candle(bucket, "0.75"))


def test_a_proven_empty_bucket_is_announced_without_a_candle() -> None:
    driver = live((M5,))
    bucket = M5.floor(NOW)
    driver.trades = lambda timeframe, time: time != bucket
    driver.now = bucket + W + 10_000
    driver.fill()
    (close,) = driver.timeline.take(driver.now).closes
    assert (close.kind, close.time, close.candle) == (Kind.SETTLED, bucket, None)


def test_a_forming_parent_is_told_only_while_all_of_it_is_known() -> None:
    driver = live()
    bucket = M5.floor(NOW)
    feed(driver, bucket, "0.5", NOW + 1_000)
    assert forming(driver) == {M5: bucket, M15: M15.floor(bucket)}
    driver.timeline.broken(0, [SYMBOL], resumes=False, now=driver.now)
    assert forming(driver) == {M5: 0, M15: 0}


def test_after_a_break_the_first_update_vouches_for_the_bucket_in_progress_again() -> None:
    driver = live()
    bucket = M5.floor(NOW)
    feed(driver, bucket, "0.5", NOW + 1_000)
    driver.timeline.broken(0, [SYMBOL], resumes=False, now=driver.now)
    driver.timeline.take(driver.now)
    feed(driver, bucket, "0.6", NOW + 9_000)
    assert forming(driver) == {M5: bucket, M15: M15.floor(bucket)}


def test_a_bucket_that_closed_over_a_break_waits_for_settling() -> None:
    driver = live((M5,))
    bucket = M5.floor(NOW)
    feed(driver, bucket, "0.5", bucket + W - 2_000)
    driver.timeline.broken(0, [SYMBOL], resumes=False, now=driver.now)
    feed(driver, bucket + W, "0.1", bucket + W + 2_000)
    (change,) = driver.timeline.take(driver.now).series
    assert change.state is not None
    assert change.state.known_through == bucket, "the feed was not there at its end"
    driver.now = bucket + W + 10_000
    driver.fill()
    (change,) = driver.timeline.take(driver.now).series
    assert change.state is not None
    assert change.state.known_through == bucket + W


def test_a_lost_frame_on_a_living_connection_doubts_what_was_in_progress_and_nothing_else() -> None:
    driver = live((M5,))
    bucket = M5.floor(NOW)
    feed(driver, bucket, "0.5", NOW + 1_000)
    driver.timeline.take(driver.now)
    driver.timeline.broken(0, [SYMBOL], resumes=True, now=driver.now)
    driver.now += 1_000
    driver.timeline.heard(0, driver.now, driver.now)
    (change,) = driver.timeline.take(driver.now).series
    assert change.state is not None
    assert change.state.forming == 0, "what was lost may have been an update of it"
    assert change.state.known_through == bucket, "settled buckets are untouched"
    feed(driver, bucket + W, "0.1", bucket + W + 1_000)
    (change,) = driver.timeline.take(driver.now).series
    assert change.state is not None
    assert change.state.forming == bucket + W, "the next bucket is vouched for from its open"


def test_a_tick_does_not_write_the_state_again() -> None:
    driver = live((M5,))
    bucket = M5.floor(NOW)
    feed(driver, bucket, "0.5", NOW + 1_000)
    driver.timeline.take(driver.now)
    feed(driver, bucket, "0.6", NOW + 2_000)
    (change,) = driver.timeline.take(driver.now).series
    assert change.state is None
    assert change.members == {bucket: candle(bucket, "0.6")}
    assert [u.kind for u in change.updates] == [Kind.FORMING]


def test_a_revised_child_recomputes_its_parents_and_all_are_announced() -> None:
    driver = live((M5, M15, H1))
    bucket = M15.floor(NOW) - M15.ms
    revised = {bucket}
    driver.now += W
    for _ in range(3):  # Until the buckets in question closed while the service ran.
        driver.fill()
        driver.now += W
    driver.timeline.take(driver.now)
    driver.revised = {(M5, t): 9 for t in revised}
    driver.fill()
    changes = driver.timeline.take(driver.now)
    kinds = {(c.kind, str(c.series.timeframe)) for c in changes.closes}
    assert driver.symbol.tracks[M15].settled[bucket].volume == "11"
    assert driver.symbol.tracks[M5].settled[bucket].volume == "9"
    assert driver.timeline.counters.revisions >= 2
    assert kinds  # news of the bucket that closed meanwhile; the revised one closed before the first fill


def test_trimming_trims_coverage_to_begin_at_the_oldest_kept_bucket() -> None:
    driver = live((M5,))
    for _ in range(5):
        driver.now += W
        driver.fill()
        (change,) = driver.timeline.take(driver.now).series
        assert change.state is not None
        assert change.state.coverage.spans[0].start == change.keep_from == change.state.contiguous_from
        track = driver.symbol.tracks[M5]
        assert len([t for t in track.settled if t >= change.keep_from]) == 100


def test_what_readers_were_told_is_known_stays_so_under_the_next_run() -> None:
    """Also when its feed breaks before it has said a word. REST settles it as it does any other."""
    edge = M5.floor(NOW)
    candles = tuple(candle(t) for t in range(edge - 80 * W, edge + W, W))
    series = SeriesId("coinbase", SYMBOL, M5)
    coverage = Coverage([(edge - 80 * W, edge - 2 * W)])
    driver = Driver((M5,), NOW)
    known = Span(edge - 80 * W, edge)
    driver.timeline.adopt([Stored(series, candles, coverage, 0, known, ready=True)], driver.now)
    driver.timeline.broken(0, [SYMBOL], resumes=False, now=driver.now)
    (change,) = driver.timeline.take(driver.now).series
    assert change.state is not None
    assert (change.state.settled_through, change.state.known_through) == (edge - 2 * W, edge)
    assert change.state.ready and change.state.forming == 0
    assert edge - W in change.members
    assert edge not in change.members, "what was in progress is the next feed's to show"
    driver.fill(most=3)
    (change,) = driver.timeline.take(driver.now).series
    assert change.state is not None
    assert change.state.settled_through == change.state.known_through == edge


def test_adopted_candles_count_and_what_lies_outside_their_coverage_does_not() -> None:
    edge = M5.floor(NOW)
    settled = tuple(candle(t) for t in range(edge - 80 * W, edge - W, W))
    stray = candle(edge - W)
    driver = Driver((M5,), NOW)
    series = SeriesId("coinbase", SYMBOL, M5)
    driver.timeline.adopt(
        [Stored(series, (*settled, stray), Coverage([(edge - 80 * W, edge - W)]), 0)], driver.now
    )
    (change,) = driver.timeline.take(driver.now).series
    assert change.whole
    assert edge - W not in change.members
    assert change.state is not None
    assert change.state.known_through == change.state.settled_through == edge - W
    assert not change.state.ready, "a close was missed"
    driver.fill(most=3)
    closes = driver.timeline.take(driver.now).closes
    assert [(c.kind, c.time) for c in closes] == [(Kind.SETTLED, edge - W)], "missed closes are news"


def test_what_the_feed_showed_before_it_was_taken_over_is_laid_over_it_and_replaces_nothing_settled() -> None:
    """A shard's feed is heard while another process has the lease yet, and begins with older candles."""
    edge = M5.floor(NOW)
    settled = tuple(candle(t, "2") for t in range(edge - 80 * W, edge - W, W))
    series = SeriesId("coinbase", SYMBOL, M5)
    driver = Driver((M5,), NOW)
    driver.timeline.subscribe(0, edge - W - 1, [SYMBOL], NOW)
    for time, volume in ((edge - 3 * W, "1.5"), (edge - 2 * W, "2"), (edge - W, "1.75"), (edge, "0.5")):
        feed(driver, time, volume, NOW + 1_000)
    known = candle(edge - W, "1.5")
    coverage = Coverage([(edge - 80 * W, edge - W)])
    told = Stored(series, (*settled, known), coverage, 0, Span(edge - 80 * W, edge), ready=True)
    driver.timeline.adopt([told], driver.now)
    held = list(driver.symbol.tracks[M5].members())
    assert sorted(held) == [*settled, candle(edge - W, "1.75"), candle(edge, "0.5")], "each bucket once"
    (change,) = driver.timeline.take(driver.now).series
    assert change.members == {each.time: each for each in held}
    assert change.state is not None and change.state.forming == edge
