"""`AsyncLink`: the readers' way to the server with asyncio, from whichever event loop one reads.

Connections belong to the loop that opened them. So each loop has its own, which are closed as it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import redis.asyncio
from redis.exceptions import ResponseError

from ..errors import ConfigError, RedisUnavailable
from ..read.orders import Give, InTurn, Listen, Order, Orders, Pause, Subscribe
from ..read.reading import Steps
from ..wire.addresses import check_client, connect, moved_to
from ..wire.connecting import database_of, named_url, patience_of, resolve_url
from ..wire.refusals import ERRORS, NO_REDIS, unavailable
from ..wire.routing import exchange_async, routes_over
from ..wire.scripts import cancellable
from .listening import Listener, Places, Subscription, Turns

__all__ = ["AsyncLink"]

FORGOTTEN_S = 0.1
"""The connections of a reader that nobody holds any more are closed after so long, or as their loop ends."""

_T = TypeVar("_T")
_Send = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]


class AsyncLink:
    """`Link` over `redis.asyncio`. Event loops may share one, side by side or one after the other."""

    def __init__(self, url: str | None, client: Any) -> None:
        self.owns = client is None
        self.asked_url = url
        self._client = client
        self._arrived = False
        self._places: dict[asyncio.AbstractEventLoop, _Place] = {}
        self._ends: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}
        self.database = 0
        """The number of the database that is read."""
        self.patience_s: float | None = None
        """Seconds after which a reply is given up; None: never."""
        if client is not None:
            check_client(client, url, asynchronous=True)
            self.database, self.patience_s = database_of(client), patience_of(client)
        elif named := named_url(url):
            # This opens nothing, and refuses what cannot be used.
            checked = connect(redis.asyncio, named)
            self.database, self.patience_s = database_of(checked), patience_of(checked)

    def __del__(self) -> None:
        # Of a program's last line the loop has no time left to close anything but what is still there then.
        for loop, end in self._ends.items():
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.call_later, FORGOTTEN_S, _let_go, end)

    async def drive(self, steps: Steps[_T]) -> _T:
        """See `Link.drive`."""
        place = self._places.get(asyncio.get_running_loop()) or await self._arrive()
        try:
            commands = next(steps)
            while True:
                commands = steps.send(await place.send(commands))
        except StopIteration as done:
            result: _T = done.value
            return result

    async def iterate(self, orders: Orders) -> AsyncGenerator[Any, None]:
        """See `Link.iterate`. Who subscribes shares the connections of all who do."""
        place = self._places.get(asyncio.get_running_loop()) or await self._arrive()
        listener = Listener()
        send: _Send = place.send
        answer: Any = None
        problem: RedisUnavailable | None = None
        try:
            while True:
                try:
                    order: Order = orders.throw(problem) if problem else orders.send(answer)
                except StopIteration:
                    return
                answer = problem = None
                if isinstance(order, Give):
                    yield order.value
                    continue
                try:
                    if isinstance(order, Subscribe):
                        send = place.turns.send
                        await place.subscribe(listener, order)
                    elif isinstance(order, Listen):
                        answer = await listener.listen(order.within_s)
                    elif isinstance(order, Pause):
                        await asyncio.sleep(order.seconds)
                    elif isinstance(order, InTurn):
                        answer = await place.turns.send(order.commands)
                    else:
                        answer = await send(order)
                except RedisUnavailable as error:
                    problem = error
        finally:
            place.subscription.leave(listener)

    async def aclose(self) -> None:
        """Close the connections, unless the client is somebody else's; those of other loops in these."""
        here = asyncio.get_running_loop()
        places, self._places = self._places, {}
        ends, self._ends = self._ends, {}
        for loop, place in places.items():
            if loop is here:
                await ends[loop].aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(place.aclose(), loop)

    async def _arrive(self) -> _Place:
        """What this loop has of its own from now on."""
        here = asyncio.get_running_loop()
        for loop in list(self._places):
            if loop.is_closed():
                self._places.pop(loop, None)
                self._ends.pop(loop, None)
            elif not self.owns:
                raise _of_another_loop()
        if self._arrived and not self.owns:
            # What its pool holds are connections of loops that have ended.
            with suppress(AttributeError, RuntimeError, *ERRORS):
                await self._client.connection_pool.disconnect(inuse_connections=False)
        place = _Place(self.asked_url, self._client, second_loop=self._arrived)
        self._arrived = True
        self._places[here] = place
        self._ends[here] = _until_the_end(place)
        await anext(self._ends[here])
        return place


async def _until_the_end(place: _Place) -> AsyncGenerator[None, None]:
    """Closes what a loop has as it ends, for it closes the generators that were begun in it.

    So it does when nobody holds them any more, which are those of a reader that was forgotten.
    """
    try:
        yield
    finally:
        await place.aclose()


def _let_go(_: object) -> None:
    """Who has called this holds it no longer."""


class _Place:
    """What one event loop has of its own: a client, and what those who follow there share."""

    def __init__(self, asked_url: str | None, client: Any, *, second_loop: bool) -> None:
        self._asked_url = asked_url
        self._second_loop = second_loop
        self._owns = client is None
        self._url = ""
        self._redis = client
        self._routes = routes_over(client)
        self._closed = False
        self.subscription = Subscription(Places(self._client, lambda: self._routes))
        self.turns = Turns(self.send)

    async def send(self, commands: Sequence[tuple[Any, ...]], *, again: bool = True) -> list[Any]:
        """The replies to commands of one round trip, errors among them. Raises `RedisUnavailable`."""
        client = self._redis if self._redis is not None else self._client()
        try:
            if self._routes is not None:
                return await cancellable(exchange_async(self._routes, commands))
            if len(commands) == 1:
                return [await cancellable(client.execute_command(*commands[0]))]
            async with client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(await cancellable(pipeline.execute(raise_on_error=False)))
        except ResponseError as error:  # of a pipeline it is the connection that was refused
            return [error] * len(commands)
        except (*ERRORS, *NO_REDIS) as error:
            if again and await self._moved():
                return await self.send(commands, again=False)
            raise unavailable(error) from error
        except RuntimeError as error:
            if self._owns or not self._second_loop:
                raise
            raise _of_another_loop() from error

    async def subscribe(self, listener: Listener, order: Subscribe) -> None:
        """Have it listen. Raises `RedisUnavailable`."""
        if self._closed:
            raise RedisUnavailable("the reader was closed")
        try:
            await self.subscription.subscribe(listener, order.channels, order.ignored)
        except RedisUnavailable:
            if not await self._moved():
                raise
            await self.subscription.subscribe(listener, order.channels, order.ignored)

    async def aclose(self) -> None:
        """Close the connections, unless the client is somebody else's."""
        self._closed = True
        await self.subscription.aclose()
        await self.turns.aclose()
        if self._owns and self._redis is not None:
            with suppress(*ERRORS):
                await self._redis.aclose()

    def _client(self) -> Any:
        if self._redis is None:
            url = resolve_url(self._asked_url)
            self._use(url)
        return self._redis

    def _use(self, url: str) -> None:
        self._url, self._redis = url, connect(redis.asyncio, url)
        self._routes = routes_over(self._redis)

    async def _moved(self) -> bool:
        """See `Link.moved`."""
        url = moved_to(self._asked_url, self._url) if self._owns and self._url else ""
        if url:
            await self._redis.aclose()
            self._use(url)
        return bool(url)


def _of_another_loop() -> ConfigError:
    return ConfigError(
        "the client of this AsyncReader belongs to another event loop",
        "give the reader a URL instead, or make a client and a reader in each loop",
    )
