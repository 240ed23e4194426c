"""What a reader does over time, without a socket and without waiting: follow a series, wait for some.

Each is a generator of *orders*. The two shells in links.py carry them out alike, send back what came of it,
and throw in the `RedisUnavailable` that kept them from it. So all that is decided, is decided here once.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from ..errors import LivecacheError, NotListed, NotReady, ReadError, RedisUnavailable
from ..keys.keyspace import FORMING_HINT
from ..model.series import SeriesId
from ..model.timeframe import stored_of
from ..pacing.backoff import delays
from .answer import Request
from .asking import Seconds, seconds_of
from .candles import Candles
from .reading import Core, Steps

__all__ = [
    "AGAIN_FIRST_S",
    "AGAIN_MOST_S",
    "REREAD_S",
    "Give",
    "InTurn",
    "Listen",
    "Order",
    "Orders",
    "Patience",
    "Pause",
    "Subscribe",
    "follow",
    "follow_many",
    "in_turn",
    "wait_ready",
]

_T = TypeVar("_T")

REREAD_S = 5.0
"""A follower reads again after so long without a hint: a hint may have been lost, or nobody be alive."""

AGAIN_FIRST_S, AGAIN_MOST_S = 0.1, 1.0
"""While something is amiss it is tried again after so long: longer each time, jittered."""


# --- orders


class Give(msgspec.Struct, frozen=True):
    """Hand this to whoever iterates."""

    value: Any


class Subscribe(msgspec.Struct, frozen=True):
    """Subscribe to these channels, in place of any before, and wait until each is confirmed.

    From here on a message that begins with `ignored` is passed over.
    """

    channels: tuple[str, ...]
    ignored: bytes | None = None


class Listen(msgspec.Struct, frozen=True):
    """Wait so long for a message, then take all that are there; the channels that had some are sent back."""

    within_s: float


class InTurn(msgspec.Struct, frozen=True):
    """Send these commands over the connection that all who follow share, and their replies back."""

    commands: Sequence[tuple[Any, ...]]


class Pause(msgspec.Struct, frozen=True):
    """Wait."""

    seconds: float


Order = Sequence[tuple[Any, ...]] | Give | Subscribe | Listen | InTurn | Pause
"""One of these, or commands to send in one round trip, whose replies are sent back."""

Orders = Generator[Order, Any, None]


class Patience:
    """How long something may be amiss: `seconds` from its first failure on, or None for ever.

    `name` is the argument's that says so.
    """

    def __init__(
        self,
        seconds: Seconds | None,
        name: str = "patience",
        *,
        now: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._most_s = math.inf if seconds is None else seconds_of(name, seconds)
        self.now_s = now
        self._jitter = jitter
        self._since_s: float | None = None
        self._waits: Iterator[float] = iter(())

    def wait_s(self, error: LivecacheError) -> float:
        """How long to wait before the next attempt. Raises `error` once this has lasted for too long."""
        left_s = self._since() + self._most_s - self.now_s()
        if left_s <= 0:
            raise error
        return min(next(self._waits), left_s)

    def begin(self) -> None:
        """Something is amiss, if it was not before."""
        self._since()

    def renew(self) -> None:
        """It went well."""
        self._since_s = None

    def _since(self) -> float:
        if self._since_s is None:
            self._since_s = self.now_s()
            self._waits = delays(self._jitter, first_s=AGAIN_FIRST_S, most_s=AGAIN_MOST_S)
        return self._since_s

    def another(self) -> Patience:
        """One that is as long, for something else."""
        seconds = None if math.isinf(self._most_s) else self._most_s
        return Patience(seconds, now=self.now_s, jitter=self._jitter)


# --- what is done with them


def follow(core: Core, request: Request, patience: Patience) -> Orders:
    """Give the candles, and again whenever something in them or about them has changed."""

    def give(_: SeriesId, outcome: Candles | ReadError) -> Give:
        if isinstance(outcome, ReadError):
            raise outcome
        return Give(outcome)

    def make(meant: Sequence[Request]) -> Orders:
        core.refuse_several(one.series for one in meant)
        return _follow(core, [_Followed(core, one, patience) for one in meant], patience, give)

    return _where_meant(core, [request], patience, make)


def follow_many(core: Core, requests: Sequence[Request], patience: Patience) -> Orders:
    """The same of many series, as pairs: a series, and its candles or why they cannot be had."""

    def give(series: SeriesId, outcome: Candles | ReadError) -> Give:
        return Give((series, outcome))

    if not requests:
        raise ValueError("no series is asked for: there is nothing to follow")

    def make(meant: Sequence[Request]) -> Orders:
        followed = [_Followed(core, request, patience.another()) for request in dict.fromkeys(meant)]
        return _follow(core, followed, patience, give)

    return _where_meant(core, requests, patience, make)


def _where_meant(
    core: Core, requests: Sequence[Request], patience: Patience, make: Callable[[Sequence[Request]], Orders]
) -> Orders:
    """What `make` makes of the requests, once it is known of which venues they are."""

    def meant() -> Orders:
        return make([core.meant(one) for one in requests])

    orders = make(requests)  # It refuses at once what makes no sense.
    placed = all(one.series.venue for one in requests)
    return orders if placed else _where_known(core, patience, meant)


def _where_known(core: Core, patience: Patience, make: Callable[[], Orders]) -> Orders:
    """What `make` makes, once it is known which venues there are."""
    while core.venues is None:
        try:
            yield from in_turn(core.learn())
        except RedisUnavailable as error:
            yield Pause(patience.wait_s(error))
    yield from make()


def in_turn(steps: Steps[_T]) -> Generator[Order, Any, _T]:
    """The steps, over the connection that all who follow share."""
    try:
        commands = next(steps)
        while True:
            commands = steps.send((yield InTurn(commands)))
    except StopIteration as done:
        result: _T = done.value
        return result


class _Followed:
    """One of the series that are followed: what was told of it, and when it is to be read again."""

    def __init__(self, core: Core, request: Request, patience: Patience) -> None:
        self.patience = patience
        self.place(core, request)
        self.due_s = 0.0
        self._told: object = None

    def place(self, core: Core, request: Request) -> None:
        """It is this from here on."""
        venue, symbol, self._of = request.series
        self._updates = partial(core.keyspace(venue).updates, symbol)
        self.request = request
        self.channel = self._updates(self._of)

    def is_news(self, outcome: Candles | ReadError) -> bool:
        """Whether that is to be told: candles that have changed, an error that has lasted too long."""
        if not isinstance(outcome, ReadError):
            self.patience.renew()
            self.due_s = self.patience.now_s() + REREAD_S
            return self._differs(_shown(outcome))
        try:
            wait_s = self.patience.wait_s(outcome)
        except ReadError:
            self.due_s = self.patience.now_s() + AGAIN_MOST_S
            return self._differs(type(outcome))
        self.due_s = self.patience.now_s() + wait_s
        return False

    def moves(self, outcome: Candles | ReadError) -> bool:
        """Whether another channel than before tells of it: that of what it is added up from."""
        if isinstance(outcome, ReadError) or (of := stored_of(outcome.series.timeframe)) == self._of:
            return False
        self._of, self.channel = of, self._updates(of)
        return True

    def _differs(self, shown: object) -> bool:
        before, self._told = self._told, shown
        return shown != before


def _follow(
    core: Core,
    followed: Sequence[_Followed],
    patience: Patience,
    give: Callable[[SeriesId, Candles | ReadError], Give],
) -> Orders:
    """Read whatever had a hint, or is due; `patience` is for Redis."""
    # Who asks for closed candles need not read at every trade.
    ignored = None if any(one.request.forming for one in followed) else FORMING_HINT
    apart = all(one.patience is not patience for one in followed)
    subscribed = False
    due = followed
    while True:
        try:
            if not subscribed:
                # Before the read: whatever changes after it is heard.
                yield Subscribe(tuple(dict.fromkeys(one.channel for one in followed)), ignored)
                subscribed, due = True, followed
            requests = [one.request for one in due]
            outcomes = yield from core.read_many(requests)
            unsure = {*map(type, outcomes)} != {Candles}
            if unsure and (moved := (yield from core.moved(requests, outcomes))):
                for one, request in zip(due, moved, strict=True):
                    one.place(core, request)
                subscribed = False
                continue
            if apart:
                patience.renew()
            for one, outcome in zip(due, outcomes, strict=True):
                if one.is_news(outcome):
                    yield give(one.request.series, outcome)
                subscribed &= not one.moves(outcome)
            if not subscribed:
                continue
            wait_s = min(one.due_s for one in followed) - patience.now_s()
            hinted = yield Listen(max(0.0, wait_s))
            now_s = patience.now_s()
            due = [one for one in followed if one.channel in hinted or one.due_s <= now_s]
        except RedisUnavailable as error:
            # What was published meanwhile nobody has heard, so it begins anew.
            subscribed = False
            for one in followed:
                one.patience.begin()
            yield Pause(patience.wait_s(error))


def _shown(candles: Candles) -> tuple[object, ...]:
    """All that a reader may notice of an answer, but its age."""
    # The NaN that may stand for an empty bucket is always the same object, and so equals itself here.
    return (
        tuple(candles),
        candles.settled_through,
        candles.known_through,
        candles.forming,
        candles.feed,
        candles.standing,
    )


def wait_ready(core: Core, requests: Sequence[Request], patience: Patience) -> Orders:
    """Give the candles of all requests, as a dict by series, once each of them can be had.

    Raises `NotListed` as soon as nothing is missing but symbols that the venue does not know.
    """

    def make(meant: Sequence[Request]) -> Orders:
        core.refuse_several(one.series for one in meant)
        return _wait_ready(core, meant, patience)

    return _where_meant(core, requests, patience, make)


def _wait_ready(core: Core, requests: Sequence[Request], patience: Patience) -> Orders:
    waiting = list(requests)
    while True:
        try:
            # Only those that are missing, and once none is, all of them.
            asked = waiting or requests
            outcomes = yield from core.read_many(asked)
            if moved := (yield from core.moved(asked, outcomes)):
                now = dict(zip(asked, moved, strict=True))
                requests = waiting = [now.get(one, one) for one in requests]
                continue
            missing = {r: o for r, o in zip(asked, outcomes, strict=True) if isinstance(o, ReadError)}
            if not missing and not waiting:
                yield Give(_by_series(requests, outcomes))
                return
            waiting = list(missing)
            if missing:
                problem = _not_ready(missing, len(requests))
                if all(isinstance(error, NotListed) for error in missing.values()):
                    raise problem
                yield Pause(patience.wait_s(problem))
        except RedisUnavailable as error:
            yield Pause(patience.wait_s(error))


def _by_series(requests: Sequence[Request], outcomes: Sequence[Any]) -> dict[SeriesId, Any]:
    return {request.series: outcome for request, outcome in zip(requests, outcomes, strict=True)}


def _not_ready(missing: dict[Request, ReadError], wanted: int) -> NotReady:
    # What may still come is what is waited for, so it is told before what will not.
    first = min(missing.values(), key=lambda error: isinstance(error, NotListed))
    kind = NotListed if isinstance(first, NotListed) else NotReady
    problem = kind(
        f"{len(missing)} of {wanted} series cannot be read yet; the first: {first.message}",
        first.hint,
        have=wanted - len(missing),
        want=wanted,
    )
    problem.__cause__ = first
    return problem
