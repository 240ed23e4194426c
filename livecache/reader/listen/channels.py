"""Who listens to which channels, and what came: what the subscriptions of both readers keep. No I/O."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from redis.exceptions import ConnectionError

from ...errors import RedisUnavailable
from ...wire.scripts import text_of

__all__ = ["CONFIRMED_S", "Channels", "Listener", "check_moved"]

CONFIRMED_S = 5.0
"""For the server's answer to a subscription."""


class Listener:
    """One who follows: its channels, and which of them have had news."""

    def __init__(self) -> None:
        self.channels: tuple[str, ...] = ()
        self.connection = 0  # the number of the one that it subscribed by, 0 before it did
        self.problem: RedisUnavailable | None = None
        self.has_news = False
        self._ignored: bytes | None = None
        self._unconfirmed: set[str] = set()
        self._hinted: set[str] = set()

    def begin(self, channels: tuple[str, ...], ignored: bytes | None) -> None:
        """Begin anew, with these."""
        self.channels, self._ignored = channels, ignored
        self._unconfirmed, self._hinted = set(channels), set()
        self.problem = None
        self.rest()
        if not channels:
            self.stir()

    def confirm(self, channel: str) -> None:
        """It is listened to from here on. Once more: what was sent in between was missed."""
        if channel not in self._unconfirmed:
            self._hint(channel)
            return
        self._unconfirmed.discard(channel)
        if not self._unconfirmed:
            self.stir()

    def excuse(self, channel: str) -> None:
        """It cannot be listened to now, and so is not waited for."""
        if channel in self._unconfirmed:
            self.confirm(channel)

    def tell(self, channel: str, data: Any) -> None:
        """A message came."""
        if isinstance(data, str):
            data = data.encode()
        if self._ignored is None or not (isinstance(data, bytes) and data.startswith(self._ignored)):
            self._hint(channel)

    def fail(self, problem: RedisUnavailable) -> None:
        """Nothing more will come."""
        self.problem = problem
        self.stir()

    def subscribed(self) -> None:
        """Go on from a subscription. Raises `RedisUnavailable` unless all channels are confirmed."""
        self.check()
        if self._unconfirmed:
            raise RedisUnavailable("Redis does not confirm a subscription", "is it hung, or the network?")
        if not self._hinted:
            self.rest()

    def heard(self) -> set[str]:
        """The channels that have had news since the last call. Raises the problem there is."""
        self.check()
        self.rest()
        hinted, self._hinted = self._hinted, set()
        return hinted

    def check(self) -> None:
        """Raise the problem there is."""
        if self.problem is not None:
            raise self.problem

    def stir(self) -> None:
        """It has something to look at."""
        self.has_news = True

    def rest(self) -> None:
        """It has looked."""
        self.has_news = False

    def _hint(self, channel: str) -> None:
        self._hinted.add(channel)
        if not self._unconfirmed:
            self.stir()


class Channels:
    """All listeners by channel, and which channels a server has confirmed."""

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Listener, None]] = {}
        self._confirmed: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter([*self._listeners])

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: Listener) -> None:
        """It listens to its channels. Those that are confirmed are so to it as well."""
        for channel in listener.channels:
            self._listeners.setdefault(channel, {})[listener] = None
            if channel in self._confirmed:
                listener.confirm(channel)

    def leave(self, listener: Listener) -> None:
        """It listens no more."""
        for channel in listener.channels:
            there = self._listeners.get(channel, {})
            there.pop(listener, None)
            if not there:
                self._listeners.pop(channel, None)

    def take(self, message: dict[str, Any]) -> None:
        """A message as redis-py has it: hand it out, or note that a channel is confirmed."""
        channel, kind = text_of(message["channel"]), message["type"]
        confirms = kind in ("subscribe", "ssubscribe")
        if confirms:
            self._confirmed.add(channel)
        elif kind not in ("message", "smessage"):
            return
        for listener in [*self._listeners.get(channel, ())]:
            if confirms:
                listener.confirm(channel)
            else:
                listener.tell(channel, message["data"])

    def forget(self, channels: Iterable[str] | None = None) -> None:
        """These, or all, are confirmed no more."""
        self._confirmed = self._confirmed.difference(channels) if channels is not None else set()

    def excuse(self, channels: Iterable[str], *, lost: bool) -> None:
        """These cannot be listened to now. What was `lost` just now is to be looked at."""
        self.forget(channels)
        for channel in channels:
            for listener in [*self._listeners.get(channel, ())]:
                (listener.confirm if lost else listener.excuse)(channel)

    def fail(self, problem: RedisUnavailable) -> None:
        """Nothing more comes to anybody: each is told, and listens no more."""
        self.forget()
        for listener in list({one: None for there in self._listeners.values() for one in there}):
            self.leave(listener)
            listener.connection = 0
            listener.fail(copy.copy(problem))


def check_moved(message: dict[str, Any], asked: set[str]) -> None:
    """Raise `ConnectionError` where a cluster's node tells that it has a channel's slot no more."""
    if message["type"] == "sunsubscribe" and text_of(message["channel"]) in asked:
        raise ConnectionError("the slot of a channel has another node now")
