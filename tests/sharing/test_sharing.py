"""Shards of a venue go to those that live: soon, evenly, and to one at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import fakeredis
import pytest

from livecache.keys.keyspace import Keyspace, LeaseRecord, encode_lease
from livecache.quiet import logger
from tests.simulation.virtual import run_virtually

from .members import SHARDS, Venue

Story = Callable[[Venue], Awaitable[None]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Venue]:
    """Tells a story in virtual time, by which the server's keys expire as well."""

    def tell(story: Story, shards: int = SHARDS) -> Venue:
        async def main() -> Venue:
            loop = asyncio.get_running_loop()
            with fakeredis.FakeRedis() as fake:
                venue = Venue(fake, shards)
                monkeypatch.setattr(time, "time", lambda: 1_700_000_000 + loop.time() - venue.set_back_s)
                await story(venue)
                for member in venue.members:
                    member.wake()
                    await member.stop()
                venue.check_one_holder()
            monkeypatch.undo()
            return venue

        return run_virtually(main())

    return tell


async def three(venue: Venue) -> None:
    """Three processes that start within half a second share evenly, with no shard moved."""
    for name in "abc":
        venue.join(name)
        await asyncio.sleep(0.2)
    await venue.until(lambda: venue.balanced() and "" not in venue.holders(), 6)
    assert venue.counts() == [4, 4, 4]
    assert venue.moves() == []


def test_those_that_start_together_share_evenly_at_once(told: Callable[..., Venue]) -> None:
    told(three)


def test_of_one_that_is_killed_all_shards_are_held_again_within_nine_seconds(
    told: Callable[..., Venue],
) -> None:
    async def story(venue: Venue) -> None:
        await three(venue)
        await asyncio.sleep(2)
        died_s = venue.members[0].monotonic()
        await venue.members[1].kill()
        assert await venue.until(venue.held, 9) > 4, "its leases had to lapse"
        assert venue.counts() == [6, 6]
        await asyncio.sleep(10)
        assert len(venue.moves(died_s)) == 4, "no other shard was touched"

    told(story)


def test_of_one_that_stops_all_shards_are_held_again_within_four_seconds(
    told: Callable[..., Venue],
) -> None:
    async def story(venue: Venue) -> None:
        await three(venue)
        await venue.members[2].stop()
        await venue.until(venue.held, 4)

    told(story)


def test_one_that_comes_gets_its_part_within_ten_seconds_one_shard_a_second(
    told: Callable[..., Venue],
) -> None:
    async def story(venue: Venue) -> None:
        await three(venue)
        await asyncio.sleep(5)
        came_s = venue.members[0].monotonic()
        venue.join("d")
        await venue.until(lambda: venue.counts() == [3, 3, 3, 3], 10)
        moves = venue.moves(came_s)
        assert len(moves) == 3
        assert venue.longest_gap_s(came_s) < 1.9, "whoever gave one up had somebody who was ready for it"
        await asyncio.sleep(15)
        assert len(venue.moves(came_s)) == 3, "it stays so"

    told(story)


def test_of_one_that_dies_as_the_servers_clock_is_set_back_all_shards_are_held_again_within_nine_seconds(
    told: Callable[..., Venue],
) -> None:
    """So it is where the host of both is gone, and the server's successor has another clock."""

    async def story(venue: Venue) -> None:
        await three(venue)
        await asyncio.sleep(5)
        venue.set_back_s = 3_600.0
        await venue.members[0].kill()
        await venue.until(lambda: venue.held() and "" not in venue.holders(), 9)
        await venue.until(venue.balanced, 5)

    told(story)


def test_one_that_wakes_late_finds_its_shards_held_and_gets_others(told: Callable[..., Venue]) -> None:
    async def story(venue: Venue) -> None:
        await three(venue)
        await asyncio.sleep(2)
        late = venue.members[0]
        late.pause()
        await venue.until(lambda: late.name not in venue.holders() and "" not in venue.holders(), 9)
        await asyncio.sleep(4)
        late.wake()
        await venue.until(lambda: venue.counts() == [4, 4, 4], 12)

    told(story)


def test_an_emptied_server_moves_nothing(told: Callable[..., Venue]) -> None:
    """Whoever wrote there has everything in memory, where another would have to ask the venue."""

    async def story(venue: Venue) -> None:
        await three(venue)
        await asyncio.sleep(5)
        emptied_s = venue.members[0].monotonic()
        venue.fake.flushall()
        await venue.until(lambda: venue.writes[-1].at_s > emptied_s and "" not in venue.holders(), 6)
        await asyncio.sleep(20)
        assert venue.moves(emptied_s) == []

    told(story)


@pytest.mark.parametrize("held", ["an unsplit one", "one of another number"])
def test_a_venue_that_is_filled_otherwise_is_left_alone_until_that_ends(
    told: Callable[..., Venue], held: str
) -> None:
    async def story(venue: Venue) -> None:
        key = Keyspace("sim", "venue").lease
        shards = 0 if held == "an unsplit one" else SHARDS + 1
        venue.fake.set(key, encode_lease(LeaseRecord("before", 5, shards)), px=20_000)
        venue.join("a")
        await asyncio.sleep(15)
        assert venue.writes == []
        await venue.until(lambda: "" not in venue.holders(), 12)
        assert venue.fake.pttl(key) > 3_000, "whoever fills it unsplit waits now"

    told(story)


def test_a_key_of_another_type_is_left_alone(told: Callable[..., Venue]) -> None:
    async def story(venue: Venue) -> None:
        key = Keyspace("sim", "venue").members
        venue.fake.set(key, "somebody else's")
        venue.join("a")
        await asyncio.sleep(5)
        assert venue.writes == []
        assert venue.fake.get(key) == b"somebody else's"

    told(story)


def test_where_one_is_configured_to_fill_other_series_each_says_so_until_all_are_the_same(
    told: Callable[..., Venue],
) -> None:
    """Nobody fills what one alone has while another holds its shard. It is no word on reloads in turn."""
    said: list[tuple[float, str]] = []

    async def story(venue: Venue) -> None:
        def note(message: Any) -> None:
            if message.record["extra"].get("event") == "configured_otherwise":
                said.append((asyncio.get_running_loop().time(), str(message)))

        sink = logger.add(note, format="{message}")
        venue.join("old")  # it says nothing of that
        for name, fills in (("a", "four symbols"), ("b", "four symbols"), ("c", "five symbols")):
            venue.join(name, fills)
        began_s = venue.members[0].monotonic()
        await asyncio.sleep(50)
        venue.members[3].fills = "four symbols"
        await asyncio.sleep(50)
        assert not said, "they were reloaded one by one"
        venue.members[1].fills = "three symbols"
        await asyncio.sleep(80)
        assert said[0][0] - began_s > 100 + 60 and {text.partition(" and ")[0] for _, text in said} == {
            "a",
            "b, c",
        }
        assert "filled by nobody" in said[0][1]
        venue.members[1].fills = "four symbols"
        await asyncio.sleep(2)
        said.clear()
        await asyncio.sleep(80)
        assert not said
        logger.remove(sink)

    told(story)


@pytest.mark.parametrize(
    "seed", [1, 2, 3, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 24))]
)
def test_whatever_happens_each_shard_has_one_holder_and_is_held_again_soon(
    told: Callable[..., Venue], seed: int
) -> None:
    async def story(venue: Venue) -> None:
        chance = Random(seed)
        for name in "abcd"[: chance.randint(1, 4)]:
            venue.join(name)
        for number in range(8):
            await asyncio.sleep(chance.uniform(0.1, 8))
            living = [member for member in venue.members if member.lives]
            if len(living) < 2 or (len(living) < 5 and chance.random() < 0.4):
                venue.join(f"late{number}")
                continue
            member = chance.choice(living)
            match chance.choice(["kill", "stop", "pause"]):
                case "kill":
                    await member.kill()
                case "stop":
                    await member.stop()
                case "pause":
                    member.pause()
                    await asyncio.sleep(chance.uniform(0.5, 14))
                    member.wake()
        await venue.until(venue.held, 9)
        await venue.until(venue.balanced, 3 + venue.shards + 5)
        settled_s = venue.members[0].monotonic()
        await asyncio.sleep(10)
        assert venue.moves(settled_s) == []
        assert venue.longest_gap_s(settled_s) < 1

    told(story, shards=Random(seed).choice([1, 3, 12, 16]))
