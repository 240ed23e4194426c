"""A feed over websockets: one connection that is kept alive for ever, at times the next one beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import cast
from urllib.parse import urlsplit

from ...clock import Clock
from ..net.websocket import Connection, ConnectionEnded, NoConnection
from ..venue import Event, Feed, FeedFailure
from .dialect import Dialect
from .session import Line, Session
from .watchdog import Silence

__all__ = ["SocketFeed", "shared_out"]

_OPEN_TIMEOUT_S = 10.0


class SocketFeed:
    """The candles, and if wanted the trades, of `products` over one connection.

    `aliases` maps a product to the id that the feed carries for it (BTC-USDC to BTC-USD); what comes is told
    for each product that was asked for. The connection is given up after `silence_timeout_s` real seconds
    without an intelligible message. `first_delay_s` keeps several feeds from connecting at once.
    """

    def __init__(
        self,
        dialect: Dialect,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        clock: Clock,
        jitter: Callable[[], float],
        silence_timeout_s: float,
        first_delay_s: float = 0.0,
        open_timeout_s: float = _OPEN_TIMEOUT_S,
        message_bytes: int | None = None,
    ) -> None:
        self._url = dialect.url
        self._clock = clock
        self._silence_timeout_s = silence_timeout_s
        self._first_delay_s = first_delay_s
        self._open_timeout_s = open_timeout_s
        self._session = Session(dialect, jitter, message_bytes)
        self._wire: _Wire | None = None
        self._former: _Wire | None = None  # which the venue is about to end
        self._upcoming: asyncio.Task[Connection] | None = None  # that is to take its place
        self._again_s = 0.0  # not before is that tried again
        self.carry(products, aliases, trades=trades)

    @property
    def products(self) -> tuple[str, ...]:
        """The ids that were asked for."""
        return self._session.products

    @property
    def repeated_frames(self) -> int:
        """Frames that were dropped because their sequence number was not new."""
        return self._session.repeated_frames

    def patience(self, silence_timeout_s: float) -> None:
        """Give a connection up after so long a silence: the next one, and those after it."""
        self._silence_timeout_s = silence_timeout_s

    def carry(self, products: Sequence[str], aliases: Mapping[str, str], *, trades: bool) -> None:
        """Carry these from now on. A connection that is there is told after its next frame, and goes on."""
        self._session.carry(products, aliases, trades=trades)

    def leave_out(self, products: Sequence[str]) -> None:
        """Subscribe no more to these, which the venue does not know, and again to those left out before."""
        self._session.leave_out(products)

    async def renew(self, products: Sequence[str]) -> None:
        """Subscribe to these anew within a second or so: something is known to be wrong with their channel.

        What comes too soon after the last time is left out, and so are products that are not the feed's. A
        feed that is not connected has nothing to do: its next connection subscribes to everything.
        """
        self._session.renew(products, self._clock.monotonic())

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield events until cancelled or closed (`aclose`); either closes the socket within a second or so.

        A consumer that may stop in the middle should hold it in `contextlib.aclosing`.
        """
        session, monotonic = self._session, self._clock.monotonic
        if self._first_delay_s:
            await self._clock.sleep(self._first_delay_s)
        try:
            while True:
                try:
                    wire = self._wire or await self._connect()
                except NoConnection as failure:
                    yield FeedFailure(str(failure), unconnected=True)
                    await self._clock.sleep(session.wait_s())
                    continue
                if self._former:
                    wire = await _either(self._former, wire)
                end: ConnectionEnded | None = None
                try:
                    data = await wire.connection.receive()
                    silence = wire.silence
                    silence.pause(wire.time())
                    for event in session.received(wire.line, data):
                        yield event
                    for event in session.followed(wire.line, monotonic()):
                        yield event
                    if wire.line.outbox:
                        wire.flush()
                    silence.resume(wire.time(), heard=session.heard)
                except ConnectionEnded as ended:
                    end = ended
                if end or wire.line.over:
                    for event in await self._end(wire, end):
                        yield event
                    if not (self._wire or self._upcoming):
                        await self._clock.sleep(session.wait_s())
                elif session.leaving or self._former:
                    for event in await self._change():
                        yield event
        finally:
            await self._close()

    async def _connect(self) -> _Wire:
        """A new connection, or `NoConnection`. It may have been on its way since the last one was to end."""
        opening, self._upcoming = self._upcoming or self._open(), None
        self._wire = self._begin(await opening)
        return self._wire

    async def _open(self) -> Connection:
        # No pings: heartbeats come every second, so their silence tells a dead connection sooner, and a
        # consumer that is slow for once is not taken for a dead connection.
        return await Connection.open(
            self._url,
            urlsplit(self._url).netloc.rpartition("@")[2],
            timeout_s=self._open_timeout_s,
            message_bytes=self._session.message_bytes,
        )

    def _begin(self, connection: Connection) -> _Wire:
        line = self._session.opened(self._clock.monotonic())
        return _Wire(connection, line, self._session, self._clock, self._silence_timeout_s)

    async def _end(self, wire: _Wire, end: ConnectionEnded | None) -> Sequence[Event]:
        """A connection is over, by itself or by what was decided. What that breaks."""
        await wire.close()
        if wire is self._former:
            self._former = None
        else:
            # What the former one still tells is no use without the asking that the next one begins.
            if self._former:
                await self._former.close()
            self._wire = self._former = None
        reason, too_long = wire.silent or str(end), end is not None and end.too_long
        return self._session.ended(wire.line, reason, self._clock.monotonic(), too_long=too_long)

    async def _change(self) -> Sequence[Event]:
        """Open the next connection while this one goes on, then leave this one. What that breaks."""
        now_s = self._clock.monotonic()
        if self._former:
            if self._session.done(self._former.line, now_s):
                former, self._former = self._former, None
                await former.close()
                return self._session.ended(former.line, "it did not go on over the next connection", now_s)
        elif self._upcoming is None:
            if now_s >= self._again_s:
                self._upcoming = asyncio.create_task(self._open(), name="the next connection of a feed")
        elif self._upcoming.done():
            opening, self._upcoming = self._upcoming, None
            # Where the next one is to end as well, all may be: a venue is not to be stormed.
            self._again_s = now_s + self._session.wait_s()
            try:
                self._former, self._wire = self._wire, self._begin(opening.result())
            except NoConnection as failure:
                return [FeedFailure(str(failure))]
        return []

    async def _close(self) -> None:
        for wire in (self._wire, self._former):
            if wire:
                await wire.close()
        if self._upcoming:
            self._upcoming.cancel()
            with suppress(asyncio.CancelledError, NoConnection):
                await (await self._upcoming).close()
        self._wire = self._former = self._upcoming = None


class _Wire:
    """A connection, and what is done with it while nothing comes."""

    def __init__(
        self, connection: Connection, line: Line, session: Session, clock: Clock, silence_timeout_s: float
    ) -> None:
        self.connection = connection
        self.line = line
        self.silent = ""
        """What is to be said of its end if it was ended for its silence."""
        self._session = session
        self._clock = clock
        loop = asyncio.get_running_loop()
        self.time = loop.time
        self.silence = Silence(silence_timeout_s, loop.time())
        self._timer: asyncio.Handle = loop.call_soon(self._look)

    def flush(self) -> None:
        """Send what is to be sent; `ConnectionEnded` if that is too late."""
        for text in self._session.to_send(self.line, self._clock.monotonic()):
            self.connection.send(text)

    async def close(self) -> None:
        """Close politely."""
        self._timer.cancel()
        await self.connection.close()

    def _look(self) -> None:
        """Once a timeout, which costs nothing a frame, as a timeout around each of them would."""
        left_s = self.silence.left_s(self.time())
        if left_s <= 0:
            self.silent = f"silent for {self.silence.timeout_s:g} s"
            # No closing handshake: nobody answers.
            self.connection.abort()
            return
        with suppress(ConnectionEnded):  # Whoever receives is told.
            self.flush()
        due_s = self._session.due_s(self.line, self._clock.monotonic())
        self._timer = asyncio.get_running_loop().call_later(min(left_s, due_s), self._look)


async def _either(former: _Wire, latter: _Wire) -> _Wire:
    """That of two connections that has something to tell, be it its end; the one that is to be left first."""
    ready = [
        asyncio.create_task(wire.connection.ready(), name="one of two connections of a feed")
        for wire in (former, latter)
    ]
    try:
        await asyncio.wait(ready, return_when=asyncio.FIRST_COMPLETED)
        return former if ready[0].done() else latter
    finally:
        for task in ready:
            task.cancel()
        await asyncio.gather(*ready, return_exceptions=True)


def shared_out(
    products: Sequence[str],
    aliases: Mapping[str, str],
    *,
    trades: bool,
    among: Sequence[Feed],
    most: int,
    silence_timeout_s: float,
    new: Callable[[Sequence[str], int], SocketFeed],
) -> tuple[SocketFeed, ...]:
    """Feeds for `Venue.feeds` that carry at most `most` ids of the wire each; aliases share one.

    Those `among` that stay take `silence_timeout_s`. `new` makes one for these products, the first being 0.
    """
    carried: dict[str, list[str]] = {}
    for product in products:
        carried.setdefault(aliases.get(product, product), []).append(product)
    kept: list[tuple[SocketFeed, list[list[str]]]] = []
    for feed in cast("Sequence[SocketFeed]", among):
        ids = dict.fromkeys(aliases.get(product, product) for product in feed.products)
        if stay := [carried.pop(id_) for id_ in ids if id_ in carried]:
            kept.append((feed, stay))
    groups = list(carried.values())
    for feed, stay in kept:
        room = max(0, most - len(stay))
        stay += groups[:room]
        del groups[:room]
        feed.patience(silence_timeout_s)
        feed.carry([product for group in stay for product in group], aliases, trades=trades)
    parts = [groups[first : first + most] for first in range(0, len(groups), most)]
    made = [new([p for group in part for p in group], index) for index, part in enumerate(parts)]
    return (*(feed for feed, _ in kept), *made)
