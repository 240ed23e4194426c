"""A host whose clock is off is told so; a market that runs elsewhere or faster is no such host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from loguru import logger

from livecache.core.policy import Policy
from livecache.core.timeframe import Timeframe
from livecache.core.timeline import Timeline
from livecache.service.live import Live
from livecache.service.ratelimit import RateLimiter
from livecache.service.timekeeper import Timekeeper

from .hand_clock import HandClock

NOW = 1_784_086_800_000


class Venue:
    """The venue's seam, as far as its time goes."""

    name, origin = "coinbase", "http://venue"

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now

    async def time(self) -> int:
        return self.now()


def told(off_s: float, *, speed: float = 1.0, seconds: int = 30) -> list[str]:
    """What is said of the host's clock while it is off by so much, and the market runs at that speed."""
    clock = HandClock(wall_s=NOW / 1000 + off_s)
    began_s = clock.time
    venue = Venue(lambda: NOW + int((clock.time - began_s) * 1000 * speed))
    live = Live(Timeline("coinbase", ["BTC-USD"], [Timeframe.M5], Policy()), clock, "i", "http://venue")
    limiter = RateLimiter(10, clock, batch_size=None, batch_delay_s=None)
    keeper = Timekeeper(live, cast(Any, venue), limiter, lambda: 0.5)
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")

    async def run() -> None:
        await keeper.learn()
        task = asyncio.create_task(keeper.run())
        while clock.time < began_s + seconds:
            live.hear(venue.now())
            await asyncio.sleep(0)
        task.cancel()

    try:
        asyncio.run(run())
    finally:
        logger.remove(handler)
    return [line for line in lines if "clock" in line]


@pytest.mark.parametrize(
    ("off_s", "words"),
    [(-400, "400 s behind"), (400, "400 s ahead of"), (7_200, "7200 s ahead"), (-15, "15 s behind")],
)
def test_a_clock_that_is_off_is_told_once(off_s: float, words: str) -> None:
    (line,) = told(off_s)
    assert words in line and "host" in line and "NTP" in line


@pytest.mark.parametrize(("off_s", "speed"), [(0, 1), (5, 1), (-5, 1), (20 * 86_400, 1), (0, 60), (100, 60)])
def test_a_clock_that_is_right_is_not_told_of_nor_is_a_simulated_market(off_s: float, speed: float) -> None:
    assert told(off_s, speed=speed) == []
