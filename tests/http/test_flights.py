"""What many ask for at once: it is read once, never before somebody asked, and nobody takes it along."""

from __future__ import annotations

import asyncio

import pytest

from livecache.http.past.flights import Flights


class Desk:
    """Reads that end when a test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.gates: list[asyncio.Event] = []

    async def read(self) -> int:
        self.begun += 1
        number = self.begun
        self.gates.append(asyncio.Event())
        await self.gates[-1].wait()
        return number


async def until_idle() -> None:
    """All that can run has run."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_who_comes_while_a_read_is_under_way_shares_the_next_one() -> None:
    async def run() -> None:
        flights, desk = Flights[str, int](), Desk()
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(flights("a", desk.read))
            await until_idle()
            later = [tasks.create_task(flights("a", desk.read)) for _ in range(200)]
            other = tasks.create_task(flights("b", desk.read))
            await until_idle()
            assert desk.begun == 2, "the first, and another thing beside it"
            for number in range(3):
                desk.gates[number].set()
                await until_idle()
        assert (first.result(), other.result()) == (1, 2)
        assert {each.result() for each in later} == {3} and desk.begun == 3

    asyncio.run(run())


def test_who_goes_takes_nobody_along() -> None:
    async def run() -> None:
        flights, desk = Flights[str, int](), Desk()
        gone = asyncio.create_task(flights("a", desk.read), name="who goes")
        await until_idle()
        async with asyncio.TaskGroup() as tasks:
            others = [tasks.create_task(flights("a", desk.read)) for _ in range(3)]
            await until_idle()
            gone.cancel()
            await until_idle()
            desk.gates[1].set()
        assert [each.result() for each in others] == [2, 2, 2]

    asyncio.run(run())


def test_an_error_is_everybodys_and_forgotten_then() -> None:
    async def run() -> None:
        flights = Flights[str, int]()
        asked = 0

        async def fails() -> int:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0)
            raise ValueError(f"number {asked}")

        told = await asyncio.gather(*(flights("a", fails) for _ in range(10)), return_exceptions=True)
        assert asked == 2 and {str(each) for each in told} == {"number 1", "number 2"}
        with pytest.raises(ValueError, match="number 3"):
            await flights("a", fails)

    asyncio.run(run())
