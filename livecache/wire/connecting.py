"""Connecting: where the Redis is, a client for it, and what to say when it cannot be used.

Behind a Sentinel URL each new connection asks the Sentinels which server is the master now. After a failover
the old connections break, or are told that their server only reads, and the next ones find the new master.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hiredis
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelConnectionPool
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncManaged
from redis.asyncio.sentinel import SentinelManagedSSLConnection as AsyncManagedTls
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import InvalidResponse
from redis.retry import Retry
from redis.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from ..errors import ConfigError
from ..redis_url import Sentinels, parse_cluster, parse_sentinels, url_problem
from .refusals import ERRORS, said

__all__ = [
    "SENTINELS_S",
    "SENTINEL_S",
    "client_for",
    "database_of",
    "named_url",
    "patience_of",
    "resolve_url",
]

SENTINEL_S = 0.7
"""For one Sentinel's answer; then the next is asked."""

SENTINELS_S = 1.0
"""No further one is asked after so long: the next time it is the first."""

_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")


def named_url(url: str | None) -> str:
    """`url`, else LIVECACHE_REDIS_URL; "" where neither names a server: an embedded one, or the demo's.

    Raises `ConfigError` for a URL that cannot be used.
    """
    if not isinstance(url, str | None):
        raise ConfigError(
            f"the Redis URL is text, not {type(url).__name__}",
            "redis://host:6379; a Redis client of your own is given as client=",
        )
    chosen = url or os.environ.get("LIVECACHE_REDIS_URL") or "embedded"
    if chosen == "embedded" or url == "demo":
        return ""
    if problem := url_problem(chosen):
        what, hint = problem
        raise ConfigError(f"the Redis URL: {what}", hint)
    return chosen


def resolve_url(url: str | None) -> str:
    """The Redis to use: `url`, else LIVECACHE_REDIS_URL, else the embedded server that runs here.

    "demo" is the one of a `livecache demo`; the variable does not name that, lest a real program read it.

    The latter is looked for in LIVECACHE_REDIS_DATA_DIR, else in the user's data directory.

    Raises `RedisUnavailable` if none is found, `ConfigError` for a URL that cannot be used.
    """
    if named := named_url(url):
        return named
    # Only here: whoever names a server needs nothing of the embedded one.
    from ..embedded.state import DEMO, find_demo, find_url

    if url == DEMO:
        return find_demo()
    directory = os.environ.get("LIVECACHE_REDIS_DATA_DIR")
    return find_url(Path(directory).expanduser() if directory else None)


def client_for(library: Any, url: str, **options: Any) -> Any:
    """A client of `library` (`redis` or `redis.asyncio`) for a resolved URL; nothing connects yet.

    `options` are redis-py's; those in the URL win. Raises `ConfigError` for an option's value that cannot be
    used, a certificate that cannot be read among them.
    """
    sentinels, nodes = parse_sentinels(url), parse_cluster(url)
    server_url = sentinels.server_url if sentinels else nodes.server_url if nodes else url
    try:
        given: dict[str, Any] = parse_url(server_url)  # type: ignore[no-untyped-call]
    except ValueError:
        # Without its cause: the message may quote a part of the URL, and that may be the password.
        raise ConfigError(
            "the Redis URL cannot be read", "redis://[user:password@]host:port/number"
        ) from None
    _check_certificates(given)
    options["redis_connect_func"] = _shake_async if library is redis.asyncio else _shake
    if nodes is not None:
        from .cluster import cluster_client

        return cluster_client(nodes, library, {**options, **given})
    if sentinels is None:
        return library.Redis.from_url(server_url, **options)
    return _through(sentinels, library, {**options, **given})


def database_of(client: Any) -> int:
    """The number of the database that a client of redis-py's works in."""
    options = _options_of(client)
    return int(options.get("db") or 0)


def patience_of(client: Any) -> float | None:
    """Seconds that a client of redis-py's waits for a reply before it gives up; None: for ever."""
    return _options_of(client).get("socket_timeout")


def _options_of(client: Any) -> Mapping[str, Any]:
    """What a client's connections are made with; nothing for one that does not tell."""
    told = getattr(client, "get_connection_kwargs", None)
    options = told() if told is not None else None
    return options if isinstance(options, Mapping) else {}


def _shake(connection: Any) -> None:
    """Begin a connection. redis-py trips in its own ways over what answers there and is no Redis."""
    try:
        connection.on_connect()
    except ERRORS:
        raise
    except Exception as error:
        raise InvalidResponse(f"it begins with what no Redis says: {error}") from error


async def _shake_async(connection: Any) -> None:
    """As `_shake`."""
    connection.pack_command = _packed
    try:
        await connection.on_connect()
    except ERRORS:
        raise
    except Exception as error:
        raise InvalidResponse(f"it begins with what no Redis says: {error}") from error


def _packed(name: str, *arguments: Any) -> list[bytes]:
    """A command's bytes. redis-py's asyncio half makes them in Python, which takes thrice as long."""
    return [hiredis.pack_command((*name.split(), *arguments))]


def _check_certificates(given: Mapping[str, Any]) -> None:
    """`ConfigError` for files that cannot be used: at each connection that looks like the network's fault."""
    files = {name: given[name] for name in _FILES if name in given}
    if not files:
        return
    for name, path in files.items():
        if not os.access(path, os.R_OK):
            raise ConfigError(f"the Redis URL: {name} cannot be read: {path}", "a path of this machine, PEM")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if "ssl_ca_certs" in files or "ssl_ca_path" in files:
            context.load_verify_locations(files.get("ssl_ca_certs"), files.get("ssl_ca_path"))
        if "ssl_certfile" in files:
            # A password is given in any case, else OpenSSL asks for one on the terminal.
            password = given.get("ssl_password", "")
            context.load_cert_chain(files["ssl_certfile"], files.get("ssl_keyfile"), password)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the Redis URL: its certificates cannot be used: {error}",
            "PEM files: ssl_ca_certs of the CA; ssl_certfile and ssl_keyfile of this client",
        ) from None


# --- Sentinel


def _through(sentinels: Sentinels, library: Any, options: dict[str, Any]) -> Any:
    """A client for the master that the Sentinels name. They are reached with TLS if it is."""
    asynchronous = library is redis.asyncio
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    encrypted = options.pop("connection_class", None) is not None
    if encrypted:
        tls["ssl"] = True
    options["connection_class"] = _CONNECTIONS[asynchronous, encrypted]
    for name in ("host", "port"):
        options.pop(name, None)
    asking = {
        **tls,
        "username": sentinels.username,
        "password": sentinels.password,
        "socket_timeout": SENTINEL_S,
        "socket_connect_timeout": SENTINEL_S,
    }
    # Both halves of redis-py are alike here, but for where they come from.
    asker: Any = _AsyncSentinels if asynchronous else _Sentinels
    asking["retry"] = (AsyncRetry if asynchronous else Retry)(NoBackoff(), 0)
    pool = _AsyncPool if asynchronous else _Pool
    return asker(sentinels.addresses, sentinel_kwargs=asking).master_for(
        sentinels.master, library.Redis, connection_pool_class=pool, **options
    )


class _Sentinels(Sentinel):
    """Asks each in turn. redis-py's own loop ends at one that refuses, and keeps to itself what it met."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        met: list[Exception] = []
        began_s = time.monotonic()
        for sentinel in list(self.sentinels):
            if met and time.monotonic() - began_s > SENTINELS_S:
                break
            try:
                masters = sentinel.sentinel_masters()
            except ERRORS as error:
                met.append(error)
                _put_last(self, sentinel)
            else:
                if (address := _living(self, masters, service_name)) is not None:
                    return address
        raise _not_found(service_name, self.sentinels, met)


class _AsyncSentinels(AsyncSentinel):
    """As `_Sentinels`."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        met: list[Exception] = []
        began_s = time.monotonic()
        for sentinel in list(self.sentinels):
            if met and time.monotonic() - began_s > SENTINELS_S:
                break
            try:
                masters = await sentinel.sentinel_masters()
            except ERRORS as error:
                met.append(error)
                _put_last(self, sentinel)
            else:
                if (address := _living(self, masters, service_name)) is not None:
                    return address
        raise _not_found(service_name, self.sentinels, met)


def _put_last(asker: Any, sentinel: Any) -> None:
    """Ask that one last from now on."""
    asker.sentinels = [*(one for one in asker.sentinels if one is not sentinel), sentinel]


def _living(asker: Any, masters: Any, name: str) -> tuple[str, int] | None:
    """Where the master of that name is, if the Sentinel that said this knows it, and knows it well."""
    state = masters.get(name)
    if state is None or not asker.check_master_state(state, name):
        return None
    return state["ip"], state["port"]


def _not_found(master: str, sentinels: list[Any], met: list[Exception]) -> MasterNotFoundError:
    """Why none is known. A Sentinel that refuses, or is none, may be put right, like one that is away."""
    asked = ", ".join("{host}:{port}".format(**one.connection_pool.connection_kwargs) for one in sentinels)
    why = f": {said(met[0])}" if met else ""
    problem = MasterNotFoundError(f"no Sentinel of {asked} names a living master {master!r}{why}")
    problem.__cause__ = met[0] if met else None
    return problem


class _Anew:
    """Asks the Sentinels at each connection. redis-py goes back to the old master where it tries again."""

    def connect_check_health(self: Any, check_health: bool = True, retry_socket_connect: bool = True) -> Any:
        if retry_socket_connect:  # It is not `connect` that asks for it, which knows the address by then.
            return self.connect()
        return super().connect_check_health(  # type: ignore[misc]
            check_health=check_health, retry_socket_connect=False
        )


_CONNECTIONS = {
    (asynchronous, encrypted): type(base.__name__, (_Anew, base), {})
    for asynchronous, bases in enumerate(
        [(SentinelManagedConnection, SentinelManagedSSLConnection), (AsyncManaged, AsyncManagedTls)]
    )
    for encrypted, base in enumerate(bases)
}
"""To a master, by whether it is asyncio's, and encrypted."""


class _Pool(SentinelConnectionPool):
    """Closes the connections to the Sentinels with its own; redis-py leaves them to nobody."""

    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                sentinel.close()


class _AsyncPool(AsyncSentinelConnectionPool):
    """As `_Pool`."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()
