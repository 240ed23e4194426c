"""The audit: whether Redis still holds what was written, looked at a few series at a time.

What others do to our keys, by eviction, by a time limit or by hand, would otherwise come to light with the
next write of a series, and that of a daily one may be a day away. Nothing is repaired here but time limits,
which are lifted at once: the writer rewrites the series that are named.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..keys.keyspace import Keyspace, encode_state
from ..model.candle import ExactCandle
from ..model.series import SeriesId
from ..quiet import logger
from ..wire.scripts import COMMON, RedisLike, Script, batches, text_of
from ..wire.spread import Call, grouped, is_apart, run_all
from ..write.closes import CLOSES_KEPT
from ..write.lease import Fenced, Lease
from ..write.source import ChangeSource
from ..write.stats import DamageStats
from ..write.upserts import Held

__all__ = ["Audit", "DamageTeller", "SeriesFinding", "SharedFindings"]

_SERIES_A_ROUND = 100
_SERIES_A_CALL = 50  # keep the server busy for 3 ms, a hundred candles each

_AUDIT = Script.load("wire/common.lua", "writer/audit.lua")

# KEYS: the set of series, the feed's hash, the stream of closes, the lease. ARGV: our lease, how many members
# the set has (-1: others have some there, too), and some of them. Lifts time limits. Returns "FENCED"; or the
# stream's length, and a list of pairs: a key, and "ttl", "members" or "type" and which.
_AUDIT_SHARED = Script(
    COMMON
    + """
if value_of(KEYS[4]) ~= ARGV[1] then return 'FENCED' end
local found, length = {}, 0
for i, expected in ipairs({ 'set', 'hash', 'stream' }) do
  local kind = type_of(KEYS[i])
  if kind ~= expected and kind ~= 'none' then
    found[#found + 1] = { KEYS[i], 'type ' .. kind }
  else
    if redis.call('PTTL', KEYS[i]) >= 0 and redis.call('PERSIST', KEYS[i]) == 1 then
      found[#found + 1] = { KEYS[i], 'ttl' }
    end
    if i == 1 then
      local whole = ARGV[2] == '-1' or redis.call('SCARD', KEYS[1]) == tonumber(ARGV[2])
      for m = 3, #ARGV do
        whole = whole and redis.call('SISMEMBER', KEYS[1], ARGV[m]) == 1
      end
      if not whole then found[#found + 1] = { KEYS[1], 'members' } end
    elseif i == 3 and kind == 'stream' then
      length = redis.call('XLEN', KEYS[3])
    end
  end
end
return { length, found }
"""
)


class SeriesFinding(NamedTuple):
    """What the audit found of one series: "ttl" was mended on the spot, anything else wants a rewrite."""

    series: SeriesId
    what: str


class SharedFindings(NamedTuple):
    """What the audit found of the keys that all series share."""

    closes: int  # entries in the stream
    types: dict[str, str]  # keys of another type, and which
    limited: list[str]  # keys whose time limit was lifted
    set_damaged: bool  # the set of series is not what was announced


class Audit:
    """Goes around all series, so many a round. The lease is compared; `Fenced` if it is another one.

    `held` tells what Redis holds of a series, None while that is not known or a change is on its way: such a
    series is passed over. It is asked again after the answer, so that a write in between is no finding.
    """

    def __init__(
        self,
        redis: RedisLike,
        keys: Keyspace,
        series: Sequence[SeriesId],
        announced: Sequence[SeriesId],
        source: ChangeSource,
        held: Callable[[SeriesId], Held | None],
        lease: Lease,
        *,
        origin: str,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._source = source
        self._held = held
        self._lease = lease
        self._origin = origin
        # What was expected of a series when it was last looked at; a write since makes it void.
        self._digests: dict[SeriesId, tuple[Held, str]] = {}
        self.change(series, announced)

    def change(self, series: Sequence[SeriesId], announced: Sequence[SeriesId]) -> None:
        """Go around these from now on."""
        self._rounds = _rounds(series)
        self._announced = {self._keys.series_member(each) for each in announced}
        self._member_rounds = _rounds(sorted(self._announced))
        self._digests = {each: self._digests[each] for each in series if each in self._digests}

    async def series(self) -> list[SeriesFinding]:
        """One round: the next series. Redis's errors pass through."""
        findings: list[SeriesFinding] = []
        quiet = [each for each in next(self._rounds, ()) if self._held(each) is not None]
        groups = grouped(self._redis, quiet, _SERIES_A_CALL, lambda each: each.symbol)
        if is_apart(self._redis):
            return await self._look_at(groups)
        for batch in groups:
            findings += await self._look_at([batch])
        return findings

    async def shared(self) -> SharedFindings:
        """The keys that all series share. Redis's errors pass through."""
        names = [self._keys.series, self._keys.feed, self._keys.closes, self._keys.lease]
        some = next(self._member_rounds, ())
        count = len(self._announced) if self._keys.shard is None else -1
        reply = await _AUDIT_SHARED.run(self._redis, names, [self._lease.record, count, *some])
        closes, found = _checked(reply)
        pairs = [(text_of(key), text_of(what)) for key, what in found]
        return SharedFindings(
            closes=closes,
            types={key: what.removeprefix("type ") for key, what in pairs if what.startswith("type ")},
            limited=[key for key, what in pairs if what == "ttl"],
            set_damaged=any(what == "members" for _, what in pairs),
        )

    async def _look_at(self, groups: Sequence[Sequence[SeriesId]]) -> list[SeriesFinding]:
        """A call a group, side by side."""
        looks = [look for group in groups if (look := self._look(group)) is not None]
        named: list[tuple[tuple[SeriesId, Held], str]] = []
        for (_, asked), found in zip(looks, await run_all(self._redis, [c for c, _ in looks]), strict=True):
            if isinstance(found, BaseException):
                continue
            if not isinstance(found, list) and is_apart(self._redis):
                self._lease.leave(asked[0][0].symbol)
                continue
            named += [(asked[int(number) - 1], text_of(what)) for number, what in _checked(found)]
        return [
            SeriesFinding(series, what)
            for (series, held), what in named
            if what == "ttl" or self._held(series) is held
        ]

    def _look(self, batch: Sequence[SeriesId]) -> tuple[Call, list[tuple[SeriesId, Held]]] | None:
        key, value = self._lease.guard(batch[0].symbol)
        keys: list[str] = []
        args: list[str | int] = [self._lease.token, value]
        asked: list[tuple[SeriesId, Held]] = []
        for series in batch:
            held = self._held(series)
            if held is None:
                continue
            asked.append((series, held))
            keys += (self._keys.candles(*series[1:]), self._keys.state(*series[1:]))
            args += (held.revision, held.members, self._expected(series, held))
        return (Call(_AUDIT, [*keys, key], args), asked) if asked else None

    def _expected(self, series: SeriesId, held: Held) -> str:
        """The digest of what the series should be; "" for one that is to be taken yet."""
        before, digest = self._digests.get(series, (None, ""))
        if before is held:
            return digest
        candles = self._source.held(series)
        if candles is None:
            return ""
        digest = self._digest(held, candles)
        self._digests[series] = held, digest
        return digest

    def _digest(self, held: Held, candles: Iterable[ExactCandle]) -> str:
        """What audit.lua makes of the state and the members if nobody has changed them."""
        flat = encode_state(
            held.state, origin=self._origin, fence=self._lease.token, revision=held.revision, updated_at=0
        )
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        lines = [str(fields[name]) for name in _FIELDS]
        lines.append(str(held.members))
        for candle in sorted(candles):
            lines += (candle.member(), str(candle.time))
        return hashlib.sha1("\n".join(lines).encode(), usedforsecurity=False).hexdigest()


class DamageTeller:
    """Tells each finding once, in as few lines as there are rounds."""

    def __init__(self) -> None:
        self.stats = DamageStats()
        self._closes = 0

    def tell(self, findings: Sequence[SeriesFinding]) -> list[SeriesId]:
        """Tell what was found of series; those that must be rewritten."""
        limited = [finding.series for finding in findings if finding.what == "ttl"]
        if limited:
            self.stats.limits += len(limited)
            logger.bind(event="ttl_lifted", series=len(limited), first=str(limited[0])).warning(
                "Somebody had set a time limit on the keys of {} series, {} among them; it is lifted.",
                len(limited),
                limited[0],
            )
        damaged = {finding.series: finding.what for finding in findings if finding.what != "ttl"}
        if damaged:
            self.stats.series += len(damaged)
            what = ", ".join(f"{kind}: {count}" for kind, count in Counter(damaged.values()).items())
            first = str(next(iter(damaged)))
            logger.bind(event="cache_damaged", series=len(damaged), what=what, first=first).warning(
                "{} series are not in Redis as they were written ({}; {} for one); rewriting them.",
                len(damaged),
                what,
                first,
            )
        return list(damaged)

    def tell_shared(self, found: SharedFindings) -> None:
        """Tell what was found of the keys that all series share."""
        for key in found.limited:
            self.stats.limits += 1
            logger.bind(event="ttl_lifted", key=key).warning(
                "Somebody had set a time limit on {}; it is lifted.", key
            )
        if found.set_damaged:
            self.stats.announcements += 1
            logger.bind(event="series_set_damaged").warning(
                "The set of series is not what was announced; announcing it anew."
            )
        # The writer itself lets the stream grow to CLOSES_KEPT, and never below.
        removed = min(self._closes, CLOSES_KEPT) - found.closes
        self._closes = found.closes
        if removed > 0:
            self.stats.closes += removed
            logger.bind(event="closes_removed", entries=removed).warning(
                "Somebody removed {} entries from the stream of closes; these are not announced again.",
                removed,
            )

    def forget(self) -> None:
        """What was there in an earlier tenure is no measure for this one."""
        self._closes = 0


# The order in which audit.lua digests them; "count" follows.
_FIELDS = (
    *("ready", "reason", "contiguous_from", "settled_through", "known_through", "closed_through"),
    *("coverage", "history_from", "forming", "origin", "schema", "fence", "revision"),
)


def _rounds(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The items, so many at a time, for ever; ends at once if there are none."""
    while items:
        yield from batches(items, _SERIES_A_ROUND)


def _checked(reply: Any) -> Any:
    if not isinstance(reply, list):
        raise Fenced("the lease is not ours any more")
    return reply
