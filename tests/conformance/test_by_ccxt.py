"""ccxt's own classes over loopback: each the other's oracle with what is written here, and where they ask."""

from __future__ import annotations

from livecache.clock import SystemClock
from livecache.model.timeframe import Timeframe
from livecache.venues.by_ccxt.venue import CcxtVenue
from livecache.venues.venue import FailureKind, FetchFailure, Page
from tests.simulation.virtual import VirtualClock

from .bench import START, Bench, on
from .binance import BinanceFace
from .polled import OkxFace, settings_for


def test_ccxts_binance_and_ours_tell_the_same_rows_of_the_same_market() -> None:
    async def check(bench: Bench) -> None:
        other = CcxtVenue(
            settings_for((bench.front.url,)),
            name="binance",
            now=bench.face.now,
            clock=SystemClock(),
            jitter=lambda: 0.5,
        )
        try:
            both = [t for t in other.traits.served if t in bench.venue.traits.served]
            assert len(both) == 12 and both[0] is Timeframe.M1 and both[-1] is Timeframe.D1
            for timeframe in both:
                request = bench.request(timeframe, 200)
                ours = await bench.page(request)
                theirs = await other.fetch(request._replace(symbol="BTC/USDT"))
                assert isinstance(theirs, Page), theirs
                assert theirs.rows == ours.rows and len(ours.rows) == 200, timeframe
                assert theirs.rejected == ours.rejected == frozenset()
            time = await other.time()
            assert isinstance(time, int) and abs(time - bench.face.now()) < 60_000
            listed, known = await other.products(), await bench.venue.products()
            assert not isinstance(listed, FetchFailure) and not isinstance(known, FetchFailure)
            assert {symbol.replace("/", "") for symbol in listed} == set(known)
            failure = await other.fetch(request._replace(symbol="NOT/LISTED"))
            assert isinstance(failure, FetchFailure) and failure.kind is FailureKind.UNKNOWN_SYMBOL
        finally:
            await other.aclose()

    on(BinanceFace, check)


def test_it_is_by_the_venues_clock_that_ccxt_chooses_where_to_ask() -> None:
    """OKX has the newest 1,440 candles at one path and the older ones at another."""

    async def check(bench: Bench) -> None:
        face, front = bench.face, bench.front
        ahead = VirtualClock(START / 1000 + 2 * 86_400)  # the host's, which is two days fast
        venue = face.venue(face.name, (front.url, front.ws_url), face.now, ahead)
        bench = Bench(face, front, venue)
        for ago, path in ((100, "/api/v5/market/candles"), (3_000, "/api/v5/market/history-candles")):
            request = bench.request(Timeframe.M1, 50, ago=ago)
            page = await bench.page(request)
            assert bench.front.asked[-1].path == path
            assert page.rows == tuple(
                bench.face.rows(request.symbol, Timeframe.M1, request.start, request.end)
            )
        await venue.aclose()

    on(OkxFace, check)


def test_of_spot_markets_alone_one_list_is_asked_for() -> None:
    async def check(bench: Bench) -> None:
        await bench.page(bench.request(Timeframe.M1, 5))
        assert [request.path.rpartition("/")[2] for request in bench.front.asked] == [
            "instruments",
            "candles",
        ]

    on(OkxFace, check)
