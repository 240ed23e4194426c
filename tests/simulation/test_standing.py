"""Products that the venue does not know, or that do not trade: they are told, and take nobody down."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import redis

from livecache.engine.listing import LOOK_EVERY_S
from livecache.errors import NotListed, NotReady, NotTraded
from livecache.model.timeframe import Timeframe
from livecache.read.standing import left_warm, reasons_not_ready, row_of
from livecache.simulator import Product, SeededMarket
from livecache.venues.coinbase.traits import TRAITS
from livecache.venues.venue import FailureKind, FetchFailure, PageRequest
from tests.simulation.service import Running, service
from tests.simulation.test_trouble import venue_at
from tests.simulation.virtual import run_virtually

M5, H1 = Timeframe.M5, Timeframe.H1
BOTH = (M5, H1)


def said(running: Running, symbol: str) -> tuple[str, str]:
    """State and reason of the symbol's 5m series, as everybody is told them."""
    row = row_of(running.reader.state(symbol, M5))
    return row.state, row.reason


def held_back(running: Running, require: Any = "known") -> list[str]:
    return reasons_not_ready([row_of(view) for view in running.reader.states()], "sim", require)


def test_an_unknown_symbol_holds_back_nothing_and_says_what_is_to_be_done(clean_valkey: str) -> None:
    symbols = [*SeededMarket(7).products()[:4], "WRONG-USD"]

    async def main() -> None:
        venue = venue_at()
        async with service(venue, clean_valkey, symbols, BOTH) as running:
            await running.warm()
            await asyncio.sleep(2)
            state, reason = said(running, "WRONG-USD")
            assert state == "unknown"
            assert "Coinbase does not know WRONG-USD: correct venues.coinbase.symbols" in reason
            assert held_back(running) == []
            assert left_warm(running.reader.states())
            strict = held_back(running, "all")
            assert [line.partition(":")[0] for line in strict] == ["WRONG-USD 5m", "WRONG-USD 1h"]
            assert not left_warm(running.reader.states(), "all")
            with pytest.raises(NotListed):
                running.reader.candles("WRONG-USD", "5m", 60)
            with pytest.raises(NotListed):
                running.reader.wait_ready([(symbol, "5m", 60) for symbol in symbols], timeout=5)
            assert running.live.timeline.feed_up("BTC-USD")
            assert not running.live.timeline.feed_up("WRONG-USD")

    run_virtually(main())


def test_a_restart_while_the_venue_is_away_is_held_back_by_no_symbol_that_was_unknown_before(
    clean_valkey: str,
) -> None:
    symbols = ["BTC-USD", "WRONG-USD"]

    async def first() -> None:
        async with service(venue_at(), clean_valkey, symbols, BOTH) as running:
            await running.warm()
            await asyncio.sleep(20)

    async def again() -> None:
        venue = venue_at(venue_at().start_ms + 30_000)
        venue.fault = lambda request: FetchFailure(FailureKind.NETWORK, "away")
        async with service(venue, clean_valkey, symbols, BOTH) as running:
            await asyncio.sleep(20)
            assert said(running, "WRONG-USD")[0] == "unknown"
            assert held_back(running) == []
            venue.fault = None
            await asyncio.sleep(120)
            assert said(running, "WRONG-USD")[0] == "unknown"

    async def later() -> None:
        venue = venue_at(venue_at().start_ms + 300_000)
        venue.market = SeededMarket(7, products=[Product.parse("BTC-USD"), Product.parse("WRONG-USD")])
        async with service(venue, clean_valkey, symbols, BOTH) as running:
            await running.until(lambda: said(running, "WRONG-USD")[0] == "ready")

    run_virtually(first())
    run_virtually(again())
    run_virtually(later())


def test_if_no_symbol_is_known_nothing_is_ready(clean_valkey: str) -> None:
    async def main() -> None:
        async with service(venue_at(), clean_valkey, ["WRONG-USD", "BAD-USD"], BOTH) as running:
            await asyncio.sleep(30)
            assert running.live.warm_s is None
            assert len(held_back(running)) == 4
            assert not left_warm(running.reader.states())

    run_virtually(main())


def test_with_all_required_an_unknown_symbol_holds_the_start_back(clean_valkey: str) -> None:
    async def main() -> None:
        async with service(venue_at(), clean_valkey, ["BTC-USD", "WRONG-USD"], BOTH) as running:
            running.live.require_all = True
            await asyncio.sleep(60)
            assert running.live.warm_s is None

    run_virtually(main())


def test_a_product_that_is_delisted_in_mid_run_takes_no_feed_down_and_comes_back_by_itself(
    clean_valkey: str,
) -> None:
    async def main() -> None:
        venue = venue_at()
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"], BOTH) as running:
            await running.warm()
            await asyncio.sleep(60)
            breaks = running.live.feed.reconnects
            venue.delisted.add("ETH-USD")
            await running.until(lambda: said(running, "ETH-USD")[0] == "unknown")
            assert "any more" in said(running, "ETH-USD")[1]
            for _ in range(1_200):
                await asyncio.sleep(1)
                assert running.live.timeline.feed_up("BTC-USD"), "the other does not notice"
                assert not running.live.timeline.feed_up("ETH-USD")
            assert running.live.feed.reconnects == breaks
            assert held_back(running) == []
            with pytest.raises(NotListed, match="any more"):
                running.reader.candles("ETH-USD", "5m", 60)
            venue.delisted.clear()
            await running.until(lambda: said(running, "ETH-USD")[0] == "ready", within_s=900)
            await running.until(lambda: running.live.timeline.feed_up("ETH-USD"))
            assert running.reader.candles("ETH-USD", "5m", 60).standing == ""

    run_virtually(main())


def test_a_symbol_that_is_listed_later_is_filled_without_a_restart(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        venue.delisted.add("ETH-USD")
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"], BOTH) as running:
            await running.warm()
            assert said(running, "ETH-USD")[0] == "unknown"
            await asyncio.sleep(700)
            venue.delisted.clear()
            await running.until(lambda: said(running, "ETH-USD")[0] == "ready", within_s=900)
            await running.until(lambda: running.live.timeline.feed_up("ETH-USD"))

    run_virtually(main())


def test_a_404_of_a_product_that_the_list_names_makes_it_no_unknown(clean_valkey: str) -> None:
    """Something in between answers so for a while."""
    until = 0.0

    async def main() -> None:
        nonlocal until
        venue = venue_at()
        until = venue.clock.monotonic() + 60

        def refuse(request: PageRequest) -> FetchFailure | None:
            if request.symbol == "BTC-USD" or venue.clock.monotonic() > until:
                return None
            return FetchFailure(FailureKind.UNKNOWN_SYMBOL, "HTTP 404: NOT_FOUND", 404)

        venue.fault = refuse
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"], BOTH) as running:
            await asyncio.sleep(50)
            state, reason = said(running, "ETH-USD")
            assert (state, "NOT_FOUND" in reason) == ("failing", True)
            assert len(venue.lists) <= 3, "the list is long"
            await running.until(lambda: said(running, "ETH-USD")[0] == "ready", within_s=60)

    run_virtually(main())


# --- the list


def test_a_halted_product_does_not_look_alive(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        venue.still.add("ETH-USD")
        venue.halted["ETH-USD"] = "delisted, trading disabled"
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"], BOTH) as running:
            await running.until(lambda: said(running, "ETH-USD")[0] == "halted")
            reason = said(running, "ETH-USD")[1]
            assert "Coinbase lists ETH-USD as delisted, trading disabled" in reason
            assert "its newest candle opened at 2026-02-0" in reason
            await asyncio.sleep(120)  # Ten hours without a row are believed once a second page agrees.
            candles = running.reader.candles("ETH-USD", "5m", 60)
            assert candles.standing == "halted" and len(candles) == 60, "what is there is true"
            with pytest.raises(NotTraded, match="delisted"):
                running.reader.candles("ETH-USD", "5m", 60, newest_within=3600)
            assert held_back(running) == []
            assert said(running, "BTC-USD")[0] == "ready"
            assert running.reader.candles("BTC-USD", "5m", 60, newest_within=600).standing == ""

            # It trades again, and its first candle says so, long before the next list.
            await asyncio.sleep(60)
            venue.still.clear()
            await running.until(lambda: said(running, "ETH-USD")[0] != "halted", within_s=330)
            venue.halted.clear()
            await running.until(lambda: said(running, "ETH-USD")[0] == "ready", within_s=900)

    run_virtually(main())


def test_a_product_that_trades_is_not_halted_whatever_is_listed(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        venue.halted["BTC-USD"] = "view only"
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"], BOTH) as running:
            await running.warm()
            for _ in range(130):
                await asyncio.sleep(10)
                assert said(running, "BTC-USD") == ("ready", "")

    run_virtually(main())


def test_a_product_that_one_list_lacks_is_not_halted_and_one_that_two_lack_is(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        venue.still.add("ETH-USD")
        venue.unlisted.add("ETH-USD")
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"], BOTH) as running:
            await running.until(lambda: len(venue.lists) == 1)
            await asyncio.sleep(LOOK_EVERY_S / 2)
            assert said(running, "ETH-USD")[0] == "ready"
            await running.until(lambda: said(running, "ETH-USD")[0] == "halted", within_s=LOOK_EVERY_S)

    run_virtually(main())


def test_the_list_waits_for_the_first_fill_and_is_read_every_ten_minutes(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at()
        async with service(venue, clean_valkey, ["BTC-USD", "ETH-USD"], BOTH) as running:
            await running.warm()
            assert venue.lists == []
            await asyncio.sleep(1_830)
            assert len(venue.lists) == 4
            assert {only for _, only in venue.lists} == {("BTC-USD", "ETH-USD")}, (
                "and no others are asked for"
            )

    run_virtually(main())


def test_many_symbols_that_are_unknown_at_once_cost_one_list(clean_valkey: str) -> None:
    async def main() -> None:
        venue = venue_at(market=SeededMarket(7, products=[Product.parse("BTC-USD")]))
        wrong = [f"WRONG{n}-USD" for n in range(12)]
        async with service(venue, clean_valkey, ["BTC-USD", *wrong], BOTH) as running:
            await running.warm()
            assert len(venue.lists) == 1
            with pytest.raises(NotReady):
                running.reader.candles("WRONG0-USD", "5m", 60)

    run_virtually(main())


def pages_until_short(url: str, *, dated: bool) -> list[PageRequest]:
    """What is asked for of a product that is ten hours old, until it is told that there is no more of it."""
    requests: list[PageRequest] = []

    async def main() -> None:
        venue = venue_at(traits=replace(TRAITS, dated=dated))
        venue.listed = H1.floor(venue.now()) - 10 * H1.ms
        async with service(venue, url, ["BTC-USD"], (H1,)) as running:
            (track,) = running.live.configured()
            await running.until(lambda: track.state is not None and track.state.short, within_s=1200)
            requests.extend(request for _, request in venue.requests)

    run_virtually(main())
    return requests


def test_of_a_product_that_is_listed_since_lately_nothing_older_is_asked_for(clean_valkey: str) -> None:
    dated = pages_until_short(clean_valkey, dated=True)
    redis.Redis.from_url(clean_valkey).flushall()
    assert len(dated) < len(pages_until_short(clean_valkey, dated=False))
    # The first may be on its way before the list is there.
    assert len(dated) <= 2
