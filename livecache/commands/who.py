"""To whom one is talking: which livecache writes since when, into which Redis, by which configuration."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ..config.render import Loaded, source_of
from ..errors import ConfigError
from ..keys.keyspace import Damaged, decode_ban, decode_lease
from ..redis_url import address_of
from .reading import connect, duration, keyspace_of, redis_url_of, utc

if TYPE_CHECKING:
    from ..keys.keyspace import LeaseRecord

__all__ = ["Who", "line", "told_by_service", "who"]

_ASK_S = 0.5  # for the service's own word, which a table does not wait for
_ANSWER_BYTES = 16_384
_CREDIBLE_MS = 1_500_000_000_000  # a lease's token is the time of its start, unless a larger fence lay there


@dataclass(frozen=True, slots=True)
class Who:
    """Texts are empty, and times 0, where nobody tells."""

    version: str  # of the service if it answers at http.listen, else of this command
    instance: str  # that holds the lease; "" if nobody does
    since: int  # when it began to write, Unix ms of Redis's clock
    redis: str  # without user and password
    prefix: str
    config: str  # of the service if it answers, else of this command
    banned_until: int = 0  # by the venue, Unix ms of the service's host; 0 while it is not


def who(loaded: Loaded) -> Who:
    """Ask Redis, and the service if it listens on this machine. Raises RedisUnavailable."""
    config = loaded.config
    lease, banned_until = _shared(loaded)
    told = told_by_service(loaded) if lease else {}
    ours = lease is not None and told.get("instance") == lease.instance
    return Who(
        version=str(told["version"]) if ours else version("livecache"),
        instance=lease.instance if lease else "",
        since=lease.token if lease and lease.token > _CREDIBLE_MS else 0,
        redis=address_of(redis_url_of(config)),
        prefix=config.redis.prefix,
        config=str(told["config"]) if ours and told.get("config") else source_of(loaded),
        banned_until=banned_until,
    )


def line(told: Who, width: int | None = None) -> str:
    """All of it in one line; of so many columns at most if what matters less may be left out for it."""
    writes = "nobody writes"
    if told.instance:
        writes = f"{told.instance} writes"
        if told.since:
            ago = duration(int(time.time() * 1000) - told.since)
            writes += f" since {utc(told.since)} ({ago})"
    if told.banned_until:
        writes += f", venue banned until {utc(told.banned_until)}"
    head, where = f"livecache {told.version}: {writes}", f"{told.redis}, prefix {told.prefix}"
    brief = re.sub(r", under .*", ", under others", told.config)
    forms = [f"{head}; {where}; {told.config}", f"{head}; {where}; {brief}", f"{head}; {where}", head]
    if width is None:
        return forms[0]
    return next((form for form in forms if len(form) <= width), head)


def _shared(loaded: Loaded) -> tuple[LeaseRecord | None, int]:
    keys = keyspace_of(loaded.config)
    with connect(loaded.config) as client:
        raw: Any = client.get(keys.lease)
        ban: Any = client.get(keys.ban)
    try:
        return decode_lease(raw) if isinstance(raw, bytes | str) else None, decode_ban(ban)
    except Damaged:
        return None, decode_ban(ban)


def told_by_service(loaded: Loaded) -> dict[str, Any]:
    """What the service at http.listen says of itself; {} where none answers at once, or another program."""
    from http.client import HTTPConnection, HTTPException

    from ..config.schema import listen_address
    from ..http.guard import load_token

    address = listen_address(loaded.config.http.listen)
    if address is None:
        return {}
    try:
        token = load_token(loaded.config.http.token_file, os.environ)
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
