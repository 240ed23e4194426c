"""The readers' way to the server, without asyncio: it sends, listens, waits, and decides nothing.

What is to be done comes from generators: of commands (`reading.Steps`), or of orders (`orders.Orders`).
The server is looked for at the first use, so that a reader can be made before there is one. Where the
embedded server has moved it is found again: it has another port after each start.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any, TypeVar

import redis
from redis.exceptions import ResponseError

from ..errors import RedisUnavailable
from ..read.orders import Give, InTurn, Listen, Order, Orders, Pause, Subscribe
from ..read.reading import Steps
from ..wire.addresses import check_client, connect, moved_to
from ..wire.connecting import database_of, named_url, patience_of, resolve_url
from ..wire.refusals import ERRORS, NO_REDIS, unavailable
from ..wire.scripts import text_of

__all__ = ["CONFIRMED_S", "RedisLink", "matters"]

_T = TypeVar("_T")

CONFIRMED_S = 5.0
"""For the server's answer to a subscription."""

_REST_S = 1.0  # for the rest of a message that has begun to arrive
_TAKEN_MOST = 10_000  # hints taken at once: then it is time to read, however many more there are


class RedisLink:
    """The synchronous way. Threads may share one: each iteration listens on a connection of its own."""

    def __init__(self, url: str | None, client: Any) -> None:
        self.owns = client is None
        self.asked_url = url
        self._url = ""
        self._redis = client
        if client is not None:
            check_client(client, url, asynchronous=False)
        elif named := named_url(url):
            self._url, self._redis = named, connect(redis, named)

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
                        hints.subscribe(order)
                    elif isinstance(order, Listen):
                        answer = hints.listen(order.within_s)
                    elif isinstance(order, Pause):
                        time.sleep(order.seconds)
                    elif isinstance(order, InTurn):
                        answer = self._send(order.commands)
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

    @property
    def patience_s(self) -> float | None:
        """Seconds after which a reply is given up; None: never."""
        return patience_of(self._redis)

    def pubsub(self) -> Any:
        """Something to subscribe with."""
        return self._client().pubsub()

    def moved(self) -> bool:
        """Whether the server is another one now; if so, it is that one from here on."""
        url = moved_to(self.asked_url, self._url) if self.owns and self._url else ""
        if url:
            self._redis.close()
            self._url, self._redis = url, connect(redis, url)
        return bool(url)

    def close(self) -> None:
        """Close the connections, unless the client is somebody else's."""
        if self.owns and self._redis is not None:
            self._redis.close()

    def _client(self) -> Any:
        if self._redis is None:
            url = resolve_url(self.asked_url)
            self._url, self._redis = url, connect(redis, url)
        return self._redis

    def _send(self, commands: Sequence[tuple[Any, ...]], *, again: bool = True) -> list[Any]:
        client = self._redis if self._redis is not None else self._client()
        try:
            if len(commands) == 1:
                return [client.execute_command(*commands[0])]
            with client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(pipeline.execute(raise_on_error=False))
        except ResponseError as error:  # of a pipeline it is the connection that was refused
            return [error] * len(commands)
        except (*ERRORS, *NO_REDIS) as error:
            if again and self.moved():
                return self._send(commands, again=False)
            raise unavailable(error) from error


class _Hints:
    """A subscription, on a connection of its own."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._pubsub: Any = None
        self._ignored: bytes | None = None

    def subscribe(self, order: Subscribe, *, again: bool = True) -> None:
        self.close()
        self._pubsub = self._link.pubsub()
        self._ignored = order.ignored
        unconfirmed = set(order.channels)
        deadline_s = time.monotonic() + CONFIRMED_S
        try:
            self._pubsub.subscribe(*order.channels)
            while unconfirmed:
                message = self._pubsub.get_message(timeout=max(0.0, deadline_s - time.monotonic()))
                if message is None:
                    raise redis.TimeoutError("it does not confirm a subscription")
                unconfirmed.discard(text_of(message["channel"]))
        except ERRORS as error:
            if not (again and self._link.moved()):
                raise unavailable(error) from error
            self.subscribe(order, again=False)

    def listen(self, within_s: float) -> set[str]:
        """The channels that had a message which matters."""
        deadline_s = time.monotonic() + within_s
        hinted: set[str] = set()
        try:
            while not hinted and (left_s := deadline_s - time.monotonic()) > 0:
                self._take(hinted, left_s)
            for _ in range(_TAKEN_MOST):
                # A message may have arrived in part: reading it without waiting would drop the connection.
                if not self._pubsub.connection.can_read(0):
                    break
                self._take(hinted, _REST_S)
        except ERRORS as error:
            raise unavailable(error) from error
        return hinted

    def _take(self, hinted: set[str], within_s: float) -> None:
        message = self._pubsub.get_message(timeout=within_s)
        if message is not None and matters(message, self._ignored):
            hinted.add(text_of(message["channel"]))

    def close(self) -> None:
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None


def matters(message: dict[str, Any], ignored: bytes | None) -> bool:
    """Whether it is worth a read. A subscription that was renewed is: a message may have been missed."""
    data = message["data"]
    if isinstance(data, str):
        data = data.encode()
    return ignored is None or not (isinstance(data, bytes) and data.startswith(ignored))
