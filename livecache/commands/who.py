"""To whom one is talking: which livecache writes since when, into which Redis, by which configuration."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ..config.render import Loaded, source_of
from ..errors import ConfigError
from ..keys.keyspace import Damaged, decode_ban, decode_lease, shards_of
from ..redis_url import address_of
from ..wire.routing import client_at
from .reading import connect, duration, keyspace_of, redis_url_of, utc

if TYPE_CHECKING:
    import redis

    from ..keys.keyspace import Keyspace

__all__ = ["Who", "Writes", "line", "told_by_service", "who"]

_ASK_S = 0.5  # for the service's own word, which a table does not wait for
_ANSWER_BYTES = 16_384
_CREDIBLE_MS = 1_500_000_000_000  # a lease's token is the time of its start, unless a larger fence lay there


@dataclass(frozen=True, slots=True)
class Writes:
    """Who writes one venue. Texts are empty, and times 0, where nobody tells."""

    instance: str  # that holds the lease; "" if nobody does. Several that share the symbols: commas between
    since: int  # when it began to write, Unix ms of Redis's clock
    banned_until: int = 0  # by the venue, Unix ms of the service's host; 0 while it is not
    requests_this_hour: int = 0  # of the venue
    requests_per_hour: int = 0  # that it may have; 0: nothing bounds an hour's
    budget_members: int = 0  # that share what the venue allows, it included; 0 where it does not say

    @property
    def told(self) -> str:
        """All of it, in words."""
        verb = "write" if "," in self.instance else "writes"
        words = f"{self.instance} {verb}" if self.instance else "nobody writes"
        if self.since:
            words += f" since {utc(self.since)} ({duration(int(time.time() * 1000) - self.since)})"
        if self.requests_per_hour:
            words += f", {self.requests_this_hour:,} of {self.requests_per_hour:,} requests this hour"
        if self.budget_members > 1:
            words += f", {self.budget_members} share the venue's budget"
        return words + (f", venue banned until {utc(self.banned_until)}" if self.banned_until else "")


@dataclass(frozen=True, slots=True)
class Who:
    """To whom one is talking."""

    version: str  # of the service if it answers at http.listen, else of this command
    writes: Mapping[str, Writes]  # by the ids of the venues
    redis: str  # without user and password
    prefix: str
    config: str  # of the service if it answers, else of this command

    def as_object(self) -> dict[str, Any]:
        """As `--json` gives it: of a single venue flat, of several by their ids."""
        by_venue = {venue: asdict(one) for venue, one in self.writes.items()}
        writes = by_venue.popitem()[1] if len(by_venue) == 1 else {"venues": by_venue}
        where = {"redis": self.redis, "prefix": self.prefix, "config": self.config}
        return {"version": self.version, **writes, **where}


def who(loaded: Loaded, there: Iterable[str] = ()) -> Who:
    """Ask Redis, and the service if it listens on this machine. Raises RedisUnavailable.

    The venues are those that are `there`, and those that are named in the configuration.
    """
    config = loaded.config
    named = {key.split(".")[1]: None for key in loaded.origins if key.startswith("venues.")}
    with connect(config) as client:
        venues = dict.fromkeys([*there, *named]) or config.venues
        writes = {venue: _writes(client, keyspace_of(config, venue)) for venue in venues}
    told = told_by_service(loaded) if any(one.instance for one in writes.values()) else {}
    its = {told.get("instance"), *(one.get("instance") for one in told.get("venues", {}).values())}
    ours = any(name in its for one in writes.values() for name in one.instance.split(", ") if name)
    return Who(
        version=str(told["version"]) if ours else version("livecache"),
        writes=writes,
        redis=address_of(redis_url_of(config)),
        prefix=config.redis.prefix,
        config=str(told["config"]) if ours and told.get("config") else source_of(loaded),
    )


def line(told: Who, width: int | None = None) -> str:
    """All of it in one line; of so many columns at most if what matters less may be left out for it."""
    writes = ", ".join(
        one.told if len(told.writes) == 1 else f"{venue}: {one.told}" for venue, one in told.writes.items()
    )
    head, where = f"livecache {told.version}: {writes}", f"{told.redis}, prefix {told.prefix}"
    brief = re.sub(r", under .*", ", under others", told.config)
    forms = [f"{head}; {where}; {told.config}", f"{head}; {where}; {brief}", f"{head}; {where}", head]
    if width is None:
        return forms[0]
    return next((form for form in forms if len(form) <= width), head)


def _writes(client: redis.Redis, keys: Keyspace) -> Writes:
    whole: Any = client.get(keys.lease)
    ban: Any = client.get(keys.ban)
    parts = [keys.of_shard(shard, count) for count in (shards_of(whole),) for shard in range(count)]
    held: dict[str, int] = {}  # since when, by the instance
    made: dict[str, int] = {}  # within the hour: each shard tells all that its process has made
    mosts, sharing = [0], [0]
    for part in parts or [keys]:
        raw: Any = client.get(part.lease) if parts else whole
        try:
            lease = decode_lease(raw) if isinstance(raw, bytes | str) else None
        except Damaged:
            lease = None
        if lease is None:
            continue
        since = lease.token if lease.token > _CREDIBLE_MS else 0
        held[lease.instance] = min(held.get(lease.instance, since), since)
        told = client_at(client, part.own_feed).pipeline(transaction=False)
        told.hmget(part.own_feed, "requests_this_hour", "requests_per_hour", "budget_members")
        (counts,) = told.execute(raise_on_error=False)  # The key may be somebody else's.
        counts = counts if isinstance(counts, list) else [None] * 3
        hour, most, members = (int(count) if count and count.isdigit() else 0 for count in counts)
        made[lease.instance] = max(made.get(lease.instance, 0), hour)
        mosts.append(most)
        sharing.append(members)
    writers = ", ".join(sorted(held))
    since = min(held.values(), default=0)
    return Writes(writers, since, decode_ban(ban), sum(made.values()), max(mosts), max(sharing))


def told_by_service(loaded: Loaded) -> dict[str, Any]:
    """What the service at http.listen says of itself; {} where none answers at once, or another program."""
    from http.client import HTTPConnection, HTTPException

    from ..config.schema import listen_address
    from ..http.guard import load_tokens

    address = listen_address(loaded.config.http.listen)
    if address is None:
        return {}
    try:
        full, read = load_tokens(loaded.config.http, os.environ)
        token = full or read
    except ConfigError:
        token = None  # The commands that need it say what is wrong with it.
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0])
    connection = HTTPConnection(here, address[1], timeout=_ASK_S)
    try:
        connection.request("GET", "/healthz", headers={"Authorization": f"Bearer {token}"} if token else {})
        told = json.loads(connection.getresponse().read(_ANSWER_BYTES))
    except (OSError, HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return told if isinstance(told, dict) and isinstance(told.get("version"), str) else {}
