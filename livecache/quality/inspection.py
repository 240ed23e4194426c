"""Inspection: what lies in Redis under our names, raw and of one moment, for whoever judges it.

Nothing is believed and nothing is changed here; every type but ours comes out as a word, never as an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from ..keys.keyspace import SHARDS_MOST, Keyspace
from ..model.series import SeriesId
from ..model.timeframe import Timeframe
from ..wire.refusals import ERRORS, unavailable
from ..wire.routing import client_at, masters_of
from ..wire.scripts import text_of

__all__ = ["KEYS_SEEN_MAX", "MEMBERS_SEEN_MAX", "Inspected", "Inspector", "Shared"]

MEMBERS_SEEN_MAX = 20_000
"""Members read of one set: more than anybody keeps, so that a foreign one cannot fill our memory."""

KEYS_SEEN_MAX = 1_000_000
"""Keys of the server that are looked at for ours, and how many come in one step."""
_KEYS_A_STEP = 1_000

_TIME = re.compile(r"\d{1,15}", re.ASCII)
_GLOB = str.maketrans({character: f"\\{character}" for character in "*?[]^-\\"})


@dataclass(frozen=True, slots=True)
class Inspected:
    """One series as it lies in Redis. Types are Redis's words, "none" for a key that is not there."""

    series: SeriesId
    set_type: str = "none"
    state_type: str = "none"
    fields: Mapping[str, str] | None = None  # of the state, None if it is no hash
    members: Sequence[tuple[bytes, float]] = ()  # with their scores, the lowest first
    size: int = 0  # of the set; more than `members` where there are too many to read
    alive: bytes | None = None
    alive_type: str = "none"
    expires_ms: int | None = None  # the sooner end of the set and the state, None if they have none


@dataclass(frozen=True, slots=True)
class Shared:
    """The keys that all series share: their types, and who is announced."""

    types: Mapping[str, str]  # of each key, in Redis's words; "none" for one that is not there
    expected: Mapping[str, str]
    announced: Sequence[str]  # members of the set of series
    lease: bytes | None
    calendar: tuple[str, int] | None = None  # its name, and until when (Unix ms) it is sure
    sums_below: Timeframe | None = None  # from here on candles are no sums of smaller ones


class Inspector:
    """Looks at one venue's keys under one prefix. Raises `RedisUnavailable` where Redis does not answer."""

    def __init__(self, client: redis.Redis, keys: Keyspace) -> None:
        self.keys = keys
        self.saw_all_names = True
        self._redis: Any = client

    def series(self, series: Sequence[SeriesId]) -> list[Inspected]:
        """These series of one symbol, all of one moment."""
        keys = self.keys
        there = client_at(self._redis, keys.alive(series[0].symbol))
        with there.pipeline(transaction=True) as pipe:
            for _, symbol, timeframe in series:
                candles, state = keys.candles(symbol, timeframe), keys.state(symbol, timeframe)
                pipe.type(candles)
                pipe.type(state)
                pipe.hgetall(state)
                pipe.zrange(candles, 0, MEMBERS_SEEN_MAX - 1, withscores=True)
                pipe.zcard(candles)
                pipe.pttl(candles)
                pipe.pttl(state)
                pipe.type(keys.alive(symbol))
                pipe.get(keys.alive(symbol))
            replies = self._execute(pipe)
        return [_found(one, replies[9 * i : 9 * i + 9]) for i, one in enumerate(series)]

    def shared(self) -> Shared:
        """The venue's own keys."""
        keys = self.keys
        expected = {keys.series: "set", keys.feed: "hash", keys.closes: "stream"}
        expected |= {keys.lease: "string", keys.ban: "string", keys.members: "hash"}
        for shard in range(SHARDS_MOST):  # Into how many the venue is split a foreign lease does not tell.
            expected |= {keys.lease_of(shard): "string", keys.feed_of(shard): "hash"}
        with client_at(self._redis, keys.series).pipeline(transaction=True) as pipe:
            for key in expected:
                pipe.type(key)
            pipe.smembers(keys.series)
            pipe.get(keys.lease)
            pipe.hmget(keys.feed, "calendar", "calendar_through", "sums_below")
            *types, announced, lease, told = self._execute(pipe)
        calendar, through, bound = map(text_of, told) if isinstance(told, list) else ("", "", "")
        return Shared(
            types={key: text_of(kind) for key, kind in zip(expected, types, strict=True)},
            expected=expected,
            announced=sorted(text_of(member) for member in announced) if isinstance(announced, set) else [],
            lease=lease if isinstance(lease, bytes) else None,
            calendar=(calendar, int(through)) if _TIME.fullmatch(through) else None,
            sums_below=Timeframe(bound) if bound in list(Timeframe) else None,
        )

    def names(self, *, most: float = KEYS_SEEN_MAX) -> Iterator[str]:
        """Every key that begins with our prefix, at most so many of the server's looked at."""
        pattern, seen = f"{self.keys.prefix.translate(_GLOB)}:*", 0
        for server in masters_of(self._redis).values():
            cursor = None
            while cursor != 0:
                if seen >= most:
                    self.saw_all_names = False
                    return
                try:
                    cursor, names = server.scan(cursor or 0, match=pattern, count=_KEYS_A_STEP)
                except ERRORS as error:
                    raise unavailable(error) from error
                seen += _KEYS_A_STEP
                yield from map(text_of, names)

    def settings(self, names: Sequence[str]) -> dict[str, str | None]:
        """These settings of the server, of a cluster of one master; None for each that it does not tell."""
        server = next(iter(masters_of(self._redis).values()))
        found: dict[str, str | None] = dict.fromkeys(names)
        for name in names:
            try:
                reply: Any = server.config_get(name)
            except ERRORS:  # A managed Redis refuses CONFIG, an ACL may forbid it.
                continue
            if isinstance(reply, dict):
                told = {text_of(key): text_of(value) for key, value in reply.items()}
                found[name] = told.get(name)
        return found

    def _execute(self, pipe: Any) -> list[Any]:
        try:
            return list(pipe.execute(raise_on_error=False))
        except ERRORS as error:
            raise unavailable(error) from error


def _found(series: SeriesId, replies: Sequence[Any]) -> Inspected:
    set_type, state_type, fields, members, size, set_ends, state_ends, alive_type, alive = replies
    ends = [end for end in (set_ends, state_ends) if isinstance(end, int) and end >= 0]
    return Inspected(
        series=series,
        set_type=text_of(set_type),
        state_type=text_of(state_type),
        fields={text_of(k): text_of(v) for k, v in fields.items()} if isinstance(fields, dict) else None,
        members=_members(members),
        size=size if isinstance(size, int) else 0,
        alive=alive if isinstance(alive, bytes) else None,
        alive_type=text_of(alive_type),
        expires_ms=min(ends, default=None),
    )


def _members(reply: Any) -> list[tuple[bytes, float]]:
    """The members with their scores, in whichever shape the protocol in use delivers them."""
    if not isinstance(reply, list):
        return []
    if reply and isinstance(reply[0], list | tuple):
        return [(bytes(member), float(score)) for member, score in reply]
    return [(bytes(m), float(s)) for m, s in zip(reply[::2], reply[1::2], strict=True)]
