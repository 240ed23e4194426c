"""What all who follow on one event loop share, over a connection that a test holds in its hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis

from livecache import RedisUnavailable
from livecache.reader.listening import Listener, Places, Subscription, Turns

CHANNELS = ("one", "two")
CHANNELS_SET = {*CHANNELS}


class Line:
    """A connection to a server that confirms whatever is subscribed to, and sends what it is told."""

    def __init__(self) -> None:
        self.channels: set[str] = set()
        self.closed = False
        self._coming: asyncio.Queue[dict[str, Any] | Exception] = asyncio.Queue()

    async def subscribe(self, *names: str) -> None:
        self.channels |= {*names}
        for number, name in enumerate(names):
            self._coming.put_nowait({"type": "subscribe", "channel": name.encode(), "data": number})

    async def unsubscribe(self, *names: str) -> None:
        self.channels -= {*names}

    async def get_message(self, *, timeout: float) -> dict[str, Any]:  # noqa: ASYNC109  redis-py has it
        coming = await self._coming.get()
        if isinstance(coming, Exception):
            raise coming
        return coming

    async def aclose(self) -> None:
        self.closed = True

    def publish(self, name: str, data: bytes = b"news") -> None:
        self._coming.put_nowait({"type": "message", "channel": name.encode(), "data": data})

    def breaks(self) -> None:
        self._coming.put_nowait(redis.ConnectionError("cut"))


def with_lines(test: Callable[[Subscription, list[Line]], Coroutine[Any, Any, None]]) -> None:
    """Run a test over a subscription; its connections are in the list, the newest last."""
    lines: list[Line] = []

    class Server:
        def pubsub(self) -> Line:
            lines.append(Line())
            return lines[-1]

    async def body() -> None:
        subscription = Subscription(Places(Server, lambda: None))
        async with asyncio.timeout(30):
            await test(subscription, lines)
            await subscription.aclose()
        assert all(line.closed for line in lines)

    asyncio.run(body())


async def listening(subscription: Subscription, count: int) -> list[Listener]:
    """So many who listen to both channels."""
    listeners = [Listener() for _ in range(count)]
    await asyncio.gather(*(subscription.subscribe(one, CHANNELS, None) for one in listeners))
    return listeners


def test_a_message_reaches_all_who_listen_to_its_channel_and_no_others() -> None:
    async def test(subscription: Subscription, lines: list[Line]) -> None:
        both, one = Listener(), Listener()
        await subscription.subscribe(both, CHANNELS, None)
        await subscription.subscribe(one, ("one",), b"ignored")
        lines[0].publish("two")
        assert await both.listen(30) == {"two"}
        lines[0].publish("one", b"ignored, says its start")
        lines[0].publish("two")
        lines[0].publish("one")
        assert await one.listen(30) == {"one"} and await both.listen(30) == CHANNELS_SET
        assert await one.listen(0.01) == set() and len(lines) == 1

    with_lines(test)


def test_all_who_had_trouble_at_once_are_given_one_new_connection_and_not_one_each() -> None:
    async def test(subscription: Subscription, lines: list[Line]) -> None:
        listeners = await listening(subscription, 50)
        for _ in range(2):
            before = len(lines)
            await asyncio.gather(*(subscription.subscribe(one, CHANNELS, None) for one in listeners))
            assert len(lines) == before + 1 and lines[-1].channels == CHANNELS_SET

    with_lines(test)


def test_whoever_had_no_trouble_is_told_to_read_when_the_connection_is_another() -> None:
    async def test(subscription: Subscription, lines: list[Line]) -> None:
        troubled, quiet = await listening(subscription, 2)
        await subscription.subscribe(troubled, CHANNELS, None)
        assert len(lines) == 2 and await quiet.listen(30) == CHANNELS_SET

    with_lines(test)


def test_a_connection_that_breaks_is_told_to_all_of_it() -> None:
    async def test(subscription: Subscription, lines: list[Line]) -> None:
        listeners = await listening(subscription, 3)
        lines[0].breaks()
        for one in listeners:
            with pytest.raises(RedisUnavailable, match="cut"):
                await one.listen(30)
        await asyncio.gather(*(subscription.subscribe(one, CHANNELS, None) for one in listeners))
        assert len(lines) == 2

    with_lines(test)


def test_what_nobody_listens_to_any_more_is_not_listened_to() -> None:
    async def test(subscription: Subscription, lines: list[Line]) -> None:
        first, second = Listener(), Listener()
        await subscription.subscribe(first, CHANNELS, None)
        await subscription.subscribe(second, ("one",), None)
        subscription.leave(first)
        while lines[0].channels != {"one"}:
            await asyncio.sleep(0)
        subscription.leave(second)
        while not lines[0].closed:
            await asyncio.sleep(0)
        await subscription.subscribe(second, ("one",), None)
        assert len(lines) == 2

    with_lines(test)


# --- turns


def test_commands_of_many_go_out_together_and_each_has_its_own_replies() -> None:
    trips: list[list[int]] = []

    async def send(commands: Any) -> list[Any]:
        trips.append([command[0] for command in commands])
        await asyncio.sleep(0)
        return [command[0] * 10 for command in commands]

    async def main() -> None:
        turns = Turns(send)
        replies = await asyncio.gather(*(turns.send([(n,), (n + 1000,)]) for n in range(300)))
        assert replies == [[n * 10, (n + 1000) * 10] for n in range(300)]
        assert max(map(len, trips)) <= 100 and len(trips) < 10

    asyncio.run(main())


def test_trouble_is_told_to_all_of_its_trip_and_the_next_one_goes_on() -> None:
    failing = True

    async def send(commands: Any) -> list[Any]:
        await asyncio.sleep(0)
        if failing:
            raise RedisUnavailable("gone", "is it running?")
        return [None for _ in commands]

    async def main() -> None:
        nonlocal failing
        turns = Turns(send)
        outcomes = await asyncio.gather(*(turns.send([(n,)]) for n in range(5)), return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["gone (is it running?)"] * 5
        assert len({id(outcome) for outcome in outcomes}) == 5, "each its own, to raise where it is"
        failing = False
        assert await turns.send([("a",)]) == [None]

    asyncio.run(main())


def test_who_is_cancelled_harms_nobody_and_who_waits_at_the_end_is_told() -> None:
    async def main() -> None:
        answered = asyncio.Event()

        async def send(commands: Any) -> list[Any]:
            await answered.wait()
            return [command[0] for command in commands]

        turns = Turns(send)
        tasks = [asyncio.create_task(turns.send([(n,)]), name=str(n)) for n in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        answered.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [outcomes[0], outcomes[2]] == [[0], [2]] and isinstance(outcomes[1], asyncio.CancelledError)
        answered.clear()
        last = asyncio.create_task(turns.send([(9,)]), name="last")
        await asyncio.sleep(0)
        await turns.aclose()
        with pytest.raises(RedisUnavailable, match="the reader was closed"):
            await last

    asyncio.run(main())
