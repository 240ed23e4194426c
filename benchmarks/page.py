"""How long the page takes in a real browser: cold to the first candles, and for each older page of them.

    python -m benchmarks.page

A service that keeps a year of 5m candles, beside a simulated exchange; a Chromium begun anew each time.
From the address to candles that are drawn; then, scrolling back, from asking for a page to its being drawn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from loguru import logger

from benchmarks.common import machine, table
from livecache.embedded.server import EmbeddedServer
from livecache.model.coverage import Coverage
from livecache.model.timeframe import Timeframe
from tests.page.chromium import Tab, chromium, tab_of
from tests.page.scrolling import Years, look_into, seen, years

__all__ = ["main"]

OPENINGS, PAGES, DAYS = 5, 50, 365

# Notes when how many candles are drawn: [ms since the page was asked for, how many].
_WATCHED = """(() => {
    window.changes = [];
    const look = () => {
        // What it says for who cannot see it is told with each drawing: to ask the chart itself costs more.
        const words = document.getElementById("chart")?.ariaLabel ?? "";
        const count = parseInt(words.split(": ")[1]) || 0;
        if (count !== (window.changes.at(-1)?.[1] ?? 0)) window.changes.push([performance.now(), count]);
        requestAnimationFrame(look);
    };
    look();
})()"""

# From the request for a page to the frame in which there are more candles, and the request's own part, ms.
_TOOK = """performance.getEntriesByType("resource").flatMap((entry) => {
    if (!entry.name.includes("before=")) return [];
    const drawn = window.changes.find(([at, count], index) =>
        at >= entry.responseEnd && count - (window.changes[index - 1]?.[1] ?? 0) > 50);
    return drawn ? [[drawn[0] - entry.startTime, entry.duration]] : [];
})"""


def main() -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--openings", type=int, default=OPENINGS)
    parser.add_argument("--pages", type=int, default=PAGES)
    how = parser.parse_args()
    logger.remove()
    for line in machine("litecharts", "aiohttp"):
        print(line)
    kept = {Timeframe.M5: Coverage(), Timeframe.D1: Coverage()}
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServer(temporary=True) as server,
        years(
            server.url, Path(folder) / "history.db", days=DAYS, kept=kept, CACHE_TIMEFRAMES="5m,1h,1d"
        ) as here,
    ):
        cold = [opened(here) for _ in range(how.openings)]
        whole, asked, heap = scrolled(here, how.pages)
    rows = [
        row("cold: from the address to candles", cold, "< 1,000"),
        row(f"each of {len(whole)} older pages, drawn", whole, "< 150"),
        row("… its request alone", asked, ""),
    ]
    print("\n".join(table(["ms", "median", "p95", "most", "bound"], rows)))
    print(f"heap after them: {heap / 1e6:.0f} MB")
    return 0


def row(name: str, values: Sequence[float], bound: str) -> list[str]:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return [name, *(f"{value:,.0f}" for value in (median(ordered), p95, ordered[-1])), bound]


def watched(here: Years, tab: Tab) -> None:
    look_into(tab)
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCHED)
    tab.open(f"{here.page}#BTC-USD/5m")
    tab.until("candles are drawn", "window.changes.length > 0")


def opened(here: Years) -> float:
    """A browser that has nothing yet."""
    with chromium() as devtools, tab_of(devtools) as tab:
        watched(here, tab)
        found: float = tab.run("window.changes[0][0]")
        return found


def scrolled(here: Years, pages: int) -> tuple[list[float], list[float], float]:
    """Back by as many pages: each until it is drawn, its request, and the heap's bytes in the end."""
    with chromium() as devtools, tab_of(devtools) as tab:
        watched(here, tab)
        tab.call("Performance.enable")
        tab.focus("#chart")
        for _ in range(40 * pages):
            tab.press("Home")
            seen(tab)
            tab.until("nothing is under way", "document.getElementById('chart').ariaBusy === 'false'")
            took = tab.run(_TOOK)
            if len(took) >= pages:
                break
        tab.call("HeapProfiler.collectGarbage")
        metrics = {each["name"]: each["value"] for each in tab.call("Performance.getMetrics")["metrics"]}
        whole, asked = zip(*took, strict=True)
        return list(whole), list(asked), metrics["JSHeapUsedSize"]


if __name__ == "__main__":
    sys.exit(main())
