"""The websocket side over a real socket, read by a client that knows nothing of the server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from coinbase import jwt_generator

from livecache.errors import LivecacheError
from livecache.model.timeframe import Timeframe
from livecache.simulator import (
    Answer,
    Faults,
    FeedFrame,
    HangUp,
    KeyRing,
    Liquidity,
    MarketClock,
    Product,
    RequestRecord,
    SeededMarket,
    Simulator,
    throwaway_key,
)

from .support import NOW, candles_of, connected

M5 = Timeframe.M5.ms
LIQUID = [Product("BTC-USD", 67_000, 2), Product("ETH-USD", 2_700, 2)]


def simulator(speed: float = 600, **options: Any) -> Simulator:
    market = options.pop("market", None) or SeededMarket(2, LIQUID)
    return Simulator(market, clock=MarketClock(NOW, speed), **options)


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def subscribe_frame(*products: str) -> bytes:
    """A subscription as bytes of the wire: a text frame whose mask is zero."""
    text = json.dumps({"type": "subscribe", "channel": "candles", "product_ids": products}).encode()
    return b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text


def test_data_come_before_the_ack_and_every_frame_is_counted() -> None:
    async def scenario() -> None:
        async with simulator() as sim, connected(sim) as client:
            await client.say("subscribe", "candles", "BTC-USD", "ETH-USD")
            first = await client.frames_until_ack()
            assert [f["channel"] for f in first] == ["candles", "candles", "subscriptions"]
            assert first[-1]["events"] == [{"subscriptions": {"candles": ["BTC-USD", "ETH-USD"]}}]
            await client.say("subscribe", "heartbeats")
            await client.frames_until_ack()
            await client.frames_until(lambda f: f["channel"] == "heartbeats")
            await client.frames_until(lambda f: f["sequence_num"] == 60)
            assert [f["sequence_num"] for f in client.frames] == list(range(61))
            assert "client_id" not in first[0]
            assert all(
                re.fullmatch(r"2026-10-06T\d\d:\d\d:\d\d(\.\d{1,9})?Z", f["timestamp"]) for f in client.frames
            )
            stamps = [f["timestamp"][:19] for f in client.frames]
            assert stamps == sorted(stamps)

    asyncio.run(scenario())


def test_a_snapshot_is_at_most_a_hundred_true_candles_with_holes_in_no_order() -> None:
    async def scenario() -> None:
        async with simulator(speed=1) as sim, connected(sim) as client:
            await client.say("subscribe", "candles", "BTC-USD")
            snapshot = (await client.frames_until_ack())[0]
            assert snapshot["events"][0]["type"] == "snapshot"
            candles = candles_of(snapshot)
            starts = [int(c["start"]) * 1000 for c in candles]
            assert len(set(starts)) == len(starts) == 100
            assert starts != sorted(starts)
            assert (max(starts) - min(starts)) // M5 > 110
            truth = {
                c.time: c for c in sim.market.candles("BTC-USD", Timeframe.M5, min(starts), NOW - M5, NOW)
            }
            for candle in candles:
                true = truth.get(int(candle["start"]) * 1000)
                assert true is None or (true.close, true.volume) == (candle["close"], candle["volume"])

    asyncio.run(scenario())


def test_updates_are_cumulative_and_a_rolled_bucket_ends_as_rest_has_it() -> None:
    async def scenario() -> list[dict[str, str]]:
        # 900 times: a bucket closes every third of a second, in ticks of 18 seconds.
        fast = simulator(speed=900, final_update=lambda product: product == "BTC-USD")
        async with fast as sim, connected(sim) as client:
            await client.say("subscribe", "candles", "BTC-USD", "ETH-USD")
            await client.frames_until_ack()
            # As many buckets as it takes: a simulator that gets no turn for a while skips some.
            seen: dict[str, set[str]] = {"BTC-USD": set(), "ETH-USD": set()}

            def enough(frame: dict[str, Any]) -> bool:
                for candle in candles_of(frame):
                    seen[candle["product_id"]].add(candle["start"])
                return min(map(len, seen.values())) >= 6

            frames = await client.frames_until(enough)
            updates = [candles_of(f) for f in frames]
            assert all(len(candles) == 1 for candles in updates)
            return [c for candles in updates for c in candles]

    updates = asyncio.run(scenario())
    market = SeededMarket(2, LIQUID)
    for product in ("BTC-USD", "ETH-USD"):
        mine = [c for c in updates if c["product_id"] == product]
        for a, b in pairwise(mine):
            assert int(a["start"]) <= int(b["start"])
            if a["start"] == b["start"]:
                assert a["open"] == b["open"]
                assert Decimal(a["volume"]) < Decimal(b["volume"])
        complete = []
        for start in sorted({c["start"] for c in mine})[1:-1]:
            last = next(c for c in reversed(mine) if c["start"] == start)
            open_ms = int(start) * 1000
            (final,) = market.candles(product, Timeframe.M5, open_ms, open_ms + 1, NOW + 10**9)
            complete.append(last["volume"] == final.volume)
        assert len(complete) >= 3
        # Without a final update, a bucket's last trades fall before its last tick only by chance.
        assert all(complete) == (product == "BTC-USD")


def test_a_product_that_does_not_trade_gets_no_updates() -> None:
    market = SeededMarket(2, [LIQUID[0], Product("RAD-USD", 0.7, 2, 2, Liquidity.VERY_THIN)])
    quiet = 1_791_282_600_000
    assert market.trades("RAD-USD", quiet - M5, quiet + 20 * 60_000) == []

    async def scenario() -> None:
        clock = MarketClock(quiet, 600)
        async with Simulator(market, clock=clock) as sim, connected(sim) as client:
            await client.say("subscribe", "candles", "RAD-USD", "BTC-USD")
            await client.frames_until_ack()
            frames = await client.frames_until(lambda f: f["sequence_num"] > 30)
            assert {c["product_id"] for f in frames for c in candles_of(f)} == {"BTC-USD"}

    asyncio.run(scenario())


def test_trades_come_newest_first_without_a_gap_and_without_a_repeat() -> None:
    async def scenario() -> None:
        async with simulator() as sim, connected(sim) as client:
            await client.say("subscribe", "market_trades", "BTC-USD")
            await client.frames_until_ack()
            await client.frames_until(lambda f: f["sequence_num"] == 25)
            trades = [f["events"][0]["trades"] for f in client.frames if f["channel"] == "market_trades"]
            assert client.frames[0]["events"][0]["type"] == "snapshot"
            assert len(trades[0]) == 100
            ids = [int(t["trade_id"]) for batch in trades for t in reversed(batch)]
            assert ids == list(range(ids[0], ids[0] + len(ids)))
            assert list(trades[1][0]) == ["product_id", "trade_id", "price", "size", "time", "side"]

    asyncio.run(scenario())


def test_heartbeats_count_up_by_one_in_the_venues_shape() -> None:
    async def scenario() -> None:
        async with simulator() as sim, connected(sim) as client:
            await client.say("subscribe", "heartbeats")
            await client.frames_until(lambda f: f["sequence_num"] == 6)
            beats = [f["events"][0] for f in client.frames if f["channel"] == "heartbeats"]
            counters = [beat["heartbeat_counter"] for beat in beats]
            assert counters == list(range(counters[0], counters[0] + len(counters)))
            assert re.fullmatch(
                r"2026-10-06 \d\d:\d\d:\d\d\.\d{9} \+0000 UTC m=\+\d+\.\d{9}", beats[0]["current_time"]
            )

    asyncio.run(scenario())


def test_a_usdc_subscription_is_answered_with_usd_ids() -> None:
    async def scenario() -> None:
        async with simulator() as sim, connected(sim) as client:
            await client.say("subscribe", "candles", "BTC-USDC")
            frames = await client.frames_until(lambda f: f.get("sequence_num") == 5)
            assert {c["product_id"] for f in frames for c in candles_of(f)} == {"BTC-USD"}

    asyncio.run(scenario())


def test_an_unknown_product_is_an_error_frame_and_the_others_are_served() -> None:
    async def scenario() -> None:
        async with simulator() as sim, connected(sim) as client:
            await client.say("subscribe", "candles", "NOPE-USD", "BTC-USD")
            frames = await client.frames_until_ack()
            assert frames[0] == {"type": "error", "message": "Product NOPE-USD not supported"}
            assert [f.get("sequence_num") for f in frames] == [None, 0, 1]
            assert frames[-1]["events"] == [{"subscriptions": {"candles": ["BTC-USD"]}}]
            await client.ws.send_str("{")
            await client.frames_until(lambda f: f.get("message") == "malformed message")

    asyncio.run(scenario())


def test_unsubscribing_ends_the_updates_and_other_channels_are_accepted() -> None:
    async def scenario() -> None:
        async with simulator() as sim, connected(sim) as client:
            await client.say("subscribe", "status")
            await client.say("subscribe", "candles", "BTC-USD", "ETH-USD")
            await client.frames_until(lambda f: "ETH-USD" in str(f.get("events")))
            await client.say("unsubscribe", "candles", "ETH-USD")
            await client.frames_until(lambda f: "{'candles': ['BTC-USD']}" in str(f["events"]))
            frames = await client.frames_until(lambda f: f["sequence_num"] == 30)
            assert {c["product_id"] for f in frames for c in candles_of(f)} == {"BTC-USD"}
            await client.say("unsubscribe", "candles")
            await client.frames_until(lambda f: f["events"] == [{"subscriptions": {}}])

    asyncio.run(scenario())


def test_the_ack_may_be_empty_and_frames_may_carry_a_client_id() -> None:
    async def scenario() -> None:
        async with simulator(empty_ack=True, client_id=True) as sim, connected(sim) as client:
            await client.say("subscribe", "candles", "BTC-USD")
            frames = await client.frames_until_ack()
            assert frames[-1]["events"] == [{"subscriptions": {}}]
            assert all(f["client_id"] == "" for f in frames)

    asyncio.run(scenario())


def test_a_token_on_a_subscription_must_be_good() -> None:
    async def scenario() -> None:
        key = throwaway_key()
        good = jwt_generator.build_ws_jwt(key.name, key.secret)
        async with simulator(keys=KeyRing(key)) as sim, connected(sim) as client:
            await client.say("subscribe", "candles", "BTC-USD", jwt="bad")
            await client.frames_until(lambda f: f == {"type": "error", "message": "authentication failure"})
            await client.say("subscribe", "candles", "BTC-USD", jwt=good)
            await client.frames_until_ack()

    asyncio.run(scenario())


def test_a_client_that_does_not_subscribe_is_dropped() -> None:
    async def scenario() -> None:
        async with simulator(subscribe_timeout_s=0.05) as sim:
            async with connected(sim) as mute:
                assert await mute.close_code() == 1008
            async with connected(sim) as client:
                await client.say("subscribe", "heartbeats")
                await client.frames_until(lambda f: f["sequence_num"] == 10)

    asyncio.run(scenario())


def test_a_silent_connection_is_closed_unless_it_takes_heartbeats() -> None:
    market = SeededMarket(2, [Product("RAD-USD", 0.7, 2, 2, Liquidity.VERY_THIN)])

    async def scenario() -> None:
        impatient = simulator(20, market=market, silence_s=(1.0, 1.2), subscribe_timeout_s=0.5)
        async with impatient as sim, connected(sim) as silent, connected(sim) as kept:
            await kept.say("subscribe", "heartbeats")
            await silent.say("subscribe", "candles", "RAD-USD")
            assert await silent.close_code() == 1000
            await kept.frames_until(lambda f: f["sequence_num"] == 30)  # of 20 a second

    asyncio.run(scenario())


def test_a_client_that_does_not_read_is_cut_off() -> None:
    async def scenario() -> None:
        async with simulator(max_backlog_bytes=200_000) as sim:
            reader, writer = await asyncio.open_connection("127.0.0.1", sim.port, limit=1024)
            # Each asks for two snapshots of about 15 KB.
            writer.write(HANDSHAKE + subscribe_frame("BTC-USD", "ETH-USD") * 500)
            await writer.drain()
            async with asyncio.timeout(30):
                with suppress(ConnectionResetError):
                    assert len(await reader.read()) < 400_000  # of the 15 MB it asked for
            assert sim.exchange.counts.cut_off == 1
            writer.close()

    asyncio.run(scenario())


def test_leaving_does_not_wait_for_a_client_that_does_not_read() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120):  # it would wait for ever
            async with simulator(max_backlog_bytes=10**9) as sim:
                reader, writer = await asyncio.open_connection("127.0.0.1", sim.port, limit=1024)
                writer.write(HANDSHAKE + subscribe_frame("BTC-USD", "ETH-USD") * 500)
                await writer.drain()
                await reader.readuntil(b'"sequence_num":0')
            writer.close()

    asyncio.run(scenario())


def test_all_feeds_can_be_closed_with_a_code_or_cut() -> None:
    async def scenario() -> None:
        async with simulator() as sim:
            async with connected(sim) as one, connected(sim) as two:
                for client in (one, two):
                    await client.say("subscribe", "candles", "BTC-USD")
                    await client.frames_until_ack()
                closing = asyncio.gather(sim.close_feeds(1001), one.close_code(), two.close_code())
                assert tuple(await closing) == (2, 1001, 1001)
            async with connected(sim) as cut:
                await cut.say("subscribe", "candles", "BTC-USD")
                await cut.frames_until_ack()
                assert await sim.close_feeds(None) == 1
                assert await cut.close_code() == 1006

    asyncio.run(scenario())


class Mischief(Faults):
    """Loses frame 3, sends frame 4 twice, closes at frame 6; cuts every REST connection."""

    async def rest(self, request: RequestRecord, proceed: Any) -> Answer | None:
        return None

    def frame(self, frame: FeedFrame) -> Iterable[str] | HangUp:
        if frame.sequence == 6:
            return HangUp(1011)
        return {3: (), 4: (frame.text, frame.text)}.get(frame.sequence, (frame.text,))


def test_faults_may_lose_repeat_and_close() -> None:
    async def scenario() -> None:
        async with simulator(faults=Mischief()) as sim:
            async with connected(sim) as client:
                await client.say("subscribe", "candles", "BTC-USD")
                await client.say("subscribe", "heartbeats")
                assert await client.close_code() == 1011
                assert [f["sequence_num"] for f in client.frames] == [0, 1, 2, 4, 4, 5]
            async with aiohttp.ClientSession() as http:
                with pytest.raises(aiohttp.ServerDisconnectedError):
                    await http.get(sim.rest_url + "/api/v3/brokerage/time")

    asyncio.run(scenario())


def test_the_exchange_can_go_down_and_come_back_on_its_port() -> None:
    async def scenario() -> None:
        async with simulator() as sim, connected(sim) as client:
            port = sim.port
            await client.say("subscribe", "candles", "BTC-USD")
            await client.frames_until_ack()
            with pytest.raises(LivecacheError, match=f"cannot listen on 127.0.0.1:{port}"):
                async with simulator(port=port):
                    pass
        async with simulator(port=port) as again, connected(again) as client:
            await client.say("subscribe", "candles", "BTC-USD")
            await client.frames_until_ack()

    asyncio.run(scenario())
