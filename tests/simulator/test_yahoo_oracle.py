"""yfinance itself, asking the simulated Yahoo over loopback, reads what was traded: row by row.

What it reads is compared with the market's truth: so charts are drawn as those who know Yahoo take them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import MarketClock, Simulator
from livecache.simulator.yahoo.face import YahooFace
from livecache.simulator.yahoo.faults import YahooFaults
from livecache.simulator.yahoo.market import ShareMarket, shortest

from .shares import DAY, NEW_YORK, NOON, SHARES, ms

pytestmark = [
    # Its own, by the dozen, under the newest pandas.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*:pandas.errors.Pandas4Warning"),
]

M15, H1, D1 = Timeframe.M15, Timeframe.H1, Timeframe.D1
ZONE = ZoneInfo("America/New_York")
FAR = 1e-3  # market seconds a real second: a clock that nearly stands still


@contextmanager
def serving(now: int = NOON, faults: YahooFaults | None = None, **options: Any) -> Iterator[Simulator]:
    """A simulator in a thread, for a client that blocks."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    market = ShareMarket(NEW_YORK, SHARES, closed=[date(2026, 7, 8)])
    told = {"requests_per_second": 0, **options}
    simulator = Simulator(market, clock=MarketClock(now, FAR), venue="yahoo", faults=faults, **told)

    async def serve() -> None:
        async with simulator:
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="simulated-yahoo")
    thread.start()
    try:
        assert ready.wait(60)
        yield simulator
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)
        loop.close()


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    """One on which nothing goes wrong."""
    with serving() as simulator:
        yield simulator


@pytest.fixture
def yfinance(tmp_path: Path) -> Iterator[Any]:
    """The library, as if it had just been loaded: it remembers answers, a cookie and a session."""
    library = pytest.importorskip("yfinance")
    library.set_tz_cache_location(str(tmp_path))
    data = library.data.YfData()
    data.cache_get.cache_clear()
    data._crumb = data._cookie = None
    library.config.debug.hide_exceptions = False
    yield library
    library.config.debug.hide_exceptions = True


def session_to(port: int) -> Any:
    """A session whose https goes to that port of loopback, whatever host is named."""
    requests: Any = pytest.importorskip("requests")

    class ToLoopback(requests.adapters.HTTPAdapter):  # type: ignore[misc]
        def send(self, request: Any, **options: Any) -> Any:
            asked = request.copy()
            asked.url = f"http://127.0.0.1:{port}{request.path_url}"
            answer = super().send(asked, **options)
            answer.request, answer.url = request, request.url
            return answer

    session = requests.Session()
    session.trust_env = False
    session.mount("https://", ToLoopback())
    return session


def history(yfinance: Any, simulator: Simulator, symbol: str, start: int, end: int, **how: Any) -> Any:
    """Its frame of that share. It keeps a session for a process: this one is put in its place."""
    ticker = yfinance.Ticker(symbol, session=session_to(simulator.port))
    first, last = (datetime.fromtimestamp(time / 1000, ZONE) for time in (start, end))
    return ticker.history(start=first, end=last, **{"interval": "1d", "auto_adjust": False, **how})


def rows_of(frame: Any, timeframe: Timeframe) -> list[ExactCandle]:
    """As candles, with the shortest digits of its numbers; rows without a price left out."""
    rows = []
    for index, row in frame.iterrows():
        time = int(index.timestamp() * 1000)
        if timeframe is D1:  # It tells the midnight of the day.
            opened = NEW_YORK.session_on(index.date())
            assert opened is not None
            time = opened
        if row["Close"] == row["Close"]:
            opens, high, low, close = (shortest(row[name]) for name in ("Open", "High", "Low", "Close"))
            rows.append(ExactCandle(time, opens, high, low, close, str(int(row["Volume"]))))
    return rows


def truth_of(simulator: Simulator) -> Any:
    face = simulator.exchange
    assert isinstance(face, YahooFace)
    return face.truth


def test_it_reads_the_days_that_were_traded(yfinance: Any, exchange: Simulator) -> None:
    start, end, simulator = ms("2025-07-15"), NOON, exchange
    for symbol in ("AAPL", "SPLIT", "REVERSE", "HALT", "IPO", "^GSPC", "BRK-A", "THIN"):
        frame, truth = history(yfinance, simulator, symbol, start, end), truth_of(simulator)
        rows = rows_of(frame, D1)
        known = truth.settled(symbol, D1, start, end)
        assert rows[:-1] == known and len(known) > 20
        assert rows[-1].time == ms("2026-07-15"), "the live row is today's"
        splits = [a for a in truth.actions(symbol, start, end) if a.kind == "split"]
        dividends = [a for a in truth.actions(symbol, start, end) if a.kind == "dividend"]
        told = frame[frame["Stock Splits"] != 0]["Stock Splits"]
        assert [*told] == [float(Fraction(a.value)) for a in splits]
        assert [*frame[frame["Dividends"] != 0]["Dividends"]] == [float(a.value) for a in dividends]


def test_its_adjusted_closes_are_those_of_the_truth(yfinance: Any, exchange: Simulator) -> None:
    start, end = ms("2025-07-15"), ms("2026-07-15")
    for symbol in ("AAPL", "SPLIT"):
        frame = history(yfinance, exchange, symbol, start, end, auto_adjust=True)
        truth = truth_of(exchange).adjusted(symbol, start, end)
        assert [*frame["Close"]] == pytest.approx([*truth.values()], rel=1e-6)


@pytest.mark.parametrize(("timeframe", "days"), [(H1, 60), (M15, 20)])
def test_it_reads_the_hours_that_were_traded(
    yfinance: Any, exchange: Simulator, timeframe: Timeframe, days: int
) -> None:
    start, end = ms("2026-07-15") - days * DAY, ms("2026-07-15")
    for symbol in ("SPLIT", "HALT"):
        frame = history(yfinance, exchange, symbol, start, end, interval=timeframe.value)
        assert rows_of(frame, timeframe) == truth_of(exchange).settled(symbol, timeframe, start, end)


def test_a_half_day_ends_early(yfinance: Any) -> None:
    start, end = ms("2024-11-27"), ms("2024-12-03")
    with serving(ms("2024-12-04", "12:00")) as simulator:
        rows = rows_of(history(yfinance, simulator, "AAPL", start, end, interval="1h"), H1)
        assert rows == truth_of(simulator).settled("AAPL", H1, start, end)
        assert len([row for row in rows if row.time < ms("2024-12-02")]) == 7 + 4


@pytest.mark.parametrize("oddity", ["today twice", "clock stamps", "before and after hours", "newest first"])
def test_it_sees_through_what_is_odd_and_true(yfinance: Any, oddity: Any) -> None:
    start = ms("2026-07-01")
    for timeframe, end in ((D1, NOON), (H1, ms("2026-07-15"))):
        if oddity == "newest first" and timeframe is D1:
            continue
        with serving(oddities=(oddity, "live row")) as simulator:
            rows = rows_of(
                history(yfinance, simulator, "AAPL", start, end, interval=timeframe.value), timeframe
            )
            known = truth_of(simulator).settled("AAPL", timeframe, start, end)
            assert rows[: len(known)] == known and len(rows) - len(known) == (timeframe is D1)


def test_a_refusal_is_told_by_its_own_error(yfinance: Any) -> None:
    faults = YahooFaults()
    with serving(faults=faults) as simulator:
        history(yfinance, simulator, "AAPL", ms("2026-07-01"), NOON)
        faults.strike("429", "AAPL", times=9)
        before = simulator.exchange.counts.requests
        with pytest.raises(yfinance.exceptions.YFRateLimitError):
            history(yfinance, simulator, "AAPL", ms("2026-06-01"), NOON)
        assert simulator.exchange.counts.requests - before > 2, "it multiplies its load when told to stop"


def test_an_unknown_share_is_told_by_the_exchanges_reason(yfinance: Any, exchange: Simulator) -> None:
    for symbol in ("NOPE", "GONE"):
        ticker = yfinance.Ticker(symbol, session=session_to(exchange.port))
        ticker._tz = str(ZONE)  # else it looks for that elsewhere
        with pytest.raises(yfinance.exceptions.YFPricesMissingError, match="may be delisted"):
            ticker.history(start="2026-07-01", end="2026-07-10")


def test_it_takes_cookie_and_crumb(yfinance: Any) -> None:
    with serving() as simulator:
        history(yfinance, simulator, "AAPL", ms("2026-07-01"), NOON)
        asked = {record.path: record.status for record in simulator.exchange.requests}
        assert asked["/v1/test/getcrumb"] == 200, "which needs the cookie"
        assert asked["/v8/finance/chart/AAPL"] == 200, "and here the crumb was good"
