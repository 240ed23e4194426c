"""What all who follow on one event loop share: one connection that listens for them, and one that reads.

So five hundred series cost two connections, as one does.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from ..errors import RedisUnavailable
from ..wire.refusals import ERRORS, unavailable
from ..wire.scripts import cancellable
from . import channels
from .channels import CONFIRMED_S, Channels

__all__ = ["Listener", "Subscription", "Turns"]

_Commands = Sequence[tuple[Any, ...]]
_Waiting = tuple[_Commands, asyncio.Future[list[Any]]]

_MESSAGE_S = 30.0  # for one message, before it waits for the next

_COMMANDS_A_TRIP = 100


class Listener(channels.Listener):
    """Waits with asyncio."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def stir(self) -> None:
        """See `channels.Listener`."""
        super().stir()
        self._news.set()

    def rest(self) -> None:
        """See `channels.Listener`."""
        super().rest()
        self._news.clear()

    async def confirmed(self) -> None:
        """Wait until all channels are. Raises `RedisUnavailable`."""
        await self._wait(CONFIRMED_S)
        self.subscribed()

    async def listen(self, within_s: float) -> set[str]:
        """The channels that have had news since the last call, once there are any, or an empty set."""
        await self._wait(within_s)
        return self.heard()

    async def _wait(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()


class Subscription:
    """The connection that listens. It is open while anybody listens, and made anew if one has trouble."""

    def __init__(self, pubsub: Callable[[], Any]) -> None:
        self._pubsub = pubsub
        self._channels = Channels()
        self._changed = asyncio.Event()
        self._number = 0  # of the connection
        self._task: asyncio.Task[None] | None = None

    async def subscribe(self, listener: Listener, channels: tuple[str, ...], ignored: bytes | None) -> None:
        """Listen for it, in place of what it listened to before. Raises `RedisUnavailable`.

        Who comes back to a connection that it listened by has had trouble, and that may be dead.
        """
        renewed = listener.connection == self._number
        self.leave(listener)
        listener.begin(channels, ignored)
        if self._task is None or renewed:
            self._restart()
        listener.connection = self._number
        self._channels.add(listener)
        self._changed.set()
        await listener.confirmed()

    def leave(self, listener: Listener) -> None:
        """It listens no more."""
        self._channels.leave(listener)
        self._changed.set()

    async def aclose(self) -> None:
        """End it; whoever still listens is told."""
        task, self._task = self._task, None
        self._channels.fail(RedisUnavailable("the reader was closed"))
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    # --- the connection

    def _restart(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._number += 1
        self._channels.forget()
        self._task = asyncio.create_task(self._run(self._number), name="livecache: hints")

    async def _run(self, number: int) -> None:
        await cancellable(self._work(number))

    async def _work(self, number: int) -> None:
        """Subscribe to what is wanted, and hand out what comes, while anybody listens."""
        asked: set[str] = set()
        reading: asyncio.Future[None] | None = None
        changing: asyncio.Future[Any] | None = None
        pubsub = None
        try:
            pubsub = self._pubsub()
            while self._number == number:
                self._changed.clear()
                wanted = set(self._channels)
                if not wanted:
                    self._task = None
                    return
                if less := asked - wanted:
                    self._channels.forget(less)
                    await pubsub.unsubscribe(*less)
                if more := wanted - asked:
                    await pubsub.subscribe(*more)
                asked = wanted
                reading = reading or asyncio.ensure_future(self._read(pubsub, number))
                changing = changing or asyncio.ensure_future(self._changed.wait())
                await asyncio.wait({reading, changing}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    reading.result()
                if changing.done():
                    changing = None
        except RedisUnavailable as error:
            self._lost(number, error)
        except Exception as error:
            self._lost(number, unavailable(error))
        finally:
            for one in (reading, changing):
                if one is not None:
                    one.cancel()
            if pubsub is not None:
                with suppress(RuntimeError, *ERRORS):  # which it is if its loop was closed first
                    await pubsub.aclose()

    async def _read(self, pubsub: Any, number: int) -> None:
        while self._number == number:
            message = await pubsub.get_message(timeout=_MESSAGE_S)
            if message is not None and self._number == number:
                self._channels.take(message)

    def _lost(self, number: int, problem: RedisUnavailable) -> None:
        if self._number == number:
            self._task = None
            self._channels.fail(problem)


class Turns:
    """Sends the commands of all who follow, in one round trip after the other on one connection."""

    def __init__(self, send: Callable[[_Commands], Awaitable[list[Any]]]) -> None:
        self._send = send
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def send(self, commands: _Commands) -> list[Any]:
        """Their replies, errors among them. Raises `RedisUnavailable`."""
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, answered))
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="livecache: reads")
        return await answered

    async def aclose(self) -> None:
        """End it; whoever waits is told."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        _answer(self._waiting, RedisUnavailable("the reader was closed"))  # if it had not begun

    async def _work(self) -> None:
        trip: list[_Waiting] = []
        try:
            while self._waiting:
                trip = self._next_trip()
                try:
                    replies = await self._send([command for commands, _ in trip for command in commands])
                except Exception as error:
                    _answer(trip, error)
                else:
                    _answer(trip, replies)
        finally:
            _answer([*trip, *self._waiting], RedisUnavailable("the reader was closed"))
            self._waiting = []
            self._task = None

    def _next_trip(self) -> list[_Waiting]:
        most = size = 0
        for commands, _ in self._waiting:
            size += len(commands)
            if most and size > _COMMANDS_A_TRIP:
                break
            most += 1
        trip, self._waiting = self._waiting[:most], self._waiting[most:]
        return trip


def _answer(
    trip: Sequence[_Waiting],
    outcome: list[Any] | Exception,
) -> None:
    """Give each its part of the replies, or the error; none to who does not wait any more."""
    first = 0
    for commands, answered in trip:
        if not answered.done():
            if isinstance(outcome, Exception):
                answered.set_exception(copy.copy(outcome))
            else:
                answered.set_result(outcome[first : first + len(commands)])
        first += len(commands)
