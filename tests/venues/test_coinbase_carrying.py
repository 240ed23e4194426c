"""Products come and go on a connection that is there: it goes on, and so do the others."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from contextlib import aclosing

import msgspec

from livecache.clock import SystemClock
from livecache.venues.coinbase.settings import CoinbaseSettings
from livecache.venues.coinbase.venue import CoinbaseVenue
from livecache.venues.feed.feed import SocketFeed
from livecache.venues.feed.subscriptions import Ask, Subscriptions
from livecache.venues.feed.watchdog import DataWatchdog
from livecache.venues.venue import Broken, Event, FeedCandles, Rejected

from .loopback import InstantClock, ServerConnection, feed_server
from .scripted_feed import candle_frame, feed_of, heartbeat_frame, subscriptions


class Passing(InstantClock):
    """Nobody waits for long, and half a second has passed whenever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = itertools.count()

    def monotonic(self) -> float:
        return next(self.asked) / 2


T0 = 1_771_588_500_000
LATER = itertools.count(0, 100)  # seconds
A, B, C, D = "A-USD", "B-USD", "C-USD", "D-USD"


def test_a_living_connection_is_told_what_came_and_what_went_and_nobody_else_notices() -> None:
    messages: list[dict[str, object]] = []
    connections = 0

    async def scenario() -> list[Event]:
        async def script(connection: ServerConnection, number: int) -> None:
            nonlocal connections
            connections += 1
            await subscriptions(connection, 2)
            await connection.send(candle_frame(0, T0, A))
            await connection.send(candle_frame(1, T0, B))
            await carried.wait()
            await connection.send(heartbeat_frame(2, T0 + 1_000))
            number = 3
            while len(messages) < 4:  # What is asked for is asked for half a second apart.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        messages.append(msgspec.json.decode(await connection.recv()))
                await connection.send(heartbeat_frame(number, T0 + 2_000))
                number += 1
            await connection.send(
                candle_frame(number, T0 + 3_000, B)
            )  # on its way when its end was asked for
            for n, product in enumerate((A, C), number + 1):
                await connection.send(candle_frame(n, T0 + 4_000, product))
            await connection.wait_closed()

        carried = asyncio.Event()
        events: list[Event] = []
        async with feed_server(script) as url:
            feed = feed_of(url, A, B, clock=Passing())
            async with asyncio.timeout(30), aclosing(feed.events()) as stream:
                async for event in stream:
                    events.append(event)
                    told = [e.candles[0][0] for e in events if isinstance(e, FeedCandles)]
                    if told == [A, B] and not carried.is_set():
                        feed.carry([A, C], {}, trades=True)
                        carried.set()
                    if told[-1:] == [C]:
                        break
        return events

    events = asyncio.run(scenario())
    assert connections == 1
    assert [e for e in events if isinstance(e, Broken)] == [], "nothing is interrupted"
    assert [e for e in events if isinstance(e, Rejected)] == [], "what still comes of B is no fault"
    told = [e.candles[0][0] for e in events if isinstance(e, FeedCandles)]
    assert told == [A, B, A, C]
    assert messages == [
        {"type": "unsubscribe", "channel": "candles", "product_ids": [B]},
        {"type": "subscribe", "channel": "candles", "product_ids": [C]},
        {"type": "subscribe", "channel": "market_trades", "product_ids": [C]},
        {"type": "subscribe", "channel": "market_trades", "product_ids": [A]},
    ]


def asked_of(subscriptions: Subscriptions) -> list[Ask]:
    """What is asked for, if all is acknowledged at once."""
    asks, now_s = [], float(next(LATER))
    while ask := subscriptions.next(now_s):
        asks.append(ask)
        for channel in ask.channels:
            subscriptions.acknowledged(channel, ask.ids)
        now_s += 1.0
    return asks


def test_what_stays_is_not_asked_for_again_and_what_went_is_ended() -> None:
    ours = Subscriptions(("candles",), {A: [A], B: [B]})
    ours.begin()
    assert asked_of(ours) == [Ask(("candles",), (A, B))]
    assert ours.carry(("candles",), {A: [A], C: [C]}, connected=True) == [Ask(("candles",), (B,))]
    assert asked_of(ours) == [Ask(("candles",), (C,))]
    assert ours.carry(("candles", "market_trades"), {A: [A], C: [C]}, connected=True) == []
    assert asked_of(ours) == [Ask(("market_trades",), (A, C))]
    assert ours.carry(("candles",), {A: [A], C: [C]}, connected=True) == [Ask(("market_trades",), (A, C))]
    assert asked_of(ours) == []


def test_what_went_and_comes_again_is_asked_for_again() -> None:
    ours = Subscriptions(("candles",), {A: [A], B: [B]})
    ours.begin()
    asked_of(ours)
    ours.carry(("candles",), {A: [A]}, connected=True)
    ours.carry(("candles",), {A: [A], B: [B]}, connected=True)
    assert asked_of(ours) == [Ask(("candles",), (B,))]


def test_much_that_comes_is_asked_for_in_parts_that_fit_into_a_message() -> None:
    ours = Subscriptions(("candles",), {A: [A]})
    ours.begin()
    asked_of(ours)
    many = {A: [A]} | {f"P{n}-USD": [f"P{n}-USD"] for n in range(50)}
    ours.carry(("candles",), many, connected=True)
    asks = asked_of(ours)
    assert sum(len(ask.ids) for ask in asks) == 50
    assert max(len(ask.ids) for ask in asks) <= 16


def test_without_a_connection_the_next_one_asks_for_all_of_it() -> None:
    ours = Subscriptions(("candles",), {A: [A], B: [B]})
    assert ours.carry(("candles",), {C: [C], A: [A]}, connected=False) == []
    ours.begin()
    assert asked_of(ours) == [Ask(("candles",), (C, A))]


def test_the_watchdog_remembers_what_is_usual_of_those_that_stay() -> None:
    watchdog = DataWatchdog(("candles",), (A, B))
    watchdog.connected()
    for second in range(40):
        watchdog.heard(T0 + 1_000 * second)
        watchdog.updated("candles", (A, B))
    watchdog.carry(("candles",), (A, C))
    for second in range(40, 70):
        watchdog.heard(T0 + 1_000 * second)
        watchdog.updated("candles", (B,))  # on its way when it was taken out
        watchdog.updated("candles", (C,))
        assert watchdog.suspects() == []
    found = []
    for second in range(70, 120):
        watchdog.heard(T0 + 1_000 * second)
        watchdog.updated("candles", (C,))
        found += watchdog.suspects()
    assert [suspect.product for suspect in found] == [A], "its gaps were learned before"


def test_feeds_that_run_take_what_they_have_room_for_and_those_without_a_product_go() -> None:
    config = CoinbaseSettings(products_per_connection=2)
    venue = CoinbaseVenue(
        config, key=None, name="coinbase", now=lambda: T0, clock=SystemClock(), jitter=lambda: 0.0
    )
    before = venue.feeds([A, B, C], {}, trades=False)
    assert [feed.products for feed in before] == [(A, B), (C,)]
    after = venue.feeds([C, D, A], {}, trades=False, among=before)
    assert [feed.products for feed in after] == [(A, D), (C,)]
    assert list(after) == list(before), "both go on"
    fewer = venue.feeds([A, D], {}, trades=False, among=after)
    assert list(fewer) == [before[0]], "the other one carries nothing any more"
    more = venue.feeds([A, D, B], {}, trades=False, among=fewer)
    assert more[0] is before[0]
    assert [feed.products for feed in more] == [(A, D), (B,)]


def test_limits_that_change_hold_for_feeds_that_run_too() -> None:
    venue = CoinbaseVenue(
        CoinbaseSettings(), key=None, name="coinbase", now=lambda: T0, clock=SystemClock(), jitter=lambda: 0.0
    )
    (feed,) = venue.feeds([A], {}, trades=False)
    venue.reconfigure(CoinbaseSettings(silence_timeout=3.0, products_per_connection=1))
    kept, other = venue.feeds([A, B], {}, trades=False, among=[feed])
    assert kept is feed and isinstance(kept, SocketFeed)
    assert kept._silence_timeout_s == 3.0, "from its next connection on"
    assert other.products == (B,), "one product a connection from now on"
