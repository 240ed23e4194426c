"""What a client of the feed sees of each kind of fault, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any

import aiohttp
import pytest

from livecache.errors import ConfigError
from livecache.model.timeframe import Timeframe
from livecache.simulator import (
    FaultScript,
    FeedFrame,
    MarketClock,
    Product,
    ScriptedFaults,
    SeededMarket,
    Simulator,
)
from livecache.simulator.trouble.script import (
    ClockSkew,
    CloseFeed,
    Delisted,
    Drop,
    Duplicate,
    Episode,
    Fault,
    Garbage,
    Mute,
    NoFinalUpdate,
    RefusedSubscription,
    Reorder,
    ReplayedSnapshot,
    SilentFeed,
    StampAhead,
    Unreachable,
)
from tests.simulation.virtual import VirtualClock, run_virtually

from .support import NOW, Client, StillClock, candles_of, connected

BTC, ETH = "BTC-USD", "ETH-USD"
LONG = 86_400.0
M5 = Timeframe.M5


def market() -> SeededMarket:
    return SeededMarket(3, [Product.parse(BTC), Product.parse(ETH)])


class Bench:
    """A simulator, its faults, and a client that is subscribed to both products."""

    def __init__(
        self, simulator: Simulator, faults: ScriptedFaults, client: Client, stack: AsyncExitStack
    ) -> None:
        self.simulator = simulator
        self.faults = faults
        self.client = client
        self._stack = stack

    async def receive(self, enough: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        return await self.client.frames_until(enough)

    async def begin(self, fault: Episode) -> None:
        """Let it begin, and receive what was under way until then."""
        self.faults.begin(fault)
        await self.receive(lambda _: self.faults.counts.total() > 0)
        begun = self.simulator.now()
        await self.receive(lambda frame: stamp_ms(frame) > begun)

    async def frames(self, count: int) -> list[dict[str, Any]]:
        """The next so many frames."""
        last = len(self.client.frames) + count
        return await self.receive(lambda frame: len(self.client.frames) >= last)

    async def another(self) -> Client:
        """One more client, subscribed alike, for as long as the bench stands."""
        client = await self._stack.enter_async_context(connected(self.simulator))
        await subscribe(client)
        return client


async def subscribe(client: Client) -> None:
    await client.say("subscribe", "heartbeats")
    await client.say("subscribe", "candles", BTC, ETH)
    await client.frames_until_ack()
    await client.frames_until_ack()


def on_a_bench(scenario: Callable[[Bench], Coroutine[Any, Any, None]], *, speed: float = 60.0) -> None:
    async def run() -> None:
        faults = ScriptedFaults()
        async with AsyncExitStack() as stack:
            simulator = await stack.enter_async_context(
                Simulator(market(), clock=MarketClock(NOW, speed), faults=faults)
            )
            client = await stack.enter_async_context(connected(simulator))
            await subscribe(client)
            await scenario(Bench(simulator, faults, client, stack))

    asyncio.run(run())


def numbers(frames: Iterable[dict[str, Any]]) -> list[int]:
    return [frame["sequence_num"] for frame in frames]


def is_of(product: str) -> Callable[[dict[str, Any]], bool]:
    return lambda frame: any(candle["product_id"] == product for candle in candles_of(frame))


def stamp_ms(frame: dict[str, Any]) -> int:
    # Python reads at most microseconds.
    text = frame["timestamp"].removesuffix("Z")[:26]
    return int(datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    ("code", "seen"), [(1000, 1000), (1001, 1001), (1008, 1008), (1011, 1011), ("abort", 1006)]
)
def test_a_connection_is_closed_as_the_script_says(code: Any, seen: int, behind: bool) -> None:
    async def scenario(bench: Bench) -> None:
        bench.faults.begin(CloseFeed(code=code, behind=behind))
        assert await bench.client.close_code() == seen
        if behind:
            assert bench.client.frames[-1]["channel"] == "candles"
        assert bench.faults.counts == {f"close {code}": 1}
        again = await bench.another()
        await again.frame_of("candles")

    on_a_bench(scenario)


def test_while_it_lasts_every_new_connection_is_closed() -> None:
    async def scenario(bench: Bench) -> None:
        bench.faults.begin(CloseFeed(code=1008, lasts=LONG))
        assert await bench.client.close_code() == 1008
        for _ in range(2):
            async with connected(bench.simulator) as client:
                await client.say("subscribe", "heartbeats")
                assert await client.close_code() == 1008
        assert bench.faults.counts["close 1008"] == 3
        bench.faults.end_all()
        await (await bench.another()).frame_of("heartbeats")

    on_a_bench(scenario)


def test_a_mute_channel_leaves_no_jump_while_heartbeats_and_other_products_go_on() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.begin(Mute(lasts=LONG, products=(BTC,)))
        quiet = await bench.frames(60)
        assert not any(map(is_of(BTC), quiet)) and any(map(is_of(ETH), quiet))
        assert {"heartbeats", "candles"} == {frame["channel"] for frame in quiet}
        await bench.client.say("subscribe", "candles", BTC)
        ack = await bench.receive(lambda frame: frame["channel"] == "subscriptions")
        assert not any(map(is_of(BTC), ack)), "this one is not cured by subscribing anew"
        bench.faults.end_all()
        await bench.receive(is_of(BTC))
        seen = numbers(bench.client.frames)
        assert seen == list(range(len(seen)))

    on_a_bench(scenario)


def test_a_mute_that_is_cured_by_subscribing_anew() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.begin(Mute(lasts=LONG, products=(BTC,), cured=True))
        assert not any(map(is_of(BTC), await bench.frames(40)))
        await bench.client.say("subscribe", "candles", BTC)
        snapshot = await bench.receive(is_of(BTC))
        assert snapshot[-1]["events"][0]["type"] == "snapshot"
        update = await bench.receive(is_of(BTC))
        assert update[-1]["events"][0]["type"] == "update"

    on_a_bench(scenario)


def test_silence_is_of_everything_with_the_socket_open() -> None:
    async def scenario(bench: Bench) -> None:
        bench.faults.begin(SilentFeed(lasts=30))
        await bench.receive(lambda _: gaps(bench.client.frames)[-1] >= 29_000)
        before, after = numbers(bench.client.frames[-2:])
        assert after == before + 1, "no jump tells of it"
        assert bench.faults.counts == {"silence": 1}

    on_a_bench(scenario)


def gaps(frames: list[dict[str, Any]]) -> list[int]:
    """How much market time lies between each frame and the one before, in ms."""
    times = [stamp_ms(frame) for frame in frames]
    return [0, *(b - a for a, b in pairwise(times))]


@pytest.mark.parametrize("kind", [Drop, Duplicate, Reorder])
def test_frames_are_lost_doubled_or_swapped(kind: type[Drop | Duplicate | Reorder]) -> None:
    async def scenario(bench: Bench) -> None:
        begin = len(bench.client.frames)
        bench.faults.begin(kind(lasts=LONG, share=0.3))
        await bench.frames(100)
        assert 10 <= bench.faults.counts.total() <= 70
        seen = numbers(bench.client.frames[begin:])
        steps = {b - a for a, b in pairwise(seen)}
        if kind is Drop:
            assert max(steps) > 1 and min(steps) == 1
        elif kind is Duplicate:
            assert steps == {0, 1}
        else:
            assert steps - {1} == {2, -1, *(steps & {3})} and len(set(seen)) == len(seen)

    on_a_bench(scenario)


def test_frames_of_one_product_are_lost_and_no_others() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.begin(Drop(lasts=LONG, products=(BTC,)))
        frames = await bench.frames(40)
        assert any(map(is_of(ETH), frames)) and not any(map(is_of(BTC), frames))
        seen = numbers(frames)
        assert max(b - a for a, b in pairwise(seen)) > 1

    on_a_bench(scenario)


def test_what_strikes_once_strikes_once() -> None:
    async def scenario(bench: Bench) -> None:
        bench.faults.begin(Drop(products=(BTC,)))
        await bench.frames(60)
        assert bench.faults.counts == {"drop": 1}
        seen = numbers(bench.client.frames)
        assert len(set(range(seen[-1] + 1)) - set(seen)) == 1

    on_a_bench(scenario)


def test_a_snapshot_is_replayed_in_mid_stream() -> None:
    async def scenario(bench: Bench) -> None:
        bench.faults.begin(ReplayedSnapshot(products=(BTC,)))
        frame = (await bench.receive(lambda f: f["channel"] == "candles" and len(f["events"]) == 2))[-1]
        assert [event["type"] for event in frame["events"]] == ["snapshot", "update"]
        first = next(f for f in bench.client.frames if is_of(BTC)(f))
        assert frame["events"][0] == first["events"][0], "as it was at the subscription"
        assert frame["sequence_num"] > first["sequence_num"]

    on_a_bench(scenario)


def test_the_old_buckets_last_update_does_not_come() -> None:
    def opened(product: str, bucket: int) -> Callable[[dict[str, Any]], bool]:
        return lambda frame: is_of(product)(frame) and int(candles_of(frame)[0]["start"]) * 1000 >= bucket

    def final_updates(product: str, frames: Iterable[dict[str, Any]]) -> int:
        """Updates of a bucket that was shown before, in one tick with a later one.

        Where a busy host skips ticks, a bucket may come that was never shown: no last update, its only one.
        """
        count, shown = 0, set[str]()
        for _, tick in groupby(filter(is_of(product), frames), key=lambda frame: frame["timestamp"]):
            starts = [candles_of(frame)[0]["start"] for frame in tick]
            count += len(shown.intersection(starts[:-1]))
            shown.update(starts)
        return count

    async def scenario(bench: Bench) -> None:
        product = next(p for p in (BTC, ETH) if bench.simulator.options.final_update(p))
        await bench.receive(lambda _: final_updates(product, bench.client.frames) >= 2)
        await bench.begin(NoFinalUpdate(lasts=LONG))
        frames = await bench.receive(opened(product, M5.floor(bench.simulator.now()) + 20 * M5.ms))
        assert final_updates(product, frames) == 0

    on_a_bench(scenario, speed=3000.0)  # a tick is a minute: nearly always it has traded since


def test_stamps_run_ahead_and_time_tells_the_truth() -> None:
    async def scenario(bench: Bench) -> None:
        bench.faults.begin(StampAhead(lasts=LONG, seconds=600))
        frames = await bench.receive(lambda f: stamp_ms(f) > bench.simulator.now() + 300_000)
        assert stamp_ms(frames[-1]) < bench.simulator.now() + 600_000
        assert abs(await venue_time(bench.simulator) - bench.simulator.now()) < 60_000

    on_a_bench(scenario)


def test_the_venues_clock_is_wrong_everywhere() -> None:
    async def scenario(bench: Bench) -> None:
        bench.faults.begin(ClockSkew(lasts=LONG, seconds=-3_600))
        await bench.receive(lambda f: stamp_ms(f) < bench.simulator.now() - 3_000_000)
        assert await venue_time(bench.simulator) < bench.simulator.now() - 3_000_000

    on_a_bench(scenario)


async def venue_time(simulator: Simulator) -> int:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{simulator.rest_url}/api/v3/brokerage/time") as answer,
    ):
        told = await answer.json()
    assert int(told["epochSeconds"]) == int(told["epochMillis"]) // 1000
    return int(told["epochMillis"])


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("truncated", lambda text: text.startswith('{"channel":"candles"') and not text.endswith("}")),
        ("not_json", lambda text: not text.startswith("{")),
        ("unknown_channel", lambda text: json.loads(text)["channel"] == "candles_v2"),
        ("unknown_type", lambda text: json.loads(text)["events"][0].get("type") == "correction"),
        ("nan", lambda text: candle_in(text)["volume"] == "NaN"),
        ("negative", lambda text: float(candle_in(text)["low"]) < 0),
        ("upside_down", lambda text: float(candle_in(text)["high"]) < float(candle_in(text)["low"])),
        ("year_2100", lambda text: candle_in(text)["start"] == "4102444800"),
        ("other_product", lambda text: candle_in(text)["product_id"] == "NOBODY-ASKED"),
    ],
)
def test_a_frame_comes_garbled(form: Any, told: Callable[[str], bool]) -> None:
    async def scenario(bench: Bench) -> None:
        bench.faults.begin(Garbage(forms=(form,)))
        async with asyncio.timeout(30):
            while not bench.faults.counts:
                text = (await bench.client.ws.receive()).data
            while not told(text):
                text = (await bench.client.ws.receive()).data
        assert bench.faults.counts == {f"garbage {form}": 1}
        await bench.frames(10)

    on_a_bench(scenario)


def candle_in(text: str) -> dict[str, str]:
    """The candle of a frame; of any other text, one that is as it should be."""
    sane = {"volume": "1", "low": "1", "high": "2", "start": "1", "product_id": BTC}
    if not text.startswith('{"channel":"candles"'):
        return sane
    return next((c for event in json.loads(text)["events"] for c in event["candles"]), sane)


def test_connections_are_cut_and_refused_and_then_it_is_back_on_its_port() -> None:
    async def scenario(bench: Bench) -> None:
        sim = bench.simulator
        bench.faults.begin(Unreachable(lasts=60))  # a second
        assert await bench.client.close_code() == 1006
        with pytest.raises(aiohttp.ClientConnectorError):
            await venue_time(sim)
        async with asyncio.timeout(30):
            while True:
                try:
                    await venue_time(sim)
                    break
                except aiohttp.ClientConnectorError:
                    pass
        assert sim.now() >= NOW + 60_000
        await (await bench.another()).frame_of("candles")
        assert bench.faults.counts == {"refused": 1}

    on_a_bench(scenario)


def test_a_simulator_can_be_left_while_it_refuses_connections() -> None:
    async def scenario(bench: Bench) -> None:
        bench.faults.begin(Unreachable(lasts=LONG))
        assert await bench.client.close_code() == 1006

    on_a_bench(scenario)


def test_a_delisted_product_is_gone_from_the_feed_and_cannot_be_subscribed_to() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.begin(Delisted(products=(BTC,)))
        frames = await bench.frames(40)
        assert any(map(is_of(ETH), frames)) and not any(map(is_of(BTC), frames))
        await bench.client.say("subscribe", "candles", BTC)
        told = (await bench.receive(lambda frame: frame.get("type") == "error"))[-1]
        assert told["message"] == "Product BTC-USD not supported"

    on_a_bench(scenario)


def test_the_same_seed_makes_the_same_choices_and_another_seed_others() -> None:
    def played(seed: int, *more: Fault) -> list[list[Any]]:
        faults = (Garbage(lasts=LONG, share=0.4), Drop(lasts=LONG, share=0.2), *more)
        scripted = ScriptedFaults(FaultScript(seed, faults))
        scripted.attach(market(), StillClock().market())
        return [list(scripted.frame(frame)) for frame in frames]

    frames = [
        FeedFrame(1, "candles", i, f'{{"channel":"candles","sequence_num":{i},"events":[]}}')
        for i in range(200)
    ]
    assert played(1) == played(1)
    assert played(1) != played(2)
    assert played(1) == played(1, CloseFeed(at=5)), "one more that has not begun changes nothing"


def test_faults_of_a_product_that_the_market_has_not_are_refused() -> None:
    script = FaultScript(faults=(Mute(lasts=5, products=("BTC-USDT",)),))
    with pytest.raises(ConfigError, match=r"no product 'BTC-USDT' \(did you mean BTC-USD\?\)"):
        Simulator(market(), faults=ScriptedFaults(script))


def test_a_scripted_fault_begins_and_ends_at_its_time() -> None:
    async def scenario() -> None:
        host = VirtualClock(1_000.0)
        faults = ScriptedFaults(FaultScript(faults=(SilentFeed(at=20, lasts=30),)), host_clock=host)
        clock = MarketClock(NOW, 60.0, host.monotonic)
        sim = Simulator(market(), clock=clock, faults=faults, host_clock=host)
        async with sim, connected(sim) as client:
            await subscribe(client)
            await client.frames_until(lambda _: gaps(client.frames)[-1] >= 25_000)
            before, after = stamp_ms(client.frames[-2]), stamp_ms(client.frames[-1])
        # Ticks are 1.2 s of market time apart.
        assert NOW + 18_000 <= before <= NOW + 20_000
        assert NOW + 50_000 <= after <= NOW + 52_000

    run_virtually(scenario())


@pytest.mark.parametrize(("whole", "named"), [(True, False), (False, True)])
def test_a_subscription_is_refused_for_one_product_in_it(whole: bool, named: bool) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.begin(RefusedSubscription(products=(BTC,), lasts=LONG, whole=whole, named=named))
        await bench.client.say("unsubscribe", "candles", BTC, ETH)
        await bench.client.say("subscribe", "candles", BTC, ETH)
        frames = await bench.receive(lambda frame: frame.get("type") == "error")
        assert (BTC in frames[-1]["message"]) == named
        ack = (await bench.receive(lambda frame: frame.get("channel") == "subscriptions"))[-1]
        assert ack["events"][0]["subscriptions"].get("candles", []) == ([] if whole else [ETH])

    on_a_bench(scenario)
