"""The readers' way to the server, without asyncio: it sends, listens, waits, and decides nothing.

What is to be done comes from generators: of commands (`reading.Steps`), or of orders (`orders.Orders`).
The server is looked for at the first use, so that a reader can be made before there is one. Where the
embedded server has moved it is found again: it has another port after each start.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
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
from .channels import CONFIRMED_S, Channels, Listener

__all__ = ["RedisLink", "Subscription"]

_T = TypeVar("_T")

_REST_S = 1.0  # for the rest of a message that has begun to arrive
_TAKEN_MOST = 10_000  # hints taken at once: then it is time to read, however many more there are


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
                self._subscription = Subscription(lambda: self._client().pubsub())
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


class Subscription:
    """The connection that listens for all who follow by one reader, from whichever threads.

    Nothing runs of its own. Whoever waits first waits at the connection, for all, and hands out what comes;
    when it goes, another one does. So none holds up the others, however long it takes over what it was given.
    """

    def __init__(self, pubsub: Callable[[], Any]) -> None:
        self._pubsub = pubsub
        self._changed = threading.Condition()
        self._channels = Channels()
        self._number = 0  # of the connection that is wanted
        self._failed = True  # that one
        self._taken = False  # somebody is at the connection: what follows is for it alone
        self._line: _Line | None = None

    def subscribe(self, listener: Listener, channels: tuple[str, ...], ignored: bytes | None) -> None:
        """Listen for it, in place of what it listened to before. Raises `RedisUnavailable`.

        Who comes back to a connection that it listened by has had trouble, and that may be dead.
        """
        with self._changed:
            self._channels.leave(listener)
            listener.begin(channels, ignored)
            if self._failed or listener.connection == self._number:
                self._number += 1
                self._failed = False
                self._channels.forget()
            listener.connection = self._number
            self._channels.add(listener)
            self._call()
        self.wait(listener, CONFIRMED_S)
        listener.subscribed()

    def wait(self, listener: Listener, within_s: float) -> None:
        """Until it has news, at most so long. What is there already is taken in any case."""
        deadline_s = time.monotonic() + within_s
        looked = False
        while True:
            with self._changed:
                left_s = 0.0 if listener.has_news else max(0.0, deadline_s - time.monotonic())
                if self._taken and left_s:
                    self._changed.wait(left_s)
                    continue
                if self._taken or (looked and not left_s):
                    return
                self._taken = looked = True
                number, wanted = self._number, set(self._channels)
            try:
                self._work(number, wanted, left_s)
            finally:
                with self._changed:
                    self._taken = False
                    self._hang_up_if_alone()
                    self._changed.notify_all()

    def leave(self, listener: Listener) -> None:
        """It listens no more."""
        with self._changed:
            self._channels.leave(listener)
            self._call()
            self._hang_up_if_alone()

    def _work(self, number: int, wanted: set[str], within_s: float) -> None:
        """Subscribe to what is wanted, wait for a message, and hand out all that are there."""
        try:
            line = self._line
            if line is None or line.number != number:
                self._hang_up()
                line = self._line = _Line(self._pubsub(), number)
            if gone := line.asked - wanted:
                with self._changed:
                    self._channels.forget(gone)
            line.ask(wanted)
            for message in line.messages(within_s):
                with self._changed:
                    self._channels.take(message)
        except (RedisUnavailable, *ERRORS) as error:
            self._hang_up()
            with self._changed:
                if number == self._number:
                    self._failed = True
                    self._channels.fail(unavailable(error))

    def _call(self) -> None:
        """Have whoever is at the connection look at what is wanted now."""
        if self._taken and (line := self._line) is not None:
            line.ring()

    def _hang_up_if_alone(self) -> None:
        if not self._taken and not self._channels:
            self._failed = True
            self._hang_up()

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()


class _Line:
    """A connection that listens, and a bell to call away whoever waits at it."""

    def __init__(self, pubsub: Any, number: int) -> None:
        self.number = number
        self.asked: set[str] = set()
        self._pubsub = pubsub
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.setblocking(False)

    def ask(self, wanted: set[str]) -> None:
        """Subscribe to these, and to no others."""
        if less := self.asked - wanted:
            self._pubsub.unsubscribe(*less)
        if more := wanted - self.asked:
            self._pubsub.subscribe(*more)
        self.asked = wanted

    def messages(self, within_s: float) -> Iterator[dict[str, Any]]:
        """All that are there, once any is, or none. Ends early where the bell rings."""
        readable = self._is_readable(within_s)
        for _ in range(_TAKEN_MOST):
            # A message may have arrived in part: reading it without waiting would end the connection.
            if not readable:
                break
            if (message := self._pubsub.get_message(timeout=_REST_S)) is not None:
                yield message
            readable = self._pubsub.connection.can_read(0)

    def ring(self) -> None:
        """Call away whoever waits."""
        with suppress(OSError):  # It rings already, or was closed just now.
            self._rope.send(b"!")

    def close(self) -> None:
        """End it."""
        self._pubsub.close()
        self._bell.close()
        self._rope.close()

    def _is_readable(self, within_s: float) -> bool:
        connection = self._pubsub.connection
        if not isinstance(connection._sock, socket.socket):  # It is opened anew; or is none.
            return bool(connection.can_read(within_s))
        poll = select.poll()
        for one in (connection._sock, self._bell):
            poll.register(one, select.POLLIN)
        ready = {number for number, _ in poll.poll(within_s * 1000)}
        if self._bell.fileno() in ready:
            self._bell.recv(4096)
        return connection._sock.fileno() in ready
