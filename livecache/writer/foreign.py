"""Keys that bear our names and hold somebody else's data: never overwritten, always told."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence

from ..errors import ForeignKey
from ..keys.keyspace import Keyspace
from ..model.series import SeriesId
from ..quiet import logger
from ..wire.scripts import COMMON, RedisLike, Script, text_of
from ..wire.spread import Call, grouped, is_apart, run_all

__all__ = ["ForeignKeys", "Unwritten", "find_foreign"]

_SERIES_A_CALL = 70

# KEYS: any. Returns the type of each.
_TYPES = Script(
    COMMON
    + """
local types = {}
for i, key in ipairs(KEYS) do
  types[i] = type_of(key)
end
return types
"""
)


class ForeignKeys:
    """Keys that several series share: each that is foreign is told once, and told again when it is gone."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        """The foreign ones, each with the type it has."""
        self._looks = itertools.count(1)
        self._newest: dict[str, int] = {}  # of each key, the look that was begun last of those that are over

    def look(self) -> int:
        """The number of a look that begins now."""
        return next(self._looks)

    async def heed(self, keys: Iterable[str], foreign: Awaitable[Mapping[str, str]]) -> None:
        """Look at these keys by what is to be awaited, which answers as in `update`."""
        look = self.look()
        self.update(keys, await foreign, look)

    def update(self, keys: Iterable[str], foreign: Mapping[str, str], look: int | None = None) -> None:
        """The keys were looked at, now or by that look; `foreign` names the type of each that is not ours."""
        look = look or self.look()
        for key in keys:
            if look < self._newest.get(key, 0):
                continue  # Two looks at a time end in any order: what the later one saw stands.
            self._newest[key] = look
            kind = foreign.get(key)
            if kind and self.known.get(key) != kind:
                self.known[key] = kind
                logger.bind(event="foreign_key", key=key, kind=kind).error(
                    "{} is not written: {}", key, ForeignKey(key, kind)
                )
            elif not kind and key in self.known:
                del self.known[key]
                logger.bind(event="foreign_key_gone", key=key).info("{} is written again.", key)


class Unwritten:
    """Series that cannot be written because of such a key: each is said once."""

    def __init__(self, redis: RedisLike, keys: Keyspace) -> None:
        self.problems: dict[SeriesId, str] = {}
        """Why, for each of them."""
        self._redis = redis
        self._keys = keys

    def complain(self, series: SeriesId, problem: ForeignKey) -> None:
        """Remember why the series is not written, and say it once."""
        if self.problems.get(series) != str(problem):
            self.problems[series] = str(problem)
            logger.bind(event="foreign_key", series=str(series), key=problem.key).error(
                "{} is not written: {}", series, problem
            )

    def written(self, series: SeriesId) -> None:
        """It was written: somebody may have made room."""
        if self.problems.pop(series, None):
            logger.bind(event="foreign_key_gone", series=str(series)).info("{} is written again.", series)

    async def due(self) -> set[SeriesId]:
        """Those that can be written again. Redis's errors pass through."""
        series = list(self.problems)
        foreign = await _foreign_of(self._redis, self._keys, series)
        return set(series) - foreign.keys()

    def keep(self, series: Collection[SeriesId]) -> None:
        """Only these are still to be written."""
        for gone in self.problems.keys() - set(series):
            del self.problems[gone]


async def find_foreign(
    redis: RedisLike, keys: Keyspace, series: Sequence[SeriesId]
) -> dict[SeriesId, ForeignKey]:
    """The series that cannot be written because one of their keys is of another type, each with that key.

    Raises `ForeignKey` where a key that all of them need is of another type. Redis's errors pass through.
    """
    shared = {keys.lease: "string", keys.closes: "stream", keys.series: "set", keys.feed: "hash"}
    for key, kind in (await _other_types(redis, [shared])).items():
        raise ForeignKey(key, kind)
    return await _foreign_of(redis, keys, series)


async def _foreign_of(
    redis: RedisLike, keys: Keyspace, series: Sequence[SeriesId]
) -> dict[SeriesId, ForeignKey]:
    problems: dict[SeriesId, ForeignKey] = {}
    groups: list[dict[str, str]] = []
    owners: dict[str, list[SeriesId]] = {}
    for batch in grouped(redis, series, _SERIES_A_CALL, lambda one: one.symbol):
        expected: dict[str, str] = {}
        groups.append(expected)
        for one in batch:
            own = {
                keys.candles(one.symbol, one.timeframe): "zset",
                keys.state(one.symbol, one.timeframe): "hash",
                keys.alive(one.symbol): "string",
                **({keys.fence(one.symbol): "string"} if is_apart(redis) else {}),
            }
            expected |= own
            for key in own:
                owners.setdefault(key, []).append(one)
    for key, kind in (await _other_types(redis, groups)).items():
        for owner in owners[key]:
            problems.setdefault(owner, ForeignKey(key, kind))
    return problems


async def _other_types(redis: RedisLike, groups: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Those of the keys, a call a group, that are of another type than expected, and of which."""
    found: dict[str, str] = {}
    replies = await run_all(redis, [Call(_TYPES, list(expected), []) for expected in groups])
    for expected, kinds in zip(groups, replies, strict=True):
        if not isinstance(kinds, BaseException):
            pairs = zip(expected.items(), map(text_of, kinds), strict=True)
            found |= {key: kind for (key, wanted), kind in pairs if kind not in (wanted, "none")}
    return found
