"""What is peculiar to exchanges that are asked by ccxt: their facts, their digits, their errors."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any, cast

import ccxt.async_support as ccxt
import pytest
import redis
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
from livecache.reader.reader import Reader
from livecache.venues.by_ccxt.answers import refused, wire_of
from livecache.venues.by_ccxt.facts import traits_of
from livecache.venues.by_ccxt.settings import CcxtSettings
from livecache.venues.by_ccxt.venue import CcxtVenue
from livecache.venues.net.http import Answer
from livecache.venues.registry import build
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest
from tests.conformance.bench import OPEN
from tests.conformance.polled import KrakenFace, settings_for
from tests.core.driver import SYMBOL, Driver, candle
from tests.simulation.virtual import BlockingRedis, VirtualClock, run_virtually
from tests.venues.loopback import rest_server

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared/data/venues/http_ohlc_XBTUSDT_1m.json"


def venue_of(settings: CcxtSettings, name: str = "kraken", now: int | None = None) -> CcxtVenue:
    return CcxtVenue(settings, name=name, now=lambda: now, clock=SystemClock(), jitter=lambda: 0.5)


def asked(
    answers: Any, request: PageRequest, name: str = "kraken", date: str | None = None
) -> Page | FetchFailure:
    """What comes of a page where each path (its last part), or what is posted of that `type`, is answered so.

    `date`: that of the answers.
    """

    async def main() -> Page | FetchFailure:
        async def serve(request: web.Request) -> web.StreamResponse:
            posted = request.method == "POST"
            which = (await request.json())["type"] if posted else request.path.strip("/").rpartition("/")[2]
            return web.json_response(answers[which], headers={"Date": date} if date else None)

        async with rest_server(serve, cancelling=False) as (url, _):
            venue = venue_of(settings_for((url,)), name)
            try:
                return await venue.fetch(request)
            finally:
                await venue.aclose()

    return asyncio.run(main())


PAIRS = KrakenFace(OPEN, 1.0, SystemClock()).answer("/0/public/AssetPairs", {})
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


def test_a_whole_number_of_milliseconds_is_a_time_though_a_parser_made_a_float_of_it() -> None:
    assert wire_of([float(OPEN), 1, 1, 1, 1, 1]).time == OPEN
    for time in (OPEN + 0.5, float("inf"), float("nan"), True):
        assert wire_of([time, 1, 1, 1, 1, 1]).time is None


BITOPRO = {
    "trading-pairs": {"data": [{"pair": "btc_usdt", "base": "btc", "quote": "usdt", "maintain": False}]},
    "btc_usdt": {
        "data": [
            {
                **dict.fromkeys(("open", "high", "low", "close", "volume"), "7.1"),
                "timestamp": OPEN + n * 60_000,
            }
            for n in (0, 1, 4)
        ]
    },
}


def test_rows_that_ccxt_makes_up_for_absent_ones_prove_nothing() -> None:
    page = asked(BITOPRO, MINUTES, "bitopro")
    assert isinstance(page, Page), page
    assert [row.time for row in page.rows] == [OPEN + n * 60_000 for n in (0, 1, 4)]


@pytest.mark.parametrize("rows", [None, 7, {}])
def test_an_answer_that_ccxt_makes_no_rows_of_is_no_page(rows: Any) -> None:
    async def main() -> None:
        venue = venue_of(CcxtSettings(exchange="bitopro"))
        exchange = venue._exchange.ccxt
        exchange.markets = {"BTC/USDT": {}}

        async def fetch_ohlcv(*_: Any) -> Any:
            return rows

        exchange.fetch_ohlcv = fetch_ohlcv
        failure = await venue.fetch(MINUTES)
        assert isinstance(failure, FetchFailure) and failure.kind is FailureKind.MALFORMED

    asyncio.run(main())


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


@pytest.mark.parametrize(
    ("status", "said", "kind", "wait_s"),
    [
        (403, "access too frequent, please try again in 5 minutes", FailureKind.REFUSED, 300.0),
        (451, "<html><title>not in your country</title></html>", FailureKind.BANNED, 3600.0),
        (404, "<html><title>not here</title></html>", FailureKind.BAD_REQUEST, None),
    ],
)
def test_who_is_shut_out_does_not_ask_on(status: int, said: str, kind: FailureKind, wait_s: Any) -> None:
    failure = refused(Answer(status, said.encode(), {}), None)
    assert (failure.kind, failure.retry_after_s) == (kind, wait_s)
    assert refused(Answer(status, b"", {"Retry-After": "7"}), None).retry_after_s == 7.0
    known = ccxt.BadSymbol("no such pair")
    assert refused(Answer(status, b"", {}), known).kind is FailureKind.UNKNOWN_SYMBOL, "in its own words"


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


BITSTAMP = {
    "markets": [
        {
            "base_currency": "BTC",
            "counter_currency": "USD",
            "market_type": "SPOT",
            "market_symbol": "btcusd",
            "trading": "Enabled",
        }
    ],
    "btcusd": {
        "data": {
            "ohlc": [
                {
                    **dict.fromkeys(("open", "high", "low", "close"), "7.10"),
                    "timestamp": str(OPEN // 1000 + 60 * n),
                    "volume": "1",
                }
                for n in range(5)
            ]
        }
    },
}


def test_where_no_time_is_told_an_answer_counts_that_was_given_after_the_end() -> None:
    """By a host's clock that is ahead the bucket in progress would be taken for one that is over."""
    assert venue_of(CcxtSettings(exchange="bitstamp")).traits.clock is False
    request = MINUTES._replace(symbol="BTC/USD")
    for date in (format_datetime(datetime.fromtimestamp(MINUTES.end / 1000, UTC), usegmt=True), "some day"):
        page = asked(BITSTAMP, request, "bitstamp", date)
        assert isinstance(page, Page) and len(page.rows) == 5 and page.rows[0].close == "7.10"
    early = format_datetime(datetime.fromtimestamp(MINUTES.end / 1000 - 1, UTC), usegmt=True)
    failure = asked(BITSTAMP, request, "bitstamp", early)
    assert isinstance(failure, FetchFailure) and failure.kind is FailureKind.SERVER
    assert "1 s before the end" in failure.message and "clock ahead?" in failure.message


def test_an_exchange_that_is_asked_by_post_is() -> None:
    prices = dict.fromkeys(("o", "h", "l", "c"), "20.150")
    answers = {
        "spotMetaAndAssetCtxs": [
            {
                "tokens": [
                    {"name": name, "szDecimals": 2, "index": n} for n, name in enumerate(("USDC", "HYPE"))
                ],
                "universe": [{"tokens": [1, 0], "name": "@107", "index": 107}],
            },
            [{"coin": "@107", "midPx": "20"}],
        ],
        "candleSnapshot": [{"t": OPEN + 60_000 * n, "v": "1.0", **prices} for n in range(9)],
    }
    page = asked(answers, MINUTES._replace(symbol="HYPE/USDC"), "hyperliquid")
    assert isinstance(page, Page), page
    assert [(row.time, row.close) for row in page.rows] == [(OPEN + 60_000 * n, "20.150") for n in range(5)]


def test_each_exchange_of_which_ccxt_gets_candles_can_be_configured() -> None:
    without = []
    for name in ccxt.exchanges:
        try:
            traits = venue_of(CcxtSettings(exchange=name)).traits
        except ConfigError as error:
            without.append((name, error.message))
        else:
            assert traits.served and traits.budgets, name
    assert without == [(name, f"ccxt gets no candles of {name}") for name, _ in without]
    assert len(without) < len(ccxt.exchanges) / 5


def test_a_service_loads_nothing_of_venues_that_are_not_configured() -> None:
    code = """
import asyncio, os, sys
from pathlib import Path
import livecache.app, livecache.cli, livecache.__main__
from livecache.clock import SystemClock
from livecache.config.load import load
from livecache.venues.registry import build

async def main():
    (name, own), = load(Path("config.toml"), {}).config.venues.items()
    venue = build(name, own, environ={}, now=lambda: None, clock=SystemClock(), jitter=lambda: 0.5)
    venue.feeds(own.symbols, {}, trades=True)

asyncio.run(main())
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = done.stdout.split()
    of_others = [
        name for name in loaded if re.match(r"ccxt|livecache\.venues\.(binance|deribit|by_ccxt)\.", name)
    ]
    # What one may be configured with is looked at as well: the environment may name it.
    assert {name.rpartition(".")[2] for name in of_others} <= {"settings", "markets"}, of_others
    assert "livecache.venues.coinbase.venue" in loaded


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
        self.face, self.clock = face, VirtualClock(OPEN / 1000)
        self.time = VenueTime(self.clock)
        self.reader = Reader(url, prefix="polled", venue="kraken")
        self._client = redis.Redis.from_url(url)

    def engine(self, url: str) -> Engine:
        settings = settings_for((url,))
        clock, time = self.clock, self.time
        venue = build("kraken", settings_kind(settings), environ={}, now=time.if_known, clock=clock,
                      jitter=Random(1).random)  # fmt: skip
        wanted = Settings((self.face.symbol,), self.timeframes, Policy(candles=30, min_candles=20), ())
        keys = Keyspace("polled", "kraken")
        return Engine(
            venue, BlockingRedis(self._client), keys, wanted, time=time, name="k", jitter=Random(2).random
        )

    async def current(self, after: int = 0) -> None:
        """Until a reader gets all of it, the newest minute later than that."""
        async with asyncio.timeout(60):
            while True:
                try:
                    newest = [
                        self.reader.candles(self.face.symbol, t, 20, settled=True)[-1].time
                        for t in self.timeframes
                    ]
                    if newest[0] > after:
                        return
                except ReadError:
                    pass
                await self.clock.sleep(0.05)

    def close(self) -> None:
        self.reader.close()
        self._client.close()


def settings_kind(settings: CcxtSettings) -> CcxtSettings:
    """As the file has it: `kind = "ccxt"`."""
    return CcxtSettings(
        kind="ccxt",
        rest_url=settings.rest_url,
        request_timeout=settings.request_timeout,
        requests_per_second=settings.requests_per_second,
    )


def test_krakens_candles_are_warm_current_and_what_was_traded(clean_valkey: str) -> None:
    async def main() -> None:
        face = KrakenFace(OPEN, 60.0, VirtualClock(OPEN / 1000))
        running = Running(clean_valkey, face)
        async with face.listening() as (url, _), asyncio.TaskGroup() as tasks:
            engine = running.engine(url)
            task = tasks.create_task(engine.run(), name="engine")
            await running.current()
            warm_by = face.now()
            await running.current(after=warm_by + 180_000)
            for timeframe in running.timeframes:
                candles = running.reader.candles(face.symbol, timeframe, 20)
                rows = face.rows(face.symbol, timeframe, candles[0].time, candles[-1].time + 1)
                truth = [[r.time, *map(float, r.numbers)] for r in rows if not r.flat]
                assert [list(candle) for candle in candles] == truth, timeframe
            # In its steady state no reader meets a `Stale`: it is polled soon after each end.
            # The row in progress, which each page brings as well, is never given for a closed one.
            for _ in range(40):
                candles = running.reader.candles(face.symbol, "1m", 20, max_lag=300)
                newest = candles[-1]
                assert newest.time + 60_000 <= face.now() and candles.feed == "down"
                (row,) = face.rows(face.symbol, Timeframe.M1, newest.time, newest.time + 1)
                assert list(newest) == [row.time, *map(float, row.numbers)]
                await running.clock.sleep(0.05)
            with pytest.raises(OutOfSync, match="does not vouch"):
                running.reader.candles(face.symbol, "1m", 20, forming=True)
            (fed,) = (metric for metric in OF_ENGINE if metric.name == "feed_symbols")
            assert set(cast("dict[str, int]", fed.read(engine)).values()) == {0}, "none that could be down"
            task.cancel()
            await engine.close(for_good=True)
        running.close()

    run_virtually(main())
