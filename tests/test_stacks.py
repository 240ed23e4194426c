"""SIGUSR1: what each task waits for, in bounds, without a value, and without an end of anything."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from loguru import logger

from livecache.process.stacks import LINE_MOST, PLACES_MOST, TASKS_MOST, told_on_signal, waits_of


@pytest.fixture
def told() -> Iterator[list[str]]:
    messages: list[str] = []
    sink = logger.add(lambda record: messages.append(record.record["message"]), level="INFO")
    yield messages
    logger.remove(sink)


async def deeper(levels: int, password: str) -> None:
    if levels:
        await deeper(levels - 1, password)
    else:
        await asyncio.get_running_loop().create_future()


async def endless() -> AsyncIterator[int]:
    while True:
        await asyncio.Event().wait()
        yield 1


async def drain() -> None:
    async for _ in endless():
        pass


def test_each_task_is_a_line_with_the_places_that_lead_to_what_it_waits_for(told: list[str]) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            some = [
                tasks.create_task(deeper(2, "s3cret"), name="a feed"),
                tasks.create_task(drain(), name="b drain"),
                tasks.create_task(deeper(60, "s3cret"), name="c deep"),
            ]
            loop = asyncio.get_running_loop()
            with told_on_signal():
                async with asyncio.timeout(30):
                    while not told:  # It comes while the loop waits, sooner or later.
                        await loop.run_in_executor(None, os.kill, os.getpid(), signal.SIGUSR1)
                        await asyncio.sleep(0.02)
            for task in some:
                task.cancel()

    asyncio.run(main())
    head, *lines = told[:5]
    assert head == "SIGUSR1: what 4 tasks wait for"
    feed, drained, deep = (line for line in lines if line.split(":")[0].strip()[:2] in ("a ", "b ", "c "))
    assert feed.count("deeper") == 3 and feed.endswith("> FutureIter")
    assert "tests/test_stacks.py:" in feed
    assert " drain > " in drained and "endless" in drained and "Event.wait" in drained
    assert deep.count(" > ") == PLACES_MOST and "> … 50 … >" in deep
    assert all(len(line) <= LINE_MOST for line in lines)
    assert "s3cret" not in "".join(told)


def test_so_many_tasks_are_told_and_the_others_are_counted() -> None:
    async def main() -> list[str]:
        tasks = [asyncio.create_task(deeper(0, ""), name=f"task {n:04}") for n in range(TASKS_MOST + 7)]
        await asyncio.sleep(0)
        lines = waits_of(tasks)
        for task in tasks:
            task.cancel()
        return lines

    lines = asyncio.run(main())
    assert len(lines) == TASKS_MOST + 1 and lines[-1] == "  and 7 more"


def test_a_loop_that_is_busy_for_ever_is_told_by_where_it_is_busy() -> None:
    """What hangs a process is not awaited: its log would never say it."""
    script = """
import asyncio, os, signal
from livecache.process.stacks import told_on_signal

def stuck():
    os.kill(os.getpid(), signal.SIGUSR1)
    os.write(1, b"goes on")

async def main():
    waiting = asyncio.create_task(asyncio.Event().wait(), name="one that waits")
    await asyncio.sleep(0)
    with told_on_signal():
        stuck()

asyncio.run(main())
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "goes on"
    assert "the event loop is busy here" in ran.stderr
    assert " stuck" in ran.stderr
    assert "one that waits: " in ran.stderr and "Event.wait" in ran.stderr


def test_the_signal_means_what_it_meant_before_once_it_is_over() -> None:
    before = signal.getsignal(signal.SIGUSR1)

    async def main() -> None:
        with told_on_signal():
            assert signal.getsignal(signal.SIGUSR1) is not before

    asyncio.run(main())
    assert signal.getsignal(signal.SIGUSR1) is before
