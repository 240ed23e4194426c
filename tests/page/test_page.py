"""The page in a real browser, over the real service and a simulated exchange."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from livecache.simulator import ScriptedFaults
from livecache.simulator.script import Refused

from ..e2e.gate import Gate, gate
from ..e2e.support import Process, exchange, free_port, livecache, market_of, until
from .chromium import Tab

SYMBOLS = ("BTC-USD", "ETH-USD", "RARE-USD:very-thin")
TIMEFRAMES = ("5m", "15m", "1h")
SPEED = 60.0  # a 5m bucket closes every five seconds
FOREVER_S = 86_400.0
TOKEN = "s3cret-s3cret-s3cret"


class Running(NamedTuple):
    """A service, its environment, where its page is, and what its feed goes through."""

    service: Process
    env: dict[str, str]
    page: str
    feed: Gate


@contextmanager
def running(
    redis_url: str, *, speed: float = SPEED, faults: ScriptedFaults | None = None, **more: object
) -> Iterator[Running]:
    """A service of a few series."""
    wanted = {"CACHE_TIMEFRAMES": ",".join(TIMEFRAMES), "HTTP_LISTEN": f"127.0.0.1:{free_port()}", **more}
    with (
        exchange(market_of(*SYMBOLS), speed=speed, faults=faults) as venue,
        gate(urlsplit(venue.ws_url).port or 0) as feed,
    ):
        env = venue.settings(redis_url, (), VENUES_COINBASE_WS_URL=f"ws://127.0.0.1:{feed.port}", **wanted)
        with livecache("run", env=env) as service:
            yield Running(service, env, f"http://{env['LIVECACHE_HTTP_LISTEN']}/", feed)


def shows(tab: Tab, name: str) -> None:
    """Wait until the chart shows that series, as candles."""
    tab.until(f"{name} is shown", f"document.getElementById('chosen').innerText === '{name}'")
    tab.until(
        f"{name} is drawn",
        f"document.querySelector('#chart:not(.past)')?.ariaLabel?.startsWith('{name},')"
        " && !document.querySelector('#chart').ariaLabel.endsWith('empty')",
    )
    tab.until("there are candles to see", f"({PIXELS})('up') + ({PIXELS})('down') > 200")


# How many pixels of the chart have the colour of that kind in the legend.
PIXELS = """(name) => {
    const shown = getComputedStyle(document.querySelector(`#legend i[class="${name}"]`)).color;
    const colour = shown.match(/\\d+/g).map(Number);
    let found = 0;
    for (const canvas of document.querySelectorAll("#chart canvas")) {
        if (!canvas.width || !canvas.height) continue;
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4) {
            found += data[i + 3] > 250 && colour.every((part, at) => Math.abs(part - data[i + at]) < 4);
        }
    }
    return found;
}"""


def column(tab: Tab, number: int) -> list[str]:
    """A column of the table of series, as it is shown."""
    return tab.texts(f"#series tbody tr > :nth-child({number})")


def prices(tab: Tab) -> list[float]:
    return [float(text.replace(",", "")) for text in column(tab, 4)]


def banner(tab: Tab, part: str, within_s: float = 60.0) -> None:
    """Wait until it says plainly what is amiss."""
    tab.until(
        f"it says {part!r}", f"document.getElementById('troubles').innerText.includes({part!r})", within_s
    )


def no_banner(tab: Tab) -> None:
    tab.until("nothing is amiss", "document.getElementById('troubles').innerText === ''", 60.0)


def live(tab: Tab) -> None:
    tab.until("it is live", "document.getElementById('connection').innerText === 'live'")


def test_it_shows_all_series_and_draws_one_of_them_live(clean_valkey: str, tab: Tab) -> None:
    with running(clean_valkey) as here:
        here.service.event("warm")
        tab.open(here.page)
        shows(tab, "BTC-USD 5m")
        live(tab)
        assert column(tab, 1) == [f"{s.partition(':')[0]} {t}" for s in SYMBOLS for t in TIMEFRAMES]
        assert set(column(tab, 2)[:6]) == {"ready"}
        assert min(prices(tab)[:6]) > 0
        assert tab.text("#attribution a") == "TradingView"
        assert "Copyright (c) 2025 TradingView, Inc." in tab.text("#attribution")

        # What is in progress moves, closes, and is settled, under the eyes of whoever looks.
        tab.run("document.getElementById('newest').open = true")
        newest = "[...document.querySelectorAll('#newest tbody tr')].map((row) => row.innerText.split('\\t'))"
        first = tab.until("one is in progress", f"({newest}).find((cells) => cells[6] === 'in progress')")
        tab.until(
            "it has moved",
            f"({newest}).find((cells) => cells[0] === '{first[0]}' && cells.join() !== {','.join(first)!r})",
        )
        settled = tab.until(
            "it is settled",
            f"({newest}).find((cells) => cells[0] === '{first[0]}' && cells[6] === 'settled')",
            60.0,
        )
        assert settled[1] == first[1], "its open stays"
        tab.until("a later one is in progress", f"({newest})[0][0] > '{first[0]}'")
        no_banner(tab)
        assert tab.problems == []
        here.service.stop()


def test_what_was_proven_empty_is_told_from_what_is_missing(clean_valkey: str, tab: Tab) -> None:
    with running(clean_valkey, speed=1.0) as here:
        here.service.event("warm")
        tab.open(f"{here.page}#RARE-USD/5m")
        shows(tab, "RARE-USD 5m")
        tab.run("document.getElementById('newest').open = true")
        tab.until("the buckets are listed", "document.querySelectorAll('#newest tbody tr').length === 12")
        kinds = tab.texts("#newest tbody tr td:last-child")
        assert kinds.count("proven empty") > 5
        # What has just closed without a trade may still come: that it was empty is not proven yet.
        assert set(kinds[:2]) <= {"missing", "in progress", "proven empty"}
        assert "missing" not in kinds[2:]
        assert tab.run(f"({PIXELS})('empty')") > 20
        here.service.stop()


def test_one_chooses_by_mouse_by_key_and_by_address(clean_valkey: str, tab: Tab) -> None:
    with running(clean_valkey) as here:
        here.service.event("warm")
        tab.open(f"{here.page}#ETH-USD/1h")
        shows(tab, "ETH-USD 1h")
        tab.click("#timeframes a:nth-child(2)")
        shows(tab, "ETH-USD 15m")
        assert tab.text("#timeframes [aria-current]") == "15m"
        tab.click("#series tbody tr:first-child td.number")
        shows(tab, "BTC-USD 5m")
        tab.focus("#series tbody a[href='#ETH-USD/5m']")
        tab.press("Enter")
        shows(tab, "ETH-USD 5m")
        assert tab.run("document.activeElement.getAttribute('href')") == "#ETH-USD/5m"
        assert tab.text("#told").startswith("ETH-USD 5m: ready, last price ")
        tab.run("history.back()")
        shows(tab, "BTC-USD 5m")
        live(tab)

        tab.focus("#chart")
        tab.press("Home")
        oldest = tab.text("#told")
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d +O ", oldest) and "in progress" not in oldest
        tab.press("ArrowRight")
        assert tab.text("#told") > oldest and "in progress" not in tab.text("#told")
        last = tab.text("#last")
        tab.until("a price has come", f"document.getElementById('last').innerText !== '{last}'")
        assert tab.text("#readout") == tab.text("#told")
        tab.press("ArrowLeft")
        assert tab.text("#told") == tab.text("#readout") == oldest
        tab.press("Escape")
        assert tab.text("#told") == ""
        assert tab.problems == []
        here.service.stop()


def test_the_table_is_sorted_and_filtered(clean_valkey: str, tab: Tab) -> None:
    with running(clean_valkey, speed=1.0) as here:
        here.service.event("warm")
        tab.open(here.page)
        tab.until("the table is there", "document.querySelectorAll('#series tbody tr').length === 9")
        tab.click("#series th:nth-child(4) button")
        rising = prices(tab)
        assert rising == sorted(rising) and rising[0] < rising[-1]
        tab.focus("#series th:nth-child(4) button")
        tab.press("Enter")
        falling = prices(tab)
        assert falling == sorted(falling, reverse=True)
        assert tab.run("document.querySelector('#series [aria-sort]').ariaSort") == "descending"
        tab.focus("#filter")
        tab.type("eth 1")
        assert sorted(column(tab, 1)) == ["ETH-USD 15m", "ETH-USD 1h"]
        tab.type("x")
        assert tab.text("#hidden-rows") == "There is no such series."
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
        faults.begin(Refused(lasts=FOREVER_S))
        banner(tab, "Stale: nobody vouches for these candles now")
        until("all rows say so", lambda: {cell.split()[0] for cell in column(tab, 2)} == {"stale"})
        assert tab.run("document.getElementById('chart').classList.contains('past')")
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
        tab.until("it has come on", "document.getElementById('progress').value > 0", 60.0)
        tab.until("it is done", "document.getElementById('warming').hidden", 60.0)
        shows(tab, "BTC-USD 5m")
        no_banner(tab)
        here.service.stop()


def test_where_there_is_a_token_it_asks_for_it_and_keeps_it_in_this_tab(clean_valkey: str, tab: Tab) -> None:
    with running(clean_valkey, HTTP_TOKEN=TOKEN) as here:
        here.service.event("warm")
        tab.open(here.page)
        tab.until("it asks", "!document.getElementById('login').hidden")
        assert tab.text("main") == "" and tab.text("#troubles") == ""
        for given in ("not-the-right-token", TOKEN):
            tab.focus("#token")
            tab.type(given)
            tab.press("Enter")
            if given != TOKEN:
                banner(tab, "That is not the token.")
        shows(tab, "BTC-USD 5m")
        live(tab)
        no_banner(tab)
        tab.reload()
        shows(tab, "BTC-USD 5m")
        assert tab.run("document.getElementById('login').hidden")
        assert tab.run("[document.cookie, JSON.stringify(localStorage), location.search].join('')") == "{}"
        here.service.stop()


def test_without_the_chart_library_it_says_so_and_shows_the_candles(clean_valkey: str, tab: Tab) -> None:
    with running(clean_valkey) as here:
        here.service.event("warm")
        tab.call("Network.setBlockedURLs", urls=["*lightweight-charts.js"])
        tab.open(here.page)
        tab.until("there are candles", "document.querySelectorAll('#newest tbody tr').length === 12")
        assert "pip install 'livecache[service]'" in tab.text("#chart")
        assert len(column(tab, 1)) == 9
        here.service.stop()


def test_it_fits_a_phone_is_light_or_dark_and_shows_foreign_text_as_text(
    clean_valkey: str, tab: Tab, tmp_path: Path
) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with running(clean_valkey, speed=1.0) as here:
        here.service.event("warm")
        tab.resize(360, 740, phone=True)
        tab.system_colours("dark")
        tab.open(f"{here.page}#<img src=x onerror=alert(1)>/5m")
        tab.until("the title is there", "document.getElementById('chosen').innerText.includes('img')")
        assert tab.run("document.querySelectorAll('main img').length") == 0
        tab.open(f"{here.page}#BTC-USD/15m")
        shows(tab, "BTC-USD 15m")
        assert tab.run("document.documentElement.scrollWidth") == 360
        assert tab.run(background) == "rgb(17, 21, 27)"
        tab.click("#series tbody tr:last-child th a")
        shows(tab, "RARE-USD 1h")
        top = tab.run("document.getElementById('one').getBoundingClientRect().top")
        assert top > -5, "the chart is where one looks"
        tab.run("document.getElementById('theme').value = 'light'")
        tab.run("document.getElementById('theme').dispatchEvent(new Event('change'))")
        assert tab.run(background) == "rgb(255, 255, 255)"
        shows(tab, "RARE-USD 1h")
        tab.reload()
        shows(tab, "RARE-USD 1h")
        assert tab.run(background) == "rgb(255, 255, 255)", "the choice is kept"
        here.service.stop()


def test_whatever_can_be_used_has_a_name_and_focus_is_seen(clean_valkey: str, tab: Tab) -> None:
    with running(clean_valkey, speed=1.0) as here:
        here.service.event("warm")
        tab.open(here.page)
        shows(tab, "BTC-USD 5m")
        nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
        used = [n for n in nodes if n.get("role", {}).get("value") in USED and not n["ignored"]]
        assert len(used) > 15
        assert [n for n in used if not n.get("name", {}).get("value", "").strip()] == []
        order = []
        for _ in range(12):
            tab.press("Tab")
            order.append(tab.run("document.activeElement.id || document.activeElement.innerText"))
            seen = tab.run("getComputedStyle(document.activeElement).outlineStyle")
            assert seen == "solid", order
        assert order[:5] == ["theme", "5m", "15m", "1h", "chart"]
        here.service.stop()


USED = ("button", "link", "combobox", "searchbox", "textbox", "image", "progressbar")


def test_the_demo_tells_where_its_page_is(tab: Tab) -> None:
    with livecache("demo", "--seconds", "15", "--symbols", "5") as demo:
        page = re.search(r"http://127\.0\.0\.1:\d+/$", demo.line("see it in a browser"))
        assert page
        tab.open(page[0])
        tab.until(
            "all is there", "document.querySelectorAll('#series [data-state=ready]').length === 25", 40.0
        )
        live(tab)
        assert demo.ended(60.0) == 0, demo.story()
        banner(tab, "The service has not answered since")
