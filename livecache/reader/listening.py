"""What all who follow on one event loop share: one connection that listens for them, and one that reads.

So five hundred series cost two connections, as one does.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio.client import PubSub
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ConnectionError

from ..errors import RedisUnavailable
from ..wire.refusals import ERRORS, unavailable
from ..wire.routing import Routes, exchange_async, rests_s
from ..wire.scripts import cancellable
from .listen import channels
from .listen.channels import CONFIRMED_S, Channels, check_moved

__all__ = ["Listener", "Places", "Subscription", "Turns"]

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


class Places:
    """Where one listens: at a server, or in a cluster at the node that has the slot of a channel."""

    def __init__(self, client: Callable[[], Any], routes: Callable[[], Routes | None]) -> None:
        self._client = client
        self._routes = routes

    async def of(self, channels: set[str]) -> tuple[Mapping[str, set[str]], bool]:
        """The channels by their places, and whether these are apart: one is there though another is not."""
        self._client()  # which makes the routes
        if (routes := self._routes()) is None:
            return {"": channels}, False
        await exchange_async(routes, ())
        return routes.by_node(channels), True

    def pubsub(self, place: str) -> Any:
        """Something to subscribe with."""
        client, routes = self._client(), self._routes()
        if routes is None:
            return client.pubsub()
        node = routes.node(place)
        return PubSub(ConnectionPool(node.connection_class, **node.connection_kwargs))

    def doubt(self) -> None:
        """One of them had trouble: which there are is looked at anew."""
        if (routes := self._routes()) is not None:
            routes.doubt()


class Subscription:
    """The connections that listen. They are open while anybody listens, and made anew if one has trouble."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._channels = Channels()
        self._changed = asyncio.Event()
        self._number = 0  # of the connections
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
        lines: dict[str, _Line] = {}
        rests: dict[str, float] = {}  # until when a place is left alone that had trouble
        changing: asyncio.Future[Any] | None = None

        def take(message: dict[str, Any]) -> None:
            if self._number == number:
                self._channels.take(message)

        try:
            while self._number == number:
                self._changed.clear()
                wanted = set(self._channels)
                if not wanted:
                    self._task = None
                    return
                places, apart = await self._places.of(wanted)
                for gone in lines.keys() - places.keys():
                    await lines.pop(gone).aclose()
                problem: Exception | None = None
                for place, channels in places.items():
                    lost = rests.get(place, 0.0) <= time.monotonic()
                    if lost:
                        rests.pop(place, None)
                        line = lines.get(place) or _Line()
                        lines[place] = line
                        try:
                            await self._ask(line, place, channels, sharded=apart)
                            line.read(take)
                            continue
                        except Exception as error:
                            await lines.pop(place).aclose()
                            if not apart:
                                raise
                            problem = error
                            self._places.doubt()
                            rests[place] = time.monotonic() + rests_s(error)
                    self._channels.excuse(channels, lost=lost)
                if not lines:
                    raise problem or ConnectionError("no node of the cluster can be listened to")
                changing = changing or asyncio.ensure_future(self._changed.wait())
                await asyncio.wait(
                    {changing, *(line.reading for line in lines.values() if line.reading)},
                    return_when=asyncio.FIRST_COMPLETED,
                    timeout=min((until_s - time.monotonic() for until_s in rests.values()), default=None),
                )
                if changing.done():
                    changing = None
        except RedisUnavailable as error:
            self._lost(number, error)
        except Exception as error:
            self._lost(number, unavailable(error))
        finally:
            if changing is not None:
                changing.cancel()
            for line in lines.values():
                await line.aclose()

    async def _ask(self, line: _Line, place: str, channels: set[str], *, sharded: bool) -> None:
        if line.pubsub is None:
            line.pubsub = self._places.pubsub(place)
        self._channels.forget(line.asked - channels)
        await line.ask(channels, sharded=sharded)

    def _lost(self, number: int, problem: RedisUnavailable) -> None:
        if self._number == number:
            self._task = None
            self._channels.fail(problem)


class _Line:
    """A connection that listens."""

    def __init__(self) -> None:
        self.pubsub: Any = None
        self.asked: set[str] = set()
        self.reading: asyncio.Future[None] | None = None

    async def ask(self, wanted: set[str], *, sharded: bool) -> None:
        """Subscribe to these, and to no others."""
        less, more = self.asked - wanted, wanted - self.asked
        if not sharded:
            if less:
                await self.pubsub.unsubscribe(*less)
            if more:
                await self.pubsub.subscribe(*more)
        for channel in less if sharded else ():  # Those of one command are of one slot.
            await self.pubsub.sunsubscribe(channel)
        for channel in more if sharded else ():
            await self.pubsub.ssubscribe(channel)
        self.asked = wanted

    def read(self, take: Callable[[dict[str, Any]], None]) -> None:
        """Have it read on. Raises what ended it."""
        if self.reading is not None and self.reading.done():
            self.reading.result()
        self.reading = self.reading or asyncio.ensure_future(self._read(take))

    async def _read(self, take: Callable[[dict[str, Any]], None]) -> None:
        while True:
            message = await self.pubsub.get_message(timeout=_MESSAGE_S)
            if message is not None:
                check_moved(message, self.asked)
                take(message)

    async def aclose(self) -> None:
        """End it."""
        if self.reading is not None and not self.reading.cancel() and not self.reading.cancelled():
            self.reading.exception()  # It was told, or another one was.
        if self.pubsub is not None:
            with suppress(RuntimeError, *ERRORS):  # which it is if its loop was closed first
                await self.pubsub.aclose()


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
