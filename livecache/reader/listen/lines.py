"""The connections that listen for all who follow by one `Reader`, from whichever threads."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from redis.exceptions import ConnectionError

from ...errors import RedisUnavailable
from ...wire.refusals import ERRORS, unavailable
from ...wire.routing import Routes, exchange, rests_s
from .channels import CONFIRMED_S, Channels, Listener, check_moved

__all__ = ["Places", "Subscription"]

_REST_S = 1.0  # for the rest of a message that has begun to arrive
_TAKEN_MOST = 10_000  # hints taken at once: then it is time to read, however many more there are


class Places:
    """Where one listens: at a server, or in a cluster at the node that has the slot of a channel."""

    def __init__(self, client: Callable[[], Any], routes: Callable[[], Routes | None]) -> None:
        self._client = client
        self._routes = routes

    def of(self, channels: set[str]) -> tuple[Mapping[str, set[str]], bool]:
        """The channels by their places, and whether these are apart: one is there though another is not."""
        self._client()  # which makes the routes
        if (routes := self._routes()) is None:
            return {"": channels}, False
        exchange(routes, ())
        return routes.by_node(channels), True

    def pubsub(self, place: str) -> Any:
        """Something to subscribe with."""
        client, routes = self._client(), self._routes()
        if routes is not None:
            client = client.get_redis_connection(routes.node(place))
        return client.pubsub()

    def doubt(self) -> None:
        """One of them had trouble: which there are is looked at anew."""
        if (routes := self._routes()) is not None:
            routes.doubt()


class Subscription:
    """Nothing runs of its own. Whoever waits first waits at the connections, and hands out what came to all.

    When it goes, another one does so. So none holds up the others, however long it takes over an answer.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._changed = threading.Condition()
        self._channels = Channels()
        self._number = 0  # of the connections that are wanted
        self._failed = True  # those
        self._taken = False  # somebody is at the connections: what follows is for it alone
        self._lines: dict[str, _Line] = {}
        self._lines_number = 0
        self._rests: dict[str, float] = {}  # until when a place is left alone that had trouble
        self._bell: tuple[socket.socket, socket.socket] | None = None  # calls away whoever waits there

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
                self._bell = self._bell or _bell()
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

    # --- at the connections

    def _work(self, number: int, wanted: set[str], within_s: float) -> None:
        """Subscribe to what is wanted, wait for a message, and hand out all that are there."""
        try:
            if number != self._lines_number:
                self._hang_up()
                self._lines_number = number
            places, apart = self._places.of(wanted)
            for gone in self._lines.keys() - places.keys():
                self._lines.pop(gone).close()
            problem: Exception | None = None
            for place, channels in places.items():
                problem = self._try(place, channels, apart, self._ask) or problem
            if not self._lines:
                raise problem or ConnectionError("no node of the cluster can be listened to")
            for place, wait_s in self._readable(self._until_next(within_s)).items():
                self._try(place, places[place], apart, lambda line, _: self._take(line, wait_s))  # noqa: B023
        except (RedisUnavailable, *ERRORS) as error:
            self._hang_up()
            with self._changed:
                if number == self._number:
                    self._failed = True
                    self._channels.fail(unavailable(error))

    def _try(
        self, place: str, channels: set[str], apart: bool, work: Callable[[_Line, set[str]], None]
    ) -> Exception | None:
        """Work there. A place that has trouble while others may have none is left alone for a while."""
        error: Exception | None = None
        if self._rests.get(place, 0.0) <= time.monotonic():
            try:
                if place not in self._lines:
                    self._lines[place] = _Line(self._places.pubsub(place), sharded=apart)
                work(self._lines[place], channels)
                return None
            except (RedisUnavailable, *ERRORS) as failed:
                if not apart:
                    raise
                error = failed
                self._places.doubt()
                self._rests[place] = time.monotonic() + rests_s(failed)
                if place in self._lines:
                    self._lines.pop(place).close()
        with self._changed:
            self._channels.excuse(channels, lost=error is not None)
        return error

    def _ask(self, line: _Line, wanted: set[str]) -> None:
        if gone := line.asked - wanted:
            with self._changed:
                self._channels.forget(gone)
        line.ask(wanted)

    def _take(self, line: _Line, wait_s: float | None) -> None:
        for message in line.messages(wait_s):
            with self._changed:
                self._channels.take(message)

    def _until_next(self, within_s: float) -> float:
        """At most so long, and until a place is no longer left alone."""
        now_s = time.monotonic()
        self._rests = {place: until_s for place, until_s in self._rests.items() if until_s > now_s}
        return min([within_s, *(until_s - now_s for until_s in self._rests.values())])

    def _readable(self, within_s: float) -> dict[str, float | None]:
        """Where there is something to read; or may be within so many seconds."""
        sockets = {place: line.socket for place, line in self._lines.items()}
        odd = [place for place, its in sockets.items() if its is None]
        if odd:  # It is closed, and so is opened anew by reading; or it is none.
            return dict.fromkeys(odd, within_s if len(sockets) == 1 else 0.0)
        bell = self._bell[0] if self._bell else None
        by_number = {its.fileno(): place for place, its in sockets.items() if its is not None}
        poll = select.poll()
        for number in (*by_number, *([bell.fileno()] if bell else [])):
            poll.register(number, select.POLLIN)
        ready = {number for number, _ in poll.poll(within_s * 1000)}
        if bell is not None and bell.fileno() in ready:
            bell.recv(4096)
        return {place: None for number, place in by_number.items() if number in ready}

    # --- with the lock

    def _call(self) -> None:
        """Have whoever is at the connections look at what is wanted now."""
        if self._taken and (bell := self._bell) is not None:
            with suppress(OSError):  # It rings already, or was closed just now.
                bell[1].send(b"!")

    def _hang_up_if_alone(self) -> None:
        if not self._taken and not self._channels:
            self._failed = True
            self._hang_up()
            bell, self._bell = self._bell, None
            for end in bell or ():
                end.close()

    def _hang_up(self) -> None:
        lines, self._lines = self._lines, {}
        for line in lines.values():
            line.close()


def _bell() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends


class _Line:
    """A connection that listens."""

    def __init__(self, pubsub: Any, *, sharded: bool) -> None:
        self.asked: set[str] = set()
        self._pubsub = pubsub
        self._sharded = sharded

    @property
    def socket(self) -> socket.socket | None:
        """What it listens by; None while it is closed, or where it is none."""
        found = self._pubsub.connection._sock
        return found if isinstance(found, socket.socket) else None

    def ask(self, wanted: set[str]) -> None:
        """Subscribe to these, and to no others."""
        less, more = self.asked - wanted, wanted - self.asked
        if not self._sharded:
            if less:
                self._pubsub.unsubscribe(*less)
            if more:
                self._pubsub.subscribe(*more)
        for channel in less if self._sharded else ():  # Those of one command are of one slot.
            self._pubsub.sunsubscribe(channel)
        for channel in more if self._sharded else ():
            self._pubsub.ssubscribe(channel)
        self.asked = wanted

    def messages(self, within_s: float | None) -> Iterator[dict[str, Any]]:
        """All that are there, once any is; with None one is there."""
        readable = within_s is None or self._pubsub.connection.can_read(within_s)
        for _ in range(_TAKEN_MOST):
            # A message may have arrived in part: reading it without waiting would end the connection.
            if not readable:
                break
            message = self._pubsub.get_message(timeout=_REST_S)
            if message is not None:
                check_moved(message, self.asked)
                yield message
            readable = self._pubsub.connection.can_read(0)

    def close(self) -> None:
        """End it."""
        self._pubsub.close()
