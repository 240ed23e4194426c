"""The table of 6,300 series: only what is seen of it is drawn, and all of it can be reached."""

from __future__ import annotations

from typing import Any

import pytest

from ..http.api import Served
from ..http.filling import announce, fill
from .chromium import Tab
from .conftest import HOLE
from .support import column, nothing_in_the_console

SYMBOLS = [f"COIN{number}-USD" for number in range(900)]
TIMEFRAMES = ["1m", "5m", "15m", "30m", "1h", "4h", "1d"]
SCROLLER = "document.querySelector('#all .scroll')"
DRAWN = "document.querySelectorAll('#markets tbody tr').length"
FOCUSED = "document.activeElement.innerText"


@pytest.fixture
def many(store: Any) -> Any:
    """The last one has a hole; of most nothing is known yet."""
    announce(store, SYMBOLS, TIMEFRAMES)
    fill(store, "COIN0-USD", "1h", [5.0] * 60)
    fill(store, "COIN899-USD", "1h", [5.0] * 60, reason=HOLE)
    return store


def opened(tab: Tab, url: str) -> None:
    tab.open(f"{url}/#COIN0-USD/1h")
    tab.until("they are there", "document.querySelectorAll('#markets .market').length > 5", 60.0)
    tab.until("of each there is a name", f"{SCROLLER}.scrollHeight > 20000 || innerWidth < 500", 60.0)


def seen(tab: Tab, name: str) -> bool:
    """Whether that market's name is on the screen, with nothing above it."""
    return bool(
        tab.run(
            f"""(() => {{
                const link = document.querySelector('[data-symbol="{name}"] a');
                if (!link) return false;
                const {{ x, y, width, height }} = link.getBoundingClientRect();
                return link.contains(document.elementFromPoint(x + width / 2, y + height / 2));
            }})()"""
        )
    )


def test_few_lines_are_drawn_and_the_last_market_is_reached_by_scrolling_and_by_key(
    many: Any, server: Served, tab: Tab
) -> None:
    opened(tab, server.url)
    assert column(tab, 1)[:3] == ["COIN899-USD", "COIN0-USD", "COIN1-USD"], "trouble first, among all of them"
    assert tab.run(DRAWN) < 80
    wide = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
    assert tab.run(f"{wide}({SCROLLER})") == 0, "seven dots fit beside the rest"
    tab.run(f"{SCROLLER}.scrollTop = 1e9")
    tab.until("the last is drawn", "document.querySelector('[data-symbol=\"COIN898-USD\"]') !== null")
    assert seen(tab, "COIN898-USD") and tab.run(DRAWN) < 80
    assert column(tab, 1)[-1] == "COIN898-USD"
    # A screen reader is told how many lines there are, and which this is: the reason and the head are some.
    row = "document.querySelector('[data-symbol=\"COIN898-USD\"]').ariaRowIndex"
    assert tab.run(f"[document.getElementById('markets').ariaRowCount, {row}]") == ["902", "902"]
    tab.click("[data-symbol='COIN898-USD'] a")
    tab.until("it is chosen", "document.getElementById('chosen').innerText === 'COIN898-USD 1h'")
    tab.focus("#markets [tabindex='0']")
    for key, goal in (
        ("Home", "COIN899-USD"),
        ("ArrowDown", "COIN0-USD"),
        ("End", "COIN898-USD"),
        ("ArrowUp", "COIN897-USD"),
    ):
        tab.press(key)
        assert tab.run(FOCUSED) == goal
        assert seen(tab, goal)
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    tab.press("PageUp")
    assert tab.run("[...document.activeElement.parentElement.cells].indexOf(document.activeElement)") == 2
    for _ in range(3):
        tab.press("ArrowLeft")
    name = tab.run(FOCUSED)
    tab.press("Enter")
    tab.until("Enter leads to it", f"document.getElementById('chosen').innerText === '{name} 1h'")
    stops = "document.querySelectorAll('#markets tbody [tabindex=\"0\"]').length"
    assert tab.run(stops) == 1, "Tab does not lead through 900 of them"
    tab.run(f"{SCROLLER}.scrollTop = 0")
    tab.until("the first is drawn again", "document.querySelector('[data-symbol=\"COIN0-USD\"]') !== null")
    assert tab.run(FOCUSED) == name, "what is not seen any more keeps the focus"
    nothing_in_the_console(tab)


def test_on_a_phone_the_last_one_is_at_the_end_of_the_page(many: Any, server: Served, tab: Tab) -> None:
    tab.resize(390, 844, phone=True)
    opened(tab, server.url)
    assert tab.run(DRAWN) < 80
    tab.run("scrollTo(0, 1e9)")
    tab.until("the last is drawn", "document.querySelector('[data-symbol=\"COIN898-USD\"]') !== null")
    assert seen(tab, "COIN898-USD") and tab.run(DRAWN) < 80
    assert tab.run("document.documentElement.scrollWidth") == 390


def test_it_asks_no_more_often_and_filters_among_all_of_them(many: Any, server: Served, tab: Tab) -> None:
    opened(tab, server.url)
    tab.run(f"{SCROLLER}.scrollTop = 9000")
    tab.focus("#filter")
    tab.type("coin777")
    assert column(tab, 1) == ["COIN777-USD"] and seen(tab, "COIN777-USD")
    tab.until(
        "the courses were asked for",
        "performance.getEntriesByName(new URL('api/v1/markets', location)).length",
    )
    paths = tab.run(
        "performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)"
        ".filter((path) => path.startsWith('/api/') && path !== '/api/v1/series')"
    )
    assert len(paths) < 10, paths


def test_what_has_not_changed_is_not_sent_again(market: Any, server: Served, tab: Tab) -> None:
    tab.open(server.url)
    same = """import('/page/service.js').then(async ({ getAnew }) => {
        const answers = [await getAnew("api/v1/series"), await getAnew("api/v1/series")];
        return [answers[0] === answers[1], answers[0].series.length];
    })"""
    assert tab.run(same) == [True, 12]
