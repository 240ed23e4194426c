"""Limiters that share a budget, in virtual time: together never above it, whatever becomes of them."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import NamedTuple

import pytest

from livecache.engine.limiter import Limiter, Urgency
from livecache.model.budget import NOTHING, Budget, Costs, Pool, Rolling, Spacing
from livecache.venues.venue import FailureKind, FetchFailure

from .members import PER_S, most_in
from .world import KEYS, World, all_of, asking, now, played


class Wanted(NamedTuple):
    urgency: Urgency
    costs: Costs = NOTHING


SLOW = [Spacing("requests", 1.0)]


# --- together


def test_four_have_the_whole_rate_and_no_second_has_more(valkey_url: str) -> None:
    async def scenario(world: World) -> None:
        await all_of(*(asking(world, name, 25) for name in "abcd"))

    world = played(valkey_url, scenario)
    assert most_in(world.starts()) <= PER_S + 1
    assert world.rate(1_003, 1_024) >= 0.98 * PER_S
    urgent = sorted(waited for _, urgency, waited, _ in world.sent if urgency is Urgency.LIVE)
    assert urgent[int(len(urgent) * 0.99)] <= 0.7
    by_each = [sum(one == name for *_, one in world.sent) for name in "abcd"]
    assert min(by_each) > 0.6 * max(by_each)


def test_what_is_urgent_waits_for_few_however_many_are_deep(valkey_url: str) -> None:
    async def scenario(world: World) -> None:
        async def member(name: str, urgency: Urgency, per_s: float) -> None:
            async with world.member(name) as limiter:
                await world.asks(limiter, name, 12, urgency, per_s)

        deep = (member(name, Urgency.HISTORY, 0) for name in "abcdefghijklmnop")
        await all_of(member("urgent", Urgency.LIVE, 3), *deep)

    world = played(valkey_url, scenario)
    waits = [waited for at, urgency, waited, _ in world.sent if urgency is Urgency.LIVE and at > 1_003]
    assert len(waits) > 10 and max(waits) <= 0.7


def test_nobody_starves_for_what_others_ask(valkey_url: str) -> None:
    async def scenario(world: World) -> None:
        async def urgent(name: str) -> None:
            async with world.member(name) as limiter:
                await all_of(*(world.asks(limiter, name, 40, Urgency.LIVE) for _ in range(4)))

        async def deep() -> None:
            async with world.member("deep") as limiter:
                await world.asks(limiter, "deep", 40, Urgency.HISTORY)

        await all_of(*(urgent(name) for name in "abc"), deep())

    world = played(valkey_url, scenario)
    waits = [waited for *_, waited, name in world.sent if name == "deep"]
    assert len(waits) >= 2 and max(waits) <= 20
    assert most_in(world.starts()) <= PER_S + 1


@pytest.mark.parametrize("warming", [1, 10])
def test_what_is_urgent_waits_for_few_however_much_is_warmed_up(valkey_url: str, warming: int) -> None:
    """Four of them always warm up and are deep, and sum up to the rate four times over."""

    async def scenario(world: World) -> None:
        async def member(name: str) -> None:
            async with world.member(name) as limiter:
                always = [Urgency.HISTORY, *[Urgency.WARM] * warming]
                await all_of(
                    world.asks(limiter, name, 120, Urgency.LIVE, 1.0),
                    *(world.asks(limiter, name, 120, urgency) for urgency in always),
                )

        await all_of(*(member(name) for name in "abcd"))

    world = played(valkey_url, scenario)
    assert most_in(world.starts()) <= PER_S + 1
    assert world.rate(1_003, 1_119) >= 0.98 * PER_S
    urgent = sorted(waited for at, urgency, waited, _ in world.sent if urgency is Urgency.LIVE and at > 1_003)
    assert len(urgent) > 350
    assert urgent[int(len(urgent) * 0.99)] <= 0.7
    for name in "abcd":
        for urgency in (Urgency.WARM, Urgency.HISTORY):
            turns = [at for at, its, _, one in world.sent if (its, one) == (urgency, name)]
            assert max(b - a for a, b in pairwise(turns)) <= 20, "none starves"


@pytest.mark.parametrize(("late_s", "share"), [(0.03, 0.95), (0.06, 0.6)])
def test_timers_that_are_late_make_no_burst(valkey_url: str, late_s: float, share: float) -> None:
    async def scenario(world: World) -> None:
        await all_of(*(asking(world, name, 20, late_s) for name in "abcd"))

    for seed in range(5):
        world = played(valkey_url, scenario, seed)
        assert most_in(world.starts()) <= PER_S + 1
        assert world.rate(1_003, 1_019) >= share * PER_S


# --- alone, and not


def test_who_is_alone_asks_for_no_slot_and_is_as_fast(valkey_url: str) -> None:
    async def scenario(world: World) -> None:
        async with world.member("a") as limiter:
            await world.asks(limiter, "a", 30, Urgency.WARM)
            assert limiter.quota is not None
            assert (limiter.quota.asks, limiter.quota.members) == (0, 1)

    world = played(valkey_url, scenario)
    assert world.rate(1_000, 1_030) == pytest.approx(PER_S, abs=0.1)
    assert world.store.calls <= 33


@pytest.mark.parametrize("joins_after_s", [4.0, 4.3, 4.71])
def test_passing_from_one_to_many_and_back_no_second_has_more(valkey_url: str, joins_after_s: float) -> None:
    async def scenario(world: World) -> None:
        async def later(name: str) -> None:
            await asyncio.sleep(joins_after_s)
            async with world.member(name) as limiter:
                await all_of(*(world.asks(limiter, name, 8, Urgency.WARM) for _ in range(3)))

        async def always() -> None:
            async with world.member("a") as limiter:
                await all_of(*(world.asks(limiter, "a", 25, Urgency.WARM) for _ in range(3)))

        await all_of(always(), later("b"), later("c"))

    world = played(valkey_url, scenario)
    assert most_in(world.starts()) <= PER_S + 1
    assert world.rate(1_006, 1_012) >= 0.98 * PER_S
    assert world.rate(1_015, 1_024) >= 0.98 * PER_S
    assert {name for *_, name in world.sent} == set("abc")


def test_one_that_was_passed_over_has_its_turn_and_holds_up_nothing_urgent(valkey_url: str) -> None:
    """What is urgent takes all there is. Its turn came while the two were alone; then the line is long."""

    async def scenario(world: World) -> None:
        async def always() -> None:
            async with world.member("a", SLOW) as limiter:
                await all_of(
                    *(world.asks(limiter, "a", 80, each) for each in (Urgency.LIVE, Urgency.HISTORY))
                )

        async def later() -> None:
            await asyncio.sleep(
                7.2
            )  # They know of each other in the second in which it is the deep one's turn.
            async with world.member("b", SLOW) as limiter:
                await all_of(*(world.asks(limiter, "b", 72, Urgency.LIVE) for _ in range(3)))

        await all_of(always(), later())

    world = played(valkey_url, scenario)
    assert {name for *_, name in world.sent} == set("ab")
    assert max(waited for _, its, waited, name in world.sent if (its, name) == (Urgency.LIVE, "a")) <= 5
    turns = [1_000.0, *(at for at, urgency, *_ in world.sent if urgency is Urgency.HISTORY)]
    assert max(b - a for a, b in pairwise(turns)) <= 20


# --- without Redis


@pytest.mark.parametrize(("how", "emptied"), [("refuses", True), ("hangs", False), ("hangs", True)])
def test_without_redis_each_has_its_share_and_no_second_has_more(
    valkey_url: str, how: str, emptied: bool
) -> None:
    async def scenario(world: World) -> None:
        async def lost() -> None:
            await asyncio.sleep(5)
            world.store.lost = how
            await asyncio.sleep(8)
            if emptied:
                world.store.client.flushall()
            world.store.lost = ""

        await all_of(lost(), *(asking(world, name, 24) for name in "abcd"))

    for seed in range(3):
        world = played(valkey_url, scenario, seed)
        assert most_in(world.starts()) <= PER_S + 1
        assert 0.9 * PER_S <= world.rate(1_009, 1_013) <= PER_S + 0.1  # the shares of all
        assert world.rate(1_017, 1_023) >= 0.98 * PER_S


def test_one_alone_does_not_notice_that_redis_is_away(valkey_url: str) -> None:
    async def scenario(world: World) -> None:
        async def lost() -> None:
            await asyncio.sleep(10)
            world.store.lost = "hangs"
            await asyncio.sleep(10)
            world.store.lost = ""

        async def one() -> None:
            async with world.member("a") as limiter:
                await world.asks(limiter, "a", 30, Urgency.WARM)

        await all_of(lost(), one())

    world = played(valkey_url, scenario)
    assert most_in(world.starts()) <= PER_S + 1
    assert world.rate(1_005, 1_029) >= 0.98 * PER_S


@pytest.mark.parametrize(
    ("budget", "most"), [(Pool("p", 40, 4.0, 0.5), 20 + 4 * 15), (Rolling("r", 60, 10.0), 2 * 60)]
)
def test_without_redis_what_may_be_used_at_once_is_used_once(
    valkey_url: str, budget: Budget, most: int
) -> None:
    async def scenario(world: World) -> None:
        async def lost() -> None:
            await asyncio.sleep(5)
            world.store.lost = "refuses"

        async def one(name: str) -> None:
            async with world.member(name, [budget]) as limiter:
                with_costs = {budget.name: 2}
                try:
                    async with asyncio.timeout(15):
                        await world.asks(limiter, name, 15, Urgency.WARM, costs=with_costs)
                except TimeoutError:
                    pass

        await all_of(lost(), one("a"), one("b"), one("c"))

    world = played(valkey_url, scenario)
    assert 2 * len(world.sent) <= most + 2
    assert len(world.starts(1_007)) > 2
    if isinstance(budget, Rolling):
        assert 2 * most_in(world.starts(), budget.length_s - 1e-6) <= budget.size


# --- what one is told, all heed


def test_a_refusal_of_one_pauses_and_slows_all(valkey_url: str) -> None:
    refused_at = 0.0

    async def scenario(world: World) -> None:
        nonlocal refused_at
        async with world.member("a") as one, world.member("b") as other:
            await all_of(world.asks(one, "a", 5, Urgency.WARM), world.asks(other, "b", 5, Urgency.WARM))
            for _ in range(2):
                ticket = await one.acquire(Urgency.WARM)
            refused_at = now()
            one.heard(ticket, FetchFailure(FailureKind.REFUSED, "429", retry_after_s=3.0))
            await world.asks(other, "b", 8, Urgency.WARM)

    world = played(valkey_url, scenario)
    assert world.starts(refused_at + 0.25, refused_at + 2.99) == []
    assert world.rate(refused_at + 3.1, refused_at + 8.1) == pytest.approx(0.95 * PER_S, rel=0.05)


def test_a_ban_of_one_stops_all(valkey_url: str) -> None:
    async def scenario(world: World) -> None:
        async with world.member("a") as one, world.member("b"):
            await asyncio.sleep(3)
            world.store.client.set(KEYS.ban, int((asyncio.get_running_loop().time() + 3600) * 1000))
            await asyncio.sleep(1.5)
            assert one.banned_until

    played(valkey_url, scenario)


# --- who waits


def test_what_is_urgent_is_in_line_from_when_it_came_though_one_before_it_asks(valkey_url: str) -> None:
    order: list[str] = []

    async def scenario(world: World) -> None:
        async with world.member("a") as one, world.member("b") as other:
            await asyncio.sleep(3)
            await one.acquire(Urgency.LIVE)

            async def ask(limiter: Limiter, name: str) -> None:
                await limiter.acquire(Urgency.LIVE)
                order.append(name)

            async with asyncio.TaskGroup() as tasks:
                for limiter, name in ((one, "a1"), (one, "a2"), (other, "b1"), (other, "b2")):
                    tasks.create_task(ask(limiter, name), name=name)
                    if name == "a2":
                        await asyncio.sleep(0.02)

    played(valkey_url, scenario)
    assert order == ["a1", "a2", "b1", "b2"]


def test_many_urgent_ones_of_one_wait_for_no_less_urgent_ones_of_others(valkey_url: str) -> None:
    """A bucket of forty symbols closes here, while all the others warm up."""
    waits: list[float] = []

    async def scenario(world: World) -> None:
        async def closes() -> None:
            async with world.member("a") as limiter:
                await asyncio.sleep(5)
                began = now()

                async def one() -> None:
                    await limiter.acquire(Urgency.LIVE)
                    waits.append(now() - began)

                await all_of(*(one() for _ in range(40)))

        async def warms_up(name: str) -> None:
            async with world.member(name) as limiter:
                await all_of(*(world.asks(limiter, name, 12, Urgency.WARM) for _ in range(5)))

        await all_of(closes(), *(warms_up(name) for name in "bcd"))

    played(valkey_url, scenario)
    assert len(waits) == 40 and max(waits) <= 1.2 * 40 / PER_S


def test_what_becomes_urgent_while_it_waits_finds_a_slot_as_what_is_urgent_does(valkey_url: str) -> None:
    """An engine waits for one thing at a time, and meanwhile a bucket closes."""
    took = 0.0

    async def scenario(world: World) -> None:
        async def engine() -> None:
            nonlocal took
            async with world.member("a") as limiter:
                await asyncio.sleep(4)
                closes = now() + 1.0

                def pick() -> Wanted:
                    return Wanted(Urgency.LIVE if now() >= closes else Urgency.WARM)

                taken = await limiter.acquire_for(pick(), pick)
                assert taken is not None and taken[1].urgency is Urgency.LIVE
                took = now() - closes

        async def urgent() -> None:
            async with world.member("b") as limiter:
                await all_of(*(world.asks(limiter, "b", 12, Urgency.LIVE) for _ in range(6)))

        await all_of(engine(), urgent())

    played(valkey_url, scenario)
    assert 0 < took <= 1.5


def test_a_slot_is_for_whoever_is_most_urgent_when_it_comes_and_none_is_lost(valkey_url: str) -> None:
    order: list[str] = []

    async def scenario(world: World) -> None:
        async with world.member("a") as one, world.member("b") as other:
            await asyncio.sleep(3)

            async def ask(name: str, urgency: Urgency) -> None:
                await one.acquire(urgency)
                order.append(f"{name} {now() - began:.2f}")

            began = now()
            for _ in range(4):
                await other.acquire(Urgency.LIVE)
                began = now()
            async with asyncio.TaskGroup() as tasks:
                gone = tasks.create_task(ask("gone", Urgency.WARM), name="gone")
                tasks.create_task(ask("deep", Urgency.HISTORY), name="deep")
                await asyncio.sleep(0.01)
                gone.cancel()
                tasks.create_task(ask("urgent", Urgency.LIVE), name="urgent")

    played(valkey_url, scenario)
    assert order == ["urgent 0.11", "deep 0.21"]
