"""Reading, without a socket: what to ask Redis, and what its answer means.

Whatever takes a round trip is a generator that yields commands and is sent their replies (`Steps`); the two
readers only carry them back and forth. So both decide alike.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from redis.exceptions import InvalidResponse, NoScriptError

from ..errors import ConfigError, ForeignKey, NodeUnavailable, NotReady, ReadError, UnknownSeries
from ..keys.keyspace import AliveRecord, Damaged, Keyspace, StateRecord, decode_alive, decode_state
from ..model.series import FIRST_VENUE, SeriesId
from ..wire.refusals import is_denied, is_unknown_script_command, unavailable
from ..wire.scripts import Script, text_of
from .answer import HINT_RUN, Request, Verbatim, arguments, decide, verbatim
from .asking import Seconds
from .candles import Candles
from .elsewhere import Elsewhere
from .questions import Keys, Questions, in_order

__all__ = ["READ", "Core", "SeriesView", "Steps", "alive_of", "checked", "trips"]

_T = TypeVar("_T")
Steps = Generator[Sequence[tuple[Any, ...]], list[Any], _T]
"""Yields commands to send in one round trip; is sent their replies, errors among them, in order."""

_Answer = tuple[Request, Any, str]
"""A request, the reply that has a state, and the key of its candles: what `decide` takes."""

_CALLS_A_TRIP = 100

_VENUE = re.compile(r"[a-z][a-z0-9-]{0,31}")  # as a configuration may name one

READ = Script.load("read/read.lua")


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One series as it stands in Redis, for people and monitors: nothing is judged, `None` is absent."""

    series: SeriesId
    record: StateRecord | None
    alive: AliveRecord | None
    members: int  # in the set; other than `record.count` only after trouble
    damage: str = ""  # why the state cannot be read, "" if it can
    newest: bytes | None = None  # the newest member as it is stored, the bucket in progress included

    @property
    def state(self) -> str:
        """One word for how it stands, as `livecache status` has it: `ready`, `short`, `hole`, `stale`, …

        Whoever has more than one view and wants the reason too, takes `standing.row_of`.
        """
        from .standing import row_of  # which is made of views

        return row_of(self).state


class Core(Questions):
    """The steps of every read, for the venues under one prefix."""

    def __init__(self, keys: Keyspace, max_lag_s: Seconds, *, named: bool = True) -> None:
        super().__init__(keys, max_lag_s, named=named)
        self._evaluate_by = ("EVALSHA_RO", "EVAL_RO")
        self._elsewhere: dict[str, Elsewhere] = {}

    # --- the venues

    def learn(self) -> Steps[None]:
        """Which venues there are, if nobody has named one, and it was not learnt before."""
        if self.venues is None:
            yield from self.learn_anew()

    def learn_anew(self) -> Steps[None]:
        """The same, as it is now: others may have come."""
        if self.asked_venue is not None:
            return
        (members,) = yield [("SMEMBERS", self.keys.venues)]
        told = [] if _unreadable(members) else [text_of(member) for member in members]
        found = sorted(venue for venue in told if _VENUE.fullmatch(venue) and venue != FIRST_VENUE)
        if FIRST_VENUE in told or not found or (yield from self._has_first()):
            found = [FIRST_VENUE, *found]
        symbols: dict[str, set[str]] = {}
        if len(found) > 1:
            keys = [self.keyspace(venue) for venue in found]
            for one, reply in zip(keys, (yield [("SMEMBERS", one.series) for one in keys]), strict=True):
                # What cannot be read may hold anything: whoever reads there is told, and nobody else.
                unread = _unreadable(reply)
                series = [one.parse_series(text_of(member)) for member in (() if unread else reply)]
                symbols[one.venue] = {""} if unread else {each.symbol for each in series if each}
            # What nobody fills is none of ours: the key's name was anybody's before 0.2.
            found = [venue for venue in found if symbols[venue]] or found[:1]
        if (tuple(found), symbols) != (self.venues, self._symbols):
            self.learnt(found, symbols)

    def _has_first(self) -> Steps[bool]:
        """Whether the first venue is there as well: a service of 0.2 does not say so."""
        (kind,) = yield [("TYPE", self.keyspace(FIRST_VENUE).series)]
        return not _unreadable(kind) and text_of(kind) == "set"

    def one_venue(self) -> Steps[Keyspace]:
        """The keys of the only venue. Raises ConfigError where there are several, and none is named."""
        yield from self.learn_anew()
        return self.only()

    def is_filled(self) -> Steps[bool]:
        """Whether anybody fills the venue that is read, or ever has."""
        kinds = yield [("TYPE", self.keys.series), ("TYPE", self.keys.closes)]
        return any(_unreadable(kind) or text_of(kind) != "none" for kind in kinds)  # else its closes say it

    def only(self) -> Keyspace:
        """The same, of those that are known."""
        if self.venues is not None and len(self.venues) > 1:
            told = f"there are several venues: {', '.join(self.venues)}"
            raise ConfigError(told, "name one by venue=")
        return self.keys

    def placed(self, requests: Sequence[Request]) -> Steps[list[Request]]:
        """The requests, each of the venue that is meant."""
        if all(one.series.venue for one in requests):
            return list(requests)
        yield from self.learn()
        return [one if one.series.venue else self.meant(one) for one in requests]

    def moved(self, requests: Sequence[Request], outcomes: Sequence[Any]) -> Steps[list[Request] | None]:
        """The requests, where there are other venues by now for what nobody was found to fill; else None."""
        lost = [
            one.guessed and isinstance(outcome, UnknownSeries)
            for one, outcome in zip(requests, outcomes, strict=True)
        ]
        if not any(lost):
            return None
        yield from self.learn_anew()
        now = [self.meant(one) if gone else one for one, gone in zip(requests, lost, strict=True)]
        return now if now != list(requests) else None

    # --- the steps

    def read(self, request: Request) -> Steps[Candles]:
        """One series. Raises the `ReadError` that says why it cannot be had."""
        if not request.series.venue:
            (request,) = yield from self.placed([request])
        try:
            return decide(*(yield from self._answer(request)))
        except UnknownSeries as error:
            if not (moved := (yield from self.moved([request], [error]))):
                raise
        return (yield from self.read(moved[0]))

    def read_with_reply(self, request: Request) -> Steps[tuple[Candles, Any]]:
        """`read`, and the reply that it decided by."""
        (request,) = yield from self.placed([request])
        request, reply, key = yield from self._answer(request)
        return decide(request, reply, key), reply

    def read_verbatim(self, request: Request) -> Steps[Verbatim]:
        """`read`, and its candles as they are stored. Only for `empty="skip"`: the others are not stored."""
        return verbatim(*(yield from self._answer(request)))

    def read_many(self, requests: Sequence[Request]) -> Steps[list[Candles | ReadError]]:
        """Many series, a hundred a round trip; each has its own outcome."""
        outcomes: list[Candles | ReadError] = []
        for trip in trips(requests):
            calls = [(self.keys_of(request.series), arguments(request)) for request in trip]
            replies = yield from self.evaluate(calls)
            answers: list[_Answer | ReadError] = [
                (request, reply, keys[0])
                for request, (keys, _), reply in zip(trip, calls, replies, strict=True)
            ]
            if absent := [n for n, reply in enumerate(replies) if type(reply) is not list or not reply]:
                instead = yield from self._added_up([trip[n] for n in absent], [replies[n] for n in absent])
                for number, answer in zip(absent, instead, strict=True):
                    answers[number] = answer
            for request, answer in zip(trip, answers, strict=True):
                outcomes.append(_outcome(answer) if request.series.venue else self.several(request.series))
        return outcomes

    def answers(self, requests: Sequence[Request]) -> Steps[dict[SeriesId, Candles | ReadError]]:
        """The outcomes by series, each of the venue that is meant."""
        requests = yield from self.placed(requests)
        outcomes = yield from self.read_many(requests)
        if moved := (yield from self.moved(requests, outcomes)):
            return (yield from self.answers(moved))
        return {request.series: outcome for request, outcome in zip(requests, outcomes, strict=True)}

    def views_of(self, wanted: Sequence[Any]) -> Steps[list[SeriesView]]:
        """How these stand: series, or pairs of symbol and timeframe."""
        views = yield from self.views([*map(self.one, wanted)])
        if any(view.record is None for view in views):
            yield from self.learn_anew()
            if (now := [*map(self.one, wanted)]) != [view.series for view in views]:
                views = yield from self.views(now)
        return views

    def views(self, series: Sequence[SeriesId]) -> Steps[list[SeriesView]]:
        """How these series stand."""
        if not all(one.venue for one in series):
            yield from self.learn()
            series = [one if one.venue else self.read_id(*one[1:]) for one in series]
            self.refuse_several(series)
        views: list[SeriesView] = []
        for trip in trips(series):
            replies = yield from self.evaluate([(self.keys_of(one), ("state",)) for one in trip])
            for one, reply in zip(trip, replies, strict=True):
                try:
                    if isinstance(reply, Exception):
                        yield from self._explain(one, reply)
                    views.append(_view(one, reply))
                except ReadError as error:
                    views.append(SeriesView(one, None, None, 0, error.message))
        return views

    def all_series(self) -> Steps[list[SeriesId]]:
        """The configured series in the configured order: all of the first symbol, and so on; by venue."""
        yield from self.learn_anew()
        found: list[SeriesId] = []
        for venue in self.venues or ():
            found += yield from self.series_at(venue)
        return found

    def series_at(self, venue: str) -> Steps[list[SeriesId]]:
        """The same of one venue."""
        keys = self.keyspace(venue)
        members, orders = yield [("SMEMBERS", keys.series), ("HMGET", keys.feed, "symbols", "timeframes")]
        found = [keys.parse_series(text_of(member)) for member in checked(members, keys.series)]
        # An older version says nothing of it; a feed's hash that is none is told elsewhere.
        told = [None, None] if isinstance(orders, Exception) else orders
        return in_order((one for one in found if one), *(text_of(order).split() for order in told))

    # --- what they share

    def _answer(self, request: Request) -> Steps[_Answer]:
        """What read.lua answers, if there is a state, or would for what can be added up; else why not."""
        self.refuse_several([request.series])
        keys = self.keys_of(request.series)
        (reply,) = yield from self.evaluate([(keys, arguments(request))])
        if reply and not isinstance(reply, Exception):
            return request, reply, keys[0]
        (answer,) = yield from self._added_up([request], [reply])
        if isinstance(answer, ReadError):
            raise answer
        return answer

    def _added_up(
        self, requests: Sequence[Request], replies: Sequence[Any]
    ) -> Steps[list[_Answer | ReadError]]:
        """The answers for series without a state: the sums of smaller candles, or why there are none.

        `replies` are what read.lua said of them: nothing, or an error.
        """
        from .multiples import Parts, looked_for, parts_of  # which most readers never need

        looks = [looked_for(self.keyspace(one.series.venue), one.series) for one in requests]
        commands = [command for look in looks for command in look]
        told = iter((yield commands) if commands else ())
        answers: list[_Answer | ReadError | None] = []
        found: list[tuple[int, Parts, tuple[Any, ...]]] = []
        for request, reply, look in zip(requests, replies, looks, strict=True):
            there = [(next(told), command[1]) for command in look]
            try:
                able = look and not isinstance(reply, Exception)
                parts = parts_of(request.series, [checked(*one) for one in there]) if able else None
                if parts is None:
                    parts = yield from self._explain(request.series, reply)
                found.append((len(answers), parts, parts.arguments(request)))
                answers.append(None)
            except ReadError as error:
                answers.append(error)
        calls = [(self.keys_of(parts.series), arguments) for _, parts, arguments in found]
        sums = (yield from self.evaluate(calls)) if calls else []
        for (number, parts, _), (keys, _), reply in zip(found, calls, sums, strict=True):
            try:
                if not reply or isinstance(reply, Exception):
                    yield from self._explain(parts.series, reply)
                answers[number] = *parts.added_up(requests[number], reply, keys[0]), keys[0]
            except ReadError as error:
                answers[number] = error
        return [answer for answer in answers if answer is not None]

    def evaluate(self, calls: Sequence[tuple[Keys, tuple[Any, ...]]]) -> Steps[list[Any]]:
        """Run read.lua for each of the calls of one round trip, at most `_CALLS_A_TRIP`.

        Among the replies are errors of a wrong type, and of a cluster's nodes that are away; no others.
        """
        keyed = [(len(keys), *keys, *args) for keys, args in calls]
        replies = yield [(self._evaluate_by[0], READ.sha, *rest) for rest in keyed]
        if {*map(type, replies)} != {list}:
            replies = yield from self._repeat(keyed, replies)
        return replies

    def _repeat(self, keyed: Sequence[tuple[Any, ...]], replies: list[Any]) -> Steps[list[Any]]:
        """Run them again, if it is the command or the script that the server does not know."""
        if any(is_unknown_script_command(error) for error in _errors(replies)):
            # Before version 7 servers cannot be told that a script only reads. Nothing else differs.
            self._evaluate_by = ("EVALSHA", "EVAL")
            replies = yield [(self._evaluate_by[0], READ.sha, *rest) for rest in keyed]
        if any(isinstance(error, NoScriptError) for error in _errors(replies)):
            replies = yield [(self._evaluate_by[1], READ.text, *rest) for rest in keyed]
        for error in _errors(replies):
            if not isinstance(error, NodeUnavailable) and "WRONGTYPE" not in str(error):
                raise unavailable(error) from error
        if not all(isinstance(reply, list | Exception) for reply in replies):
            raise unavailable(InvalidResponse("a script is answered as no Redis does"))
        return replies

    def _explain(self, series: SeriesId, reply: Any) -> Steps[NoReturn]:
        """Raise why there is no state: a key of another type, or nobody fills the series, or not yet."""
        if isinstance(reply, NodeUnavailable):
            raise reply
        if isinstance(reply, Exception):
            yield from self._foreign(series)
        keys = self.keyspace(series.venue)
        (known,) = yield [("SISMEMBER", keys.series, keys.series_member(series))]
        if isinstance(known, Exception):
            raise unavailable(known) from known
        if known:
            raise NotReady(f"{series}: no state yet", HINT_RUN)
        if series.venue not in self._elsewhere:
            self._elsewhere[series.venue] = Elsewhere(keys)
        raise (yield from self._elsewhere[series.venue].unknown(series, self._symbols))

    def _foreign(self, series: SeriesId) -> Steps[NoReturn]:
        """Raise a `ReadError` that names the key of another type."""
        keys = self.keys_of(series)
        kinds = yield [("TYPE", key) for key in keys]
        for key, kind, expected in zip(keys, kinds, ("zset", "hash", "string"), strict=True):
            if text_of(kind) not in (expected, "none"):
                foreign = ForeignKey(key, text_of(kind))
                raise ReadError(foreign.message, foreign.hint)
        raise ReadError(f"{series}: a key of it was of another type", "read again")


def _unreadable(reply: Any) -> bool:
    """Whether a key is as if it were not there: of another type, or forbidden. Raises what passes."""
    if not isinstance(reply, Exception):
        return False
    if is_denied(reply) or "WRONGTYPE" in str(reply):
        return True
    raise unavailable(reply) from reply


def _outcome(answer: _Answer | ReadError) -> Candles | ReadError:
    if isinstance(answer, ReadError):
        return answer
    try:
        return decide(*answer)
    except ReadError as error:
        return error


def _view(series: SeriesId, reply: Sequence[Any]) -> SeriesView:
    if not reply:
        return SeriesView(series, None, None, 0, "")
    flat, alive_raw, size, newest = reply
    fields = {text_of(k): text_of(v) for k, v in zip(flat[::2], flat[1::2], strict=True)}
    record, alive, damage = None, None, ""
    try:
        alive = decode_alive(alive_raw) if alive_raw is not None else None
        record = decode_state(fields, series.timeframe)
    except Damaged as error:
        damage = str(error)
    return SeriesView(series, record, alive, size, damage, newest[0] if newest else None)


def trips(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """What goes out in one round trip after another."""
    for first in range(0, len(items), _CALLS_A_TRIP):
        yield items[first : first + _CALLS_A_TRIP]


# --- replies


def checked(reply: Any, key: str) -> Any:
    """The reply to a command on that key; or its error: `ReadError` if the key is of another type."""
    if isinstance(reply, Exception):
        if "WRONGTYPE" in str(reply):
            foreign = ForeignKey(key, "value of another type")
            raise ReadError(foreign.message, foreign.hint)
        raise unavailable(reply) from reply
    return reply


def alive_of(raw: bytes | None) -> AliveRecord | None:
    """The sign of life; None where there is none, or none that livecache writes."""
    try:
        return decode_alive(raw) if raw is not None else None
    except Damaged:
        return None


def _errors(replies: Sequence[Any]) -> list[Exception]:
    return [reply for reply in replies if isinstance(reply, Exception)]
