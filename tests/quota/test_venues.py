"""Members at simulators that count, by budgets of several kinds: none is refused, and little is left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from livecache.engine.limiter import Limiter, Urgency
from livecache.model.budget import Budget, Costs, usage_of
from livecache.model.timeframe import Timeframe
from livecache.simulator import Faults, MarketClock, SeededMarket
from livecache.simulator.binance.exchange import Exchange as Binance
from livecache.simulator.binance.options import BinanceOptions
from livecache.simulator.deribit.exchange import Credits, DeribitOptions
from livecache.simulator.face import Ask
from livecache.venues.binance.markets import MARKETS
from livecache.venues.binance.traits import traits_of
from livecache.venues.deribit.traits import credits_of
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest
from tests.simulation.virtual import VirtualClock

from .world import BEGAN_S, World, all_of, now, played

MEMBERS = "abc"
PAGE = PageRequest("BTCUSDT", Timeframe.M1, 0, Timeframe.M1.ms)
REFUSED = FetchFailure(FailureKind.REFUSED, "429")


async def members(
    world: World, budgets: tuple[Budget, ...], seconds: float, ask: Callable[[Limiter], Awaitable[None]]
) -> None:
    """All ask for so long, as often as they may, two requests at a time."""

    async def one(name: str) -> None:
        async with world.member(name, budgets) as limiter:
            until = now() + seconds

            async def asks() -> None:
                while now() < until:
                    await ask(limiter)

            try:
                async with asyncio.timeout(seconds):
                    await all_of(asks(), asks())
            except TimeoutError:
                pass

    await all_of(*(one(name) for name in MEMBERS))


@pytest.mark.parametrize("foreign", [0, 100])
def test_a_weight_a_minute_is_used_once_others_at_the_address_included(valkey_url: str, foreign: int) -> None:
    budgets = traits_of(MARKETS["spot"], 0.8, 600).budgets
    used = refused = 0

    async def scenario(world: World) -> None:
        clock = VirtualClock(BEGAN_S + 1_000.0)
        options = BinanceOptions(weight_a_minute=600, foreign_weight=foreign)
        time = MarketClock((BEGAN_S + 1_000) * 1000, 1.0, clock.monotonic)
        venue = Binance(SeededMarket(4), time, options, faults=Faults(), host_clock=clock)

        async def ask(limiter: Limiter) -> None:
            nonlocal used, refused
            costs: Costs = {"weight": 2 if used % 3 else 1}
            ticket = await limiter.acquire(Urgency.WARM, costs)
            query = {"symbol": ["BTCUSDT"], "interval": ["1m"], "limit": ["1"]}
            path = "/api/v3/klines" if costs["weight"] == 2 else "/api/v3/time"
            used += costs["weight"]
            await asyncio.sleep(0.1)
            answer = await venue.handle(Ask("GET", path, query, path))
            await asyncio.sleep(0.1)
            assert answer is not None
            refused += answer.status != 200
            usage = usage_of(budgets, answer.headers)
            limiter.heard(ticket, Page(PAGE, (), usage=usage) if answer.status == 200 else REFUSED)

        await members(world, budgets, 130, ask)

    played(valkey_url, scenario)
    assert refused == 0
    assert used >= 0.9 * 2 * (480 - foreign)


def test_credits_that_refill_are_spent_once(valkey_url: str) -> None:
    spent = refused = 0

    async def scenario(world: World) -> None:
        credits_ = Credits(DeribitOptions(), VirtualClock(0.0))

        async def ask(limiter: Limiter) -> None:
            nonlocal spent, refused
            ticket = await limiter.acquire(Urgency.WARM)
            await asyncio.sleep(0.05)
            spent += 1
            taken = credits_.take()
            refused += not taken
            limiter.heard(ticket, object() if taken else REFUSED)

        await members(world, credits_of(0.5), 12, ask)

    played(valkey_url, scenario)
    assert refused == 0
    assert spent >= 0.95 * 12 * 20
