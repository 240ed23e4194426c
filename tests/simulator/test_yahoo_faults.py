"""What the simulated Yahoo does wrong, and only when it is told to."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from livecache.errors import ConfigError
from livecache.simulator import FaultScript, ScriptedFaults, SeededMarket, Simulator
from livecache.simulator.face import Ask, kind_of
from livecache.simulator.market.market import MarketOverlay
from livecache.simulator.trouble.script import Delisted, EdgeLag, EmptyPage, Halted, HttpError
from livecache.simulator.yahoo.exchange import CHART
from livecache.simulator.yahoo.face import YahooFace
from livecache.simulator.yahoo.faults import REFUSALS, YahooFaults
from livecache.simulator.yahoo.market import ShareMarket
from livecache.simulator.yahoo.oddities import ODDITIES
from tests.simulation.virtual import VirtualClock, run_virtually

from .shares import DAY, NEW_YORK, NOON, SHARES, Bench, ms

WINDOW = {"period1": ms("2026-07-01") // 1000, "period2": ms("2026-07-15") // 1000}


@pytest.mark.parametrize("kind", [kind for kind in REFUSALS if kind not in ("cut", "hang", "cut json")])
def test_a_request_may_be_answered_otherwise_and_only_that_one(kind: Any) -> None:
    faults = YahooFaults()
    bench = Bench(faults=faults)
    good = bench.get(CHART + "AAPL", **WINDOW)
    faults.strike(kind, "AAPL")
    assert bench.get(CHART + "MSFT", **WINDOW)[0] == 200, "another one's turn"
    status, body = bench.get(CHART + "AAPL", **WINDOW)
    assert (status, body) != good and (status != 200 or "chart" not in body or not body["chart"]["result"])
    assert ("Retry-After" in bench.headers) == (kind == "429 with a time")
    assert bench.get(CHART + "AAPL", **WINDOW) == good
    assert faults.counts[kind] == 1


def test_a_refusal_may_name_a_time_and_who_asks_within_it_is_counted() -> None:
    faults = YahooFaults()
    bench = Bench(faults=faults)
    faults.strike("429", retry_after_s=30)
    assert bench.get(CHART + "AAPL", **WINDOW)[0] == 429 and bench.headers["Retry-After"] == "30"
    bench.get(CHART + "MSFT", **WINDOW)
    bench.clock.now_s += 30
    bench.get(CHART + "MSFT", **WINDOW)
    assert faults.counts["asked all the same"] == 1


@pytest.mark.parametrize("oddity", [each for each in ODDITIES if each != "live row"])
def test_a_chart_may_be_odd(oddity: Any) -> None:
    faults = YahooFaults()
    bench = Bench(faults=faults)
    interval = "1h" if oddity == "before and after hours" else "1d"
    window = {**WINDOW, "interval": interval, "period2": NOON // 1000}
    _, good = bench.get(CHART + "AAPL", **window)
    faults.strike(oddity)
    status, odd = bench.get(CHART + "AAPL", **window)
    assert status == 200 and odd != good
    assert odd["chart"]["result"][0]["meta"] == good["chart"]["result"][0]["meta"]


def test_today_may_be_there_twice() -> None:
    result = Bench(oddities=("today twice",)).chart("AAPL", ms("2026-07-13"), NOON)
    assert [stamp * 1000 for stamp in result["timestamp"]][-2:] == [ms("2026-07-15"), NOON - 900_000]
    before, last = result["indicators"]["quote"][0]["volume"][-2:]
    assert before < last


def test_an_answer_may_be_cut_hang_or_be_no_json() -> None:
    async def main() -> None:
        clock = VirtualClock(NOON / 1000)
        faults = YahooFaults(host_clock=clock)
        bench = Bench(faults=faults)
        for kind, waits_s in (("cut", 0.0), ("hang", 60.0), ("cut json", 0.0)):
            faults.strike(kind, "AAPL")  # type: ignore[arg-type]
            began_s = clock.monotonic()
            status = await bench.status("AAPL", **WINDOW)
            assert status == (200 if kind == "cut json" else None)
            assert clock.monotonic() - began_s == waits_s
        faults.strike("cut json")
        answer = await bench.face.handle(Ask("GET", CHART + "AAPL", {}, ""))
        assert answer is not None
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.body)

    run_virtually(main())


def test_at_random_the_same_seed_does_the_same_and_nothing_once_it_is_over() -> None:
    async def told(until: int) -> tuple[list[int | None], Counter[str]]:
        clock = VirtualClock(NOON / 1000)
        faults = YahooFaults(7, until, 0.5, host_clock=clock)
        bench = Bench(faults=faults)
        statuses = [await bench.status("AAPL", **WINDOW) for _ in range(60)]
        return statuses, faults.counts

    first, again, never = (run_virtually(told(until)) for until in (NOON + DAY, NOON + DAY, NOON))
    assert first == again and len(first[1]) > 15 and {None, 200, 429, 500} < set(first[0])
    assert set(never[0]) == {200} and not +never[1]


def test_a_script_of_faults_speaks_its_words() -> None:
    script = FaultScript(
        faults=(
            HttpError(status=429, products=("AAPL",)),
            Delisted(products=("MSFT",)),
            EmptyPage(products=("SPLIT",)),
            Halted(products=("IPO",), at=0),
            EdgeLag(products=("HALT",), lasts=600, seconds=3_600),
        )
    )
    bench = Bench(faults=ScriptedFaults(script, refusing=kind_of("yahoo").refusing))
    assert bench.get(CHART + "AAPL", **WINDOW) == (429, "Too Many Requests\r\n")
    assert bench.get(CHART + "AAPL", **WINDOW)[0] == 200
    assert bench.refusal("MSFT", **WINDOW) == (404, "No data found, symbol may be delisted")
    assert bench.get(CHART + "SPLIT", **WINDOW)[1]["chart"]["result"][0]["indicators"]["quote"] == [{}]
    assert bench.chart("HALT", NOON - DAY, NOON)["meta"]["regularMarketTime"] == NOON // 1000 - 900 - 3_600


def test_another_market_than_one_of_shares_is_refused() -> None:
    with pytest.raises(ConfigError, match="market of shares"):
        Simulator(SeededMarket(1), venue="yahoo")
    assert isinstance(
        Simulator(MarketOverlay(ShareMarket(NEW_YORK, SHARES)), venue="yahoo").exchange, YahooFace
    )
