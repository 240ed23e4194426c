"""What a connection asks for, in which groups, and what came of it. Pure: monotonic seconds come in.

The venue may refuse a whole list for one product in it, answer with an error that names none, or with nothing
at all; or all that it answers at once may be too long. So whatever is neither acknowledged nor heard within
seconds is asked for again in halves, down to the product that it is about, and the others go on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from math import inf
from typing import NamedTuple

__all__ = ["Ask", "Learned", "Refusal", "Subscriptions"]

ANSWER_WITHIN_S = 5.0
"""An acknowledgement or a snapshot comes at once, as a rule."""
AFTER_ERROR_S = 1.0
"""So long after an error the rest of a list may still be acknowledged."""
BETWEEN_ASKS_S = 0.5
"""One or two messages each; the venue takes 8 a second from one address."""

_REFUSED_AGAIN_S = 60.0
_UNHEARD_AGAIN_S = 300.0
_AGAIN_MOST_S = 3600.0
_BARREN_MOST = 3  # connections that end before a list was answered, until it is the list that is doubted
_HANGS_UP = "the venue ends the connection when it is asked for"

# A complaint that seems to be of no product may be of one all the same ("unsupported token"): so many pauses.
_PAUSES_MOST = 2

_AT_ONCE = 16  # ids that a connection that is there is asked for besides: its messages are bounded

# The end of a long text is cut off: what is left of its last word may be the name of another product.
_WORD = re.compile(r"[A-Z0-9._-]+(?![A-Z0-9._…-])")
_NOT_OF_A_PRODUCT = re.compile(
    r"auth|jwt|token|signature|rate.?limit|too many requests|throttl", re.IGNORECASE
)
_TOO_FAST = "too many requests"  # A venue that ends a connection so is not to be asked at once over the next.


class Ask(NamedTuple):
    """Subscribe to these ids on each of the channels."""

    channels: tuple[str, ...]
    ids: tuple[str, ...]


class Refusal(NamedTuple):
    """The venue does not take these ids, and says why."""

    ids: tuple[str, ...]
    reason: str


class Learned(NamedTuple):
    """What the end of a connection teaches: whether the next one is another, and whom it does not ask for."""

    anything: bool
    refusal: Refusal | None


class _Held(NamedTuple):
    """An id that is asked for seldom and by itself: refused ("" as a reason: never heard of)."""

    reason: str
    not_before_s: float
    wait_s: float


class Subscriptions:
    """The groups that `names` are asked for in: the ids on the wire, each with the products it stands for.

    Of a new connection `begin` is told first; then what `next` says is sent, after each frame that `heard`,
    `acknowledged` or `complained` was told of. What is learned outlives the connection.
    """

    def __init__(self, channels: Sequence[str], names: Mapping[str, Sequence[str]]) -> None:
        self._channels = tuple(channels)
        self._ids = tuple(names)
        self._id_of = {name: id_ for id_, all_ in names.items() for name in (id_, *all_)}
        self._most = len(self._ids)  # in one message; fewer once an answer was too long
        self._fitted = 1  # so many were answered at once
        self._held: dict[str, _Held] = {}
        self._left_out: frozenset[str] = frozenset()
        self._suspects: list[tuple[str, ...]] = []  # groups of an earlier connection, to be asked for last
        self._barren = 0
        self._last: tuple[str, ...] = ()  # what that connection asked for last
        # Of this connection:
        self._line: deque[tuple[str, ...]] = deque()
        self._asked: tuple[str, ...] = ()
        self._waiting: set[tuple[str, str]] = set()  # of those asked for last: channel and id
        self._sent: set[str] = set()  # ids asked for
        self._known: set[tuple[str, str]] = set()  # … acknowledged or heard, on a channel
        self._first: dict[str, int] = {}  # the stamp of the first candle of each id, Unix ms
        self._again = False  # those asked for last were held before
        self._complaint = ""
        self._named = self._passing = False
        self._pauses = 0  # in a row, for complaints of no product
        self._deadline_s = self._pause_until_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether any frame may answer; else errors are told, and `due` and `next` looked at at times."""
        return bool(self._waiting or self._line)

    @property
    def complete(self) -> float:
        """The stamp from which this connection tells of all that it is to, Unix ms; infinity before."""
        apart = self._held.keys() | self._left_out
        return max((self._first.get(i, inf) for i in self._ids if i not in apart), default=0)

    def missed(self, stamp: int, *, answered: bool) -> tuple[str, ...]:
        """The ids of which nothing until that stamp has come or may yet, held ones too.

        `answered`: what is acknowledged may come yet.
        """
        channel, known = self._channels[0], self._known if answered else ()
        wanted = [i for i in self._ids if i not in self._left_out]
        return tuple(
            i for i in wanted if (self._first[i] > stamp if i in self._first else (channel, i) not in known)
        )

    # --- the connection

    def carry(
        self, channels: Sequence[str], names: Mapping[str, Sequence[str]], *, connected: bool
    ) -> list[Ask]:
        """Other ids or channels from now on. The subscriptions that a connection that is there is to end."""
        ends = []
        for channel in self._channels:
            stay = names if channel in channels else ()
            if ids := tuple(i for i in self._ids if i in self._sent and i not in stay):
                ends.append(Ask((channel,), ids))
        more = not set(channels) <= set(self._channels)
        if self._most == len(self._ids):
            self._most = len(names)
        self._first = {i: stamp for i, stamp in self._first.items() if i in names}
        self._channels, self._ids = tuple(channels), tuple(names)
        self._id_of = {name: id_ for id_, all_ in names.items() for name in (id_, *all_)}
        self._held = {id_: held for id_, held in self._held.items() if id_ in names}
        self._line, self._suspects = deque(_within(self._line, names)), _within(self._suspects, names)
        self._asked = tuple(id_ for id_ in self._asked if id_ in names)
        self._last = tuple(id_ for id_ in self._last if id_ in names)
        self._sent &= set(names)
        self._known = {(c, i) for c, i in self._known if i in names and c in channels}
        self._waiting = {(c, i) for c, i in self._waiting if i in names and c in channels}
        if connected:
            waits = {id_ for group in self._line for id_ in group} | self._held.keys() | self._left_out
            rest = [i for i in self._ids if i not in waits]
            # A connection takes messages of a bounded length, and is not to be lost for what came.
            self._line.extend(_chunks([i for i in rest if i not in self._sent], _AT_ONCE))
            self._line.extend(_chunks([i for i in rest if i in self._sent] if more else [], _AT_ONCE))
        return ends

    def begin(self) -> None:
        """A new connection: nothing is asked for yet."""
        self._sent, self._known, self._first = set(), set(), {}
        self._waiting, self._asked = set(), ()
        self._complaint, self._passing, self._pause_until_s = "", False, 0.0
        apart = {id_ for group in self._suspects for id_ in group}
        good = [i for i in self._ids if i not in apart and i not in self._held and i not in self._left_out]
        self._line = deque([*_chunks(good, self._most), *self._suspects])
        self._suspects = []

    def ended(self, now_s: float, *, too_long: bool) -> Learned:
        """The connection is over; `too_long`: for the length of a message. What was learned by that.

        If nothing was, and one was too long, longer ones had better be taken, or what asked for it given up.
        """
        group, waits = self._asked, self._open(self._channels)
        learned, refusal = True, None
        too_fast = self._passing or _TOO_FAST in self._complaint.lower()
        if too_long and len(group) > 1:
            self._most = max(1, min(self._most, len(group) // 2))
            self._line = deque(part for each in (group, *self._line) for part in _chunks(each, self._most))
        elif waits and self._complaint and not too_long and not too_fast:
            refusal = self._narrow(waits, now_s)
        else:
            learned = False
            mute = (
                waits
                and not too_fast
                and not any((c, i) in self._known for c in self._channels for i in group)
            )
            self._barren = (self._barren + 1 if group == self._last else 1) if mute else 0
            if self._barren >= _BARREN_MOST and not too_long:
                self._complaint, learned = _HANGS_UP, True
                refusal = self._narrow(waits, now_s)
            elif waits and len(group) < len(self._ids):
                self._line.appendleft(waits)  # It was cut off in the middle of finding out.
        self._suspects, self._line = list(self._line), deque()
        self._waiting, self._asked, self._last = set(), (), group
        return Learned(learned, refusal)

    def give_up(self, reason: str, now_s: float) -> Refusal | None:
        """What was asked for last cannot be had: leave it alone for a while."""
        group = self._last
        if len(group) != 1:
            return None
        self._suspects = [other for other in self._suspects if other != group]
        self._hold(group, reason, now_s)
        self._most = max(self._most, self._fitted)
        return Refusal(group, reason)

    def leave_out(self, ids: Iterable[str]) -> None:
        """Ask for these no more, and again for those that were left out before, on the next connection."""
        self._left_out = frozenset(ids)
        self._waiting = {(c, i) for c, i in self._waiting if i not in self._left_out}

    def retry(self, ids: Iterable[str]) -> list[str]:
        """Ask for these now, if they were held or not yet asked for; the others are returned."""
        again = [i for i in ids if i in self._held or i not in self._sent]
        self._left_out -= set(again)
        for id_ in again:
            self._held.pop(id_, None)
        if self._asked and again:
            self._line.append(tuple(again))
        return [i for i in ids if i not in again]

    # --- what comes

    def acknowledged(self, channel: str, ids: Iterable[str]) -> None:
        """The venue says that it sends these."""
        for id_ in ids:
            self._known.add((channel, id_))
            self._waiting.discard((channel, id_))
            self._held.pop(id_, None)
        self._answered()

    def heard(self, channel: str, names: Iterable[str], stamp: int) -> None:
        """Something of these has come, of that stamp, Unix ms."""
        ids = {self._id_of[name] for name in names if name in self._id_of}
        if channel == self._channels[0]:
            for id_ in ids:
                self._first.setdefault(id_, stamp)
        self.acknowledged(channel, ids)

    def complained(self, text: str, now_s: float, *, passing: bool = False) -> Refusal | None:
        """The venue sent an error. Whom it names is refused, if it waits for an answer.

        A `passing` one is of no product, whatever it names: all is asked for again after a pause.

        If it was answered for before, it is to be heard once more, or else it is asked for again.
        """
        words = {word.strip("._-") for word in _WORD.findall(text.upper())}
        about = dict.fromkeys(self._id_of[name] for name in self._id_of if name.upper() in words)
        if passing:
            if self._waiting:
                self._complaint, self._passing = text, True
                self._deadline_s = min(self._deadline_s, now_s + AFTER_ERROR_S)
            return None
        waits = self._open(self._channels)
        named = tuple(id_ for id_ in about if id_ in waits)
        if not self._waiting:
            late = tuple(i for i in about if i in self._sent and i not in self._held)
            self._known -= {(c, i) for c in self._channels for i in late}
            self._waiting = {(self._channels[0], i) for i in late}
            if late:
                self._asked, self._again = late, False
                self._complaint, self._named, self._deadline_s = text, True, now_s + ANSWER_WITHIN_S
            return None
        if named:
            self._hold(named, text, now_s)
            self._waiting = {(c, i) for c, i in self._waiting if i not in named}
        if self._waiting:
            self._complaint = text
            self._named = bool(named)
            self._deadline_s = min(self._deadline_s, now_s + AFTER_ERROR_S)
        return Refusal(named, text) if named else None

    # --- what is to be done

    def due(self, now_s: float) -> Refusal | None:
        """Look at what was not answered in time. What is refused by that, if anything is."""
        if not self._waiting or now_s < self._deadline_s:
            return None
        # Without an error a market may merely be quiet; it is the candles that vouch.
        waits = self._open(self._channels if self._complaint else self._channels[:1])
        self._waiting = set()
        return self._narrow(waits, now_s) if waits else None

    def next(self, now_s: float) -> Ask | None:
        """What to ask for now."""
        if self._waiting or now_s < self._pause_until_s:
            return None
        self._again = not self._line and self._recall(now_s)
        while self._line:
            group = tuple(id_ for id_ in self._line.popleft() if id_ not in self._left_out)
            wanted = {(c, i) for c in self._channels for i in group} - self._known
            channels = tuple(c for c in self._channels if any(channel == c for channel, _ in wanted))
            if not channels:
                continue
            self._sent |= set(group)
            self._asked, self._waiting = group, wanted
            self._complaint, self._named, self._passing = "", False, False
            self._deadline_s, self._pause_until_s = now_s + ANSWER_WITHIN_S, now_s + BETWEEN_ASKS_S
            return Ask(channels, group)
        self._pauses = 0
        return None

    # --- inside

    def _answered(self) -> None:
        if not self._waiting and self._asked:
            self._fitted = max(self._fitted, len(self._asked))

    def _open(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Those asked for last that were not answered for on any of the channels."""
        return tuple(i for i in self._asked if any((c, i) in self._waiting for c in channels))

    def _narrow(self, waits: tuple[str, ...], now_s: float) -> Refusal | None:
        """Ask again for what was not answered, in a way that tells whom it is about."""
        complaint = self._complaint
        doubtful = self._pauses < _PAUSES_MOST and _NOT_OF_A_PRODUCT.search(complaint)
        if self._passing or doubtful:
            self._pauses += not self._passing
            self._line.appendleft(waits)
            self._pause_until_s = now_s + _REFUSED_AGAIN_S
        elif complaint and self._named:
            self._line.appendleft(waits)  # The list may have been refused for the one that was named.
        elif len(waits) > 1 and not self._again and (complaint or len(waits) == len(self._asked)):
            self._line.extendleft(reversed(_halves(waits)))
        else:
            self._hold(waits, complaint, now_s)
            return Refusal(waits, complaint) if complaint else None
        return None

    def _hold(self, ids: Iterable[str], reason: str, now_s: float) -> None:
        first_s = _REFUSED_AGAIN_S if reason else _UNHEARD_AGAIN_S
        for id_ in ids:
            before = self._held.get(id_)
            wait_s = min(2 * before.wait_s, _AGAIN_MOST_S) if before else first_s
            self._held[id_] = _Held(reason, now_s + wait_s, wait_s)

    def _recall(self, now_s: float) -> bool:
        """Put in line what was held for long enough: one that was refused, or all that were never heard."""
        due = [i for i, held in self._held.items() if now_s >= held.not_before_s and i not in self._left_out]
        refused = [i for i in due if self._held[i].reason]
        if due:
            self._line.append(tuple(refused[:1] or due))
        return bool(due)


def _within(groups: Iterable[tuple[str, ...]], ids: Container[str]) -> list[tuple[str, ...]]:
    """The groups without what is not among the ids, and none that is empty."""
    return [kept for group in groups if (kept := tuple(id_ for id_ in group if id_ in ids))]


def _chunks(ids: Sequence[str], most: int) -> list[tuple[str, ...]]:
    return [tuple(ids[first : first + most]) for first in range(0, len(ids), most)]


def _halves(ids: Sequence[str]) -> list[tuple[str, ...]]:
    middle = (len(ids) + 1) // 2
    return [tuple(ids[:middle]), tuple(ids[middle:])]
