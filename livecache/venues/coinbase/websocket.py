"""Coinbase's market data feed: one connection that is kept alive for ever.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-overview
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from urllib.parse import urlsplit

from ...clock import Clock
from ...model.backoff import delays
from ...quiet import logger
from ..net.websocket import Connection, ConnectionEnded, NoConnection
from ..venue import Broken, Candles, Event, FeedFailure, Heard, Refused, Subscribed, Trades
from .auth import ApiKey, Signing
from .messages import CANDLES, HEARTBEATS, TRADES, Frame, FrameDecoder, subscription, unsubscription
from .renewals import Renewals
from .subscriptions import Ask, Refusal, Subscriptions
from .watchdog import DataWatchdog, MessageNumbers, Silence, Suspect

__all__ = ["CoinbaseFeed"]

# A candles snapshot has about 15 KB a product, a trades snapshot 14 KB, and all that were asked for at once
# may come in one message. After one that was longer all the same, less is asked for at once; what is too long
# by itself is taken up to the last bound.
_FRAME_BYTES = 1024 * 1024
_PRODUCT_BYTES = 64 * 1024
_FRAME_BYTES_MOST = 64 * 1024 * 1024
_OPEN_TIMEOUT_S = 10.0

# Waits between connections begin anew only once one has worked for so long: a venue that accepts, says
# something and hangs up is not to be stormed.
_PROVEN_S = 5.0

# Messages that prove the feed works; an ack does not.
_PROOF = frozenset({CANDLES, TRADES, HEARTBEATS})

# What may have to do with subscriptions while nothing is waited for: an error, and anything once a second, be
# it that heartbeats are refused as well.
_WORTH_A_LOOK = frozenset({"", HEARTBEATS})
_LOOK_EVERY_S = 1.0


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
        frame_bytes: int | None = None,
    ) -> None:
        self._products: tuple[str, ...] = ()
        self._symbols: dict[str, list[str]] = {}  # by the id on the wire
        self._channels: tuple[str, ...] = ()
        self._decoder = FrameDecoder({}, now)
        self._watchdog = DataWatchdog((), ())
        self._renewals = Renewals()
        self._subscriptions = Subscriptions((), {})
        self._ends: list[Ask] = []  # subscriptions of this connection that are to be ended
        self._frame_bytes, self._frame_bytes_given = frame_bytes or 0, frame_bytes is not None
        self._connected = False
        self._url = ws_url
        self._host = urlsplit(ws_url).netloc.rpartition("@")[2]
        self._clock = clock
        self._jitter = jitter
        self._silence_timeout_s = silence_timeout_s
        self._signing = Signing(key, now)
        self._first_delay_s = first_delay_s
        self._open_timeout_s = open_timeout_s
        self.carry(products, aliases, trades=trades)
        self.repeated_frames = 0
        """Frames that were dropped because their sequence number was not new."""

    @property
    def products(self) -> tuple[str, ...]:
        """The ids that were asked for."""
        return self._products

    def patience(self, silence_timeout_s: float) -> None:
        """Give a connection up after so long a silence: the next one, and those after it."""
        self._silence_timeout_s = silence_timeout_s

    def carry(self, products: Sequence[str], aliases: Mapping[str, str], *, trades: bool) -> None:
        """Carry these from now on. A connection that is there is told after its next frame, and goes on."""
        symbols: dict[str, list[str]] = {}
        for product in dict.fromkeys(products):
            symbols.setdefault(aliases.get(product, product), []).append(product)
        self._products = tuple(dict.fromkeys(products))
        self._symbols = symbols
        self._channels = (CANDLES, TRADES) if trades else (CANDLES,)
        self._ends += self._subscriptions.carry(self._channels, symbols, connected=self._connected)
        self._decoder.carry(symbols)
        self._watchdog.carry(self._channels, self._products)
        if not self._frame_bytes_given:
            self._frame_bytes = max(self._frame_bytes, _FRAME_BYTES + _PRODUCT_BYTES * len(symbols))

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
            except NoConnection as failure:
                yield FeedFailure(str(failure))
                await self._clock.sleep(next(waits))
                continue

            silence = Silence(connection, self._silence_timeout_s)
            numbers = MessageNumbers()
            proven_s, proven = self._clock.monotonic() + _PROVEN_S, False
            look_s = 0.0
            end: Broken | None = None
            too_long = False
            try:
                await self._subscribe(connection)
                while end is None:
                    data = await connection.receive()
                    silence.pause()
                    frame = self._decoder.decode(data)
                    lost = numbers.lost_before(frame.sequence)
                    if lost < 0:
                        self.repeated_frames += 1
                        silence.resume(heard=False)  # so that a counter gone astray ends as silence
                        continue
                    if lost:
                        reason = f"sequence jump: {lost} messages lost"
                        yield Broken(self._products, reason, lost_connection=False)
                    for event in frame.events:
                        yield event
                        self._attend(event)
                    if frame.channel == "":  # the only one that errors come in
                        end = self._key_refused(frame)
                    if self._ends:
                        await self._end(connection)
                    now_s = self._clock.monotonic()
                    looks = frame.channel in _WORTH_A_LOOK or now_s >= look_s
                    if end is None and (self._subscriptions.busy or looks):
                        look_s = now_s + _LOOK_EVERY_S
                        for refused in self._answers(frame):
                            yield refused
                        await self._ask(connection)
                    if suspects := self._watchdog.suspects():
                        end = end or self._dead_channel(suspects)
                        for mute in () if end else self._mute_products(suspects):
                            yield mute
                    if end is None and (anew := self._renewed()):
                        products = tuple(product for id_ in anew for product in self._symbols[id_])
                        yield Broken(products, "subscribing anew", lost_connection=False, mute=True)
                        await self._resubscribe(connection, anew)
                    if not proven and frame.channel in _PROOF and now_s >= proven_s:
                        proven = True
                        waits = delays(self._jitter)
                    silence.resume(heard=frame.channel != "")
            except ConnectionEnded as ended:
                end = Broken(self._products, silence.reason or str(ended), lost_connection=True)
                too_long = ended.too_long
            finally:
                self._connected = False
                silence.stop()
                await connection.close()

            yield end
            given_up, learned = self._learn(too_long=too_long)
            if learned:
                waits = delays(self._jitter)
            if given_up:
                yield given_up
            await self._clock.sleep(next(waits))

    def leave_out(self, products: Sequence[str]) -> None:
        """Subscribe no more to these, which the venue does not know, and again to those left out before.

        An id on the wire is left out once nobody asks for it under any name.
        """
        self._subscriptions.leave_out(i for i, names in self._symbols.items() if set(names) <= set(products))

    async def renew(self, products: Sequence[str]) -> None:
        """Subscribe to these anew within a second or so: something is known to be wrong with their channel.

        What comes too soon after the last time is left out, and so are products that are not the feed's. A
        feed that is not connected has nothing to do: its next connection subscribes to everything.
        """
        if self._connected:
            self._ask_anew(products)
        else:
            self._subscriptions.retry(self._ids(products))

    def _ask_anew(self, products: Sequence[str]) -> None:
        # Done where messages are received, so that it is known after which stamp something may be missing.
        self._renewals.ask(self._ids(products), self._clock.monotonic())

    def _renewed(self) -> list[str]:
        """Ids to be subscribed to anew now; what was not subscribed to is put in line for that."""
        if not (asked := self._renewals.take()):  # nearly always, and it is asked at every frame
            return asked
        return self._subscriptions.retry([id_ for id_ in asked if id_ in self._symbols])

    def _ids(self, products: Sequence[str]) -> list[str]:
        return [id_ for id_, symbols in self._symbols.items() if not set(symbols).isdisjoint(products)]

    def _answers(self, frame: Frame) -> list[Refused]:
        """Take what a frame says of what was asked for; whom the venue refuses, in words or by silence."""
        subscriptions, now_s = self._subscriptions, self._clock.monotonic()
        refusals: list[Refusal | None] = []
        for event in frame.events:
            if isinstance(event, Candles):
                subscriptions.heard(CANDLES, {product for product, _ in event.candles})
            elif isinstance(event, Trades):
                subscriptions.heard(TRADES, {trade.product for trade in event.trades})
            elif isinstance(event, FeedFailure):
                refusals.append(subscriptions.complained(event.message, now_s))
        for channel, ids in frame.acknowledged:
            subscriptions.acknowledged(channel, ids)
        refusals.append(subscriptions.due(now_s))
        return [self._refused(refusal) for refusal in refusals if refusal]

    def _refused(self, refusal: Refusal) -> Refused:
        products = tuple(product for id_ in refusal.ids for product in self._symbols.get(id_, ()))
        return Refused(products, refusal.reason)

    def _learn(self, *, too_long: bool) -> tuple[Refused | None, bool]:
        """After a connection: ask for less at once, or take longer messages, or give up what is too long.

        What is given up, and whether the next connection will be another one.
        """
        now_s = self._clock.monotonic()
        learned = self._subscriptions.ended(now_s, too_long=too_long)
        if learned.refusal:
            return self._refused(learned.refusal), True
        if learned.anything:
            logger.bind(event="subscription_split").warning(
                "what was asked of {} at once is asked for in smaller parts from now on", self._host
            )
            return None, True
        if too_long and self._frame_bytes < _FRAME_BYTES_MOST:
            self._frame_bytes = min(2 * self._frame_bytes, _FRAME_BYTES_MOST)
            logger.bind(event="frames_longer", bytes=self._frame_bytes).warning(
                "messages of {} may have {} bytes from now on", self._host, self._frame_bytes
            )
            return None, True
        if too_long:
            reason = f"it is answered by a message of more than {self._frame_bytes} bytes"
            if refusal := self._subscriptions.give_up(reason, now_s):
                return self._refused(refusal), True
        return None, False

    def _dead_channel(self, suspects: Sequence[Suspect]) -> Broken | None:
        """The end of a connection of which a whole channel is suspect: the next one's snapshot proves it."""
        whole = [suspect for suspect in suspects if not suspect.product]
        if not whole:
            return None
        since = min(suspect.since for suspect in whole)
        return Broken(self._products, _quiet(whole[0]), lost_connection=True, since=since, mute=True)

    def _mute_products(self, suspects: Sequence[Suspect]) -> list[Broken]:
        """Single products that are suspect: they are subscribed to anew, if that is not too soon again."""
        self._ask_anew([suspect.product for suspect in suspects])
        return [
            Broken((suspect.product,), _quiet(suspect), lost_connection=False, since=suspect.since, mute=True)
            for suspect in suspects
        ]

    def _attend(self, event: Event) -> None:
        """Tell the watchdog what an event says of its channel."""
        if isinstance(event, Candles):
            self._watchdog.heard(event.stamp)
            if not event.snapshot:
                self._watchdog.updated(CANDLES, [product for product, _ in event.candles])
        elif isinstance(event, Trades):
            self._watchdog.heard(event.stamp)
            if not event.snapshot:
                self._watchdog.updated(TRADES, {trade.product for trade in event.trades})
        elif isinstance(event, Heard | Subscribed):
            self._watchdog.heard(event.stamp)

    def _key_refused(self, frame: Frame) -> Broken | None:
        """The end of a connection whose tokens the venue refuses: the next one goes without, for it may."""
        said = [event.message for event in frame.events if isinstance(event, FeedFailure)]
        refusal = next((message for message in said if "authenticat" in message), "")
        if not (refusal and self._signing.on):
            return None
        self._signing.set_aside(refusal)
        return Broken(self._products, "its key is refused", lost_connection=True)

    async def _connect(self) -> Connection:
        # No pings: heartbeats come every second, so their silence tells a dead connection sooner, and a
        # consumer that is slow for once is not taken for a dead connection.
        return await Connection.open(
            self._url, self._host, timeout_s=self._open_timeout_s, message_bytes=self._frame_bytes
        )

    async def _subscribe(self, connection: Connection) -> None:
        """One message a channel, the first within 5 s."""
        # Heartbeats first: without them the venue closes a connection on which nothing trades.
        await connection.send(subscription(HEARTBEATS, token=self._token()))
        self._subscriptions.begin()
        self._ends = []
        self._connected = True
        await self._ask(connection)
        logger.bind(event="feed_connected", products=len(self._products)).info(
            "subscribed to {} products at {}", len(self._products), self._host
        )
        self._renewals.take()  # All that was asked for has just been done.
        self._watchdog.connected()

    async def _ask(self, connection: Connection) -> None:
        """Subscribe to what is next in line, if anything is."""
        if ask := self._subscriptions.next(self._clock.monotonic()):
            for channel in ask.channels:
                await connection.send(subscription(channel, ask.ids, self._token()))

    async def _end(self, connection: Connection) -> None:
        """End the subscriptions to what is not wanted any more."""
        ends, self._ends = self._ends, []
        for end in ends:
            for channel in end.channels:
                await connection.send(unsubscription(channel, end.ids, self._token()))

    async def _resubscribe(self, connection: Connection, ids: Sequence[str]) -> None:
        """End the subscription to some of the products and begin it again; a snapshot of each will follow."""
        for channel in self._channels:
            await connection.send(unsubscription(channel, ids, self._token()))
            await connection.send(subscription(channel, ids, self._token()))
        logger.bind(event="feed_renewed", products=list(ids)).info(
            "subscribed anew to {} at {}", ", ".join(ids), self._host
        )

    def _token(self) -> str | None:
        return self._signing.feed_token()


def _quiet(suspect: Suspect) -> str:
    of = f" of {suspect.product}" if suspect.product else ""
    return f"no {suspect.channel}{of} for {suspect.quiet_ms // 1000} s, which is unusual"
