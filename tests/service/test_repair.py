"""A repair between the order and the venue: asked for at once, past the edge's cache, despite failures."""

from __future__ import annotations

import asyncio

import pytest

from livecache.engine.live import Live
from livecache.engine.repairs import RepairDesk
from livecache.engine.schedule import Schedule
from livecache.engine.venue_time import VenueTime
from livecache.errors import RepairNotNow
from livecache.model.timeframe import Timeframe
from livecache.proof.plan import Priority
from livecache.venues.coinbase.traits import TRAITS

from .hand_clock import HandClock
from .test_schedule import NOON, Desk

M5, H1, H4 = Timeframe.M5, Timeframe.H1, Timeframe.H4
BUCKET = M5.floor(NOON) - 50 * M5.ms


def order(desk: Desk) -> None:
    desk.timeline.read_again("BTC-USD", M5, BUCKET, BUCKET + M5.ms)
    desk.schedule.hurry("BTC-USD", M5)


def test_it_is_asked_for_before_anything_else_and_past_the_edges_cache() -> None:
    desk = Desk(["BTC-USD", "ETH-USD"])
    desk.serve()
    order(desk)
    pick = desk.ask()
    assert pick is not None
    assert (pick.request.symbol, pick.request.timeframe) == ("BTC-USD", M5)
    assert pick.want.priority is Priority.REPAIR
    assert pick.request.start <= BUCKET < pick.request.end
    assert pick.request.fresh


def test_settling_has_its_share_of_the_rate_beside_repairs() -> None:
    symbols = [f"S{n}-USD" for n in range(9)]
    desk = Desk(symbols, [M5])
    desk.serve()
    desk.now += M5.ms
    for symbol in symbols[:6]:
        desk.timeline.read_again(symbol, M5, BUCKET, BUCKET + M5.ms)
        desk.schedule.hurry(symbol, M5)
    priorities = []
    while pick := desk.ask():
        priorities.append(pick.want.priority)
    assert priorities[:6].count(Priority.REPAIR) == 4
    assert priorities[:6].count(Priority.SETTLE) == 2


def test_who_orders_a_repair_does_not_wait_out_what_failed_before() -> None:
    desk = Desk(["BTC-USD"], [M5])
    desk.serve()
    desk.schedule.failed("BTC-USD", M5, "HTTP 500", desk.at_s, at_least_s=300.0)
    desk.timeline.read_again("BTC-USD", M5, BUCKET, BUCKET + M5.ms)
    desk.schedule.replan("BTC-USD")
    assert desk.ask() is None
    order(desk)
    assert desk.ask() is not None


def test_one_that_fails_is_tried_again_until_it_succeeds() -> None:
    desk = Desk(["BTC-USD"], [M5])
    desk.serve()
    order(desk)
    pick = desk.ask()
    assert pick is not None
    desk.schedule.ended(pick.request)
    desk.schedule.failed("BTC-USD", M5, "HTTP 500", desk.at_s)
    desk.at_s += 60.0
    assert desk.serve() == [("BTC-USD", M5)]
    assert not desk.timeline.symbols["BTC-USD"].tracks[M5].contested


def test_one_that_does_not_write_takes_no_orders_and_what_the_venue_lacks_is_read_by_its_children() -> None:
    desk = Desk(["BTC-USD"])
    desk.serve()

    async def scenario() -> None:
        clock = HandClock()
        live = Live(desk.timeline, VenueTime(clock), "me", "here")
        desk.timeline.learn(TRAITS.paged(300).without(H4))
        orders = RepairDesk(live, Schedule(desk.timeline, lambda: 0.0))
        with pytest.raises(RepairNotNow, match="does not write yet"):
            orders.order("BTC-USD", M5, None, None)
        live.serving = True
        live.time.venue_clock.confirm(desk.now, clock.monotonic(), desk.now)
        assert orders.order("BTC-USD", H4, None, None).pages == 1
        assert orders.left("BTC-USD", H4) == orders.left("BTC-USD", H1) == 1
        assert orders.order("BTC-USD", M5, None, None).pages == 1
        assert orders.left("BTC-USD", M5) == 1
        assert live.due.is_set() and live.changed.is_set()

    asyncio.run(scenario())
