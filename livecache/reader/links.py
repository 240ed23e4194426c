"""The readers' way to the server, without asyncio: it sends, listens, waits, and decides nothing.

What is to be done comes from generators: of commands (`reading.Steps`), or of orders (`orders.Orders`).
The server is looked for at the first use, so that a reader can be made before there is one. Where the
embedded server has moved it is found again: it has another port after each start.
"""

from __future__ import annotations

import os
import threading
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
from ..wire.routing import Routes, exchange, routes_over
from .listen.channels import Listener
from .listen.lines import Places, Subscription

__all__ = ["RedisLink"]

_T = TypeVar("_T")


class RedisLink:
    """The synchronous way. Threads may share one, and all that follow by it one connection that listens."""

    def __init__(self, url: str | None, client: Any) -> None:
        self.owns = client is None
        self.asked_url = url
        self._url = ""
        self._redis = client
        self._routes: Routes | None = None  # of a cluster
        self._lock = threading.Lock()
        self._subscription: Subscription | None = None
        self._subscribed_by = 0  # the process
        if client is not None:
            check_client(client, url, asynchronous=False)
            self._use("", client)
        elif named := named_url(url):
            self._use(named, connect(redis, named))

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
        listener = _Listener(self)
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
                        listener.subscribe(order)
                    elif isinstance(order, Listen):
                        answer = listener.listen(order.within_s)
                    elif isinstance(order, Pause):
                        time.sleep(order.seconds)
                    elif isinstance(order, InTurn):
                        answer = self._send(order.commands)
                    else:
                        answer = self._send(order)
                except RedisUnavailable as error:
                    problem = error
        finally:
            listener.leave()

    @property
    def database(self) -> int:
        """The number of the database that is read."""
        return database_of(self._redis)

    @property
    def patience_s(self) -> float | None:
        """Seconds after which a reply is given up; None: never."""
        return patience_of(self._redis)

    def subscription(self) -> Subscription:
        """What all who follow share. After a fork it is the parent's, and there is another one."""
        with self._lock:
            if self._subscription is None or self._subscribed_by != os.getpid():
                self._subscription = Subscription(Places(self._client, lambda: self._routes))
                self._subscribed_by = os.getpid()
            return self._subscription

    def moved(self) -> bool:
        """Whether the server is another one now; if so, it is that one from here on."""
        url = moved_to(self.asked_url, self._url) if self.owns and self._url else ""
        if url:
            self._redis.close()
            self._use(url, connect(redis, url))
        return bool(url)

    def close(self) -> None:
        """Close the connections, unless the client is somebody else's."""
        if self.owns and self._redis is not None:
            self._redis.close()

    def _client(self) -> Any:
        if self._redis is None:
            url = resolve_url(self.asked_url)
            self._use(url, connect(redis, url))
        return self._redis

    def _use(self, url: str, client: Any) -> None:
        self._routes = routes_over(client)
        self._url, self._redis = url, client

    def _send(self, commands: Sequence[tuple[Any, ...]], *, again: bool = True) -> list[Any]:
        client = self._redis if self._redis is not None else self._client()
        try:
            if self._routes is not None:
                return exchange(self._routes, commands)
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


class _Listener(Listener):
    """Listens by the subscription of its link."""

    def __init__(self, link: RedisLink) -> None:
        super().__init__()
        self._link = link
        self._subscription = link.subscription()

    def subscribe(self, order: Subscribe, *, again: bool = True) -> None:
        """Listen to these channels. Raises `RedisUnavailable`."""
        try:
            self._subscription.subscribe(self, order.channels, order.ignored)
        except RedisUnavailable:
            if not (again and self._link.moved()):
                raise
            self.subscribe(order, again=False)

    def listen(self, within_s: float) -> set[str]:
        """The channels that had a message which matters."""
        self._subscription.wait(self, within_s)
        return self.heard()

    def leave(self) -> None:
        """Listen no more."""
        self._subscription.leave(self)
