"""The page over a cache that a test has filled: many markets, trouble, and what one chart shows."""

from __future__ import annotations

import re
from typing import Any

from ..http.api import Served
from ..http.filling import announce, fill
from .chromium import Tab
from .conftest import HOLE
from .support import PIXELS, column, dots, nothing_in_the_console, opened, shows


def named(tab: Tab, name: str) -> None:
    tab.until(f"{name} is chosen", f"document.getElementById('chosen').innerText === '{name}'")


# --- which, and in which order


def test_it_opens_on_the_first_configured_series_and_then_on_the_last_looked_at(
    market: Any, server: Served, tab: Tab
) -> None:
    opened(tab, server.url)
    shows(tab, "SOL-USD 1h")
    assert tab.texts("#timeframes a") == ["1h", "15m"], "as they are configured"
    tab.click("#markets [data-symbol='BTC-USD'] [data-timeframe='15m']")
    shows(tab, "BTC-USD 15m")
    tab.open("about:blank#")
    opened(tab, server.url)
    shows(tab, "BTC-USD 15m")
    nothing_in_the_console(tab)


def test_a_series_that_is_no_more_is_not_what_it_opens_on(market: Any, server: Served, tab: Tab) -> None:
    opened(tab, server.url, "BTC-USD/15m")
    shows(tab, "BTC-USD 15m")
    tab.run("localStorage.setItem('livecache-series', 'GONE-USD/5m')")
    tab.open("about:blank#")
    opened(tab, server.url)
    shows(tab, "SOL-USD 1h")


def test_a_market_is_one_row_with_price_change_course_and_a_dot_for_each_timeframe(
    market: Any, server: Served, tab: Tab
) -> None:
    opened(tab, server.url)
    tab.until("the courses are there", "document.querySelectorAll('#markets polyline[points*=\",\"]').length")
    assert column(tab, 1) == ["ADA-USD", "WRONG-USD", "HALT-USD", "SOL-USD", "BTC-USD", "THIN-USD"]
    told = dict(zip(column(tab, 1), zip(column(tab, 2), column(tab, 3), strict=True), strict=True))
    assert (float(told["SOL-USD"][0]), told["SOL-USD"][1]) == (
        111.0,
        "+10.67\xa0%",
    )  # a day ago it was 100.3, by the quarters
    assert told["BTC-USD"][1].startswith("\u2212") and told["WRONG-USD"] == ("–", "–")
    colours = "(way) => getComputedStyle(document.querySelector(`[data-way=${way}] td:nth-child(3)`)).color"
    assert tab.run(f"({colours})('up') !== ({colours})('down')")
    assert dots(tab, "ADA-USD") == {"1h": "ready", "15m": "hole"}
    assert tab.texts("#markets thead .labels span") == ["1h", "15m"]
    points = tab.run("document.querySelector('[data-symbol=SOL-USD] polyline').getAttribute('points')")
    heights = [float(corner.split(",")[1]) for corner in points.split()]
    assert len(heights) == 33 and heights == sorted(heights, reverse=True), "it rose all day"
    nothing_in_the_console(tab)


def test_the_markets_are_sorted_either_way_and_a_third_time_as_they_were(
    market: Any, server: Served, tab: Tab
) -> None:
    opened(tab, server.url)
    usual = column(tab, 1)
    tab.click("#markets th:nth-child(2) button")
    assert column(tab, 1) == ["THIN-USD", "HALT-USD", "BTC-USD", "ADA-USD", "SOL-USD", "WRONG-USD"]
    assert tab.run("document.querySelector('#markets [aria-sort]').ariaSort") == "ascending"
    tab.focus("#markets th:nth-child(2) button")
    tab.press("Enter")
    assert column(tab, 1) == ["SOL-USD", "ADA-USD", "BTC-USD", "HALT-USD", "THIN-USD", "WRONG-USD"]
    tab.press("Enter")
    assert column(tab, 1) == usual
    assert tab.run("document.querySelector('#markets [aria-sort]')") is None


# --- trouble


def test_the_counts_in_the_head_filter_and_the_filter_knows_states(
    market: Any, server: Served, tab: Tab
) -> None:
    opened(tab, server.url)
    assert tab.texts("#summary button") == ["1 hole", "2 unknown", "2 halted", "7 ready"], "the worst first"
    assert tab.text("#summary span") == "6 markets, 12 series:"
    tab.focus("#summary button[data-state='hole']")
    tab.press("Enter")
    assert column(tab, 1) == ["ADA-USD"]
    assert tab.run("document.querySelector('#summary [data-state=hole]').ariaPressed") == "true"
    tab.click("#markets .market a")
    named(tab, "ADA-USD 15m")  # the very series that has it
    tab.click("#summary button[data-state='hole']")
    assert len(column(tab, 1)) == 6 and tab.run("document.getElementById('filter').value") == ""
    tab.focus("#filter")
    tab.type("halted 15m")
    assert column(tab, 1) == ["HALT-USD"]
    tab.type("x")
    assert tab.text("#no-rows") == "There is no such market."
    nothing_in_the_console(tab)


def test_a_reason_has_the_whole_width_of_a_phone_and_nothing_scrolls_sideways(
    market: Any, server: Served, tab: Tab
) -> None:
    tab.resize(390, 844, phone=True)
    opened(tab, server.url)
    shows(tab, "SOL-USD 1h")
    reason = "document.querySelector('.why[data-symbol=\"ADA-USD\"] td')"
    assert tab.run(f"{reason}.innerText").startswith("15m hole nothing is known from 2026")
    width, height = tab.run(f"(({{ width, height }}) => [width, height])({reason}.getBoundingClientRect())")
    assert width > 340 and height < 75, "three lines"
    assert tab.run("document.documentElement.scrollWidth") == 390
    wide = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
    assert tab.run(f"{wide}(document.querySelector('#all .scroll'))") == 0
    row = "document.querySelector('.market[data-symbol=\"SOL-USD\"]').getBoundingClientRect().height"
    assert tab.run(row) < 55
    dot = "document.querySelector('[data-symbol=SOL-USD] .dot').getBoundingClientRect()"
    name = "document.querySelector('[data-symbol=SOL-USD] a').getBoundingClientRect()"
    assert tab.run(f"{dot}.top >= {name}.bottom - 4 && {dot}.left < 60"), "the dots are below the name"


def test_what_the_exchange_does_not_know_or_trade_is_told_as_that(
    market: Any, server: Served, tab: Tab
) -> None:
    opened(tab, server.url, "WRONG-USD/1h")
    named(tab, "WRONG-USD 1h")
    tab.until("it is told", "document.getElementById('troubles').innerText.includes('WRONG-USD')")
    troubles = tab.text("#troubles")
    assert "coinbase has no product WRONG-USD: correct venues.coinbase.symbols" in troubles
    assert "coinbase lists HALT-USD as limit only" in troubles
    assert "feed is down" not in troubles and "Closed candles still come" not in troubles
    tab.until("not live", "document.getElementById('connection').innerText === 'unknown'")
    assert tab.text("#note") == "No candles can be shown"
    bad, quiet = (
        tab.run(f"getComputedStyle(document.querySelector('.dot[data-state={state}]')).color")
        for state in ("unknown", "halted")
    )
    assert bad != quiet
    tab.click("#markets [data-symbol='HALT-USD'] a")
    named(tab, "HALT-USD 1h")
    tab.until("it says so", "document.getElementById('connection').innerText === 'halted'")
    assert "limit only" in tab.text("#reason")


def test_what_nobody_vouches_for_is_told_once_for_all_of_it(store: Any, server: Served, tab: Tab) -> None:
    announce(store, ("BTC-USD", "ETH-USD"), ("1h",))
    fill(store, "BTC-USD", "1h", [5.0] * 60, feed=None)
    fill(store, "ETH-USD", "1h", [5.0] * 60, feed=None, reason=HOLE)
    opened(tab, server.url)
    tab.until("it is told", "document.getElementById('troubles').innerText.startsWith('Stale: ')")
    tab.until("not live", "document.getElementById('connection').innerText === 'stale'")
    assert column(tab, 5) == ["all stale", "all stale"]
    (why,) = tab.texts("#markets .why")
    assert why.startswith("stale hole: nothing is known from 2026"), "and what is amiss besides"


# --- one chart


def test_averages_are_drawn_as_far_as_it_is_settled_read_out_and_remembered(
    market: Any, server: Served, tab: Tab
) -> None:
    opened(tab, server.url, "BTC-USD/1h")
    shows(tab, "BTC-USD 1h")
    assert tab.run(f"({PIXELS})('fast') + ({PIXELS})('slow')") == 0
    panes = "document.querySelectorAll('#chart canvas').length"
    before = tab.run(panes)
    tab.click("#averages")
    tab.until("the averages are there", f"({PIXELS})('fast') > 50 && ({PIXELS})('slow') > 50")
    assert tab.run(panes) == before
    tab.click("#macd")
    tab.until("the MACD has a pane of its own", f"{panes} > {before}")
    tab.focus("#chart")
    for key in ("Home", "ArrowRight"):
        tab.press(key)
        assert "EMA" not in tab.text("#told"), "there are too few candles before it"
    for _ in range(12):
        tab.press("ArrowRight")
    assert re.search(r"EMA\xa012\xa010\d\.\d", tab.text("#told")) and "signal" not in tab.text("#told")
    for _ in range(30):
        tab.press("ArrowRight")
    assert re.search(r"EMA\xa026\xa010\d\.\d.*MACD\xa0-?\d.*signal\xa0-?\d", tab.text("#told"))
    tab.press("End")
    for said in ("in progress", "provisional"):
        assert said in tab.text("#told") and "EMA" not in tab.text("#told"), (
            "of what may yet change there is none"
        )
        tab.press("ArrowLeft")
    tab.reload()
    shows(tab, "BTC-USD 1h")
    tab.until("they are there again", f"({PIXELS})('slow') > 50 && {panes} > {before}")
    tab.click("#macd")
    tab.click("#averages")
    tab.until("they are gone", f"({PIXELS})('fast') + ({PIXELS})('slow') === 0")
    assert tab.run(panes) == before
    nothing_in_the_console(tab)


def test_with_too_few_candles_it_says_how_many_an_average_needs(
    market: Any, server: Served, tab: Tab
) -> None:
    opened(tab, server.url, "THIN-USD/1h")
    tab.until("it is drawn", f"({PIXELS})('empty') > 20")  # what was not traded, as thin lines
    tab.click("#macd")
    tab.until("it says so", "document.getElementById('overlays-note').innerText !== ''")
    assert tab.text("#overlays-note") == "MACD 12/26/9 needs 34 settled candles without a gap; there are 2."
    assert tab.run(f"({PIXELS})('fast')") == 0
    tab.click("#markets [data-symbol='SOL-USD'] a")
    shows(tab, "SOL-USD 1h")
    tab.until("it has enough", "document.getElementById('overlays-note').innerText === ''")


def test_the_chart_shows_where_what_is_settled_ends(market: Any, server: Served, tab: Tab) -> None:
    fill(market, "BTC-USD", "15m", [100.0 - n / 10 for n in range(100)], provisional=21, forming=98.0)
    places = []
    for timeframe in ("1h", "15m"):
        tab.open(f"{server.url}/#BTC-USD/{timeframe}")
        shows(tab, f"BTC-USD {timeframe}")
        places.append(tab.until("the edge is drawn", EDGE))
    one, many = places
    assert 20 * 5 < one - many < 20 * 9, "it is farther back by twenty bars of some 7 pixels"


# Where from left to right the dashed line is: the column with the most of its colour.
EDGE = """(() => {
    const shown = getComputedStyle(document.querySelector(`#legend i[class="edge"]`)).color;
    const colour = shown.match(/\\d+/g).map(Number);
    const found = new Map();
    for (const canvas of document.querySelectorAll("#chart canvas")) {
        if (!canvas.width || !canvas.height) continue;
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] < 250 || colour.some((part, at) => Math.abs(part - data[i + at]) > 3)) continue;
            const x = (i / 4) % canvas.width;
            found.set(x, (found.get(x) ?? 0) + 1);
        }
    }
    const [most] = [...found].sort(([, a], [, b]) => b - a);
    return most?.[1] > 50 ? most[0] : null;
})()"""


def test_times_are_told_in_utc_or_by_the_clock_of_whoever_looks(
    market: Any, server: Served, tab: Tab
) -> None:
    tab.call("Emulation.setTimezoneOverride", timezoneId="America/New_York")
    opened(tab, server.url, "SOL-USD/1h")
    shows(tab, "SOL-USD 1h")
    assert tab.text("#readout").startswith("2026-02-20 12:00 UTC ")
    tab.run("document.getElementById('newest').open = true")
    tab.run("document.getElementById('zone').value = 'local'")
    tab.run("document.getElementById('zone').dispatchEvent(new Event('change'))")
    tab.until(
        "it is by the clock here",
        "document.getElementById('readout').innerText.startsWith('2026-02-20 07:00 UTC\u22125 ')",
    )
    tab.until(
        "in the list too", "document.querySelector('#newest tbody th').innerText === '2026-02-20 07:00'"
    )
    assert tab.text("#opened") == "Opened (local time)"
    assert "from 2026\u201102\u201120 02:05 UTC\u22125" in tab.text(".why[data-symbol='ADA-USD'] td")
    tab.reload()
    shows(tab, "SOL-USD 1h")
    assert tab.text("#readout").startswith("2026-02-20 07:00 UTC\u22125"), "the choice is kept"
    nothing_in_the_console(tab)


def test_the_foot_says_who_answers_and_leads_to_what_programs_read(
    market: Any, server: Served, tab: Tab
) -> None:
    opened(tab, server.url)
    tab.until("it says who", "document.getElementById('who').innerText !== ''")
    assert re.fullmatch(
        r"livecache \d+\.\d+\S*, here-1-0aff1e, up \d+s, redis://127\.0\.0\.1:\d+\S*", tab.text("#who")
    )
    links = tab.run("[...document.querySelectorAll('footer a')].map((link) => link.getAttribute('href'))")
    assert links == ["metrics", "readyz", "docs", "openapi.json"]
    answers = tab.run(f"Promise.all({links!r}.map(async (path) => (await fetch(path)).status))")
    assert answers[2:] == [200, 200] and 404 not in answers
