"""Sending commands: scripts by their digest, and cancellations that do not get lost."""

from __future__ import annotations

import asyncio

import fakeredis
import pytest

from livecache.wire.scripts import Script, cancellable

from .support import SyncAdapter


async def _swallows_a_cancellation() -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "as if nothing had happened"
    raise AssertionError


def test_a_cancellation_that_a_library_swallows_still_ends_the_task() -> None:
    async def body() -> None:
        task = asyncio.create_task(cancellable(_swallows_a_cancellation()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(body())


def test_a_timeout_around_it_is_still_a_timeout() -> None:
    async def body() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await cancellable(_swallows_a_cancellation())

    asyncio.run(body())


def test_a_task_that_was_cancelled_before_may_still_clean_up() -> None:
    async def body() -> None:
        async def cleans_up() -> str:
            try:
                await asyncio.Event().wait()
            finally:
                return await cancellable(asyncio.sleep(0, "clean"))  # noqa: B012

        task = asyncio.create_task(cleans_up())
        await asyncio.sleep(0)
        task.cancel()
        assert await task == "clean"

    asyncio.run(body())


def test_a_script_is_sent_once_and_then_named() -> None:
    sent: list[str] = []

    class Watching(SyncAdapter):
        async def execute_command(self, *args: object) -> object:
            sent.append(str(args[0]))
            return await super().execute_command(*args)

    with fakeredis.FakeRedis() as fake:
        script, redis = Script("return ARGV[1]"), Watching(fake)
        replies = [asyncio.run(script.run(redis, [], [n])) for n in range(3)]
    assert replies == [b"0", b"1", b"2"]
    assert sent == ["EVALSHA", "EVAL", "EVALSHA", "EVALSHA"]
