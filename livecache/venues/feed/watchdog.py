"""How a connection is seen to tell no longer all: silence, a lost message, a data channel gone quiet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["DataWatchdog", "MessageNumbers", "Silence", "Suspect"]

# How long a channel, or a product on it, may be quiet before it is suspected, in ms of the venue's time.
_QUIET_FACTOR = 4  # times its longest gap lately
_QUIET_LEAST_MS = 30_000
_QUIET_MOST_MS = 3_600_000

# A single product pauses more often than all together do, and a false alarm takes its feed from readers. A
# slower one is left to settling, which sees it at its next bucket.
_PRODUCT_QUIET_FACTOR = 8
_PRODUCT_QUIET_LEAST_MS = 60_000
_PRODUCT_QUIET_MOST_MS = 120_000

_MEMORY_MS = 900_000  # in which a gap that was not seen again is forgotten
_GAPS_TO_LEARN = 20  # before that nobody knows what is usual
_LOOK_EVERY_MS = 1_000
_LEAP_MS = 5_000  # Between frames further apart nothing at all was heard: no blame to a channel.


_CHANNEL_PATIENCE = (_QUIET_FACTOR, _QUIET_LEAST_MS, _QUIET_MOST_MS)
_PRODUCT_PATIENCE = (_PRODUCT_QUIET_FACTOR, _PRODUCT_QUIET_LEAST_MS, _PRODUCT_QUIET_MOST_MS)


class Suspect(NamedTuple):
    """What has been quiet for too long: a product of a channel, or ("") the whole channel."""

    channel: str
    product: str
    quiet_ms: int
    since: int  # when it last told something, Unix ms of the venue's clock

    @property
    def reason(self) -> str:
        """What is to be said of it."""
        of = f" of {self.product}" if self.product else ""
        return f"no {self.channel}{of} for {self.quiet_ms // 1000} s, which is unusual"


class _Pulse:
    """How updates come: when the last one did, and how long the gaps between them are."""

    __slots__ = ("gaps", "last_ms", "usual_ms")

    def __init__(self, now_ms: int) -> None:
        self.gaps = 0
        self.last_ms = now_ms
        self.usual_ms = 0.0

    def beat(self, now_ms: int) -> None:
        gap_ms = now_ms - self.last_ms
        if gap_ms > 0:
            faded_ms = self.usual_ms * max(0.0, 1 - gap_ms / _MEMORY_MS)
            self.usual_ms = max(gap_ms, faded_ms)
            self.last_ms = now_ms
            self.gaps += 1

    def suspect(self, quiet_ms: int, *, product: bool) -> bool:
        factor, least_ms, most_ms = _PRODUCT_PATIENCE if product else _CHANNEL_PATIENCE
        patience_ms = max(factor * self.usual_ms, least_ms)
        return self.gaps >= _GAPS_TO_LEARN and quiet_ms > patience_ms <= most_ms


class DataWatchdog:
    """Suspects what has been quiet for far longer than usual while the connection itself goes on.

    Heartbeats prove that the connection lives, not that its data channels do; and a quiet market looks like a
    dead channel. So each channel, and each product on it, is measured by itself: it is suspect once it has
    been quiet for four times its longest gap of the last quarter of an hour or so, but never before 30 s.
    A suspicion counts as such a gap, so the next one takes four times as long, up to an hour: a channel that
    stays quiet is suspected four times in the first hour and hourly from then on, and seven times in any
    hour whatever it does.

    A single product is suspected only while others go on, after eight times its longest gap, a minute at
    least, and only where that takes two minutes at most. Settling finds the slower ones as soon: the venue
    has a candle where the feed showed none.

    Time is what passes between the stamps of the frames. So time that the consumer takes does not count, nor
    does time without a connection; and a market that runs faster is watched faster. Snapshots are not
    updates: they answer a subscription, whatever the channel does afterwards.
    """

    def __init__(self, channels: Iterable[str], products: Iterable[str]) -> None:
        self._pulses: dict[str, dict[str, _Pulse]] = {}
        self._elapsed_ms = 0
        self._stamp = 0
        self._looked_ms = 0
        self.still: frozenset[str] = frozenset()
        """Of which nothing is to be expected: neither these are suspect, nor a channel that has no others."""
        self.carry(channels, products)

    def carry(self, channels: Iterable[str], products: Iterable[str]) -> None:
        """Watch these from now on. What is usual of those that stay is remembered."""
        names, before = ("", *products), self._pulses
        self._pulses = {
            channel: {name: before.get(channel, {}).get(name) or _Pulse(self._elapsed_ms) for name in names}
            for channel in channels
        }

    def connected(self) -> None:
        """A new connection begins. What is usual is remembered."""
        self._stamp = 0
        for pulses in self._pulses.values():
            for pulse in pulses.values():
                pulse.last_ms = self._elapsed_ms

    def heard(self, stamp: int) -> None:
        """A frame of any channel was sent at `stamp` (Unix ms)."""
        step_ms = stamp - self._stamp
        if 0 < step_ms <= _LEAP_MS:
            self._elapsed_ms += step_ms
        elif -_LEAP_MS <= step_ms <= 0:
            return  # a little out of order
        self._stamp = stamp

    def updated(self, channel: str, products: Iterable[str]) -> None:
        """The frame heard last brought news of these products."""
        pulses = self._pulses.get(channel)
        if pulses is None:
            return
        now_ms = self._elapsed_ms
        pulses[""].beat(now_ms)
        for product in products:
            if (pulse := pulses.get(product)) is not None:
                pulse.beat(now_ms)

    @property
    def due(self) -> bool:
        """Whether `suspects` is to be asked: it looks once a second of the venue's time."""
        return self._elapsed_ms - self._looked_ms >= _LOOK_EVERY_MS

    def suspects(self) -> list[Suspect]:
        """What is suspect now. It is so once, and then begins anew with four times the patience."""
        if not self.due:
            return []
        now_ms = self._elapsed_ms
        self._looked_ms = now_ms
        found = []
        for channel, pulses in self._pulses.items():
            channel_quiet_ms = now_ms - pulses[""].last_ms
            still = self.still
            if still and still >= pulses.keys() - {""}:
                still |= {""}
            for product, pulse in pulses.items():
                if product in still:
                    pulse.last_ms = now_ms
                    continue
                quiet_ms = now_ms - pulse.last_ms
                if product and quiet_ms <= 2 * channel_quiet_ms:
                    continue  # It is not the only one.
                if pulse.suspect(quiet_ms, product=bool(product)):
                    found.append(Suspect(channel, product, quiet_ms, self._stamp - quiet_ms))
                    pulse.usual_ms = min(quiet_ms, _QUIET_MOST_MS / _QUIET_FACTOR)
                    pulse.last_ms = now_ms
        return found


class MessageNumbers:
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


class Silence:
    """How long nothing intelligible has come. Time that the consumer takes does not count.

    Times are monotonic seconds.
    """

    def __init__(self, timeout_s: float, now_s: float) -> None:
        self.timeout_s = timeout_s
        self._heard_s = now_s
        self._paused_s: float | None = None

    def pause(self, now_s: float) -> None:
        """A message has come and is being dealt with."""
        self._paused_s = now_s

    def resume(self, now_s: float, *, heard: bool) -> None:
        """The next message is waited for. `heard`: the last one was intelligible."""
        paused_s = now_s if self._paused_s is None else self._paused_s
        self._heard_s = now_s if heard else self._heard_s + now_s - paused_s
        self._paused_s = None

    def left_s(self, now_s: float) -> float:
        """After how many seconds it is to be looked at again; 0 or less: it has been silent for too long."""
        return self.timeout_s if self._paused_s is not None else self._heard_s + self.timeout_s - now_s
