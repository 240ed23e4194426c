"""What a page settles, and what it leaves open: the rules one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from livecache.model.candle import ExactCandle
from livecache.model.policy import Policy
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import Kin, PageFacts, PageOutcome
from livecache.proof.feeding import Channel, Link
from livecache.proof.rebuilding import rebuild, rebuilding
from livecache.proof.settling import settle_page
from livecache.proof.track import Track
from livecache.venues.coinbase.traits import TRAITS
from tests.core.driver import candle

W = Timeframe.M5.ms
T = 1_770_000_000_000 // W * W  # the bucket in question; it ends at E
E = T + W
B = T - W  # the one before
SOON = E + 10_000  # the settling delay has passed


def track() -> Track:
    return Track(SeriesId("coinbase", "BTC-USD", Timeframe.M5), Policy(), TRAITS, working=False)


def carried(since: int, through: int) -> Channel:
    channel = Channel()
    channel.link = Link()
    channel.link.through = through
    channel.link.up = True
    channel.since = since
    return channel


def read(
    on: Track,
    volumes: dict[int, str],
    heard: int,
    channel: Channel | None = None,
    *,
    start: int = T,
    kin: Callable[[int], Kin] = lambda bucket: Kin.SILENT,
    **facts: object,
) -> PageOutcome:
    """Take a page that ends with E, or the newest row, with candles of these volumes."""
    rows = {time: candle(time, volume) for time, volume in volumes.items()}
    page = PageFacts(start, max([E, *rows]) + W, rows, heard, **facts)  # type: ignore[arg-type]
    return settle_page(on, page, channel or Channel(), feed=True, kin=kin)


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


def test_a_row_without_a_later_one_may_be_from_before_the_close_and_waits_for_a_second_page() -> None:
    on = track()
    read(on, {T: "5"}, SOON)
    assert T not in on.coverage
    assert on.open[T].again == SOON + 60_000
    assert on.provisional[T].candle.volume == "5", "readers may not have it yet, but it was seen"
    read(on, {T: "5"}, SOON + 59_999)
    assert T not in on.coverage, "the venue's edge may have kept its answer"
    read(on, {T: "5"}, SOON + 60_000)
    assert on.settled[T].volume == "5"
    assert T in on.presumed


def test_a_second_page_that_shows_another_row_proves_neither() -> None:
    on = track()
    read(on, {T: "5"}, SOON)
    read(on, {T: "6"}, SOON + 60_000)
    assert T not in on.coverage
    read(on, {T: "6"}, SOON + 120_000)
    assert T not in on.coverage, "the venue was seen to lag"
    read(on, {T: "6"}, SOON + 360_000)
    assert on.settled[T].volume == "6"


def test_a_page_poorer_than_the_feed_is_never_taken_by_itself_however_long_it_says_so() -> None:
    """REST is behind: it shows nothing newer that had closed, so it has no say."""
    on = track()
    on.lay(candle(T, "7"), vouched=True)
    for minutes in range(0, 60, 5):
        outcome = read(on, {T: "5", E: "1"}, SOON + minutes * 60_000)
        assert (T in on.coverage, outcome.disputed, outcome.overruled) == (False, 1, [])
    assert on.provisional[T].vouched, "it stays what readers get"
    read(on, {T: "7", E: "1"}, SOON + 3_600_000)
    assert on.settled[T].volume == "7"


def dispute(volumes: list[str], every_ms: int) -> Track:
    """The feed showed 7; pages so far apart say otherwise, and show the next bucket as the feed did."""
    on = track()
    on.lay(candle(T, "7"), vouched=True)
    on.lay(candle(E, "3"), vouched=True)
    for n, volume in enumerate(volumes):
        heard = E + W + 10_000 + n * every_ms
        read(on, {**({T: volume} if volume else {}), E: "3", E + W: "1"}, heard)
    return on


@pytest.mark.parametrize("volume", ["5", ""])
def test_three_fresh_pages_that_agree_over_five_minutes_prove_the_feed_wrong(volume: str) -> None:
    on = dispute([volume] * 3, 150_000)
    assert T in on.coverage
    assert (on.settled[T].volume if volume else "") == volume and (T in on.settled) is bool(volume)


@pytest.mark.parametrize(
    ("volumes", "every_ms"),
    [(["5"] * 2, 300_000), (["5"] * 3, 149_999), (["5", "6", "5"], 150_000), (["5"] * 9, 30_000)],
)
def test_fewer_or_hastier_or_other_pages_do_not(volumes: list[str], every_ms: int) -> None:
    on = dispute(volumes, every_ms)
    assert T not in on.coverage
    assert on.candle(T) == candle(T, "7")


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
    for _ in range(10):
        read(on, {T: "5", E: "1"}, SOON)
        waits.append(on.open[T].again - SOON)
    assert waits == [2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000]


def test_a_row_absent_between_rows_is_empty_at_once() -> None:
    on = track()
    read(on, {B: "2", E: "1"}, SOON, start=B)
    assert T in on.coverage and T not in on.settled
    assert T not in on.presumed


def test_a_row_absent_where_an_unbroken_feed_was_silent_is_presumed_empty() -> None:
    on = track()
    read(on, {}, SOON, carried(T, E))
    assert T in on.coverage and not on.settled
    assert T in on.presumed, "both may have been deaf: it is asked for again"


@pytest.mark.parametrize("minutes", [0, 5, 60, 24 * 60])
def test_one_empty_page_proves_nothing_however_old_the_bucket_is(minutes: int) -> None:
    on = track()
    read(on, {}, SOON + minutes * 60_000)
    assert not on.coverage
    assert SOON + minutes * 60_000 < on.open[T].again


def test_empty_pages_after_all_that_is_known_prove_nothing_unless_the_feed_has_shown_nothing_newer() -> None:
    for feed in (Channel(), carried(since=E + 5_000, through=E + 9_000)):
        on = track()
        on.settle(B, candle(B, "2"), derived=False)
        for heard, agreed in (
            (0, False),
            (59_000, False),
            (60_000, False),
            (119_000, False),
            (120_000, True),
        ):
            read(on, {}, SOON + heard, feed, start=T)
            assert (T in on.coverage) is (agreed and feed.since > 0)
        assert (T in on.likely) is (feed.since > 0)
        if not feed.since:
            read(on, {}, SOON + 9 * 3_600_000, feed, start=T)
            assert T not in on.coverage, "nor does time"


@pytest.mark.parametrize("shown", [[], [T - 9 * W], [T + 9 * W]], ids=["no row", "the oldest", "the newest"])
def test_what_pages_lack_between_known_candles_is_open_however_often_they_agree(shown: list[int]) -> None:
    """They may be empty, or cut short, on either side, for as long as they like."""
    on = track()
    for known in (T - 9 * W, T + 9 * W):
        on.settle(known, candle(known, "2"), derived=False)
    for minutes in range(120):
        start = min([T - 8 * W, *shown])
        end = dict.fromkeys(shown, "2")
        page = PageFacts(
            start, T + 9 * W, {t: candle(t, v) for t, v in end.items()}, SOON + minutes * 60_000 + 9 * W
        )
        settle_page(on, page, Channel(), feed=True)
        assert T not in on.coverage
    assert on.open[T].alone and on.open[T].pages > 9


def test_a_page_that_lacks_what_was_settled_proves_no_absence() -> None:
    """The venue shows less than it did: it lags, or is cut short."""
    on = track()
    read(on, {B - W: "1", B: "2", T: "3"}, T + 11_000, start=B - W)
    assert B in on.coverage
    read(on, {B - W: "1", E: "1"}, SOON, start=B - W)
    assert T not in on.coverage
    read(on, {B - W: "1", B: "2", E: "1"}, SOON + 1_000, start=B - W)
    assert T in on.coverage and T not in on.settled


@pytest.mark.parametrize("kin", [Kin.DENIES, Kin.SILENT, Kin.CONFIRMS])
def test_what_another_timeframe_holds_counts_against_an_absent_row(kin: Kin) -> None:
    on = track()
    read(on, {B: "2", E: "1"}, SOON, start=B, kin=lambda bucket: kin)
    assert (T in on.coverage) is (kin is not Kin.DENIES)


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
    read(on, {}, SOON, start=B, rejected=frozenset({B, T, E}))
    assert T not in on.coverage, "nor is one that may have been meant for any of them"


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


def test_an_old_page_takes_nothing_back_that_was_settled() -> None:
    """The venue's edge is minutes behind: it shows the bucket as it was before its end, as its newest."""
    on = track()
    read(on, {T: "7", E: "1"}, SOON)
    for minutes in range(1, 20):
        assert read(on, {T: "5"}, SOON + minutes * 60_000).revised == []
        assert read(on, {T: "5", E: "1"}, SOON + minutes * 60_000 + 1_000).revised == []
    assert on.settled[T].volume == "7"


def test_a_poison_row_costs_its_own_bucket_only() -> None:
    on = track()
    outcome = read(on, {B: "2", E: "1"}, SOON, start=B - W, rejected=frozenset({T}), reasons={T: "no price"})
    assert B in on.coverage and T not in on.coverage
    assert (on.open[T].unusable, outcome.unusable) == ("no price", [])
    for minutes in (1, 3, 5, 7, 11):
        outcome = read(on, {E: "1"}, SOON + minutes * 60_000, rejected=frozenset({T}))
    assert outcome.unusable == [T], "five tries over ten minutes: it is told"
    read(on, {T: "5", E: "1"}, SOON + 3_600_000)
    assert on.settled[T].volume == "5"


@pytest.mark.parametrize("lie", ["another product", "a minute late", "without rows"])
def test_what_cannot_be_had_is_added_up_only_from_rows_that_fit_what_is_beside_it(lie: str) -> None:
    minute = Timeframe.M1.ms

    def row(time: int, price: int, wide: int) -> ExactCandle:
        return ExactCandle(time, str(price), str(price + wide), str(price), str(price), "5")

    on = track()
    rows = {t: row(t, t // W, 14) for t in range(T - 5 * W, T, W)}
    for minutes in (0, 3):
        page = PageFacts(
            T - 5 * W, T + W, {**rows, E: row(E, E // W, 14)}, SOON + minutes * 60_000, frozenset({T})
        )
        settle_page(on, page, Channel(), feed=False)
    found = rebuilding(on, SOON + 600_000)
    assert found is not None
    timeframe, span = found
    assert (timeframe, span.start, span.end) == (Timeframe.M1, B, E)

    def minutes_of(told: dict[int, ExactCandle], at: int) -> list[int]:
        page = PageFacts(span.start, span.end, told, SOON + at * 60_000)
        return rebuild(on, timeframe, page)

    truth = {t: row(t, t // W + t % W // minute, 10) for t in range(B, E, minute)}
    lies = {
        "another product": {t: row(t, 7, 1) for t in truth},
        "a minute late": {t: row(t, int(truth[t - minute].open), 10) for t in truth if t > B},
        "without rows": {},
    }[lie]
    for at in (10, 20, 40):
        assert not minutes_of(lies, at)
    assert not minutes_of(truth, 100)
    assert minutes_of(truth, 200) == [T]
    assert on.settled[T] == ExactCandle(T, str(T // W), str(T // W + 14), str(T // W), str(T // W + 4), "25")


def test_a_row_that_cannot_be_believed_is_no_sleep_between_trades() -> None:
    """A liquid product with a spoilt row while the venue lags: what is absent is not empty."""
    on = track()
    spoilt = frozenset({T - 5 * W})
    rows = {t: "1" for t in range(T - 9 * W, T, W) if t not in spoilt}
    read(on, rows, E + 100_000, start=T - 9 * W, rejected=spoilt)
    assert T not in on.coverage and T - W not in on.coverage
    thin = track()
    read(thin, rows, E + 100_000, start=T - 9 * W)
    assert T in thin.coverage and T in thin.presumed, "but one that slept there may sleep now"


def test_what_a_page_left_open_is_open_no_longer_once_the_next_one_settles_it() -> None:
    on = track()
    read(on, {B: "5"}, SOON, start=B)
    assert T in on.open and on.next_again(SOON)
    read(on, {B: "5", T: "5", E: "1", E + W: "1"}, E + W + 11_000, start=B)
    assert T in on.coverage and T not in on.open


def test_a_row_of_a_bucket_that_the_feed_called_empty_waits_for_nothing_more() -> None:
    on = track()
    on.flagged[T] = SOON + 60_000
    read(on, {T: "5", E: "1"}, SOON)
    assert T in on.coverage and not on.flagged and not on.next_again(SOON)
