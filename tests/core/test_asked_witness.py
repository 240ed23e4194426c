"""What pages lack between known candles: a bigger timeframe is asked, once, though nobody configured it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import PageFacts
from livecache.proof.plan import Want
from tests.core.driver import Driver

M5, D1, W1, MN1 = Timeframe.M5, Timeframe.D1, Timeframe.W1, Timeframe.MN1
W = M5.ms
NOW = 1_770_000_000_000 // D1.ms * D1.ms + 3 * Timeframe.H1.ms + 60_000


def filled(driver: Driver, minutes: int) -> Driver:
    for _ in range(minutes):
        driver.fill()
        driver.now += 61_000
    return driver


def witnesses(driver: Driver) -> list[Want]:
    return [want for want in driver.asked if want.witness is not None]


def silent(width: int, since: int, until: int, every: int = 1) -> Callable[[Timeframe, int], bool]:
    """A product that trades in each so manieth bucket, but not from so many buckets ago to so many ago."""

    def trades(timeframe: Timeframe, time: int) -> bool:
        ago = (NOW - time) // width
        return not until <= ago < since and time // width % every == 0

    return trades


def test_what_a_bigger_timeframe_bears_out_costs_a_thin_product_a_page() -> None:
    """Each page of the search ends between two candles, and some of them in a silence of days."""
    driver = Driver((M5,), NOW, trades=silent(W, 1_100, 380, every=20))
    driver.fill()
    assert len(witnesses(driver)) == 1 and witnesses(driver)[0].timeframe is not M5
    assert len(driver.asked) <= 7
    filled(driver, 3)
    (span,) = driver.symbol.tracks[M5].coverage.spans
    assert driver.settled(M5) >= 40 and span.start <= NOW - 1_400 * W
    assert len(witnesses(driver)) == 1 and driver.symbol.tracks[M5].witness is None


@pytest.mark.parametrize("lie", ["empty", "one row", "cut", "unbelievable"])
def test_a_witness_that_lacks_what_is_known_says_nothing_and_another_is_asked(lie: str) -> None:
    driver = Driver((M5,), NOW, trades=silent(W, 1_100, 380, every=20))
    sound, lies = driver.timeline.apply_witness, True

    def apply(symbol: str, timeframe: Timeframe, other: Timeframe, page: PageFacts, now: int) -> None:
        times = sorted(page.rows)
        kept = {"one row": times[:1], "cut": times[len(times) // 2 :]}.get(lie, []) if lies else times
        rows = {t: page.rows[t] for t in kept}
        rejected = frozenset(times if lies and lie == "unbelievable" else ())
        sound(symbol, timeframe, other, PageFacts(page.start, page.end, rows, page.heard, rejected), now)

    driver.timeline.apply_witness = apply  # type: ignore[method-assign]
    filled(driver, 10)
    assert len(driver.symbol.tracks[M5].coverage.spans) > 1, "none of it is told as empty"
    assert 3 <= len(witnesses(driver)) <= 6 and len({w.timeframe for w in witnesses(driver)}) > 1
    lies = False
    filled(driver, 20)
    assert len(driver.symbol.tracks[M5].coverage.spans) == 1


def test_a_witness_that_holds_more_refutes_empty_pages() -> None:
    driver = Driver((M5,), NOW, policy=Policy(candles=900), trades=silent(W, 0, 0))
    apply = driver.timeline.apply_page

    def lying(symbol: str, timeframe: Timeframe, page: PageFacts, now: int) -> None:
        middle = NOW - 700 * W < page.end < NOW - 250 * W
        rows = {} if middle else page.rows
        apply(symbol, timeframe, PageFacts(page.start, page.end, rows, page.heard), now)

    driver.timeline.apply_page = lying  # type: ignore[method-assign]
    filled(driver, 40)
    assert witnesses(driver)
    assert NOW // W * W - 500 * W not in driver.symbol.tracks[M5].coverage
    driver.timeline.apply_page = apply  # type: ignore[method-assign]
    filled(driver, 6)
    assert driver.settled(M5) >= 900


@pytest.mark.parametrize("days", [250, 410])
def test_where_nothing_bigger_is_served_a_page_over_both_candles_proves_the_silence(
    days: int,
) -> None:
    """Where no page is so long, it stays a hole that is told."""
    policy = Policy(candles=500)
    driver = Driver((D1,), NOW, policy=policy, trades=silent(D1.ms, 90 + days, 90), unserved=(W1, MN1))
    filled(driver, 12)
    assert not witnesses(driver) and len(driver.asked) < 40
    assert len(driver.symbol.tracks[D1].coverage.spans) == (1 if days == 250 else 2)
