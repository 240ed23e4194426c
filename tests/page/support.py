"""What tests of the page share: a running service, and what somebody sees of it in a tab."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from livecache.simulator import ScriptedFaults

from ..e2e.gate import Gate, gate
from ..e2e.support import Process, exchange, free_port, livecache, market_of
from .chromium import Tab

__all__ = [
    "FOREVER_S",
    "PIXELS",
    "SYMBOLS",
    "TIMEFRAMES",
    "TOKEN",
    "Running",
    "banner",
    "column",
    "dots",
    "known",
    "live",
    "no_banner",
    "nothing_in_the_console",
    "opened",
    "prices",
    "running",
    "shows",
]

SYMBOLS = ("BTC-USD", "ETH-USD", "RARE-USD:very-thin")
TIMEFRAMES = ("5m", "15m", "1h")
SPEED = 60.0  # a 5m bucket closes every five seconds
UPDATE_MS = 20_000  # three updates of the feed a second at that speed: each has the chart drawn anew
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
        exchange(market_of(*SYMBOLS), speed=speed, faults=faults, update_ms=UPDATE_MS) as venue,
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
    const [red, green, blue] = shown.match(/\\d+/g).map(Number);
    const near = (one, other) => one - other < 4 && other - one < 4;
    let found = 0;
    for (const canvas of document.querySelectorAll("#chart canvas")) {
        if (!canvas.width || !canvas.height) continue;
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4) {
            found += data[i + 3] > 250 && near(data[i], red) && near(data[i + 1], green)
                && near(data[i + 2], blue);
        }
    }
    return found;
}"""


def opened(tab: Tab, url: str, series: str = "") -> None:
    """Go to the page of a cache that a test has filled, and wait until the markets are there."""
    tab.open(f"{url}/{series and '#' + series}")
    tab.until("the markets are there", "document.querySelectorAll('#markets .market').length > 0")


def column(tab: Tab, number: int) -> list[str]:
    """A column of the table of markets, as it is shown."""
    return tab.texts(f"#markets .market > :nth-child({number})")


def dots(tab: Tab, symbol: str) -> dict[str, str]:
    """How the series of a market stand: the state of each timeframe."""
    found: dict[str, str] = tab.run(
        f"""Object.fromEntries([...document.querySelectorAll(`[data-symbol="{symbol}"] .dot`)]
            .map((dot) => [dot.dataset.timeframe, dot.dataset.state]))"""
    )
    return found


def known(texts: Sequence[str]) -> list[float]:
    """Prices as numbers."""
    return [float(text.replace(",", "")) for text in texts]


def prices(tab: Tab) -> list[float]:
    return known(column(tab, 2))


def banner(tab: Tab, part: str, within_s: float = 60.0) -> None:
    """Wait until it says plainly what is amiss."""
    tab.until(
        f"it says {part!r}", f"document.getElementById('troubles').innerText.includes({part!r})", within_s
    )


def no_banner(tab: Tab) -> None:
    tab.until("nothing is amiss", "document.getElementById('troubles').innerText === ''", 60.0)


def live(tab: Tab) -> None:
    tab.until("it is live", "document.getElementById('connection').innerText === 'live'")


def nothing_in_the_console(tab: Tab) -> None:
    """No error, no exception, nothing that the policy forbade.

    At the edge of a bucket nobody may vouch for the one in progress; the 503 to whoever asks for it just then
    is how the page learns that, and a browser logs each such answer.
    """
    odd = [text for text in tab.problems if not re.search(r" 503 .*&forming=true$", text)]
    assert odd == []
