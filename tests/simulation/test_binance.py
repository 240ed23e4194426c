"""The service at a Binance that fails as it does: its own answers and frames, over hours of virtual time.

* 429, and 418 for who goes on; 403 in HTML; 408; 503; a cut (`BinanceFaults.rest`): the seeds, in which
  nothing is asked before a refusal is over;
* 451 (`BinanceFaults.strike`): `test_in_a_country_…`; 418 over a restart: `test_a_ban_…`;
* others at the address (`BinanceOptions.foreign_weight`): `test_beside_strangers_…`;
* the last frame of a minute lost, late, twice (`BinanceFaults.frame`): the seeds, and
  `test_a_minute_whose_last_frame_…`;
* silence behind an acknowledgement, as at USD-M's old address (`BinanceFaults.mute`): the seeds, and
  `test_where_usdm_acknowledges_…`;
* a closed candle revised (`BinanceFaults.frame`): the seeds;
* an hour without rows, rows off the grid, one that ends early (`BinanceOptions.outages`): the seeds;
* `serverShutdown`, and the end of a connection after 24 hours (`notice_s`, `life_s`): the seeds, and
  `test_after_server_shutdown_…`, `test_before_a_connections_24_hours_…`;
* more than five frames a second, or a ping unanswered: 1008 by the face, and `test_in_quiet_times_…` has one
  connection;
* a symbol that is not ASCII: the seeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from livecache.model.timeframe import Timeframe
from livecache.quiet import logger
from livecache.simulator import Faults, MarketClock
from livecache.simulator.binance.faults import BinanceFaults
from livecache.simulator.binance.options import Outage
from livecache.simulator.market.market import Market
from livecache.simulator.trouble.faults import FeedFrame
from livecache.venues.binance.dialect import BinanceDialect
from livecache.venues.binance.venue import BinanceVenue

from .place import START, Simulated
from .virtual import run_virtually

M1, M5, H1, D1, W1 = Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.D1, Timeframe.W1
PRODUCTS = ("币安人生-USD", "GRT-USD:thin")
KINDS = {
    *("429", "418", "403", "408", "503", "cut", "feed cut", "silence behind an acknowledgement", "revised"),
    *("last frame lost", "last frame late", "last frame twice"),
}
HOUR, MINUTE = H1.floor(START), M1.floor(START)
OUTAGES = (
    Outage(HOUR - 30 * H1.ms + 28 * M1.ms, HOUR - 28 * H1.ms, HOUR - 25 * H1.ms),
    Outage(MINUTE + 12 * M1.ms, MINUTE + 18 * M1.ms),
)
KIND_OF = ["binance"] * 10 + ["binance-usdm"] * 3 + ["binance-us"] * 3
LONG = [pytest.param(kind, seed, 60, marks=pytest.mark.long) for seed, kind in enumerate(KIND_OF, 2)]


def calm() -> BinanceFaults:
    """Nothing goes wrong but what a test strikes with."""
    return BinanceFaults(1, 0)


@pytest.mark.takes(20)
@pytest.mark.parametrize(("kind", "seed", "minutes"), [("binance", 1, 24), *LONG])
def test_whatever_fails_at_binance_nothing_settled_is_wrong_and_nothing_stays_missing(
    clean_valkey: str, kind: str, seed: int, minutes: int
) -> None:
    faults = BinanceFaults(seed, START + minutes * M1.ms, share=0.15)

    async def main() -> None:
        place = Simulated(
            kind, PRODUCTS, faults, seed=seed, outages=OUTAGES, life_s=1_000.0, notice_s=30.0 * (seed % 2)
        )
        async with place.listening(), place.run(clean_valkey, (M1, M5, H1, D1, W1)) as running:
            for _ in range(minutes // 2):
                await asyncio.sleep(120)
                if faults.counts["revised"]:
                    place.forget()
                place.audit(running)
            assert place.compared > 250 * minutes
            await place.watched(running, 1_300)
            place.converged(running, 15)

    run_virtually(main())
    assert set(+faults.counts) >= KINDS, faults.counts
    assert not faults.counts["asked all the same"]


@pytest.mark.takes(10)
def test_in_quiet_times_many_closed_buckets_share_a_page_and_a_minutes_weight_is_hardly_touched(
    clean_valkey: str,
) -> None:
    async def main() -> None:
        place = Simulated("binance", PRODUCTS)
        async with place.listening(), place.run(clean_valkey, (M1, M5, H1)) as running:
            await running.warm()
            await asyncio.sleep(900)
            before = place.counts.candle_requests
            await asyncio.sleep(1_800)
            asked = place.counts.candle_requests - before
            assert asked <= 30 * len(place.symbols) / 2, "one a bucket would be 60, beside those of 5m and 1h"
            assert place.counts.refused == 0 and place.counts.connections == 1
            assert running.live.closed_live >= 30

    run_virtually(main())


@pytest.mark.takes(5)
def test_a_ban_is_kept_to_the_second_and_over_a_restart(clean_valkey: str) -> None:
    async def main() -> None:
        faults = calm()
        place = Simulated("binance", PRODUCTS, faults)
        async with place.listening():
            async with place.run(clean_valkey, (M1, M5)) as running:
                await running.warm()
                faults.strike("418", 1_200)
                await running.until(lambda: faults.counts["418"] > 0, within_s=1_200)
                ends_s, asked = place.clock.monotonic() + 1_200, place.counts.requests
                await asyncio.sleep(300)
                assert place.counts.requests == asked
                assert running.reader.status().banned_until == pytest.approx(place.now() + 900_000, abs=1_000)
            async with place.run(clean_valkey, (M1, M5)) as running:
                await running.until(lambda: place.counts.requests > asked, within_s=1_200)
                assert 0 <= place.clock.monotonic() - ends_s < 1
                await place.watched(running, 600)
                place.converged(running)

    run_virtually(main())


@pytest.mark.takes(5)
def test_in_a_country_that_is_not_served_nothing_is_asked_for_an_hour_and_the_feed_goes_on(
    clean_valkey: str,
) -> None:
    async def main() -> None:
        faults = calm()
        place = Simulated("binance", PRODUCTS[1:], faults)
        async with place.listening():
            async with place.run(clean_valkey, (M1, M5)) as running:
                await running.warm()
                faults.strike("451")
                await running.until(lambda: faults.counts["451"] > 0, within_s=1_200)
                asked = place.counts.requests
                await place.watched(running, 500)
                assert place.counts.requests == asked
                assert running.reader.candles(place.symbols[0], "5m", 20, at_least=1).feed == "up"
            async with place.run(clean_valkey, (M1, M5)) as running:
                await running.warm()
                assert place.counts.requests > asked, "it may be another host's"
                await place.watched(running, 300)
                place.converged(running)

    run_virtually(main())


@pytest.mark.takes(5)
def test_beside_strangers_at_the_address_nothing_is_refused(clean_valkey: str) -> None:
    async def main() -> None:
        place = Simulated("binance-usdm", PRODUCTS, weight_a_minute=200, foreign_weight=80)
        async with place.listening(), place.run(clean_valkey, (M1, M5, H1, D1)) as running:
            await running.until(lambda: running.live.warm_s is not None, within_s=1_200)
            await asyncio.sleep(300)
            assert place.counts.refused <= 2, "before its count was known"

    run_virtually(main())


def outlived(url: str, life_s: float, *, venue: object = None, notice_s: float = 0.0) -> None:
    """A connection ends after so long, and a reader who looks every ten seconds notices nothing of it."""

    async def main() -> None:
        place = Simulated("binance", PRODUCTS[1:], life_s=life_s, notice_s=notice_s)
        place.venue = venue
        async with place.listening(), place.run(url, (M1, H1)) as running:
            await running.warm()
            await asyncio.sleep(120)
            for _ in range(int(life_s / 10)):
                await asyncio.sleep(10)
                candles = running.reader.candles(place.symbols[0], "1m", 20)  # raises Stale, and for a hole
                assert candles.feed == "up" and candles.known_through > place.now() - 90_000
            assert place.counts.connections == 2
            assert running.live.feed.reconnects == running.live.feed.sequence_gaps == 0
            await place.watched(running, 300)
            place.converged(running)

    run_virtually(main())


@pytest.mark.takes(5)
def test_after_server_shutdown_the_next_connection_is_there_before_the_end(clean_valkey: str) -> None:
    outlived(clean_valkey, 1_500.0, notice_s=300.0)


@pytest.mark.takes(5)
@pytest.mark.parametrize("life_s", [1_500.0, pytest.param(86_400.0, marks=pytest.mark.long)])
def test_before_a_connections_24_hours_are_over_the_next_one_is_there(
    clean_valkey: str, life_s: float
) -> None:
    class Venue(BinanceVenue):
        """Its connections are said to live so long, and no word announces their end."""

        def _dialect(self) -> BinanceDialect:
            dialect = super()._dialect()
            dialect.terms = dialect.terms._replace(life_s=life_s)
            return dialect

    outlived(clean_valkey, life_s, venue=Venue)


class _Mute(Faults):
    """Whatever is asked for is acknowledged, and nothing told for a while."""

    def __init__(self, until_ms: int) -> None:
        self._until_ms = until_ms

    def attach(self, market: Market, clock: MarketClock) -> Market:
        self._now = clock.now
        return market

    def mute(self, channel: str, product: str, subscribed_ms: int) -> bool:
        return self._now() < self._until_ms


@pytest.mark.takes(5)
def test_where_usdm_acknowledges_and_tells_nothing_that_is_no_feed_and_pages_go_on(clean_valkey: str) -> None:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="WARNING")

    async def main() -> None:
        place = Simulated("binance-usdm", PRODUCTS[1:], _Mute(START + 900_000))
        (symbol,) = place.symbols
        async with place.listening(), place.run(clean_valkey, (M1, M5)) as running:
            for _ in range(8):
                await place.watched(running, 100)
                candles = running.reader.candles(symbol, "1m", 20)
                assert candles.feed == "down" and candles.settled_through > place.now() - 150_000
            assert 3 <= place.counts.connections <= 4, "each has twice as long"
            assert [line for line in said if "nothing was told for" in line and "ws_url" in line]
            await place.watched(running, 600)
            assert running.reader.candles(symbol, "1m", 20).feed == "up"
            place.converged(running)

    try:
        run_virtually(main())
    finally:
        logger.remove(sink)


class _Late(Faults):
    """The last frame of each minute comes a minute late."""

    def __init__(self) -> None:
        self.held: str = ""

    def frame(self, frame: FeedFrame) -> Iterable[str]:
        if '"x":true' not in frame.text:
            return (frame.text,)
        late, self.held = self.held, frame.text
        return (late,) if late else ()


@pytest.mark.takes(5)
def test_a_minute_whose_last_frame_is_late_is_closed_by_the_clock_and_not_told_as_settled(
    clean_valkey: str,
) -> None:
    """Readers get it as it had been told, two seconds short at most, until a page has settled it."""

    async def main() -> None:
        place = Simulated("binance", ("BTC-USD",), _Late())
        async with place.listening(), place.run(clean_valkey, (M1, M5)) as running:
            await running.warm()
            await asyncio.sleep(300)
            lacking = 0
            for _ in range(10):
                end = M1.floor(place.now()) + M1.ms
                await asyncio.sleep((end + 6_000 - place.now()) / 1000)
                candles = running.reader.candles("BTCUSDT", "1m", 20)
                assert candles[-1].time == end - M1.ms >= candles.settled_through
                ((row, *_), _) = place.told("BTCUSDT", M1, end - M1.ms, end)
                lacking += candles[-1].volume < float(row.volume)
                assert candles[-1].volume <= float(row.volume)
                await asyncio.sleep(14)
                candles = running.reader.candles("BTCUSDT", "1m", 20, settled=True)
                assert candles[-1].time == end - M1.ms and candles[-1].volume == float(row.volume)
                place.audit(running)
            assert lacking

    run_virtually(main())
