"""What a feed decides: what it asks for, whom it believes, when a connection is given up. No I/O.

Time comes in, as monotonic seconds. What comes out is events for the consumer and text for the venue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from urllib.parse import urlsplit

from ...pacing.backoff import delays
from ...quiet import logger
from ..venue import (
    Broken,
    Event,
    FeedCandles,
    FeedFailure,
    Heard,
    Refused,
    Subscribed,
    Trades,
    vouching_until,
)
from .dialect import Dialect, Frame
from .renewals import Renewals
from .subscriptions import Ask, Refusal, Subscriptions
from .watchdog import DataWatchdog, MessageNumbers, Suspect

__all__ = ["Line", "Session"]

_FRAME_BYTES_MOST = 64 * 1024 * 1024

# Waits between connections begin anew only once one has worked for so long: a venue that accepts, says
# something and hangs up is not to be stormed.
_PROVEN_S = 5.0

_FIRST_MOST_S = 3600.0  # in which anything has to be told: each time twice as long

_SECOND_S = 1.25  # The venue's: what is sent in two bursts may come closer together.

_LOOK_EVERY_S = 1.0  # at what was asked for and how time passes, while nothing is waited for

# A connection is left so long before its life is over, and by up to as much more that not all leave at once;
# and beside the next one it goes on until that has told of everything, or for so long.
_LEAD_S = 300.0
_BESIDE_S = 60.0

# Tuples, for `A | B` would be made anew for every frame.
_DATA = (FeedCandles, Trades)
_LIFE = (Heard, Subscribed)


class Line:
    """One connection's part of it. `over` says why it is to be ended from here."""

    def __init__(self, now_s: float, leaves_s: float) -> None:
        self.opened_s = now_s
        self.leaves_s = leaves_s
        self.over: Broken | None = None
        self.numbers = MessageNumbers()
        self.through = 0  # until then it has told of everything, Unix ms
        self.frame: Frame | None = None  # the last one
        self.proven = False
        self.told = False  # a candle or a trade came that is no old news
        self.look_s = 0.0
        self.outbox: deque[str] = deque()
        self.sent_s: deque[float] = deque()  # when the last ones were sent
        self.kept_alive_s = now_s


class Session:
    """The decisions of one feed, over all its connections.

    Of each connection `opened` is told, then what was `received`, at last that it `ended`; `to_send` has what
    is to be sent. A second one may be opened while `leaving`: the first is `done` with once that one tells
    of everything. `jitter` is uniform in [0, 1). `message_bytes`: None for what `Terms` say.
    """

    def __init__(self, dialect: Dialect, jitter: Callable[[], float], message_bytes: int | None) -> None:
        self._dialect = dialect
        self._jitter = jitter
        self._host = urlsplit(dialect.url).netloc.rpartition("@")[2]
        self._looks = ("", dialect.heartbeats)
        self._proof: tuple[str, ...] = ()
        self.products: tuple[str, ...] = ()
        self._symbols: dict[str, list[str]] = {}  # by the id on the wire
        self._channels: tuple[str, ...] = ()
        self._watchdog = DataWatchdog((), ())
        self._renewals = Renewals()
        self._subscriptions = Subscriptions((), {})
        self._ends: list[Ask] = []  # subscriptions of this connection that are to be ended
        self._waits = delays(jitter)
        self._first_within_s = dialect.terms.first_within_s or inf
        self._line: Line | None = None  # the newest connection, if there is one
        self._former: Line | None = None  # the one beside it that is not done with
        self._bytes_given = message_bytes is not None
        self.message_bytes = message_bytes or 0
        """The bound of the next connection's messages. It grows if they turn out to be longer."""
        self.repeated_frames = 0
        """Frames that were dropped because their sequence number was not new."""
        self.heard = False
        """Whether the last frame was intelligible, and no repetition."""
        self.leaving = False
        """Whether the next connection is to be opened while this one goes on."""

    # --- what is wanted

    def carry(self, products: Sequence[str], aliases: Mapping[str, str], *, trades: bool) -> None:
        """Carry these from now on. A connection that is there is told after its next frame, and goes on."""
        symbols: dict[str, list[str]] = {}
        for product in dict.fromkeys(products):
            symbols.setdefault(aliases.get(product, product), []).append(product)
        self.products = tuple(dict.fromkeys(products))
        self._symbols = symbols
        self._channels = self._dialect.channels(trades=trades)
        self._proof = tuple(filter(None, (*self._channels, self._dialect.heartbeats)))
        self._ends += self._subscriptions.carry(self._channels, symbols, connected=self._line is not None)
        self._dialect.carry(symbols)
        self._watchdog.carry(self._channels, self.products)
        if not self._bytes_given:
            terms = self._dialect.terms
            self.message_bytes = max(self.message_bytes, terms.frame_bytes + terms.id_bytes * len(symbols))

    def leave_out(self, products: Iterable[str]) -> None:
        """Subscribe no more to these, which the venue does not know, and again to those left out before.

        An id on the wire is left out once nobody asks for it under any name.
        """
        unknown = set(products)
        self._subscriptions.leave_out(i for i, names in self._symbols.items() if set(names) <= unknown)

    def renew(self, products: Iterable[str], now_s: float) -> None:
        """Subscribe to these anew: see `Feed.renew`."""
        ids = self._ids(products)
        if self._line:
            # Done where messages are received, so that it is known after which stamp something may miss.
            self._renewals.ask(ids, now_s)
        else:
            self._subscriptions.retry(ids)

    # --- what happens

    def wait_s(self) -> float:
        """How long to wait before the next attempt to connect."""
        return next(self._waits)

    def opened(self, now_s: float) -> Line:
        """A connection is there."""
        life_s = self._dialect.terms.life_s
        leaves_s = inf if life_s is None else now_s + life_s - _LEAD_S * (1 + self._jitter())
        self._former, line = self._line, Line(now_s, leaves_s)
        self._line = line
        self.leaving = False
        line.outbox.extend(self._dialect.opening())
        self._subscriptions.begin()
        self._ends = []
        self._ask(line, now_s)
        self._renewals.take()  # All that was asked for has just been done.
        self._watchdog.connected()
        logger.bind(event="feed_connected", products=len(self.products)).info(
            "subscribed to {} products at {}", len(self.products), self._host
        )
        return line

    def received(self, line: Line, data: bytes) -> Sequence[Event]:
        """A message has come. What it tells; then `followed` is to be asked."""
        frame = self._dialect.decode(data)
        lost = line.numbers.lost_before(frame.sequence)
        if lost < 0:
            self.repeated_frames += 1
            line.frame, self.heard = None, False  # A counter gone astray ends as silence.
            return ()
        line.frame, self.heard = frame, frame.channel != ""
        for event in frame.events:
            self._attend(frame.channel, event, line)
        if frame.still is not None:
            self._watchdog.still = frame.still
        events = frame.events
        if self._former and line is self._line:  # What that one has not told yet, this one knows nothing of.
            events = tuple(vouching_until(event, max(1, self._former.through)) for event in events)
        if not lost:
            return events
        jump = Broken(self.products, f"sequence jump: {lost} messages lost", lost_connection=False)
        return (jump, *events)

    def followed(self, line: Line, now_s: float) -> Sequence[Event]:
        """What follows from the last message, now that what it told was taken."""
        frame = line.frame
        if frame is None:
            return ()
        if frame.replies:
            line.outbox.extend(frame.replies)
        if line is not self._line:
            return ()
        looks = frame.channel in self._looks or now_s >= line.look_s
        waits = self._ends or self._former or self._subscriptions.busy or self._renewals.waiting
        if not (looks or waits or frame.leaving or line.over or self._watchdog.due):  # nearly always
            return ()
        told: list[Event] = []
        if self._ends:
            ends, self._ends = self._ends, []
            for channel, ids in ((channel, end.ids) for end in ends for channel in end.channels):
                line.outbox.extend(self._dialect.unsubscribe(channel, ids))
        if line.over is None and (self._subscriptions.busy or self._former or looks):
            line.look_s = now_s + _LOOK_EVERY_S
            told += self._answers(frame, now_s)
            self._ask(line, now_s)
        if suspects := self._watchdog.suspects():
            line.over = line.over or self._dead_channel(suspects)
            if line.over is None:
                told += self._mute_products(suspects, now_s)
        if not line.told and line.over is None and now_s >= line.opened_s + self._first_within_s:
            line.over = self._told_nothing(line, now_s)
        if line.over is None and (anew := self._renewed()):
            products = tuple(product for id_ in anew for product in self._symbols[id_])
            told.append(Broken(products, "subscribing anew", lost_connection=False, mute=True))
            self._resubscribe(line, anew)
        if not line.proven and frame.channel in self._proof and now_s >= line.opened_s + _PROVEN_S:
            line.proven = True
            self._waits = delays(self._jitter)
        if frame.leaving or now_s >= line.leaves_s:
            self.leaving = True
        return told

    def done(self, former: Line, now_s: float) -> bool:
        """Whether a connection that another one was opened beside is not needed any more.

        What the next one was told of is to have come on it too: else it may have missed the end of a bucket.
        """
        beside_s = now_s - self._line.opened_s if self._line else 0.0
        followed = former.through >= self._subscriptions.complete
        done = former.over is not None or followed or beside_s >= _BESIDE_S
        if done:
            self._former = None
        return done

    def ended(self, line: Line, reason: str, now_s: float, *, too_long: bool = False) -> Sequence[Event]:
        """A connection is over: `reason` in plain words; `too_long`: a message was. What that breaks.

        One that another one was opened beside breaks what that one began to tell of only later, or was never
        answered for.
        """
        done, self._former = self._former is None, None
        if line is not self._line:
            missed = self._subscriptions.missed(line.through, answered=done)
            missing = [symbol for id_ in missed for symbol in self._symbols[id_]]
            since = line.through or None
            broken = Broken(tuple(missing), reason, lost_connection=False, since=since, mute=True)
            return [broken] if missing else []
        self._line, self.leaving = None, False
        end = line.over or Broken(self.products, reason, lost_connection=True)
        given_up, learned = self._learn(now_s, too_long=too_long)
        if learned:
            self._waits = delays(self._jitter)
        return [end, given_up] if given_up else [end]

    # --- what is to be sent

    def to_send(self, line: Line, now_s: float) -> Sequence[str]:
        """What is to be sent now."""
        terms = self._dialect.terms
        if terms.keep_alive_s is not None and now_s >= line.kept_alive_s + terms.keep_alive_s:
            line.kept_alive_s = now_s
            line.outbox.extend(self._dialect.keep_alive())
        if not line.outbox:
            return ()
        if terms.frames_per_s is None:
            room = len(line.outbox)
        else:
            while line.sent_s and line.sent_s[0] <= now_s - _SECOND_S:
                line.sent_s.popleft()
            room = terms.frames_per_s - len(line.sent_s)
        texts = [line.outbox.popleft() for _ in range(min(room, len(line.outbox)))]
        line.sent_s.extend([now_s] * len(texts) if terms.frames_per_s else ())
        return texts

    def due_s(self, line: Line, now_s: float) -> float:
        """In how many seconds `to_send` is to be asked again though nothing comes."""
        held_back_s = max(0.0, line.sent_s[0] + _SECOND_S - now_s) if line.outbox and line.sent_s else inf
        every_s = self._dialect.terms.keep_alive_s
        return held_back_s if every_s is None else min(held_back_s, line.kept_alive_s + every_s - now_s)

    # --- inside

    def _attend(self, channel: str, event: Event, line: Line) -> None:
        """Tell the watchdog what an event says of its channel, and hear whether the connection is to end."""
        if isinstance(event, _DATA):
            stamp = event.stamp
            line.through = max(line.through, event.through or stamp)
            self._watchdog.heard(stamp)
            if not event.snapshot:
                if not line.told:
                    line.told, self._first_within_s = True, self._dialect.terms.first_within_s or inf
                self._watchdog.updated(channel, event.products)
        elif isinstance(event, _LIFE):
            line.through = max(line.through, event.stamp)
            self._watchdog.heard(event.stamp)
        elif isinstance(event, FeedFailure) and not line.over and (why := self._dialect.fatal(event.message)):
            line.over = Broken(self.products, why, lost_connection=True)

    def _answers(self, frame: Frame, now_s: float) -> list[Refused]:
        """Take what a frame says of what was asked for; whom the venue refuses, in words or by silence."""
        subscriptions = self._subscriptions
        refusals: list[Refusal | None] = []
        for event in frame.events:
            if isinstance(event, _DATA):
                subscriptions.heard(frame.channel, set(event.products), event.stamp)
            elif isinstance(event, FeedFailure):
                refusals.append(subscriptions.complained(event.message, now_s, passing=event.passing))
        for channel, ids in frame.acknowledged:
            subscriptions.acknowledged(channel, ids)
        refusals.append(subscriptions.due(now_s))
        return [self._refused(refusal) for refusal in refusals if refusal]

    def _refused(self, refusal: Refusal) -> Refused:
        products = tuple(product for id_ in refusal.ids for product in self._symbols.get(id_, ()))
        return Refused(products, refusal.reason)

    def _learn(self, now_s: float, *, too_long: bool) -> tuple[Refused | None, bool]:
        """After a connection: ask for less at once, or take longer messages, or give up what is too long.

        What is given up, and whether the next connection will be another one.
        """
        learned = self._subscriptions.ended(now_s, too_long=too_long)
        if learned.refusal:
            return self._refused(learned.refusal), True
        if learned.anything:
            logger.bind(event="subscription_split").warning(
                "what was asked of {} at once is asked for in smaller parts from now on", self._host
            )
            return None, True
        if too_long and self.message_bytes < _FRAME_BYTES_MOST:
            self.message_bytes = min(2 * self.message_bytes, _FRAME_BYTES_MOST)
            logger.bind(event="frames_longer", bytes=self.message_bytes).warning(
                "messages of {} may have {} bytes from now on", self._host, self.message_bytes
            )
            return None, True
        if too_long:
            reason = f"it is answered by a message of more than {self.message_bytes} bytes"
            if refusal := self._subscriptions.give_up(reason, now_s):
                return self._refused(refusal), True
        return None, False

    def _dead_channel(self, suspects: Sequence[Suspect]) -> Broken | None:
        """The end of a connection of which a whole channel is suspect: the next one's snapshot proves it."""
        whole = [suspect for suspect in suspects if not suspect.product]
        if not whole:
            return None
        since = min(suspect.since for suspect in whole)
        return Broken(self.products, whole[0].reason, lost_connection=True, since=since, mute=True)

    def _told_nothing(self, line: Line, now_s: float) -> Broken:
        """The end of a connection that told of nothing all the while: the next one has longer."""
        reason = f"nothing was told for {now_s - line.opened_s:.0f} s after it was subscribed to: "
        self._first_within_s = min(2 * self._first_within_s, _FIRST_MOST_S)
        return Broken(self.products, f"{reason}is ws_url the right one?", lost_connection=True, mute=True)

    def _mute_products(self, suspects: Sequence[Suspect], now_s: float) -> list[Broken]:
        """Single products that are suspect: they are subscribed to anew, if that is not too soon again."""
        self._renewals.ask(self._ids(suspect.product for suspect in suspects), now_s)
        return [
            Broken((suspect.product,), suspect.reason, lost_connection=False, since=suspect.since, mute=True)
            for suspect in suspects
        ]

    def _renewed(self) -> list[str]:
        """Ids to be subscribed to anew now; what was not subscribed to is put in line for that."""
        asked = self._renewals.take()
        return self._subscriptions.retry([id_ for id_ in asked if id_ in self._symbols])

    def _ids(self, products: Iterable[str]) -> list[str]:
        wanted = set(products)
        return [id_ for id_, symbols in self._symbols.items() if not wanted.isdisjoint(symbols)]

    def _ask(self, line: Line, now_s: float) -> None:
        """Subscribe to what is next in line, if anything is."""
        if ask := self._subscriptions.next(now_s):
            for channel in ask.channels:
                line.outbox.extend(self._dialect.subscribe(channel, ask.ids))

    def _resubscribe(self, line: Line, ids: Sequence[str]) -> None:
        """End the subscription to some of the products and begin it again; a snapshot of each will follow."""
        for channel in self._channels:
            line.outbox.extend(self._dialect.unsubscribe(channel, ids))
            line.outbox.extend(self._dialect.subscribe(channel, ids))
        logger.bind(event="feed_renewed", products=list(ids)).info(
            "subscribed anew to {} at {}", ", ".join(ids), self._host
        )
