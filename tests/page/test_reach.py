"""Who can use the page: with a token, without the chart library, on a phone, by key, by ear."""

from __future__ import annotations

from typing import Any

from ..http.api import Served, served
from .chromium import Tab
from .support import TOKEN, banner, column, live, nothing_in_the_console, shows


def test_where_there_is_a_token_it_asks_for_it_and_keeps_it_in_this_tab(
    market: Any, clean_valkey: str, tab: Tab
) -> None:
    with served(clean_valkey, token=TOKEN) as here:
        tab.open(here.url)
        tab.until("it asks", "!document.getElementById('login').hidden")
        assert tab.text("main") == "" and tab.text("#troubles") == ""
        for given in ("not-the-right-token", TOKEN):
            tab.focus("#token")
            tab.type(given)
            tab.press("Enter")
            if given != TOKEN:
                banner(tab, "That is not the token.")
        shows(tab, "SOL-USD 1h")
        live(tab)
        assert "token" not in tab.text("#troubles")
        tab.reload()
        shows(tab, "SOL-USD 1h")
        assert tab.run("document.getElementById('login').hidden")
        kept = "[document.cookie, JSON.stringify(localStorage), location.search].join('')"
        assert TOKEN not in tab.run(kept)


def test_without_the_chart_library_it_says_so_and_shows_the_candles(
    market: Any, server: Served, tab: Tab
) -> None:
    tab.call("Network.setBlockedURLs", urls=["*lightweight-charts.js"])
    tab.open(server.url)
    tab.until("there are candles", "document.querySelectorAll('#newest tbody tr').length === 12")
    assert "pip install 'livecache[service]'" in tab.text("#chart")
    assert len(column(tab, 1)) == 6


def test_it_fits_a_phone_is_light_or_dark_and_shows_foreign_text_as_text(
    market: Any, server: Served, tab: Tab
) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    tab.resize(360, 740, phone=True)
    tab.system_colours("dark")
    tab.open(f"{server.url}/#<img src=x onerror=alert(1)>/5m")
    tab.until("the title is there", "document.getElementById('chosen').innerText.includes('img')")
    assert tab.run("document.querySelectorAll('main img').length") == 0
    tab.open(f"{server.url}/#BTC-USD/15m")
    shows(tab, "BTC-USD 15m")
    assert tab.run("document.documentElement.scrollWidth") == 360
    assert tab.run(background) == "rgb(17, 21, 27)"
    tab.click("#markets [data-symbol='THIN-USD'] [data-timeframe='1h']")
    shows(tab, "THIN-USD 1h")
    top = tab.run("document.getElementById('one').getBoundingClientRect().top")
    assert top > -5, "the chart is where one looks"
    tab.run("document.getElementById('theme').value = 'light'")
    tab.run("document.getElementById('theme').dispatchEvent(new Event('change'))")
    assert tab.run(background) == "rgb(255, 255, 255)"
    shows(tab, "THIN-USD 1h")
    tab.reload()
    shows(tab, "THIN-USD 1h")
    assert tab.run(background) == "rgb(255, 255, 255)", "the choice is kept"


def test_whatever_can_be_used_has_a_name_and_focus_is_seen(market: Any, server: Served, tab: Tab) -> None:
    tab.open(server.url)
    shows(tab, "SOL-USD 1h")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    used = [n for n in nodes if n.get("role", {}).get("value") in USED and not n["ignored"]]
    assert len(used) > 15
    assert [n for n in used if not n.get("name", {}).get("value", "").strip()] == []
    order = []
    for _ in range(18):
        tab.press("Tab")
        order.append(tab.run("document.activeElement.id || document.activeElement.innerText"))
        seen = tab.run("getComputedStyle(document.activeElement).outlineStyle")
        assert seen == "solid", order
    counts = len(tab.texts("#summary button"))
    places = [*dict.fromkeys(order)]  # a date has several
    wanted = ["zone", "theme", "1h", "15m", "date", "go", "chart", "averages", "macd"]
    assert places[counts : counts + len(wanted)] == wanted
    nothing_in_the_console(tab)


def test_what_the_page_refers_to_is_there_once(market: Any, server: Served, tab: Tab) -> None:
    tab.open(server.url)
    shows(tab, "SOL-USD 1h")
    assert tab.run(REFERENCES) == []
    assert tab.run("[...document.querySelectorAll('h1, h2, h3')].map(({ tagName }) => tagName)")[:2] == [
        "H1",
        "H2",
    ]
    assert tab.run("document.documentElement.lang") == "en"


# Ids that are there twice, and what leads nowhere.
REFERENCES = """(() => {
    const odd = [];
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    odd.push(...ids.filter((id, index) => ids.indexOf(id) !== index));
    for (const name of ["for", "list", "aria-labelledby", "aria-describedby", "aria-controls"]) {
        for (const element of document.querySelectorAll(`[${name}]`)) {
            const lead = element.getAttribute(name).split(/\\s+/);
            odd.push(...lead.filter((id) => !ids.includes(id)).map((id) => `${name}=${id}`));
        }
    }
    const stops = [...document.querySelectorAll("[tabindex]")];
    odd.push(...stops.filter(({ tabIndex }) => tabIndex > 0).map(({ id }) => `tabindex of ${id}`));
    return odd;
})()"""

USED = ("button", "link", "combobox", "searchbox", "textbox", "image", "progressbar")
