"""When a data channel that has gone quiet is suspected, and how seldom a quiet market is."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from livecache.venues.feed.renewals import Renewals
from livecache.venues.feed.watchdog import DataWatchdog, Suspect

START = 1784086800000
HOUR_S = 3600


class Watched:
    """A watchdog over `candles` of some products, told of heartbeats every second of the venue's time."""

    def __init__(self, *products: str) -> None:
        self.watchdog = DataWatchdog(["candles"], products)
        self.watchdog.connected()
        self.stamp = START
        self.watchdog.heard(self.stamp)

    def second(self, *updated: str) -> list[Suspect]:
        """A second passes, at the end of which these products are updated. What is suspect then."""
        self.stamp += 1000
        self.watchdog.heard(self.stamp)
        if updated:
            self.watchdog.updated("candles", updated)
        return self.watchdog.suspects()

    def busy(self, seconds: int, *updated: str, every: int = 1) -> list[Suspect]:
        return [s for n in range(seconds) for s in self.second(*(updated if n % every == 0 else ()))]

    def until_suspect(self, *updated: str, at_most_s: int = HOUR_S) -> tuple[list[Suspect], int]:
        """What is suspected first, and after how many seconds; nothing if that takes too long."""
        for second in range(1, at_most_s + 1):
            if found := self.second(*updated):
                return found, second
        return [], at_most_s


def test_a_busy_channel_that_dies_is_suspected_after_half_a_minute() -> None:
    watched = Watched("BTC-USD")
    assert watched.busy(60, "BTC-USD") == []
    last = watched.stamp
    ((suspect,), seconds) = watched.until_suspect()
    assert suspect == Suspect("candles", "", 31_000, last)
    assert seconds == 31


def test_a_channel_that_is_usually_slow_is_given_four_times_its_longest_gap() -> None:
    watched = Watched("RAD-USD")
    assert watched.busy(3000, "RAD-USD", every=60) == []
    found, seconds = watched.until_suspect()
    assert [suspect.product for suspect in found] == [""]
    assert 4 * 60 - 60 <= seconds <= 4 * 60 + 1


def test_nothing_is_suspected_before_it_is_known_what_is_usual() -> None:
    watched = Watched("BTC-USD")
    watched.busy(10, "BTC-USD")
    assert watched.until_suspect() == ([], HOUR_S)


def test_of_what_is_still_nothing_is_suspected_nor_learned() -> None:
    """Of two products one is still, then both: a channel is as long as no other is to tell anything on it."""
    watched = Watched("BTC-USD", "ETH-USD")
    watched.busy(300, "BTC-USD", "ETH-USD")
    watched.watchdog.still = frozenset({"BTC-USD"})
    assert watched.busy(300, "ETH-USD") == []
    watched.watchdog.still = frozenset({"BTC-USD", "ETH-USD"})
    assert watched.busy(HOUR_S) == []
    watched.watchdog.still = frozenset({"BTC-USD"})
    ((suspect, *_), seconds) = watched.until_suspect()
    assert (suspect.product, seconds) == ("", 31), "as if it had told something just before"


def test_a_channel_that_stays_quiet_is_suspected_ever_more_seldom() -> None:
    """Four times in the first hour, then hourly: each time costs a connection."""
    watched = Watched("BTC-USD")
    watched.busy(60, "BTC-USD")
    hours = [0] * 12
    for second in range(12 * HOUR_S):
        if watched.second():
            hours[second // HOUR_S] += 1
            watched.watchdog.connected()
            watched.watchdog.heard(watched.stamp)
    assert hours[0] == 4
    assert max(hours[1:]) == 1


def _gaps(kind: str, mean_s: float, chance: random.Random) -> Iterator[float]:
    while True:
        yield (
            chance.expovariate(1 / mean_s)
            if kind == "even"
            else chance.lognormvariate(0, 1.5) * mean_s / 3.08
        )


@pytest.mark.parametrize("kind", ["even", "bursts"])
@pytest.mark.parametrize("mean_s", [1, 10, 60, 600])
def test_a_market_that_is_only_quiet_is_hardly_ever_suspected(kind: str, mean_s: int) -> None:
    watched = Watched("A")
    gaps = _gaps(kind, mean_s, random.Random(f"{kind} {mean_s}"))
    hours = [0] * 24
    due = next(gaps)
    for second in range(24 * HOUR_S):
        traded = due <= second
        while due <= second:
            due += next(gaps)
        if watched.second(*(("A",) if traded else ())):
            hours[second // HOUR_S] += 1
            watched.watchdog.connected()
            watched.watchdog.heard(watched.stamp)
    assert max(hours) <= 2
    assert sum(hours) <= 24


def test_no_market_can_have_a_channel_suspected_more_than_seven_times_in_an_hour() -> None:
    """Not even one that is busy just long enough to pass for busy, and then quiet just long enough."""
    for busy_s in (1, 20, 120, 600, 900, 1200):
        watched = Watched("A")
        watched.busy(60, "A")
        times: list[int] = []
        while watched.stamp < START + 6 * HOUR_S * 1000:
            found, _ = watched.until_suspect()
            if found:
                times.append(watched.stamp)
                watched.watchdog.connected()
                watched.watchdog.heard(watched.stamp)
            watched.busy(busy_s, "A")
        most = max(sum(1 for other in times if time <= other < time + HOUR_S * 1000) for time in times)
        assert most <= 7, busy_s


def test_one_busy_product_that_goes_mute_among_many_is_suspected_by_itself() -> None:
    watched = Watched("BTC-USD", "ETH-USD", "RAD-USD")
    assert watched.busy(60, "BTC-USD", "ETH-USD") == []
    last = watched.stamp
    assert watched.until_suspect("ETH-USD") == ([Suspect("candles", "BTC-USD", 61_000, last)], 61)
    assert watched.until_suspect("ETH-USD") == ([], HOUR_S), "from then on it is settling that finds it"


def test_a_product_that_trades_in_bursts_is_given_eight_times_its_longest_pause() -> None:
    watched = Watched("BTC-USD", "ETH-USD")
    for _ in range(10):
        watched.busy(20, "BTC-USD", "ETH-USD")
        assert watched.busy(10, "ETH-USD") == []
    watched.busy(20, "BTC-USD", "ETH-USD")
    found, seconds = watched.until_suspect("ETH-USD")
    assert [suspect.product for suspect in found] == ["BTC-USD"]
    assert 80 <= seconds <= 90


def test_a_thin_product_is_left_to_settling() -> None:
    watched = Watched("BTC-USD", "RAD-USD")
    for _ in range(50):
        watched.busy(59, "BTC-USD")
        watched.busy(1, "BTC-USD", "RAD-USD")
    assert watched.until_suspect("BTC-USD") == ([], HOUR_S)


def test_where_all_are_mute_it_is_the_channel_and_no_product() -> None:
    watched = Watched("BTC-USD", "ETH-USD")
    watched.busy(60, "BTC-USD", "ETH-USD")
    found, _ = watched.until_suspect()
    assert [suspect.product for suspect in found] == [""]


def test_time_without_a_connection_is_no_quiet() -> None:
    watched = Watched("A")
    watched.busy(60, "A")
    watched.busy(20)
    watched.watchdog.connected()
    watched.stamp += 40_000
    assert watched.busy(20) == []


@pytest.mark.parametrize("stamp", [0, 1, 4102444800000, (1 << 62)])
def test_an_absurd_stamp_neither_alarms_nor_blinds(stamp: int) -> None:
    watched = Watched("A")
    watched.busy(60, "A")
    watched.watchdog.heard(stamp)
    assert watched.watchdog.suspects() == []
    assert watched.busy(20) == []
    last = watched.stamp - 20_000
    (suspect,), seconds = watched.until_suspect()
    assert seconds <= 13
    assert abs(suspect.since - last) <= 1_000


def test_stamps_a_little_out_of_order_do_not_make_time_pass_twice() -> None:
    watched = Watched("A")
    watched.busy(60, "A")
    for _ in range(100):
        watched.watchdog.heard(watched.stamp - 5_000)
        watched.watchdog.heard(watched.stamp)
    assert watched.busy(29) == []


def test_one_product_is_subscribed_anew_four_times_in_its_first_hour_and_then_hourly() -> None:
    renewals = Renewals()
    times = []
    for minute in range(6 * 60):
        if renewals.ask(["A"], minute * 60.0):
            times.append(minute)
            assert renewals.take() == ["A"]
    assert times == [0, 5, 15, 35, 75, 135, 195, 255, 315]


def test_renewals_begin_at_five_minutes_again_once_all_was_well_for_an_hour() -> None:
    renewals = Renewals()
    assert renewals.ask(["A", "B"], 0.0) == ["A", "B"]
    assert renewals.ask(["A"], 299.0) == []
    assert renewals.ask(["A"], 300.0) == [], "it is in line already"
    assert renewals.take() == ["A", "B"]
    assert renewals.take() == []
    assert renewals.ask(["A"], 4_000.0) == ["A"]
    assert renewals.ask(["B"], 3_800.0) == ["B"], "its hour was not over"
    renewals.take()
    assert renewals.ask(["A", "B"], 4_299.0) == []
    assert renewals.ask(["A", "B"], 4_300.0) == ["A"]
    assert renewals.ask(["A", "B"], 4_400.0) == ["B"]
