"""`python -m docs.pictures.make`, from the checkout: page.png, the page of a running demo, for README.md.

It needs a Chromium and `pip install -e '.[test]'`.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.support import livecache, until
from tests.http.support import metrics
from tests.page.chromium import chromium, tab_of

__all__ = ["make"]

PICTURE = Path(__file__).parent / "page.png"
_CLOSED_LIVE = 60  # of ten markets: then the chart shows what the feed has brought


def make() -> None:
    """Start a demo, look at its page as somebody with a laptop would, and keep what is seen."""
    with livecache("demo", "--symbols", "10") as demo, chromium() as devtools, tab_of(devtools) as tab:
        page = re.search(r"http://127\.0\.0\.1:\d+", demo.line("see it in a browser"))
        assert page is not None
        demo.event("warm")
        until(
            "the feed has closed some candles",
            lambda: metrics(page[0]).one("closes_written_total") >= _CLOSED_LIVE,
            every_s=0.5,
        )
        tab.resize(1200, 740)
        tab.system_colours("dark")
        tab.open(f"{page[0]}/#BTC-USD/5m")
        tab.until("all is there", "document.querySelectorAll('.dot[data-state=ready]').length === 50")
        for name in ("averages", "macd"):
            tab.click(f"#{name}")
        tab.run("document.activeElement.blur()")
        tab.until("the chart is drawn", "document.querySelectorAll('#chart canvas').length > 0")
        # What was just chosen is drawn with the next frame.
        tab.run("new Promise((done) => setTimeout(done, 1500))")
        tab.screenshot(PICTURE)
        assert tab.problems == []
        demo.stop()
    print(f"{PICTURE.name}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    make()
