"""What a page settles, and what it leaves open: the rules one by one."""

from __future__ import annotations

from livecache.core.feeding import Channel, Link
from livecache.core.series import SeriesId
from livecache.core.settling import PageFacts, PageOutcome, settle_page
from livecache.core.timeframe import Timeframe
from livecache.core.track import Policy, Track
from tests.core.driver import candle

W = Timeframe.M5.ms
T = 1_770_000_000_000 // W * W  # the bucket in question; it ends at E
E = T + W
SOON = E + 10_000  # the settling delay has passed


def track() -> Track:
    return Track(SeriesId("coinbase", "BTC-USD", Timeframe.M5), Policy(), working=False)


def carried(since: int, through: int) -> Channel:
    channel = Channel()
    channel.link = Link()
    channel.link.through = through
    channel.link.up = True
    channel.since = since
    return channel


def read(
    on: Track, volumes: dict[int, str], heard: int, channel: Channel | None = None, **facts: object
) -> PageOutcome:
    """Take a page over `[T, E + W)` with candles of these volumes."""
    rows = {time: candle(time, volume) for time, volume in volumes.items()}
    page = PageFacts(T, E + W, rows, heard, **facts)  # type: ignore[arg-type]
    return settle_page(on, page, channel or Channel(), feed=True)


def test_a_row_settles_its_bucket_once_the_delay_has_passed_and_a_later_row_is_there() -> None:
    on = track()
    read(on, {T: "5", E: "1"}, SOON)
    assert T in on.coverage
    assert on.settled[T].volume == "5"
    assert E not in on.coverage, "the bucket in progress is never settled"
    assert E not in on.provisional, "nor taken from REST"


def test_one_millisecond_too_early_a_row_is_only_provisional() -> None:
    on = track()
    read(on, {T: "5", E: "1"}, SOON - 1)
    assert T not in on.coverage
    assert on.provisional[T].candle.volume == "5"
    assert not on.provisional[T].vouched


def test_a_row_without_a_later_one_may_be_from_before_the_close_and_waits_a_minute() -> None:
    on = track()
    read(on, {T: "5"}, SOON)
    assert T not in on.coverage
    assert on.retry_at == E + 60_000
    read(on, {T: "5"}, E + 60_000)
    assert on.settled[T].volume == "5"


def test_a_page_poorer_than_the_feed_is_read_again_and_taken_after_a_minute() -> None:
    on = track()
    on.lay(candle(T, "7"), vouched=True)
    outcome = read(on, {T: "5", E: "1"}, SOON)
    assert (T in on.coverage, outcome.disputed) == (False, 1)
    assert SOON < on.retry_at <= SOON + 4_000
    outcome = read(on, {T: "5", E: "1"}, SOON + 59_999)
    assert (T in on.coverage, outcome.disputes_lost) == (False, [])
    outcome = read(on, {T: "5", E: "1"}, SOON + 60_000)
    assert (on.settled[T].volume, outcome.disputes_lost) == ("5", [T])


def test_a_page_that_omits_what_the_feed_showed_is_doubted_as_well() -> None:
    on = track()
    on.lay(candle(T, "7"), vouched=True)
    read(on, {E: "1"}, SOON)
    assert T not in on.coverage
    read(on, {T: "7", E: "1"}, SOON + 3_000)
    assert on.settled[T].volume == "7"


def test_retries_back_off_and_stay_bounded() -> None:
    on = track()
    on.lay(candle(T, "7"), vouched=True)
    waits = []
    for _ in range(6):
        read(on, {T: "5", E: "1"}, SOON)
        waits.append(on.retry_at - SOON)
    assert waits == [2_000, 4_000, 8_000, 16_000, 16_000, 16_000]


def test_an_absent_row_proves_emptiness_by_a_later_row_an_unbroken_feed_or_five_minutes() -> None:
    later, unbroken, old, nothing = track(), track(), track(), track()
    read(later, {E: "1"}, SOON)
    read(unbroken, {}, SOON, carried(T, E))
    read(old, {}, E + 300_000)
    read(nothing, {}, SOON)
    for on in (later, unbroken, old):
        assert T in on.coverage
        assert not on.settled
    assert T not in nothing.coverage
    assert nothing.retry_at == E + 300_000


def test_a_feed_that_joined_late_or_was_not_heard_to_the_end_proves_nothing() -> None:
    late, deaf = track(), track()
    read(late, {}, SOON, carried(T + 1, E))
    read(deaf, {}, SOON, carried(T, E - 1))
    assert T not in late.coverage
    assert T not in deaf.coverage


def test_a_settled_candle_where_an_unbroken_feed_showed_nothing_gives_a_dead_channel_away() -> None:
    assert read(track(), {T: "5", E: "1"}, SOON, carried(T, E)).channel_dead
    shown = track()
    shown.lay(candle(T, "5"), vouched=True)
    assert not read(shown, {T: "5", E: "1"}, SOON, carried(T, E)).channel_dead


def test_a_rejected_row_is_no_proof_of_emptiness() -> None:
    on = track()
    read(on, {E: "1"}, SOON, rejected=frozenset({T}))
    assert T not in on.coverage
    read(on, {E: "1"}, SOON, absence_proves=False)
    assert T not in on.coverage


def test_a_settled_bucket_that_reads_differently_is_revised_and_a_vanished_row_is_not_believed() -> None:
    on = track()
    read(on, {T: "5", E: "1"}, SOON)
    assert read(on, {T: "5.0", E: "2"}, SOON + 1).revised == [], "equality is numeric"
    assert read(on, {T: "6", E: "2"}, SOON + 2).revised == [T]
    assert read(on, {E: "2"}, SOON + 3).revised == []
    assert on.settled[T].volume == "6"


def test_the_feed_never_replaces_what_is_settled() -> None:
    on = track()
    read(on, {T: "5", E: "1"}, SOON)
    assert not on.lay(candle(T, "9"), vouched=True)
    assert on.candle(T) == candle(T, "5")
    assert T not in on.provisional


def test_between_provisionals_the_one_with_more_volume_wins_whenever_it_comes() -> None:
    on = track()
    on.lay(candle(T, "5"), vouched=True)
    on.lay(candle(T, "4"), vouched=True)
    assert on.provisional[T].candle.volume == "5"
    on.lay(candle(T, "5.5"), vouched=False)
    assert on.provisional[T].candle.volume == "5.5"
