"""The readers' two ways to the server, with and without asyncio: they send, listen, wait, and decide nothing.

What is to be done comes from generators: of commands (`reading.Steps`), or of orders (`orders.Orders`).
Each link finds the embedded server again where that has moved: it has another port after each start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, TypeVar

import redis
import redis.asyncio
from redis.exceptions import RedisError, ResponseError

from ..errors import RedisUnavailable
from .addresses import connect, moved_to
from .connecting import database_of, resolve_url, unavailable
from .orders import Give, Listen, Order, Orders, Pause, Subscribe
from .reading import Steps
from .scripts import cancellable

__all__ = ["AsyncLink", "Link"]

_T = TypeVar("_T")

_CONFIRMED_S = 5.0  # for the server's answer to a subscription
_REST_S = 1.0  # for the rest of a message that has begun to arrive
_TAKEN_MOST = 10_000  # hints taken at once: then it is time to read, however many more there are


class Link:
    """The synchronous way. Threads may share one: each iteration listens on a connection of its own."""

    def __init__(self, url: str | None, client: Any) -> None:
        self._owns = client is None
        self._asked_url = url
        self._url = resolve_url(url) if self._owns else ""
        self._redis = connect(redis, self._url) if self._owns else client

    def drive(self, steps: Steps[_T]) -> _T:
        """Carry the steps to their end; their result, or what they raise."""
        try:
            commands = next(steps)
            while True:
                commands = steps.send(self._send(commands))
        except StopIteration as done:
            result: _T = done.value
            return result

    def iterate(self, orders: Orders) -> Generator[Any, None, None]:
        """What the orders give, one after the other."""
        hints = _Hints(self)
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
                        hints.subscribe(order.channel)
                    elif isinstance(order, Listen):
                        hints.listen(order)
                    elif isinstance(order, Pause):
                        time.sleep(order.seconds)
                    else:
                        answer = self._send(order)
                except RedisUnavailable as error:
                    problem = error
        finally:
            hints.close()

    @property
    def database(self) -> int:
        """The number of the database that is read."""
        return database_of(self._redis)

    def pubsub(self) -> Any:
        """Something to subscribe with."""
        return self._redis.pubsub()

    def moved(self) -> bool:
        """Whether the server is another one now; if so, it is that one from here on."""
        url = moved_to(self._asked_url, self._url) if self._owns else ""
        if url:
            self._redis.close()
            self._url, self._redis = url, connect(redis, url)
        return bool(url)

    def close(self) -> None:
        """Close the connections, unless the client is somebody else's."""
        if self._owns:
            self._redis.close()

    def _send(self, commands: Sequence[tuple[Any, ...]], *, again: bool = True) -> list[Any]:
        try:
            if len(commands) == 1:
                return [self._redis.execute_command(*commands[0])]
            with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(pipeline.execute(raise_on_error=False))
        except ResponseError as error:
            return [error]
        except (RedisError, OSError) as error:
            if again and self.moved():
                return self._send(commands, again=False)
            raise unavailable(error) from error


class _Hints:
    """A subscription, on a connection of its own."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._pubsub: Any = None

    def subscribe(self, channel: str, *, again: bool = True) -> None:
        self.close()
        self._pubsub = self._link.pubsub()
        try:
            self._pubsub.subscribe(channel)
            if self._pubsub.get_message(timeout=_CONFIRMED_S) is None:
                raise redis.TimeoutError("it does not confirm a subscription")
        except (RedisError, OSError) as error:
            if not (again and self._link.moved()):
                raise unavailable(error) from error
            self.subscribe(channel, again=False)

    def listen(self, order: Listen) -> None:
        deadline_s = time.monotonic() + order.within_s
        try:
            while (left_s := deadline_s - time.monotonic()) > 0:
                if _matters(self._pubsub.get_message(timeout=left_s), order.ignored):
                    break
            for _ in range(_TAKEN_MOST):
                # A message may have arrived in part: reading it without waiting would drop the connection.
                if not self._pubsub.connection.can_read(0):
                    break
                self._pubsub.get_message(timeout=_REST_S)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    def close(self) -> None:
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None


class AsyncLink:
    """`Link` over `redis.asyncio`."""

    def __init__(self, url: str | None, client: Any) -> None:
        self._owns = client is None
        self._asked_url = url
        self._url = resolve_url(url) if self._owns else ""
        self._redis = connect(redis.asyncio, self._url) if self._owns else client

    async def drive(self, steps: Steps[_T]) -> _T:
        """See `Link.drive`."""
        try:
            commands = next(steps)
            while True:
                commands = steps.send(await self._send(commands))
        except StopIteration as done:
            result: _T = done.value
            return result

    async def iterate(self, orders: Orders) -> AsyncGenerator[Any, None]:
        """See `Link.iterate`."""
        hints = _AsyncHints(self)
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
                        await hints.subscribe(order.channel)
                    elif isinstance(order, Listen):
                        await hints.listen(order)
                    elif isinstance(order, Pause):
                        await asyncio.sleep(order.seconds)
                    else:
                        answer = await self._send(order)
                except RedisUnavailable as error:
                    problem = error
        finally:
            await hints.aclose()

    @property
    def database(self) -> int:
        """The number of the database that is read."""
        return database_of(self._redis)

    def pubsub(self) -> Any:
        """Something to subscribe with."""
        return self._redis.pubsub()

    async def moved(self) -> bool:
        """See `Link.moved`."""
        url = moved_to(self._asked_url, self._url) if self._owns else ""
        if url:
            await self._redis.aclose()
            self._url, self._redis = url, connect(redis.asyncio, url)
        return bool(url)

    async def aclose(self) -> None:
        """Close the connections, unless the client is somebody else's."""
        if self._owns:
            await self._redis.aclose()

    async def _send(self, commands: Sequence[tuple[Any, ...]], *, again: bool = True) -> list[Any]:
        try:
            if len(commands) == 1:
                return [await cancellable(self._redis.execute_command(*commands[0]))]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(await cancellable(pipeline.execute(raise_on_error=False)))
        except ResponseError as error:
            return [error]
        except (RedisError, OSError) as error:
            if again and await self.moved():
                return await self._send(commands, again=False)
            raise unavailable(error) from error


class _AsyncHints:
    """`_Hints` over `redis.asyncio`."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link
        self._pubsub: Any = None

    async def subscribe(self, channel: str, *, again: bool = True) -> None:
        await self.aclose()
        self._pubsub = self._link.pubsub()
        try:
            await cancellable(self._pubsub.subscribe(channel))
            if await cancellable(self._pubsub.get_message(timeout=_CONFIRMED_S)) is None:
                raise redis.TimeoutError("it does not confirm a subscription")
        except (RedisError, OSError) as error:
            if not (again and await self._link.moved()):
                raise unavailable(error) from error
            await self.subscribe(channel, again=False)

    async def listen(self, order: Listen) -> None:
        deadline_s = time.monotonic() + order.within_s
        try:
            while (left_s := deadline_s - time.monotonic()) > 0:
                message = await cancellable(self._pubsub.get_message(timeout=left_s))
                if _matters(message, order.ignored):
                    break
            for _ in range(_TAKEN_MOST):
                # Here nothing is lost of a message that has arrived in part.
                if await self._pubsub.get_message(timeout=0.0) is None:
                    break
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def aclose(self) -> None:
        if self._pubsub is not None:
            pubsub, self._pubsub = self._pubsub, None
            await pubsub.aclose()


def _matters(message: dict[str, Any] | None, ignored: bytes | None) -> bool:
    """Whether it is worth a read. A subscription that was renewed is: a message may have been missed."""
    if message is None:
        return False
    data = message["data"]
    if isinstance(data, str):
        data = data.encode()
    return ignored is None or not (isinstance(data, bytes) and data.startswith(ignored))
