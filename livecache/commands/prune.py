"""`livecache prune`: remove what Redis still holds of series that are no longer configured."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..config.layout import VENUE_ID
from ..config.render import Loaded
from ..config.schema import Config
from ..keys.keyspace import Keyspace, holder_of
from ..model.series import SeriesId
from ..quality.inspection import Inspector
from ..wire.cluster import is_cluster_client
from .reading import connect, keyspace_of

if TYPE_CHECKING:
    import redis

__all__ = ["Plan", "plan", "prune"]

SERIES_MAX = 10_000
"""Series that one run looks for; what is beyond them is left for the next."""

# What a living writer fills is left alone, even if it began to only now. So is what is not of our types.
# A cluster has the first two keys and the last two at different nodes: there it is one part after the other,
# and a writer that begins to fill the series in between finds it gone, and writes it whole.
_IS_FILLED = """
if redis.call('EXISTS', KEYS[2]) == 1 and redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return -1 end
"""
_IS_OURS = """
local function is(key, wanted)
  local kind = redis.call('TYPE', key)
  kind = type(kind) == 'table' and kind.ok or kind
  return kind == wanted or kind == 'none'
end
if not is(KEYS[#KEYS - 1], 'zset') or not is(KEYS[#KEYS], 'hash') then return -1 end
"""
_FORGET = "redis.call('SREM', KEYS[1], ARGV[1])\n"
_UNLINK = "return redis.call('UNLINK', KEYS[#KEYS - 1], KEYS[#KEYS])"


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go, and what stays although it is not configured here: another instance fills it."""

    remove: tuple[SeriesId, ...]
    filled: tuple[SeriesId, ...]
    writer: str  # the instance that writes now, "" if none does
    more: bool  # whether there may be more than SERIES_MAX


def prune(loaded: Loaded, *, remove: bool, as_json: bool) -> None:
    """Print what is to be removed; with `remove`, remove it. Raises RedisUnavailable."""
    config = loaded.config
    with connect(config) as client:
        members: Any = client.smembers(keyspace_of(config).venues)
        told = sorted(
            name for member in members if VENUE_ID.fullmatch(name := member.decode(errors="replace"))
        )
        venues = dict.fromkeys([*config.venues, *told])
        keys = {venue: keyspace_of(config, venue) for venue in venues}
        plans = {venue: plan(client, keys[venue], config) for venue in venues}
        found = _together(list(plans.values()))
        gone = [one for one in found.remove if remove and _remove(client, keys[one.venue], one)]
        for venue, its in plans.items():
            # Of a venue that nobody configures or fills, readers are not to be told any more.
            if remove and venue not in config.venues and not its.writer and set(its.remove) <= set(gone):
                client.srem(keys[venue].venues, venue)
    if as_json:
        print(json.dumps(_json(found, gone, removed=remove)))
        return
    for series in gone if remove else found.remove:
        name = f"{series.venue}:{series.symbol}" if len(venues) > 1 else series.symbol
        print(f"{'removed' if remove else 'would remove'} {name} {series.timeframe}")
    if left := len(found.remove) - len(gone) if remove else 0:
        print(f"left alone: {left} series that somebody fills by now, or whose keys hold something else")
    if found.filled:
        print(f"kept: {len(found.filled)} series not configured here, since {found.writer} fills them")
    if not found.remove:
        print(f"nothing to remove under the prefix {config.redis.prefix!r}")
    elif not remove:
        print(f"{len(found.remove)} series are not in {loaded.source}; --yes removes them")
    if found.more:
        print("there may be more: run it again")


def plan(client: redis.Redis, keys: Keyspace, config: Config) -> Plan:
    """What there is beyond the configuration, and beyond what a living instance fills. Reads only."""
    configured = {
        SeriesId(keys.venue, symbol, timeframe)
        for symbol in (config.venues[keys.venue].symbols if keys.venue in config.venues else ())
        for timeframe in config.cache_of(keys.venue).timeframes
    }
    writer = _writer(client, keys)
    members: Any = client.smembers(keys.series) if writer else set()
    filled = {series for member in members if (series := keys.parse_series(member.decode()))}
    found: set[SeriesId] = set()
    for name in Inspector(client, keys).names(most=math.inf):
        series = keys.series_of(name)
        if series and series not in configured:
            found.add(series)
        if len(found) >= SERIES_MAX:
            break
    beyond = sorted(found, key=lambda s: (s.symbol, s.timeframe.ms))
    return Plan(
        remove=tuple(series for series in beyond if series not in filled),
        filled=tuple(series for series in beyond if series in filled),
        writer=writer,
        more=len(beyond) >= SERIES_MAX,
    )


def _together(plans: Sequence[Plan]) -> Plan:
    """What they say of their venues, as one."""
    return Plan(
        remove=tuple(series for one in plans for series in one.remove),
        filled=tuple(series for one in plans for series in one.filled),
        writer=" and ".join(dict.fromkeys(one.writer for one in plans if one.writer)),
        more=any(one.more for one in plans),
    )


def _writer(client: redis.Redis, keys: Keyspace) -> str:
    held: Any = client.get(keys.lease)
    return "" if held is None else holder_of(held) or "somebody"


def _remove(client: redis.Redis, keys: Keyspace, series: SeriesId) -> bool:
    """Whether it is gone, and was not left alone."""
    _, symbol, timeframe = series
    shared, its = (keys.series, keys.lease), (keys.candles(symbol, timeframe), keys.state(symbol, timeframe))
    parts: list[tuple[str, tuple[str, ...]]] = [(_IS_FILLED + _IS_OURS + _FORGET + _UNLINK, (*shared, *its))]
    if is_cluster_client(client):
        parts = [(_IS_FILLED + "return 0", shared), (_IS_OURS + _UNLINK, its), (_FORGET + "return 0", shared)]
    for script, names in parts:
        answer: Any = client.eval(script, len(names), *names, keys.series_member(series))
        if int(answer) < 0:
            return False
    return True


def _json(found: Plan, gone: list[SeriesId], *, removed: bool) -> dict[str, Any]:
    def names(series: tuple[SeriesId, ...] | list[SeriesId]) -> list[dict[str, str]]:
        return [{"symbol": s.symbol, "timeframe": s.timeframe.value} for s in series]

    return {
        "dry_run": not removed,
        "unconfigured": names(found.remove),
        "removed": names(gone),
        "kept": names(found.filled),
        "writer": found.writer or None,
        "more": found.more,
    }
