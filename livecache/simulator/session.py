"""One client's connection to a feed: its subscriptions, and what waits to be sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from aiohttp import WSMessage, WSMsgType, web

from ..clock import Clock
from ..quiet import logger
from .clock import MarketClock
from .face import Counts
from .options import ServerOptions
from .trouble.faults import Faults, FeedFrame, HangUp

__all__ = ["Server", "Session"]

_CLOSE_S = 0.5


class Session:
    """A connection from its handshake to its end; `run` returns when it is over. A venue has a kind of it.

    `subscriptions` maps a channel to the products that the client wants of it, and each of them to the market
    time (Unix ms) at which it subscribed last.
    """

    def __init__(
        self,
        number: int,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        *,
        options: ServerOptions,
        faults: Faults,
        counts: Counts,
        host: Clock,
    ) -> None:
        self.number = number
        self.subscriptions: dict[str, dict[str, int]] = {}
        self._ws = ws
        self._transport = transport
        self._options = options
        self._faults = faults
        self._counts = counts
        self._host = host
        self._last_sent_s = host.monotonic()
        self._outbox: deque[FeedFrame] = deque()
        self._backlog_bytes = 0
        self._wake = asyncio.Event()
        self._over = False

    def wants(self, channel: str, name: str, product: str = "") -> bool:
        """Whether the client subscribed to that on a channel, and no fault has silenced the product."""
        subscribed_ms = self.subscriptions.get(channel, {}).get(name)
        return subscribed_ms is not None and not self._faults.mute(channel, product or name, subscribed_ms)

    def put(self, frame: FeedFrame) -> None:
        """Put a frame in line."""
        if self._over or self._ws.closed:
            return
        self._backlog_bytes += len(frame.text)
        if self._backlog_bytes > self._options.max_backlog_bytes:
            self._counts.cut_off += 1
            logger.bind(event="simulator_client_cut_off", session=self.number).warning(
                "client {} is too slow for its feed and was cut off", self.number
            )
            self._outbox.clear()
            self._cut()
            return
        self._outbox.append(frame)
        self._wake.set()

    async def run(self, receive: Callable[[str], None]) -> None:
        """Hand each text that the client sends to `receive` until the connection ends."""
        async with asyncio.TaskGroup() as tasks:
            helpers = (
                tasks.create_task(self._write(), name=f"simulator-feed-{self.number}-write"),
                tasks.create_task(self._watch(), name=f"simulator-feed-{self.number}-watch"),
            )
            async for message in self._ws:
                if self._over:
                    break  # what a client had sent before it was cut off is nobody's business
                if message.type is WSMsgType.TEXT:
                    receive(message.data)
                if (code := self._heard(message)) is not None:
                    await self.close(code)
            for helper in helpers:
                helper.cancel()

    async def close(self, code: int | None) -> None:
        """End the connection with that close code; None cuts it off."""
        if code is not None:
            # A client that has stopped reading would hold the close frame back for ever.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._ws.close(code=code)
                    return
        self._cut()

    def _heard(self, message: WSMessage) -> int | None:
        """A client's frame has come: the code with which it is closed for that, if it is."""
        return None

    def _cut(self) -> None:
        self._over = True
        if self._transport is not None:
            self._transport.abort()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                frame = self._outbox.popleft()
                self._backlog_bytes -= len(frame.text)
                fate = self._faults.frame(frame)
                try:
                    for text in (fate,) if isinstance(fate, HangUp) else fate:
                        if isinstance(text, HangUp):
                            return await self.close(text.code)
                        await self._ws.send_str(text)
                        self._counts.frames += 1
                except ConnectionError:
                    return None  # the client went away; the reader notices, too
                self._last_sent_s = self._host.monotonic()

    async def _watch(self) -> None:
        """What a venue does with a connection as time goes by: a kind of it knows."""


_S = TypeVar("_S", bound=Session)


class Server(Generic[_S]):
    """What the websocket sides of all venues have in common: their clients, and the beat of what is sent."""

    def __init__(self, clock: MarketClock, options: ServerOptions, host: Clock) -> None:
        self._clock = clock
        self._options: Any = options
        self._host = host
        self._sessions: set[_S] = set()

    async def close_all(self, code: int | None) -> int:
        """Close every connection with that code, or cut it off where it is None. How many there were."""
        sessions = list(self._sessions)
        await asyncio.gather(*(session.close(code) for session in sessions))
        return len(sessions)

    async def _repeat(self, every_ms: int, tick: Callable[[], None]) -> None:
        period_s = max(self._options.least_tick_s, self._clock.real_s(every_ms))
        due_s = self._host.monotonic() + period_s
        while True:
            await self._host.sleep(due_s - self._host.monotonic())
            tick()
            # Ticks that a busy host has missed are not made up for.
            due_s = max(due_s + period_s, self._host.monotonic())
