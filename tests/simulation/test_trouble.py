"""Thin symbols, restarts, interrupted feeds and awkward venues, under virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import msgspec
import pytest
import redis

from livecache.errors import NotReady, OutOfSync, Stale
from livecache.model.timeframe import Timeframe, iso
from livecache.simulator import Product, SeededMarket
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest
from tests.simulation.model import ModelVenue
from tests.simulation.service import DEFAULT, Running, service
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.simulation.watch import Watcher
from tests.sizes import some

START = 1_770_000_000_000 + 137_000  # in the middle of a bucket
WIDTH = Timeframe.M5.ms
THIN = "RAD-USD"  # about one 5m bucket in fifty has trades
M5, M15, H1, H4, D1 = DEFAULT


def venue_at(start: int = START, *, market: SeededMarket | None = None, **changes: object) -> ModelVenue:
    clock = VirtualClock(start / 1000)
    venue = ModelVenue(market or SeededMarket(7), clock, start, clock.monotonic(), tick_ms=2_000)
    return replace(venue, **changes)  # type: ignore[arg-type]


def state(running: Running, symbol: str, timeframe: Timeframe):  # type: ignore[no-untyped-def]
    record = running.reader.state(symbol, timeframe).record
    assert record is not None
    return record.state


def pages(venue: ModelVenue, timeframe: Timeframe) -> list[PageRequest]:
    return [r for _, r in venue.requests if r.timeframe is timeframe]


def long_pages(venue: ModelVenue) -> Counter[Timeframe]:
    """Requests for history, as against those that settle what has just closed."""
    return Counter(r.timeframe for _, r in venue.requests if r.end - r.start > 20 * r.timeframe.ms)


def test_a_thin_symbol_is_widened_by_four_pages_and_then_left_alone_also_after_a_restart(
    clean_valkey: str,
) -> None:
    async def first() -> None:
        venue = venue_at()
        async with service(venue, clean_valkey, [THIN, "BTC-USD"]) as running:
            await running.warm()
            await asyncio.sleep(60)
            asked = [r for r in pages(venue, M5) if r.symbol == THIN]
            assert len([r for r in asked if r.end - r.start > 20 * WIDTH]) == 5, "a page and four more"
            short = state(running, THIN, M5)
            assert not short.ready
            assert "venue has only" in short.reason
            assert "searched back to" in short.reason
            assert short.coverage.covers(short.history_from, M5.floor(START) - WIDTH), "proven, not guessed"
            assert running.live.warm_s is not None, "it does not hold the others back"
            with pytest.raises(NotReady, match="venue has only"):
                running.reader.candles(THIN, "5m", 60)
            there = running.reader.candles(THIN, "5m", 60, at_least=10)
            assert 10 <= len(there) < 60
            carried = running.reader.candles(THIN, "5m", 60, empty="carry")
            assert len(carried) == 60
            assert len(carried.synthetic) > 40
            before = len(venue.requests)
            await asyncio.sleep(1_200)
            assert len(venue.requests) <= before + 12, "only what has closed"

    async def again() -> None:
        venue = venue_at(START + 1_400_000)
        async with service(venue, clean_valkey, [THIN, "BTC-USD"]) as running:
            await running.warm()
            await asyncio.sleep(50)
            assert len(venue.requests) <= 2, "nor after a restart"
            await asyncio.sleep(400)
            assert sum(long_pages(venue).values()) <= 12, "what may have been empty pages is asked for once"
            assert "venue has only" in state(running, THIN, M5).reason

    run_virtually(first())
    run_virtually(again())


def test_a_start_just_after_a_close_does_not_keep_thin_series_waiting_for_proof(clean_valkey: str) -> None:
    """Nothing traded, nobody watched: only time proves that. The rest of the series can be read meanwhile."""

    async def main() -> None:
        venue = venue_at(1_770_004_800_000 + 27_000)  # after the close of 5m, 15m, 1h and 4h alike
        async with service(venue, clean_valkey, ["GRT-USD", "BTC-USD"]) as running:
            await running.until(lambda: running.live.warm_s is not None, within_s=60)
            seen = state(running, "GRT-USD", M5)
            assert seen.ready
            assert len(running.reader.candles("GRT-USD", "5m", 60)) == 60
            await asyncio.sleep(330)
            seen = state(running, "GRT-USD", M5)
            assert seen.settled_through >= M5.floor(venue.now() - 75_000)

    run_virtually(main())


@pytest.mark.parametrize("smaller", [True, False], ids=["1m is sound", "so is 1m"])
def test_a_row_that_stays_nonsense_costs_its_bucket_and_is_not_asked_for_in_a_loop(
    clean_valkey: str, smaller: bool
) -> None:
    """Smaller candles stand for it. Where they are spoilt too the hole is told, and newer ones are read."""

    async def main() -> None:
        venue = venue_at()
        bad = M5.floor(START) - 70 * WIDTH
        fetch = venue.fetch

        async def fetch_with_nonsense(request: PageRequest) -> Page | FetchFailure:
            page = await fetch(request)
            assert isinstance(page, Page)
            if request.timeframe is not M5 and smaller:
                return page
            spoilt = {r.time for r in page.rows if M5.floor(r.time) == bad}
            rows = tuple(r for r in page.rows if r.time not in spoilt)
            why = dict.fromkeys(spoilt, "its open is below its low")
            return replace(page, rows=rows, rejected=frozenset(spoilt), reasons=why)

        venue.fetch = fetch_with_nonsense  # type: ignore[method-assign]
        async with service(venue, clean_valkey, ["BTC-USD"], [M5]) as running:
            await asyncio.sleep(90)
            read = running.reader.candles
            assert len(read("BTC-USD", "5m", 60)) == 60, "newer ones are nobody's business"
            if smaller:
                (truth,) = venue.market.candles("BTC-USD", M5, bad, bad + 1, venue.now())
                assert {c.time: c.volume for c in read("BTC-USD", "5m", 90)}[bad] == float(truth.volume)
            await asyncio.sleep(800)
            assert len(pages(venue, M5)) <= 4 + 8
            assert len(venue.requests) <= 4 + 20
            seen = state(running, "BTC-USD", M5)
            assert seen.ready
            if not smaller:
                with pytest.raises(NotReady, match=rf"a hole: {iso(bad)} to .*: unusable: its open is below"):
                    read("BTC-USD", "5m", 90)

    run_virtually(main())


def test_a_young_product_is_searched_as_far_as_any_and_then_once_an_hour(clean_valkey: str) -> None:
    young = Product.parse("NEW-USD")
    young = young._replace(listed_ms=START - 34 * D1.ms)

    async def main() -> None:
        venue = venue_at(market=SeededMarket(7, [young]))
        async with service(venue, clean_valkey, ["NEW-USD"]) as running:
            await running.warm()
            await asyncio.sleep(120)
            assert "venue has only 3" in state(running, "NEW-USD", D1).reason
            assert long_pages(venue)[D1] == 5, "an empty page alone ends no search"
            assert state(running, "NEW-USD", H1).ready
            await asyncio.sleep(3_600)
            assert long_pages(venue)[D1] == 6
            assert "venue has only 3" in state(running, "NEW-USD", D1).reason

    run_virtually(main())


def test_a_restart_with_no_close_missed_asks_for_nothing(clean_valkey: str) -> None:
    symbols = SeededMarket(7).products()[:6]

    async def first() -> None:
        async with service(venue_at(), clean_valkey, symbols) as running:
            await running.warm()
            await asyncio.sleep(40)

    async def again() -> None:
        venue = venue_at(START + 60_000)
        async with service(venue, clean_valkey, symbols) as running:
            await running.warm()
            assert running.live.warm_s is not None
            assert running.live.warm_s < 1.0
            await asyncio.sleep(30)
            assert venue.requests == []

    run_virtually(first())
    run_virtually(again())


def test_after_missed_closes_one_request_a_symbol_and_no_readiness_before_the_gap_is_covered(
    clean_valkey: str,
) -> None:
    symbols = SeededMarket(7).products()[:6]
    later = START + 2 * 3_600_000

    async def first() -> None:
        async with service(venue_at(), clean_valkey, symbols) as running:
            await running.warm()
            await asyncio.sleep(40)

    async def again() -> None:
        venue = venue_at(later)
        async with service(venue, clean_valkey, symbols) as running:
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            while running.live.warm_s is None:
                await asyncio.sleep(0.02)
                watcher.look()
                for symbol in symbols:
                    for timeframe in DEFAULT:
                        seen = state(running, symbol, timeframe)
                        if seen.ready:
                            assert seen.known_through >= timeframe.floor(later), (
                                "ready before the gap was covered"
                            )
            assert Counter(r.symbol for _, r in venue.requests) == dict.fromkeys(symbols, 1)
            assert running.live.warm_s <= 1.0 + len(symbols) / 9

    run_virtually(first())
    run_virtually(again())


def test_after_days_away_the_old_candles_go_only_when_the_new_ones_are_there(clean_valkey: str) -> None:
    async def first() -> None:
        async with service(venue_at(), clean_valkey, ["BTC-USD"]) as running:
            await running.warm()
            await asyncio.sleep(40)

    async def again() -> None:
        later = START + 5 * D1.ms
        venue = venue_at(later)
        async with service(venue, clean_valkey, ["BTC-USD"]) as running:
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            while running.live.warm_s is None:
                await asyncio.sleep(0.02)
                watcher.look()
                assert len(watcher.members("BTC-USD", M5)) >= 100, "never an empty cache during a refresh"
            assert len(venue.requests) <= 3
            watcher.look()

    run_virtually(first())
    run_virtually(again())


def test_killed_in_mid_warm_up_the_next_start_fetches_only_the_rest(clean_valkey: str) -> None:
    symbols = SeededMarket(7).products()[:8]
    done: set[tuple[str, Timeframe]] = set()

    async def first() -> None:
        venue = venue_at()
        async with service(venue, clean_valkey, symbols) as running:
            await running.until(lambda: len(venue.requests) >= 12)
            # What had come by now; what was in flight is asked for again.
            done.update(
                (t.series.symbol, t.series.timeframe) for t in running.live.configured() if t.coverage
            )

    async def again() -> None:
        venue = venue_at(START + 8_000)
        async with service(venue, clean_valkey, symbols) as running:
            await running.warm()
            repeated = {(r.symbol, r.timeframe) for _, r in venue.requests} & done - {
                (s, H4) for s in symbols
            }
            # A bigger timeframe that was only rolled up so far still needs its own page.
            assert not {(s, t) for s, t in repeated if t is M5}
            assert len([1 for _, r in venue.requests if r.timeframe is not H4]) <= 3 * 8 - 11

    run_virtually(first())
    run_virtually(again())


def test_a_break_of_the_feed_is_known_at_once_and_heals_without_extra_requests(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        async with service(venue, clean_valkey, ["BTC-USD", "GRT-USD"]) as running:
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            await running.warm()
            await asyncio.sleep(60)
            assert running.reader.candles("BTC-USD", "5m", 60, forming=True).feed == "up"
            venue.feed_dead = True
            await asyncio.sleep(5)
            with pytest.raises(OutOfSync):
                running.reader.candles("BTC-USD", "5m", 60, forming=True)
            asked = len(pages(venue, M5))
            for _ in range(20):
                await asyncio.sleep(30)
                watcher.look()
            assert len(venue.requests) - asked <= 2 * 3 * 2 + 2, "settling alone, no storm"
            closed = running.reader.candles("BTC-USD", "5m", 60)
            assert closed.feed == "down"
            assert closed.settled_through >= Timeframe.M5.floor(venue.now() - 75_000)
            venue.feed_dead = False
            await asyncio.sleep(310)
            watcher.look()
            assert running.reader.candles("BTC-USD", "5m", 60, forming=True).feed == "up"

    run_virtually(main())


def test_a_muted_product_is_found_out_by_settling(clean_valkey: str) -> None:
    """Heartbeats go on, but nothing of BTC-USD comes: the settled candle gives the dead channel away."""

    async def main() -> None:
        venue = venue_at()
        venue.cured = False
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"]) as running:
            await running.warm()
            await asyncio.sleep(200)
            venue.mute.add("BTC-USD")
            await asyncio.sleep(2 * 300)
            assert running.live.timeline.counters.dead_channels >= 1
            assert not running.live.timeline.feed_up("BTC-USD")
            assert running.live.timeline.feed_up("ETH-USD")
            with pytest.raises(OutOfSync):
                running.reader.candles("BTC-USD", "5m", 60, forming=True)
            assert running.reader.candles("BTC-USD", "5m", 60).feed == "down"

    run_virtually(main())


def test_a_muted_product_is_vouched_for_by_a_candle_of_its_own_and_by_nothing_else(clean_valkey: str) -> None:
    """Subscribed to anew it is acknowledged, heartbeats go on, and it trades all the while."""

    async def main() -> None:
        venue = venue_at()
        venue.cured = False
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"]) as running:
            await running.warm()
            await asyncio.sleep(200)
            venue.mute.add("BTC-USD")
            while running.live.timeline.feed_up("BTC-USD"):
                await asyncio.sleep(1)
            for _ in range(900):
                await asyncio.sleep(1)
                assert not running.live.timeline.feed_up("BTC-USD")
                with pytest.raises(OutOfSync):
                    running.reader.candles("BTC-USD", "5m", 60, forming=True)
            assert running.reader.candles("ETH-USD", "5m", 60, forming=True).feed == "up"
            venue.mute.clear()
            await asyncio.sleep(310)
            assert running.reader.candles("BTC-USD", "5m", 60, forming=True).feed == "up"

    run_virtually(main())


def test_a_venue_that_refuses_four_hours_has_them_rolled_up(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()

        def refuse(request: PageRequest) -> FetchFailure | None:
            if request.timeframe is not H4:
                return None
            venue.traits = venue.traits.without(H4)
            return FetchFailure(FailureKind.UNSUPPORTED_TIMEFRAME, "granularity argument is invalid", 400)

        venue.fault = refuse
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"]) as running:
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            await running.warm()
            await asyncio.sleep(30)
            for symbol in ("BTC-USD", "ETH-USD"):
                assert len(running.reader.candles(symbol, "4h", 100)) == 100, "deepened by pages of hours"
            assert len(pages(venue, H4)) == 1
            assert len(venue.requests) <= 10
            watcher.look()

    run_virtually(main())


def test_a_page_that_is_too_long_falls_back_and_the_warm_up_goes_on(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()

        def refuse(request: PageRequest) -> FetchFailure | None:
            if (request.end - request.start) // request.timeframe.ms <= 300:
                return None
            venue.traits = venue.traits.paged(300)
            return FetchFailure(FailureKind.PAGE_TOO_LONG, "number of candles requested", 400)

        venue.fault = refuse
        async with service(venue, clean_valkey, ["BTC-USD"]) as running:
            await running.warm()
            assert len(venue.requests) <= 7
            assert long_pages(venue)[D1] == 1, "only the first one was refused"

    run_virtually(main())


def test_a_failing_series_says_so_and_stops_nothing(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        broken = FetchFailure(FailureKind.SERVER, "502 Bad Gateway", 502)
        venue.fault = lambda r: broken if (r.symbol, r.timeframe) == ("ETH-USD", H1) else None
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"]) as running:
            await running.until(lambda: running.backfiller.failures >= 5)
            await asyncio.sleep(1)
            reason = state(running, "ETH-USD", H1).reason
            assert reason.startswith("failing: 502 Bad Gateway, tried 5 times, next at ")
            assert all(state(running, "BTC-USD", t).ready for t in DEFAULT)
            assert state(running, "ETH-USD", M5).ready
            venue.fault = None
            await running.warm()
            assert state(running, "ETH-USD", H1).ready

    run_virtually(main())


def test_a_revised_bucket_is_announced_with_old_and_new_and_its_parents_follow(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        revised: dict[int, str] = {}
        fetch = venue.fetch

        async def fetch_revised(request: PageRequest) -> Page | FetchFailure:
            page = await fetch(request)
            if isinstance(page, Page) and request.timeframe is M5:
                rows = tuple(
                    msgspec.structs.replace(r, volume=revised.get(r.time, r.volume)) for r in page.rows
                )
                return replace(page, rows=rows)
            return page

        venue.fetch = fetch_revised  # type: ignore[method-assign]
        async with service(venue, clean_valkey, ["BTC-USD"]) as running:
            await running.warm()
            await asyncio.sleep(400)
            bucket = Timeframe.M5.floor(venue.now()) - 2 * WIDTH
            revised[bucket] = "123456.5"
            await asyncio.sleep(320)
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            assert str(watcher.members("BTC-USD", M5)[bucket][4]) == "123456.5"
            assert running.live.timeline.counters.revisions >= 1
            with redis.Redis.from_url(clean_valkey) as client:
                entries = client.xrange("sim:{coinbase}:closes")
            kinds = [e[b"kind"] for _, e in entries if e.get(b"kind") == b"revised"]
            assert kinds, "the revision is in the stream of closes"
            parent = M15.floor(bucket)
            if parent + M15.ms <= M15.floor(venue.now()):
                total = watcher.members("BTC-USD", M15)[parent][4]
                assert total > 123456, "the parent follows"

    run_virtually(main())


def test_minutes_come_from_trades_and_are_settled_by_rest(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        frames = (Timeframe.M1, M5)
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"], frames) as running:
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            await running.warm()
            for _ in range(60):
                await asyncio.sleep(7)
                watcher.look()
            assert state(running, "BTC-USD", Timeframe.M1).forming

    run_virtually(main())


def test_nobody_vouches_once_the_writer_has_stopped_for_good(clean_valkey: str) -> None:
    async def main() -> None:
        async with service(venue_at(), clean_valkey, ["BTC-USD"]) as running:
            await running.warm()
            reader = running.reader
            await running.writer.close(for_good=True)
            with pytest.raises(Stale, match="vouch"):
                reader.candles("BTC-USD", "5m", 60)

    run_virtually(main())


@pytest.mark.parametrize("symbols", some([["BTC-USD"], ["BTC-USD", "ETH-USD", "SOL-USD"]], ["BTC-USD"]))
def test_a_long_outage_of_rest_delays_settling_and_then_makes_reads_stale(
    clean_valkey: str, symbols: list[str]
) -> None:
    async def main() -> None:
        venue = venue_at()
        async with service(venue, clean_valkey, symbols) as running:
            await running.warm()
            await asyncio.sleep(60)
            settled = state(running, "BTC-USD", M5).settled_through
            venue.fault = lambda r: FetchFailure(FailureKind.NETWORK, "unreachable")
            await asyncio.sleep(900)
            now = state(running, "BTC-USD", M5)
            assert now.settled_through <= settled + WIDTH
            assert now.known_through >= Timeframe.M5.floor(venue.now() - 10_000), "the feed carries on"
            assert running.reader.candles("BTC-USD", "5m", 60).known_through == now.known_through
            venue.feed_dead = True
            await asyncio.sleep(1_300)
            with pytest.raises(Stale):
                running.reader.candles("BTC-USD", "5m", 60)
            venue.fault, venue.feed_dead = None, False
            await asyncio.sleep(120)
            healed = state(running, "BTC-USD", M5)
            assert healed.ready
            assert healed.settled_through >= Timeframe.M5.floor(venue.now() - 75_000)
            Watcher(clean_valkey, venue.market, running.writer_series).look()

    run_virtually(main())
