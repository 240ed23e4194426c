"""Scrolling back in whole: years of days, a month of minutes, an exchange that fails, a market that lives."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from livecache.model.coverage import Coverage
from livecache.model.timeframe import Timeframe
from livecache.simulator import ScriptedFaults
from livecache.simulator.trouble.script import Hang, HttpError

from .chromium import Tab
from .scrolling import DAY, NOON, asked, drawn, look_into, once, place, seen, stored, to_the_left, years
from .support import FOREVER_S, live, nothing_in_the_console, shows

pytestmark = pytest.mark.long

LENGTH = "parseInt(document.getElementById('chart').ariaLabel?.split(': ')[1])"
QUIET = "document.getElementById('chart').ariaBusy === 'false'"
MINUTE = 60_000


def listed(days: int) -> int:
    return (NOON - days * DAY) // DAY * DAY


@pytest.mark.takes(240)  # what lies before a listing is asked for twice, a minute apart
def test_five_years_of_days_are_filled_as_one_scrolls_to_the_listing(
    clean_valkey: str, tmp_path: Path, tab: Tab
) -> None:
    days = 5 * 365
    with years(clean_valkey, tmp_path / "history.db", days=days, kept={}, CACHE_TIMEFRAMES="1d") as here:
        look_into(tab)
        tab.open(f"{here.page}#BTC-USD/1d")
        shows(tab, "BTC-USD 1d")
        live(tab)
        since = datetime.fromtimestamp(listed(days) / 1000, UTC).date().isoformat()
        assert since in to_the_left(tab, within_s=200.0)
        shown = drawn(tab)
        times = list(shown)
        assert times == list(range(times[0], times[-1] + 1, DAY))
        truth = stored(here, "1d", listed(days))
        assert {time: shown[time] for time in truth} == truth
        assert None not in shown.values(), "what lies before the listing is known to be empty"
        nothing_in_the_console(tab)


@pytest.mark.takes(300)
def test_a_month_of_minutes_is_scrolled_through_in_bounded_memory_and_each_is_seen_once(
    clean_valkey: str, tmp_path: Path, tab: Tab
) -> None:
    days = 30
    kept = {Timeframe.M1: Coverage(), Timeframe.H1: Coverage()}
    with years(clean_valkey, tmp_path / "history.db", days=days, kept=kept, CACHE_TIMEFRAMES="1m,1h") as here:
        look_into(tab)
        tab.open(f"{here.page}#BTC-USD/1m")
        shows(tab, "BTC-USD 1m")
        live(tab)
        tab.focus("#chart")
        everything: dict[int, list[float] | None] = {}
        for _ in range(400):
            tab.press("Home")
            seen(tab)
            tab.until("nothing is under way", QUIET)
            shown = drawn(tab)
            times = list(shown)
            assert times == list(range(times[0], times[-1] + 1, MINUTE)), "one stretch without a seam"
            assert len(times) <= 20_000 + 1_200
            everything |= shown
            if "nothing before" in tab.text("#edge-words"):
                break
        truth = stored(here, "1m", listed(days))
        assert len(truth) > 43_000
        done = {time: prices for time, prices in truth.items() if time < NOON}  # the rest has moved since
        assert {time: everything[time] for time in done} == done
        once(tab)
        tab.click("#now")
        tab.until("the newest are seen", "document.getElementById('now').disabled")
        assert max(drawn(tab)) >= NOON - MINUTE
        nothing_in_the_console(tab)


@pytest.mark.takes(180)
def test_an_exchange_that_is_slow_and_fails_and_works_again_costs_a_quiet_word(
    clean_valkey: str, tmp_path: Path, tab: Tab
) -> None:
    days, faults = 160, ScriptedFaults()
    hole = Coverage([(listed(days) + 10 * DAY, listed(days) + 140 * DAY)])
    kept = {Timeframe.H1: hole, Timeframe.D1: Coverage()}
    with years(
        clean_valkey,
        tmp_path / "history.db",
        days=days,
        kept=kept,
        faults=faults,
        CACHE_TIMEFRAMES="5m,1h,1d",
    ) as here:
        look_into(tab)
        tab.open(f"{here.page}#BTC-USD/1h")
        shows(tab, "BTC-USD 1h")
        live(tab)
        faults.begin(HttpError(status=500, lasts=FOREVER_S, timeframes=(Timeframe.H1,)))
        tab.focus("#chart")
        for _ in range(12):
            tab.press("PageUp")
            seen(tab)
            tab.until("nothing is under way", QUIET)
        assert None in drawn(tab).values(), "what is missing is told"
        assert len(asked(tab)) < 30, "and not asked for all the time"
        faults.end_all()
        faults.begin(Hang(seconds=2.0, lasts=30.0, timeframes=(Timeframe.H1,)))
        to_the_left(tab, within_s=150.0)
        tab.until("all is there", f"{LENGTH} >= {days * 24}")
        truth = stored(here, "1h", listed(days))
        shown = drawn(tab)
        assert {time: shown[time] for time in truth} == truth
        assert None not in shown.values()


@pytest.mark.takes(90)
def test_the_market_goes_on_while_one_looks_far_back_and_nothing_moves(
    clean_valkey: str, tmp_path: Path, tab: Tab
) -> None:
    kept = {Timeframe.M5: Coverage(), Timeframe.D1: Coverage()}
    with years(
        clean_valkey, tmp_path / "history.db", days=160, kept=kept, speed=60.0, CACHE_TIMEFRAMES="5m,1h,1d"
    ) as here:
        look_into(tab)
        tab.open(f"{here.page}#BTC-USD/5m")
        shows(tab, "BTC-USD 5m")
        live(tab)
        for _ in range(10):
            tab.drag("#chart", 400)
            seen(tab)
            tab.until("nothing is under way", QUIET)
        anchor = seen(tab)[0] + 30 * 300_000
        at, newest = place(tab, anchor), max(drawn(tab))
        tab.until("buckets close meanwhile", f"{LENGTH} && ({NEWEST}) >= {newest + 4 * 300_000}", 90.0)
        assert place(tab, anchor) == pytest.approx(at, abs=0.5)
        shown = drawn(tab)
        times = list(shown)
        assert times == list(range(times[0], times[-1] + 1, 300_000))
        once(tab)


NEWEST = """charted.panes()[0].getSeries()
    .find((each) => each.seriesType() === "Candlestick").data().at(-1).time * 1000"""
