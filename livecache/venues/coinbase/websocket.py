"""Coinbase's market data feed: one connection that is kept alive for ever.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-overview

Proxies are not supported: websockets learned that after 13.1, to which the SDK holds us.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from urllib.parse import urlsplit

from loguru import logger
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from ...clock import Clock
from ...core.backoff import delays
from ..venue import Broken, Event, FeedFailure
from .auth import ApiKey
from .messages import CANDLES, HEARTBEATS, TRADES, FrameDecoder, subscription
from .network import unreachable
from .text import one_line

__all__ = ["CoinbaseFeed"]

# A candles snapshot has about 15 KB a product, a trades snapshot 14 KB.
_FRAME_BYTES = 1024 * 1024
_FRAMES_QUEUED = 64  # then the socket is not read until the consumer has caught up
_OPEN_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 0.5
_HANG_UP_S = 1.0

# Messages that prove the feed works; an ack does not.
_PROOF = frozenset({CANDLES, TRADES, HEARTBEATS})


class CoinbaseFeed:
    """The candles, and if wanted the trades, of `products` over one connection.

    `aliases` maps a product to the id that the feed carries for it (BTC-USDC to BTC-USD); what comes is told
    for each product that was asked for. `now` is the venue's clock in Unix ms, None while unknown. The
    connection is given up after `silence_timeout_s` real seconds without an intelligible message.
    `first_delay_s` keeps several feeds from connecting at once: the venue allows 8 connections a second.
    """

    def __init__(
        self,
        ws_url: str,
        products: Sequence[str],
        aliases: Mapping[str, str],
        *,
        trades: bool,
        now: Callable[[], int | None],
        clock: Clock,
        jitter: Callable[[], float],
        silence_timeout_s: float,
        key: ApiKey | None = None,
        first_delay_s: float = 0.0,
        open_timeout_s: float = _OPEN_TIMEOUT_S,
        frame_bytes: int = _FRAME_BYTES,
    ) -> None:
        symbols: dict[str, list[str]] = {}
        for product in dict.fromkeys(products):
            symbols.setdefault(aliases.get(product, product), []).append(product)
        self._products = tuple(dict.fromkeys(products))
        self._carried = tuple(symbols)
        self._decoder = FrameDecoder(symbols, now)
        self._channels = (CANDLES, TRADES) if trades else (CANDLES,)
        self._url = ws_url
        self._host = urlsplit(ws_url).netloc.rpartition("@")[2]
        self._clock = clock
        self._jitter = jitter
        self._silence_timeout_s = silence_timeout_s
        self._key = key
        self._first_delay_s = first_delay_s
        self._open_timeout_s = open_timeout_s
        self._frame_bytes = frame_bytes
        self.repeated_frames = 0
        """Frames that were dropped because their sequence number was not new."""

    @property
    def products(self) -> tuple[str, ...]:
        """The ids that were asked for."""
        return self._products

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield events until cancelled or closed (`aclose`); either closes the socket within a second or so.

        A consumer that may stop in the middle should hold it in `contextlib.aclosing`.
        """
        if self._first_delay_s:
            await self._clock.sleep(self._first_delay_s)
        waits = delays(self._jitter)
        while True:
            try:
                connection = await self._connect()
            except (OSError, WebSocketException) as error:
                yield FeedFailure(self._no_connection(error))
                await self._clock.sleep(next(waits))
                continue

            silence = _Silence(connection, self._silence_timeout_s)
            sequence = _Sequence()
            try:
                await self._subscribe(connection)
                while True:
                    data = await connection.recv(decode=False)
                    assert isinstance(data, bytes)
                    silence.pause()
                    frame = self._decoder.decode(data)
                    lost = sequence.lost_before(frame.sequence)
                    if lost < 0:
                        self.repeated_frames += 1
                        silence.resume(heard=False)  # so that a counter gone astray ends as silence
                        continue
                    if lost:
                        reason = f"sequence jump: {lost} messages lost"
                        yield Broken(self._products, reason, lost_connection=False)
                    for event in frame.events:
                        yield event
                    if frame.channel in _PROOF:
                        waits = delays(self._jitter)
                    silence.resume(heard=frame.channel != "")
            except ConnectionClosed as error:
                reason = silence.reason or _closing(error)
            finally:
                silence.stop()
                await _hang_up(connection)

            yield Broken(self._products, reason, lost_connection=True)
            await self._clock.sleep(next(waits))

    async def _connect(self) -> ClientConnection:
        return await connect(
            self._url,
            open_timeout=self._open_timeout_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            # Heartbeats come every second, so their silence tells a dead connection sooner than pings, and
            # a consumer that is slow for once is not taken for a dead connection.
            ping_interval=None,
            max_size=self._frame_bytes,
            max_queue=_FRAMES_QUEUED,
        )

    async def _subscribe(self, connection: ClientConnection) -> None:
        """One message a channel, the first within 5 s. Acks come late or empty: nobody waits for one."""
        # Heartbeats first: without them the venue closes a connection on which nothing trades.
        await connection.send(subscription(HEARTBEATS, token=self._token()))
        for channel in self._channels:
            await connection.send(subscription(channel, self._carried, self._token()))
        logger.bind(event="feed_connected", products=len(self._products)).info(
            "subscribed to {} products at {}", len(self._products), self._host
        )

    def _token(self) -> str | None:
        return self._key.feed_token() if self._key else None

    def _no_connection(self, error: Exception) -> str:
        if isinstance(error, InvalidStatus):
            return f"{self._host} answered HTTP {error.response.status_code} instead of opening a websocket"
        return unreachable(self._host, error, self._open_timeout_s)


class _Sequence:
    """The numbers of one connection's messages, over all channels: each is one more than the last."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: int | None = None

    def lost_before(self, number: int | None) -> int:
        """How many messages are missing before this one; negative if it is not new.

        The venue counts from 0, but nothing vouched for is lost before the first message that is seen.
        """
        if number is None:
            return 0
        lost = 0 if self._last is None else number - self._last - 1
        if lost >= 0:
            self._last = number
        return lost


class _Silence:
    """Aborts a connection on which nothing intelligible has come for `timeout_s`.

    A timer that is looked at once a timeout costs nothing a frame, as a timeout around each recv would.
    Time that the consumer takes does not count.
    """

    def __init__(self, connection: ClientConnection, timeout_s: float) -> None:
        self.reason = ""
        self._connection = connection
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._paused_at: float | None = None
        self._timer = self._loop.call_later(timeout_s, self._look)

    def pause(self) -> None:
        """A message has come and is being dealt with."""
        self._paused_at = self._loop.time()

    def resume(self, *, heard: bool) -> None:
        """The next message is waited for. `heard`: the last one was intelligible."""
        now = self._loop.time()
        self._heard_at = now if heard or self._paused_at is None else self._heard_at + now - self._paused_at
        self._paused_at = None

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        quiet_s = 0.0 if self._paused_at is not None else self._loop.time() - self._heard_at
        if quiet_s < self._timeout_s:
            self._timer = self._loop.call_later(self._timeout_s - quiet_s, self._look)
            return
        self.reason = f"silent for {self._timeout_s:g} s"
        # No closing handshake: nobody answers.
        self._connection.transport.abort()


async def _hang_up(connection: ClientConnection) -> None:
    """Close politely, but not for longer than a second: a TLS shutdown alone may wait for 30."""
    try:
        async with asyncio.timeout(_HANG_UP_S):
            await connection.close()
    except TimeoutError:
        connection.transport.abort()


def _closing(error: ConnectionClosed) -> str:
    close = error.rcvd
    if close is not None:
        why = f" {close.reason}" if close.reason else ""
        return one_line(f"closed by the venue ({close.code}{why})")
    if error.sent is not None:
        return one_line(f"closed from here ({error.sent.code} {error.sent.reason})")
    return "the connection was cut"
