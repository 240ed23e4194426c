"""The page in a real browser, over the real service and a simulated exchange."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from livecache.model.timeframe import Timeframe
from livecache.simulator import FaultScript, ScriptedFaults
from livecache.simulator.trouble.script import HttpError, Unreachable

from ..e2e.support import livecache, until
from .chromium import Tab
from .support import (
    FOREVER_S,
    PIXELS,
    TIMEFRAMES,
    banner,
    column,
    dots,
    live,
    no_banner,
    nothing_in_the_console,
    running,
    shows,
)


def test_what_was_proven_empty_is_told_from_what_is_missing(clean_valkey: str, tab: Tab) -> None:
    with running(clean_valkey, speed=1.0) as here:
        here.service.event("warm")
        tab.open(f"{here.page}#RARE-USD/5m")
        shows(tab, "RARE-USD 5m")
        tab.run("document.getElementById('newest').open = true")
        tab.until("the buckets are listed", "document.querySelectorAll('#newest tbody tr').length === 12")
        # Where one page alone said so, a moment of the feed bears it out.
        kinds_of_all = "[...document.querySelectorAll('#newest td:nth-child(2)')].map(e => e.innerText)"
        tab.until("they are empty", f"{kinds_of_all}.filter(kind => kind === 'proven empty').length > 5")
        kinds = tab.texts("#newest tbody tr td:nth-child(2)")
        # What has just closed without a trade may still come: that it was empty is not proven yet.
        assert set(kinds[:2]) <= {"missing", "in progress", "proven empty"}
        assert "missing" not in kinds[2:]
        assert tab.run(f"({PIXELS})('empty')") > 20
        assert re.fullmatch(r"in the bucket of [\d-]{10} \d\d:\d\d UTC", tab.text("#age"))
        nothing_in_the_console(tab)
        here.service.stop()


def test_it_says_that_the_service_is_gone_and_goes_on_when_it_is_back(clean_valkey: str, tab: Tab) -> None:
    with running(clean_valkey) as here:
        here.service.event("warm")
        tab.open(f"{here.page}#ETH-USD/5m")
        shows(tab, "ETH-USD 5m")
        live(tab)
        here.service.stop()
        banner(tab, "The service has not answered since")
        assert tab.text("#connection") == "no answer"
        assert tab.text("#note") == "not current"
        assert tab.run("document.title").startswith("(no answer) ")
        assert tab.run("document.getElementById('chart').classList.contains('past')")
        readout = tab.text("#readout")
        with livecache("run", env=here.env) as again:
            again.event("warm")
            no_banner(tab)
            live(tab)
            shows(tab, "ETH-USD 5m")
            tab.until("it goes on", f"document.getElementById('readout').innerText !== {readout!r}")
            again.stop()


def test_it_says_that_the_feed_is_down_or_that_all_is_stale(clean_valkey: str, tab: Tab) -> None:
    faults = ScriptedFaults()
    with running(clean_valkey, faults=faults) as here:
        here.service.event("warm")
        tab.open(here.page)
        shows(tab, "BTC-USD 5m")
        live(tab)
        no_banner(tab)
        here.feed.cut()
        banner(tab, "The feed is down")
        tab.until("it is not called live", "document.getElementById('connection').innerText === 'feed down'")
        faults.begin(Unreachable(lasts=FOREVER_S))
        banner(tab, "Stale: nobody vouches for these candles now")
        until("all rows say so", lambda: column(tab, 5) == ["all stale"] * 3)
        assert tab.run("document.getElementById('chart').classList.contains('past')")
        assert (tab.text("#connection"), tab.text("#note")) == ("stale", "not current")
        faults.end_all()
        here.feed.open()
        no_banner(tab)
        shows(tab, "BTC-USD 5m")
        here.service.stop()


def test_while_it_warms_it_shows_how_far_it_is(clean_valkey: str, tab: Tab) -> None:
    with running(clean_valkey, speed=1.0, VENUES_COINBASE_REQUESTS_PER_SECOND=1) as here:
        here.service.event("http_listening")
        tab.open(here.page)
        tab.until("it warms up", "!document.getElementById('warming').hidden")
        assert re.fullmatch(r"warming up: \d of 9 series can be read", tab.text("#warming label"))
        assert tab.text("#note") == "No candles yet" or tab.run(
            "document.getElementById('progress').value > 0"
        )
        tab.until("it has come on", "document.getElementById('progress').value > 0", 60.0)
        tab.until("it is done", "document.getElementById('warming').hidden", 60.0)
        shows(tab, "BTC-USD 5m")
        assert tab.text("#note") == ""
        drawn = "document.querySelectorAll('#markets polyline[points*=\",\"]').length"
        tab.until("every market has its course", f"{drawn} === 3", 60.0)
        no_banner(tab)
        nothing_in_the_console(tab)
        here.service.stop()


def test_history_that_comes_after_the_first_candles_is_drawn_too(clean_valkey: str, tab: Tab) -> None:
    no_history = HttpError(status=500, lasts=FOREVER_S, timeframes=tuple(map(Timeframe, TIMEFRAMES)))
    faults = ScriptedFaults(FaultScript(faults=(no_history,)))
    with running(clean_valkey, faults=faults) as here:
        here.service.event("http_listening")
        tab.open(here.page)
        count = "parseInt(document.getElementById('chart').ariaLabel?.split(': ')[1])"
        tab.run("document.getElementById('newest').open = true")
        kinds = (
            "[...document.querySelectorAll('#newest tbody td:nth-child(2)')].map((cell) => cell.innerText)"
        )
        tab.until(
            "the feed vouches for some",
            f"({kinds}).filter((kind) => kind === 'provisional').length > 1",
            60.0,
        )
        assert tab.run(count) < 30
        faults.end_all()
        tab.until("all is drawn", f"{count} >= 60", 90.0)
        nothing_in_the_console(tab)
        here.service.stop()


def test_the_demo_tells_where_its_page_is_and_its_chart_scrolls_back_two_years(tab: Tab) -> None:
    with livecache("demo", "--symbols", "5") as demo:
        page = re.search(r"http://127\.0\.0\.1:\d+/$", demo.line("see it in a browser"))
        assert page
        tab.open(page[0])
        tab.until("all is there", "document.querySelectorAll('.dot[data-state=ready]').length === 25", 40.0)
        live(tab)
        tab.run(WATCHED)
        tab.until("prices come", "window.prices > 5", 60.0)
        assert tab.run("window.shifted") < 0.01, "while it is live nothing moves"
        tab.open(f"{page[0]}#BTC-USD/1d")
        shows(tab, "BTC-USD 1d")
        tab.focus("#chart")
        two_years_ago = datetime.now(UTC) - timedelta(days=2 * 365)

        def scrolled() -> bool:
            tab.press("PageUp")
            told = tab.run("document.getElementById('chart').ariaLabel.match(/buckets, ([0-9-]+)/)[1]")
            return bool(datetime.fromisoformat(told).replace(tzinfo=UTC) < two_years_ago)

        until("days of two years ago are there", scrolled, 60.0)
        assert "missing" not in tab.text("#edge")
        nothing_in_the_console(tab)
        demo.stop()
        banner(tab, "The service has not answered since")


# From now on: how much of what is seen has moved by itself, and how many prices have come.
WATCHED = """(() => {
    [window.shifted, window.prices] = [0, 0];
    new PerformanceObserver((seen) => {
        for (const { value } of seen.getEntries()) window.shifted += value;
    }).observe({ type: "layout-shift" });
    const changed = { childList: true, characterData: true, subtree: true };
    new MutationObserver(() => window.prices += 1).observe(document.getElementById("last"), changed);
    return true;
})()"""


def test_an_unknown_symbol_is_told_as_that_and_not_as_a_feed_that_is_down(
    clean_valkey: str, tab: Tab
) -> None:
    symbols = "BTC-USD,WRONG-USD"
    with running(clean_valkey, VENUES_COINBASE_SYMBOLS=symbols) as here:
        here.service.event("unknown_symbol")
        tab.open(here.page)
        banner(tab, "Coinbase does not know WRONG-USD: correct venues.coinbase.symbols")
        until("it is seen by its dots", lambda: set(dots(tab, "WRONG-USD").values()) == {"unknown"}, 60.0)
        assert "Closed candles still come" not in tab.text("#troubles")
