"""Who fills the cache and how its feed fares, as the lease, the feed's hash and the alive keys tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..errors import ReadError
from ..keys.keyspace import AliveRecord, Keyspace, decode_ban, holder_of, shards_of
from ..read.reading import Core, Steps, alive_of, checked, trips
from ..wire.scripts import text_of

__all__ = ["ServiceStatus", "status"]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """How the service stands. All times are Unix ms of the venue's clock."""

    writer: str | None
    """The instance that holds the lease, None if nobody does: then nobody writes. Where several share the
    symbols, all of them, commas between; so `instance`, and all numbers are then those of all together."""
    alive: bool
    """Whether any symbol is vouched for now. If not, all below is history."""
    time: int
    """The venue's clock at the last sign of life; 0 without one."""
    symbols: Mapping[str, str]
    """Each configured symbol: its feed is "up" or "down"; "" where nobody vouches."""
    instance: str
    """Who told of the feed last; "" if nobody ever has."""
    origin: str
    """Scheme and host that the history comes from."""
    connected: bool
    """Whether any connection of the feed is open, and somebody alive says so."""
    connections: str
    """How many of them, of how many wanted: "1/1"."""
    last_message: int
    """The venue's stamp on its last message; 0 without one."""
    sequence_gaps: int
    """Jumps in the feed's numbering since that instance started: messages lost."""
    reconnects: int
    rejections: int
    """Frames and candles that could not be believed."""
    requests_this_hour: int = 0
    """How many the service has made of the venue within the last hour, as of its last sign of life."""
    requests_per_hour: int = 0
    """How many it may make in any hour; 0 where nothing bounds them so."""
    budget_members: int = 0
    """How many processes share what the venue allows, it included; 0 where it does not say."""
    banned_until: int = 0
    """Until when the venue refuses everything, by the service's host; 0 while it does not."""


class _Feed(msgspec.Struct, frozen=True):
    """The feed's hash. Fields that another version may add are passed over."""

    instance: str = ""
    origin: str = ""
    connected: int = 0
    connections: str = ""
    last_message: int = 0
    sequence_gaps: int = 0
    reconnects: int = 0
    rejections: int = 0
    requests_this_hour: int = 0
    requests_per_hour: int = 0
    budget_members: int = 0


def status(core: Core) -> Steps[ServiceStatus]:
    """Ask for all of it: the parts are of almost one moment, and each is true by itself."""
    keys = yield from core.one_venue()
    asked = (("HGETALL", keys.feed), ("GET", keys.lease), ("SMEMBERS", keys.series), ("GET", keys.ban))
    replies = yield asked
    fields, lease, members, ban = (
        checked(reply, key) for reply, (_, key) in zip(replies, asked, strict=True)
    )
    found = [keys.parse_series(text_of(member)) for member in members]
    symbols = sorted({series.symbol for series in found if series})
    records: dict[str, AliveRecord | None] = {}
    for trip in trips(symbols):
        names = [keys.alive(symbol) for symbol in trip]
        raws = yield [("GET", name) for name in names]
        for symbol, name, raw in zip(trip, names, raws, strict=True):
            records[symbol] = alive_of(checked(raw, name))
    living = [record for record in records.values() if record]
    writer, feed = holder_of(lease), _feed(fields, keys)
    if shards := shards_of(lease):
        writer, feed = yield from _of_shards(keys, shards)
    return ServiceStatus(
        writer=writer,
        alive=bool(living),
        time=max((record.time for record in living), default=0),
        symbols={symbol: record.feed if record else "" for symbol, record in records.items()},
        instance=feed.instance,
        origin=feed.origin,
        connected=bool(feed.connected and living),
        connections=feed.connections,
        last_message=feed.last_message,
        sequence_gaps=feed.sequence_gaps,
        reconnects=feed.reconnects,
        rejections=feed.rejections,
        requests_this_hour=feed.requests_this_hour if living else 0,
        requests_per_hour=feed.requests_per_hour,
        budget_members=feed.budget_members if living else 0,
        banned_until=decode_ban(ban),
    )


def _of_shards(keys: Keyspace, shards: int) -> Steps[tuple[str | None, _Feed]]:
    """Who holds the shards, and their feeds together. What is left of one that nobody holds is history."""
    names = [(keys.lease_of(shard), keys.feed_of(shard)) for shard in range(shards)]
    replies = yield [command for lease, feed in names for command in (("GET", lease), ("HGETALL", feed))]
    holders, feeds = set[str](), list[_Feed]()
    for (lease, feed), held, fields in zip(names, replies[::2], replies[1::2], strict=True):
        if holder := holder_of(checked(held, lease)):
            holders.add(holder)
            feeds.append(_feed(checked(fields, feed), keys))
    made: dict[str, int] = {}  # by whom: of a process each shard tells all that it has made
    for each in feeds:
        made[each.instance] = max(made.get(each.instance, 0), each.requests_this_hour)
    counts = [tuple(map(int, feed.connections.split("/"))) for feed in feeds if "/" in feed.connections]
    writer = ", ".join(sorted(holders))
    return writer or None, _Feed(
        instance=writer,
        origin=next((feed.origin for feed in feeds), ""),
        connected=int(any(feed.connected for feed in feeds)),
        connections="/".join(map(str, map(sum, zip(*counts, strict=True)))),
        last_message=max((feed.last_message for feed in feeds), default=0),
        sequence_gaps=sum(feed.sequence_gaps for feed in feeds),
        reconnects=sum(feed.reconnects for feed in feeds),
        rejections=sum(feed.rejections for feed in feeds),
        requests_this_hour=sum(made.values()),
        requests_per_hour=max((feed.requests_per_hour for feed in feeds), default=0),
        budget_members=max((feed.budget_members for feed in feeds), default=0),
    )


def _feed(fields: Mapping[Any, Any], keys: Keyspace) -> _Feed:
    try:
        texts = {text_of(name): text_of(value) for name, value in fields.items()}
        return msgspec.convert(texts, _Feed, strict=False)
    except msgspec.ValidationError as error:
        raise ReadError(f"{keys.feed} cannot be understood: {error}", "its writer restores it") from None
