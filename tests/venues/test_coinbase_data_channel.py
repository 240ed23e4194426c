"""A data channel that dies while heartbeats go on, and subscriptions made anew on a live connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing

import msgspec

from livecache.simulator import MarketClock, SeededMarket, Simulator
from livecache.venues.venue import Broken, Event, FeedCandles, Heard, Subscribed

from .loopback import InstantClock, ServerConnection, feed_server
from .scripted_feed import (
    Script,
    ack_frame,
    candle_frame,
    feed_of,
    heartbeat_frame,
    numbered,
    subscriptions,
    take,
    take_until,
)

OPEN = 1784086800000
STOPPED = OPEN + 60_000  # the stamp of the last update before the channel dies
BOTH = ("BTC-USD", "ETH-USD")


def minute_of(*products: str, then: tuple[str, ...] = (), lasts_s: int = 70) -> Iterator[str]:
    """A minute in which these products are updated every second; then only `then`, and heartbeats."""
    number = 0
    for second in range(1, 61 + lasts_s):
        stamp = OPEN + second * 1000
        for product in products if stamp <= STOPPED else then:
            yield candle_frame(number, stamp, product)
            number += 1
        yield heartbeat_frame(number, stamp + 1)
        number += 1


def told_until(
    enough: Callable[[Event], bool], script: Script, *products: str, trades: bool = False
) -> list[Event]:
    """What a feed tells of a server that runs `script`, up to the first event that is `enough`."""

    async def scenario() -> list[Event]:
        async with feed_server(script) as url:
            return await take_until(feed_of(url, *products, trades=trades), lambda events: enough(events[-1]))

    return asyncio.run(scenario())


def is_snapshot(event: Event) -> bool:
    return isinstance(event, FeedCandles) and event.snapshot


def only_break(events: list[Event]) -> Broken:
    (broken,) = (event for event in events if isinstance(event, Broken))
    return broken


def test_a_dead_channel_ends_the_connection_and_is_known_to_be_broken_since_its_last_update() -> None:
    """Heartbeats went on for half a minute after it, and must not vouch for that time."""

    async def script(connection: ServerConnection, number: int) -> None:
        await subscriptions(connection, 2)
        if number == 1:
            for frame in minute_of(*BOTH):
                await connection.send(frame)
        else:
            await connection.send(candle_frame(0, OPEN + 100_000, "BTC-USD", kind="snapshot"))
        await connection.wait_closed()

    broken = only_break(told_until(is_snapshot, script))
    reason = "no candles for 30 s, which is unusual"
    assert broken == Broken(BOTH, reason, lost_connection=True, since=STOPPED, mute=True)


def test_trades_that_go_on_do_not_hide_that_the_candles_are_dead() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await subscriptions(connection, 3)
        for sequence in range(100):
            stamp = OPEN + sequence * 1000
            if sequence % 2 and stamp > STOPPED:
                trade = msgspec.json.decode(numbered("market_trades", sequence))
                trade["timestamp"] = msgspec.json.decode(heartbeat_frame(0, stamp))["timestamp"]
                await connection.send(msgspec.json.encode(trade).decode())
            else:
                await connection.send(
                    candle_frame(sequence, stamp, "BTC-USD")
                    if stamp <= STOPPED
                    else heartbeat_frame(sequence, stamp)
                )
        await connection.wait_closed()

    broken = only_break(told_until(lambda e: isinstance(e, Broken), script, "BTC-USD", trades=True))
    assert broken.lost_connection
    assert broken.since == STOPPED


def test_a_channel_that_brings_only_snapshots_is_dead_all_the_same() -> None:
    """They answer a subscription; what happens afterwards is another matter."""

    async def script(connection: ServerConnection, number: int) -> None:
        await subscriptions(connection, 2)
        for sequence in range(100):
            stamp = OPEN + sequence * 1000
            kind = "update" if stamp <= STOPPED else "snapshot"
            await connection.send(candle_frame(sequence, stamp, "BTC-USD", kind=kind))
        await connection.wait_closed()

    broken = only_break(told_until(lambda e: isinstance(e, Broken), script, "BTC-USD"))
    assert broken.since == STOPPED


def test_one_product_that_goes_mute_is_subscribed_to_anew_and_the_others_are_left_alone() -> None:
    messages: list[dict[str, object]] = []

    async def script(connection: ServerConnection, number: int) -> None:
        await subscriptions(connection, 2)
        frames = list(minute_of(*BOTH, then=("ETH-USD",)))
        for frame in frames:
            await connection.send(frame)
        messages.extend(await subscriptions(connection, 2))
        await connection.send(candle_frame(len(frames), OPEN + 110_000, "BTC-USD", kind="snapshot"))
        await connection.wait_closed()

    mute, *rest = [e for e in told_until(is_snapshot, script) if isinstance(e, Broken)]
    reason = "no candles of BTC-USD for 61 s, which is unusual"
    assert mute == Broken(("BTC-USD",), reason, lost_connection=False, since=STOPPED, mute=True)
    assert [broken.products for broken in rest] == [("BTC-USD",)], "and what is lost while subscribing"
    assert messages == [
        {"type": "unsubscribe", "channel": "candles", "product_ids": ["BTC-USD"]},
        {"type": "subscribe", "channel": "candles", "product_ids": ["BTC-USD"]},
    ]


def test_renewal_is_asked_for_by_products_and_done_by_the_ids_on_the_wire() -> None:
    """On each channel, and at most once in five minutes, however often it is asked for."""

    async def scenario() -> tuple[list[Event], list[dict[str, object]]]:
        clock = InstantClock()
        messages: list[dict[str, object]] = []
        go_on = asyncio.Event()

        async def script(connection: ServerConnection, number: int) -> None:
            await subscriptions(connection, 3)
            both = ("candles", "market_trades")
            await connection.send(ack_frame(0, OPEN, "BTC-USD", "ETH-USD", channels=both))
            for sequence in range(4):
                await connection.send(heartbeat_frame(sequence + 1, OPEN + sequence * 1000))
                await go_on.wait()
                go_on.clear()
            messages.extend(await subscriptions(connection, 8))
            await connection.send(heartbeat_frame(5, OPEN + 4_000))
            await connection.wait_closed()

        aliases = {"BTC-USDC": "BTC-USD"}
        async with feed_server(script) as url, asyncio.timeout(30):
            feed = feed_of(url, "BTC-USDC", "BTC-USD", "ETH-USD", aliases=aliases, trades=True, clock=clock)
            events: list[Event] = []
            await feed.renew(["BTC-USD"])  # not connected: nothing to do
            async with aclosing(feed.events()) as stream:
                async for event in stream:
                    events.append(event)
                    if event == Heard(OPEN + 4_000):
                        return events, messages
                    if not isinstance(event, Heard):
                        continue
                    if event.stamp == OPEN:
                        await feed.renew(["BTC-USDC", "SOL-USD"])
                    elif event.stamp == OPEN + 1000:
                        await feed.renew(["BTC-USD"])  # too soon
                    elif event.stamp == OPEN + 2000:
                        clock.time += 300
                        await feed.renew(["BTC-USD"])
                        await feed.renew(["BTC-USDC", "BTC-USD"])
                    go_on.set()
        raise AssertionError("the feed ended")

    events, messages = asyncio.run(scenario())
    anew = Broken(("BTC-USDC", "BTC-USD"), "subscribing anew", lost_connection=False, mute=True)
    heard = [Heard(OPEN + second * 1000) for second in range(5)]
    known = Subscribed(("BTC-USDC", "BTC-USD", "ETH-USD"), OPEN)
    assert events == [known, heard[0], anew, heard[1], heard[2], anew, heard[3], heard[4]]
    expected = [
        (kind, channel) for channel in ("candles", "market_trades") for kind in ("unsubscribe", "subscribe")
    ]
    assert [(m["type"], m["channel"]) for m in messages] == expected * 2
    assert all(m["product_ids"] == ["BTC-USD"] for m in messages)


def test_a_simulated_exchange_answers_a_renewal_with_a_snapshot_of_that_product_alone() -> None:
    async def scenario() -> tuple[Event, set[str], Event]:
        market = SeededMarket(seed=1)
        async with Simulator(market, clock=MarketClock()) as simulator, asyncio.timeout(30):
            feed = feed_of(simulator.ws_url)
            async with aclosing(feed.events()) as stream:
                async for event in stream:
                    if isinstance(event, Subscribed) and set(event.products) == set(BOTH):
                        break
                await feed.renew(["ETH-USD"])
                async for event in stream:
                    if isinstance(event, Broken):
                        broken = event
                        break
                async for event in stream:
                    if isinstance(event, FeedCandles) and event.snapshot:
                        shown = {product for product, _, _, _ in event.candles}
                        break
                async for event in stream:
                    if isinstance(event, Subscribed) and set(event.products) == set(BOTH):
                        return broken, shown, event
        raise AssertionError("the feed ended")

    broken, shown, subscribed = asyncio.run(scenario())
    assert broken == Broken(("ETH-USD",), "subscribing anew", lost_connection=False, mute=True)
    assert shown == {"ETH-USD"}
    assert isinstance(subscribed, Subscribed)


def test_duplicated_and_reordered_frames_are_dropped_and_what_was_lost_is_told() -> None:
    """A frame that comes after a later one was already told as lost; taken then, it could only mislead."""

    async def script(connection: ServerConnection, number: int) -> None:
        await subscriptions(connection, 2)
        for sequence in (0, 0, 1, 3, 2, 3, 4):
            await connection.send(candle_frame(sequence, OPEN + sequence * 1000, "BTC-USD"))
        await connection.wait_closed()

    async def scenario() -> tuple[list[Event], int]:
        async with feed_server(script) as url:
            feed = feed_of(url)
            return await take(feed, 5), feed.repeated_frames

    events, repeated = asyncio.run(scenario())
    stamps = [event.stamp - OPEN if isinstance(event, FeedCandles) else type(event) for event in events]
    assert stamps == [0, 1000, Broken, 3000, 4000]
    assert repeated == 3
