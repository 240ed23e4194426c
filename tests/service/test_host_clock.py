"""A host whose clock is off is told so; a market that runs elsewhere or faster is no such host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
from loguru import logger

from livecache.engine.limiter import Limiter
from livecache.engine.live import Live
from livecache.engine.timekeeper import Timekeeper
from livecache.engine.venue_time import VenueTime
from livecache.ledger.timeline import Timeline
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.venues.coinbase.traits import TRAITS

from .hand_clock import HandClock

NOW = 1_784_086_800_000


class Venue:
    """The venue's seam, as far as its time goes."""

    name, origin = "coinbase", "http://venue"

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now

    async def time(self) -> int:
        return self.now()


def told(
    off_s: float, *, speed: float = 1.0, seconds: int = 30, jumps: Mapping[int, float] | None = None
) -> list[str]:
    """What is said of the host's clock while it is off by so much, and the market runs at that speed.

    After so many seconds it jumps by so many; the alive keys are never without a word for long.
    """
    jumps = dict(jumps or {})
    clock = HandClock(wall_s=NOW / 1000 + off_s)
    began_s = clock.time
    venue = Venue(lambda: NOW + int((clock.time - began_s) * 1000 * speed))
    live = Live(
        Timeline("coinbase", ["BTC-USD"], [Timeframe.M5], Policy(), TRAITS),
        VenueTime(clock),
        "i",
        "http://venue",
    )
    limiter = Limiter((), live.time, lambda: 0.5)
    keeper = Timekeeper(live, cast(Any, venue), limiter, lambda: 0.5)
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")

    async def run() -> None:
        await keeper.learn()
        task = asyncio.create_task(keeper.run())
        live.serving, silent = True, 0
        while clock.time < began_s + seconds:
            live.time.hear(venue.now())
            for second in [second for second in jumps if clock.time >= began_s + second]:
                clock.set_wall(jumps.pop(second))
            silent = 0 if live.alive() else silent + 1
            assert silent < 8, "readers wait ten seconds for an alive key"
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


@pytest.mark.parametrize("by_s", [-7_200, -400, -15, 15, 400, 7_200, 80_000])
def test_a_clock_that_jumps_in_mid_run_is_told_and_nothing_else_happens(by_s: int) -> None:
    lines = told(0, jumps={20: by_s}, seconds=60)
    assert f"{abs(by_s)} s {'ahead of' if by_s > 0 else 'behind'}" in lines[-1]
    assert len(lines) == 1 + (by_s > 0), "and that it was set ahead, or the host slept"


def test_a_clock_that_was_mended_and_goes_wrong_again_is_told_again() -> None:
    lines = told(-400, jumps={20: 400, 40: -300}, seconds=80)
    assert [line for line in lines if "behind" in line] == [lines[0], lines[-1]]
    assert "400 s behind" in lines[0] and "300 s behind" in lines[-1]


@pytest.mark.parametrize(("off_s", "speed"), [(0, 1), (5, 1), (-5, 1), (20 * 86_400, 1), (0, 60), (100, 60)])
def test_a_clock_that_is_right_is_not_told_of_nor_is_a_simulated_market(off_s: float, speed: float) -> None:
    assert told(off_s, speed=speed) == []


def test_a_venue_without_a_clock_is_not_asked_for_it_and_that_is_told() -> None:
    clock = HandClock(wall_s=NOW / 1000)
    traits = replace(TRAITS, clock=False)
    live = Live(
        Timeline("coinbase", ["BTC-USD"], [Timeframe.M5], Policy(), traits),
        VenueTime(clock),
        "i",
        "http://venue",
    )

    def never() -> int:
        raise AssertionError("it was asked")

    keeper = Timekeeper(live, cast(Any, Venue(never)), Limiter((), live.time, lambda: 0.5), lambda: 0.5)
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    try:
        asyncio.run(keeper.learn())
        assert live.now() == NOW
        live.time.hear(NOW + 3_000)  # A stamp goes before what the host says.
        asyncio.run(keeper.learn())
    finally:
        logger.remove(handler)
    assert live.now() == NOW + 3_000
    assert [line for line in lines if "clock" in line] == [
        "coinbase does not tell its time: where no stamp does, this host's clock does"
    ]


@pytest.mark.parametrize(
    ("jump_s", "every_s", "off_s"),
    [
        (40, 1, 0),
        (40, 2, 0),
        (3_600, 1, 0),
        (3_600, 2, 0),
        (3_600, 5, 0),
        (0, 1, 45),
        (0, 5, 7_200),
    ],
)
def test_without_a_clock_of_the_venue_no_clock_of_a_host_runs_ahead_of_its_stamps(
    jump_s: int, every_s: int, off_s: int
) -> None:
    clock = HandClock(wall_s=NOW / 1000 + off_s)
    began_s = clock.time
    live = Live(
        Timeline("coinbase", ["BTC-USD"], [Timeframe.M5], Policy(), replace(TRAITS, clock=False)),
        VenueTime(clock),
        "i",
        "http://venue",
    )
    keeper = Timekeeper(live, cast(Any, Venue(lambda: 0)), Limiter((), live.time, lambda: 0.5), lambda: 0.5)

    async def run() -> None:
        await keeper.learn()
        assert live.now() == NOW + off_s * 1000, "nothing else tells"
        task = asyncio.create_task(keeper.run())
        for second in range(120):
            if second == 30:
                clock.set_wall(jump_s)
            true = NOW + int((clock.time - began_s) * 1000)
            if second % every_s == 0:
                live.time.hear(true)
                if second > 60:
                    assert true - 2_000 <= live.time.heard <= true + 2_000
            while clock.time < began_s + second + 1:
                await asyncio.sleep(0)
        task.cancel()

    asyncio.run(run())


def test_without_a_clock_of_the_venue_and_without_stamps_the_hosts_clock_goes_on() -> None:
    clock = HandClock(wall_s=NOW / 1000)
    time = VenueTime(clock)
    for second in range(0, 600, 5):
        clock.time = 100.0 + second
        time.ask_host()
        assert time.heard == NOW + second * 1000
