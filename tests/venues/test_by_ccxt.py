"""What is peculiar to exchanges that are asked by ccxt: their facts, their digits, their errors."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
import redis.asyncio
from aiohttp import web

from livecache.clock import SystemClock
from livecache.config.load import load
from livecache.engine.engine import Engine, Settings
from livecache.engine.venue_time import VenueTime
from livecache.errors import ConfigError, OutOfSync, ReadError
from livecache.http.watch.catalogue import OF_ENGINE
from livecache.keys.keyspace import Keyspace
from livecache.model.budget import Spacing
from livecache.model.candle import ExactCandle
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import PageFacts
from livecache.reader.async_reader import AsyncReader
from livecache.venues.by_ccxt.answers import wire_of
from livecache.venues.by_ccxt.facts import traits_of
from livecache.venues.by_ccxt.settings import CcxtSettings
from livecache.venues.by_ccxt.venue import CcxtVenue
from livecache.venues.registry import build
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest
from tests.conformance.bench import OPEN
from tests.conformance.polled import KrakenFace, settings_for
from tests.core.driver import SYMBOL, Driver, candle
from tests.venues.loopback import rest_server

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared/data/venues/http_ohlc_XBTUSDT_1m.json"


def venue_of(settings: CcxtSettings, name: str = "kraken", now: int | None = None) -> CcxtVenue:
    return CcxtVenue(settings, name=name, now=lambda: now, clock=SystemClock())


def asked(answers: Any, request: PageRequest, name: str = "kraken") -> Page | FetchFailure:
    """What comes of a page where each path (its last part) is answered so."""

    async def main() -> Page | FetchFailure:
        async def serve(request: web.Request) -> web.StreamResponse:
            told = answers[request.path.rpartition("/")[2]]
            return told() if callable(told) else web.json_response(told)

        async with rest_server(serve, cancelling=False) as (url, _):
            venue = venue_of(settings_for((url,)), name)
            try:
                return await venue.fetch(request)
            finally:
                await venue.aclose()

    return asyncio.run(main())


PAIRS = KrakenFace(OPEN, 1.0).answer("/0/public/AssetPairs", {})
MINUTES = PageRequest("BTC/USDT", Timeframe.M1, OPEN, OPEN + 5 * 60_000)


def ohlc(*rows: Any) -> Any:
    return {"AssetPairs": PAIRS, "OHLC": {"error": [], "result": {"XBTUSDT": rows, "last": 0}}}


def test_what_the_tables_tell_becomes_traits() -> None:
    traits = venue_of(CcxtSettings()).traits
    assert list(traits.served) == [Timeframe(t) for t in ("1m", "5m", "15m", "30m", "1h", "4h", "1d")]
    assert {(each.page, each.reach) for each in traits.served.values()} == {(720, 720)}
    assert traits.carries == () and traits.empty == "flat"
    (spacing,) = traits.budgets
    assert isinstance(spacing, Spacing) and spacing.per_s == pytest.approx(1 / 1.2)  # A page costs 1.2.
    # No tables at all: what no exchange is known to fall short of.
    bare = traits_of("x", CcxtSettings(), timeframes={"1m": 1, "1w": 2}, features=None, api={}, every_ms=None)
    assert {t: s.page for t, s in bare.served.items()} == {Timeframe.M1: 100}
    own = CcxtSettings(page_limit=50, keeps=40, requests_per_second=3.0)
    told = traits_of("x", own, timeframes={"1m": 1}, features=None, api={}, every_ms=50)
    assert told.served[Timeframe.M1].page == told.served[Timeframe.M1].reach == 40
    assert told.budgets == (Spacing("requests", 3.0, yields=True),)


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.10", "0.10"), (1e-7, "0.0000001"), (1.5e21, "1500000000000000000000"), (3.6680847969999992,) * 2],
)
def test_digits_stay_as_they_came_and_floats_are_their_shortest_text(value: Any, text: Any) -> None:
    wire = wire_of([OPEN, value, value, value, value, value])
    assert wire.candle is not None and wire.candle.numbers == (str(text),) * 5


@pytest.mark.parametrize(
    "row", [None, [], "row", [OPEN, 1, 1, 1, 1], [None, 1, 1, 1, 1, 1], [OPEN, 1, 1, None, 1, 1], [True] * 6]
)
def test_a_row_that_is_none_is_told_and_raises_nothing(row: Any) -> None:
    assert wire_of(row).candle is None and wire_of(row).reason


def test_rows_off_the_grid_cost_their_own_bucket() -> None:
    rows = [
        [(OPEN + n * 60_000) // 1000 + (n == 2) * 14, "1", "1", "1", "1", "1", "0.10", 1] for n in range(5)
    ]
    page = asked(ohlc(*rows, "no row", [None] * 8), MINUTES)
    assert isinstance(page, Page)
    assert OPEN + 120_000 in page.rejected and page.spoiled >= 1
    assert {r.time for r in page.rows} == {OPEN + n * 60_000 for n in (0, 1, 3, 4)} - page.rejected
    assert {row.volume for row in page.rows} == {"0.10"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (("EAPI:Rate limit exceeded",), FailureKind.REFUSED),
        (("EGeneral:Too many requests",), FailureKind.REFUSED),
        (("EGeneral:Temporary lockout",), FailureKind.REFUSED),
        (("EQuery:Unknown asset",), FailureKind.UNKNOWN_SYMBOL),
        (("EService:Unavailable",), FailureKind.SERVER),
        (("EAPI:Invalid key",), FailureKind.UNAUTHORIZED),
        (("EGeneral:Invalid arguments",), FailureKind.BAD_REQUEST),
        (("EQuery:Unknown asset pair",), FailureKind.BAD_REQUEST),  # ccxt does not know these words
    ],
)
def test_an_error_in_an_answer_200_is_a_failure_of_its_kind(answer: tuple[str], kind: FailureKind) -> None:
    failure = asked({"AssetPairs": PAIRS, "OHLC": {"error": answer}}, MINUTES)
    assert isinstance(failure, FetchFailure) and failure.kind is kind, failure
    assert answer[0] in failure.message and failure.status == 200


def test_an_exchange_that_there_is_not_is_told_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match="krakn") as raised:
        venue_of(CcxtSettings(exchange="krakn"))
    assert raised.value.hint == "did you mean kraken?"


def test_a_symbol_in_another_form_is_told_as_ccxt_writes_it() -> None:
    settings = CcxtSettings(symbols=("BTC/USDT:USDT", "btc-usdt", "XBTUSDT"))
    problems = list(settings.problems())
    assert [name for name, *_ in problems] == ["symbols", "symbols"]
    assert "did you mean BTC/USDT?" in problems[0][2] and "they look like BTC/USDT" in problems[1][2]


def test_the_example_of_three_venues_is_a_configuration() -> None:
    config = load(ROOT / "docs/examples/three_venues.toml", {}).config
    kraken = config.venues["kraken"]
    assert isinstance(kraken, CcxtSettings) and kraken.symbols == ("BTC/USDT", "ETH/USD")
    assert list(config.venues) == ["coinbase", "binance", "kraken"]


def test_an_exchange_without_a_clock_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match="tells nobody its time"):
        venue_of(CcxtSettings(exchange="bitstamp"))


def test_a_service_without_such_a_venue_loads_nothing_of_ccxt() -> None:
    code = (
        "import sys, livecache.app, livecache.config.load as l; from pathlib import Path;"
        "l.load(Path('config.toml'), {}); print('ccxt' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.skipif(not REAL.exists(), reason="without the real answers beside the checkout")
def test_a_real_answer_of_krakens_is_served_in_its_own_digits() -> None:
    rows = json.loads(REAL.read_text())["result"]["XBTUSDT"]
    first, last = rows[0][0] * 1000, rows[-1][0] * 1000
    request = PageRequest("BTC/USDT", Timeframe.M1, first + 60_000, last + 60_000)
    page = asked(ohlc(*rows), request)
    assert isinstance(page, Page) and not page.rejected
    assert [(r.time // 1000, *r.numbers) for r in page.rows] == [(*r[:5], r[6]) for r in rows[1:]]
    assert sum(row.flat for row in page.rows) > 200


def test_an_absent_row_proves_nothing_and_a_flat_one_that_nothing_was_traded() -> None:
    edge, step = OPEN // 60_000 * 60_000, 60_000
    hole, quiet = edge - 5 * step, edge - 8 * step
    driver = Driver((Timeframe.M1,), edge + 20_000, empty=venue_of(CcxtSettings()).traits.empty)
    rows = {t: candle(t) for t in range(edge - 100 * step, edge + step, step) if t != hole}
    rows[quiet] = ExactCandle(quiet, "10", "10", "10", "10", "0.0")
    driver.timeline.apply_page(
        SYMBOL, Timeframe.M1, PageFacts(edge - 100 * step, edge + step, rows, driver.now), driver.now
    )
    coverage = driver.symbol.tracks[Timeframe.M1].coverage
    assert coverage.covers(edge - 100 * step, hole) and coverage.covers(hole + step, edge)
    assert not coverage.covers(hole, hole + step)
    assert quiet not in driver.symbol.tracks[Timeframe.M1].settled


class Running:
    """An engine of Kraken's, polled over loopback, sixty times as fast as the real one; and its reader."""

    timeframes = (Timeframe.M1, Timeframe.M5, Timeframe.H1)

    def __init__(self, url: str, face: KrakenFace) -> None:
        self.face, self.clock, self.time = face, SystemClock(), VenueTime(SystemClock())
        self.reader = AsyncReader(url, prefix="polled", venue="kraken")
        self._store = redis.asyncio.Redis.from_url(url)

    def engine(self, url: str) -> Engine:
        settings = settings_for((url,))
        clock, time = self.clock, self.time
        venue = build("kraken", settings_kind(settings), environ={}, now=time.if_known, clock=clock,
                      jitter=Random(1).random)  # fmt: skip
        wanted = Settings((self.face.symbol,), self.timeframes, Policy(candles=30, min_candles=20), ())
        keys = Keyspace("polled", "kraken")
        return Engine(venue, self._store, keys, wanted, time=time, name="k", jitter=Random(2).random)

    async def current(self, after: int = 0) -> None:
        """Until a reader gets all of it, the newest minute later than that."""
        async with asyncio.timeout(60):
            while True:
                try:
                    newest = [
                        (await self.reader.candles(self.face.symbol, t, 20, settled=True))[-1].time
                        for t in self.timeframes
                    ]
                    if newest[0] > after:
                        return
                except ReadError:
                    pass
                await self.clock.sleep(0.05)

    async def aclose(self) -> None:
        await self.reader.aclose()
        await self._store.aclose()


def settings_kind(settings: CcxtSettings) -> CcxtSettings:
    """As the file has it: `kind = "ccxt"`."""
    return CcxtSettings(
        kind="ccxt",
        rest_url=settings.rest_url,
        request_timeout=settings.request_timeout,
        requests_per_second=settings.requests_per_second,
    )


@pytest.mark.takes(10)
def test_krakens_candles_are_warm_current_and_what_was_traded(clean_valkey: str) -> None:
    async def main() -> None:
        face = KrakenFace(OPEN, 60.0)
        running = Running(clean_valkey, face)
        async with face.listening() as (url, _), asyncio.TaskGroup() as tasks:
            engine = running.engine(url)
            task = tasks.create_task(engine.run(), name="engine")
            await running.current()
            warm_by = face.now()
            await running.current(after=warm_by + 180_000)
            for timeframe in running.timeframes:
                candles = await running.reader.candles(face.symbol, timeframe, 20)
                rows = face.rows(face.symbol, timeframe, candles[0].time, candles[-1].time + 1)
                truth = [[r.time, *map(float, r.numbers)] for r in rows if not r.flat]
                assert [list(candle) for candle in candles] == truth, timeframe
            # In its steady state no reader meets a `Stale`: it is polled soon after each end.
            # The row in progress, which each page brings as well, is never given for a closed one.
            for _ in range(40):
                candles = await running.reader.candles(face.symbol, "1m", 20, max_lag=300)
                newest = candles[-1]
                assert newest.time + 60_000 <= face.now() and candles.feed == "down"
                (row,) = face.rows(face.symbol, Timeframe.M1, newest.time, newest.time + 1)
                assert list(newest) == [row.time, *map(float, row.numbers)]
                await running.clock.sleep(0.05)
            with pytest.raises(OutOfSync, match="does not vouch"):
                await running.reader.candles(face.symbol, "1m", 20, forming=True)
            (fed,) = (metric for metric in OF_ENGINE if metric.name == "feed_symbols")
            assert set(cast("dict[str, int]", fed.read(engine)).values()) == {0}, "none that could be down"
            task.cancel()
            await engine.close(for_good=True)
        await running.aclose()

    asyncio.run(main())
