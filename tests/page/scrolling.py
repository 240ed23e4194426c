"""What tests of scrolling share: a service that keeps years, and what its chart holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from livecache import Reader
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.simulator import Market, Product, ScriptedFaults, SeededMarket

from ..e2e.support import NOON, Exchange, Process, exchange, free_port, livecache, until
from .chromium import Tab

__all__ = [
    "DAY",
    "NOON",
    "Years",
    "asked",
    "drawn",
    "look_into",
    "offline",
    "once",
    "place",
    "seen",
    "stored",
    "to_the_left",
    "years",
]

DAY = 86_400_000

# The chart is the library's own: it is noted when it is made, and asked for what it holds.
_NOTED = """(() => {
    let library;
    Object.defineProperty(window, "LightweightCharts", {
        get: () => library,
        set: (given) => {
            library = { ...given, createChart: (...how) => (window.charted = given.createChart(...how)) };
        },
    });
})()"""


class Years(NamedTuple):
    """A service whose history is filled, or is filled on read."""

    service: Process
    env: dict[str, str]
    page: str
    venue: Exchange
    path: Path
    redis_url: str


@contextmanager
def years(
    redis_url: str,
    path: Path,
    *,
    days: int,
    kept: Mapping[Timeframe, Coverage],
    faults: ScriptedFaults | None = None,
    speed: float = 1.0,
    **more: object,
) -> Iterator[Years]:
    """BTC-USD was listed so many days ago; of these timeframes all but some stretches is stored already."""
    market = SeededMarket(1, [Product.parse("BTC-USD")._replace(listed_ms=NOON - days * DAY)])
    for timeframe, holes in kept.items():
        keep(path, market, timeframe, holes)
    with exchange(market, speed=speed, faults=faults) as venue:
        env = venue.settings(
            redis_url,
            (),
            HISTORY_URL=f"sqlite:///{path}",
            HTTP_LISTEN=f"127.0.0.1:{free_port()}",
            **{"HISTORY_SINCE": "1d", **more},
        )
        with livecache("run", env=env) as service:
            service.event("warm", 60.0)
            yield Years(service, env, f"http://{env['LIVECACHE_HTTP_LISTEN']}/", venue, path, redis_url)
            service.stop()


def keep(path: Path, market: Market, timeframe: Timeframe, holes: Coverage) -> None:
    """Store what was traded since the listing, as a fill that met these holes would have."""
    listed, end = market.listed("BTC-USD"), timeframe.grid.floor(NOON)
    covered = Coverage([(0, end)]).without(holes)
    rows = market.candles("BTC-USD", timeframe, listed, end, end)
    store = SqliteHistory.open(path)
    series = store.series(SeriesId("coinbase", "BTC-USD", timeframe), create=True)
    assert series
    store.commit(series.id, Columns.of([row for row in rows if row.time in covered]), covered)
    store.list_since(series.id, listed)
    store.close()


def look_into(tab: Tab) -> None:
    """From now on `drawn` can tell what the chart holds."""
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=_NOTED)


def drawn(tab: Tab) -> dict[int, list[float] | None]:
    """What the chart holds of each bucket, by its open in Unix ms: four prices; None where it is missing."""
    rows: list[Any] = tab.run(
        """(() => {
            const all = charted.panes()[0].getSeries();
            const of = (type) => all.find((each) => each.seriesType() === type).data();
            const prices = ({ open, high, low, close }) => [open, high, low, close];
            const bars = of("Candlestick").map((bar) => [bar.time * 1000, prices(bar)]);
            return [...bars, ...of("Line").map(({ time }) => [time * 1000, null])].sort(([a], [b]) => a - b);
        })()"""
    )
    assert len({time for time, _ in rows}) == len(rows), "each bucket once"
    return dict(rows)


def stored(here: Years, timeframe: str, start: int) -> dict[int, list[float]]:
    """What a reader of years gives since then."""
    with Reader(here.redis_url, venue="coinbase", history=f"sqlite:///{here.path}") as reader:
        told = reader.history("BTC-USD", timeframe, start, gaps="allow")
    columns = [each.tolist() for each in (told.time, told.open, told.high, told.low, told.close)]
    return {time: prices for time, *prices in zip(*columns, strict=True)}


def asked(tab: Tab) -> list[str]:
    """The pages of the past that were asked for, in order."""
    tab.run("1")  # what came meanwhile is noted
    queries = [urlsplit(url) for url in tab.requests if re.search(r"/api/v1/candles\?.*(before|from)=", url)]
    return [query.query for query in queries]


def once(tab: Tab) -> None:
    """No page was asked for twice, and none overlaps another."""
    pages = asked(tab)
    assert len(set(pages)) == len(pages), pages
    befores = [parse_qs(page)["before"][0] for page in pages if "before=" in page]
    assert len(set(befores)) == len(befores), pages


def place(tab: Tab, time: int) -> float:
    """Where a bucket is in the chart, in pixels from its left."""
    found: float = tab.run(f"charted.timeScale().timeToCoordinate({time // 1000})")
    return found


def offline(tab: Tab, off: bool) -> None:
    """Take the network away, or give it back."""
    how = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    tab.call("Network.emulateNetworkConditions", offline=off, **how)


def seen(tab: Tab) -> tuple[int, int]:
    """The opens of the first and the last bucket in view, Unix ms."""
    tab.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    span = tab.run("charted.timeScale().getVisibleRange()")
    return span["from"] * 1000, span["to"] * 1000


def to_the_left(tab: Tab, within_s: float = 90.0) -> str:
    """Scroll left by key until the chart says why there is nothing more; what it says."""
    tab.focus("#chart")

    def further() -> str | None:
        tab.press("PageUp")
        seen(tab)
        tab.until("nothing is under way", "document.getElementById('chart').ariaBusy === 'false'", within_s)
        words = tab.text("#edge-words")
        return words if "nothing before" in words else None

    return until("it ends", further, within_s)
