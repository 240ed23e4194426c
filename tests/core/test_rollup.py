"""Roll-ups are exact, on made-up numbers and on real ones."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.errors import ConfigError
from livecache.model.candle import ExactCandle
from livecache.model.rollup import children_of, roll_up, same_sum
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served
from livecache.venues.coinbase.traits import TRAITS
from tests.core.driver import Driver

numbers = st.decimals(min_value="0.00000001", max_value="999999999", places=8).map(lambda d: format(d, "f"))


@st.composite
def candles(draw: st.DrawFn) -> list[ExactCandle]:
    found = []
    for i in range(draw(st.integers(1, 30))):
        low, a, b, high = sorted((draw(numbers) for _ in range(4)), key=Decimal)
        found.append(ExactCandle(i * 60_000, a, high, low, b, draw(numbers)))
    return found


@settings(deadline=None)
@given(candles())
def test_a_parent_is_first_open_highest_high_lowest_low_last_close_and_the_sum_of_volumes(
    children: list[ExactCandle],
) -> None:
    rolled = roll_up(0, children)
    assert rolled is not None
    assert rolled.open == children[0].open
    assert rolled.close == children[-1].close
    assert Decimal(rolled.high) == max(Decimal(c.high) for c in children)
    assert Decimal(rolled.low) == min(Decimal(c.low) for c in children)
    total = sum(int(Decimal(c.volume) * 10**8) for c in children)
    assert Decimal(rolled.volume) * 10**8 == total


def test_volume_prints_as_the_venue_prints_it() -> None:
    def volume(*volumes: str) -> str:
        rolled = roll_up(0, [ExactCandle(i, "1", "1", "1", "1", v) for i, v in enumerate(volumes)])
        assert rolled is not None
        return rolled.volume

    assert volume("1.5", "1.50") == "3"
    assert volume("0.1", "0.2") == "0.3"
    assert volume("1e3", "0.5") == "1000.5"
    assert volume("100", "0") == "100"


@given(st.lists(st.floats(0.001, 1e5), min_size=2, max_size=60))
def test_a_sum_of_floats_is_that_of_their_digits_but_for_the_last_ones(volumes: list[float]) -> None:
    children = [ExactCandle(i, "1", "2", "1", "1.5", repr(v)) for i, v in enumerate(volumes)]
    rolled = roll_up(0, children)
    assert rolled is not None
    told = ExactCandle(0, "1.0", "2.0", "1.0", "1.5", repr(sum(volumes)))
    assert same_sum(rolled, told)
    more = roll_up(0, [*children, ExactCandle(99, "1", "2", "1", "1.5", "0.001")])
    assert more is not None and not same_sum(more, told)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("3.668084797", "3.6680847969999992", True),
        ("3.668084797", "3.6680847979999992", False),
        ("3.668084797", "3.668084796", False),
        ("0.30000000000000004", "0.3", True),
        ("0.1", "0.10", True),
        ("100000000.00000001", "100000000.00000002", True),
        ("5", "6", False),
    ],
)
def test_digits_that_no_float_can_hold_are_no_difference(ours: str, theirs: str, same: bool) -> None:
    one, other = (ExactCandle(0, "1", "2", "1", "1.5", volume) for volume in (ours, theirs))
    assert same_sum(one, other) is same_sum(other, one) is same


def test_no_children_that_traded_make_no_candle() -> None:
    assert roll_up(0, []) is None


def test_each_timeframe_is_rolled_up_from_the_largest_smaller_one_that_divides_it() -> None:
    m5, m15, h1, h4, d1 = Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1
    assert children_of([m5, m15, h1, h4, d1], TRAITS) == {m5: None, m15: m5, h1: m15, h4: h1, d1: h4}
    assert children_of([h1], TRAITS) == {m5: None, h1: m5}, "the feed's timeframe works for it unseen"
    assert children_of([m5, d1], TRAITS) == {m5: None, h1: m5, d1: h1}, "a day has too many 5m for one step"
    assert children_of([Timeframe.M1], TRAITS) == {Timeframe.M1: None}


def of(configured: str, unserved: str) -> dict[str, str | None]:
    served = {t: Served(page=330) for t in Timeframe if t not in unserved.split()}
    found = children_of(map(Timeframe, configured.split()), replace(TRAITS, served=served))
    return {parent.value: child and child.value for parent, child in found.items()}


def test_what_the_venue_does_not_serve_is_rolled_up_from_what_it_does() -> None:
    lacks = "3m 8h 12h 1w 1M"
    assert of("3m", lacks) == {"1m": None, "3m": "1m"}
    assert of("5m 3m", lacks) == {"1m": None, "3m": "1m", "5m": "1m"}
    assert of("8h 4h 1h", lacks) == {"5m": None, "1h": "5m", "4h": "1h", "8h": "4h"}
    assert of("8h", lacks) == {"5m": None, "1h": "5m", "8h": "1h"}
    assert of("12h", lacks) == {"5m": None, "1h": "5m", "12h": "1h"}
    assert of("1w", lacks) == {"5m": None, "1h": "5m", "1d": "1h", "1w": "1d"}
    assert of("1M 1w 4h", lacks) == {
        "5m": None, "1h": "5m", "4h": "1h", "1d": "4h", "1w": "1d", "1M": "1d",
    }  # fmt: skip
    assert of("3m 1w", "") == {"1h": "5m", "3m": None, "5m": None, "1d": "1h", "1w": "1d"}


def test_what_nothing_adds_up_to_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"3m candles are not to be had: the venue serves 5m, 1h only"):
        of("5m 3m", "1m 3m 15m 30m 2h 4h 6h 8h 12h 1d 1w 1M")


def test_days_that_are_no_sums_of_hours_are_fetched_and_weeks_are_rolled_up_from_them() -> None:
    equities = replace(TRAITS, served=dict.fromkeys(Timeframe, Served(330)), carries=())
    equities = replace(equities, sums_below=Timeframe.D1)
    found = children_of([Timeframe.M5, Timeframe.H1, Timeframe.D1, Timeframe.W1], equities)
    assert found[Timeframe.D1] is None
    assert found[Timeframe.W1] is Timeframe.D1
    assert found[Timeframe.H1] is Timeframe.M5


def test_hours_that_hold_less_than_their_day_put_none_of_them_in_doubt() -> None:
    driver = Driver((Timeframe.H1, Timeframe.D1), 1_770_000_000_000, sums_below=Timeframe.D1, carries=())
    driver.revised = {(Timeframe.D1, t): 10_000 for t in range(0, driver.now, Timeframe.D1.ms)}
    driver.trades = lambda _, time: time // Timeframe.H1.ms % 24 > 8  # nothing is traded at night
    driver.fill()
    counters = driver.timeline.counters
    assert counters.rollup_mismatches == counters.revisions == 0
    for track in driver.symbol.tracks.values():
        assert not track.open
        assert not track.suspect
    assert driver.settled(Timeframe.D1) == 100


class Floats(Driver):
    def _volume(self, timeframe: Timeframe, time: int) -> float:
        hours = timeframe.ms // Timeframe.H1.ms
        return sum([3.6680847969999992] * hours)


def test_days_whose_volume_is_the_sum_of_floats_differ_from_no_roll_up() -> None:
    driver = Floats((Timeframe.H1, Timeframe.D1), 1_770_000_000_000, carries=())
    driver.fill()
    counters = driver.timeline.counters
    assert counters.rollup_mismatches == counters.revisions == 0
    assert driver.settled(Timeframe.D1) == 100
