"""A venue whose traits name budgets is asked within them, by what each page costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from livecache.model.budget import Window
from livecache.model.timeframe import Timeframe
from livecache.simulator import SeededMarket
from livecache.venues.venue import FetchFailure, Page, PageRequest
from tests.simulation.model import ModelVenue
from tests.simulation.service import service
from tests.simulation.test_trouble import venue_at
from tests.simulation.virtual import run_virtually

M5, H1 = Timeframe.M5, Timeframe.H1
COSTS = {M5: 7, H1: 3}
LOWERED = (Window("weight", 50, "X-Used"),)


class Weighed(ModelVenue):
    """Counts weight by its minutes and tells it. From the tenth page on it allows less."""

    def learn(self) -> None:
        self.used: Counter[int] = Counter()
        served = {t: s._replace(costs={"weight": COSTS.get(t, 5)}) for t, s in self.traits.served.items()}
        self.traits = replace(self.traits, served=served, budgets=(Window("weight", 100, "X-Used"),))

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        minute = self.now() // 60_000
        self.used[minute] += COSTS.get(request.timeframe, 5)
        used = self.used[minute]
        answer = await super().fetch(request)
        if len(self.requests) >= 10 and self.traits.budgets != LOWERED:
            self.traits = replace(self.traits, budgets=LOWERED)
        return replace(answer, usage={"weight": used}) if isinstance(answer, Page) else answer


def test_no_minute_of_the_venue_sees_more_weight_than_our_share_and_a_lower_limit_is_learned(
    clean_valkey: str,
) -> None:
    async def main() -> None:
        venue = venue_at()
        venue.__class__ = Weighed
        assert isinstance(venue, Weighed)
        venue.learn()
        symbols = SeededMarket(7).products()[:12]
        async with service(venue, clean_valkey, symbols, (M5, H1), rate=1000.0) as running:
            await running.warm()
            assert running.backfiller.refusals == 0
            await asyncio.sleep(1200)
        weights = list(venue.used.values())
        assert max(weights) <= 80
        assert all(weight <= 40 for weight in weights[2:])

    run_virtually(main())
