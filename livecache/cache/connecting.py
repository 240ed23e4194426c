"""Connecting: where the Redis is, a client for it, and what to say when it cannot be used.

Behind a Sentinel URL each new connection asks the Sentinels which server is the master now. After a failover
the old connections break, or are told that their server only reads, and the next ones find the new master.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelConnectionPool
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    ClusterCrossSlotError,
    ClusterError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from ..errors import AccessDenied, ConfigError, RedisUnavailable
from ..redis_url import Sentinels, parse_sentinels, url_problem

__all__ = [
    "client_for",
    "database_of",
    "hint_on",
    "is_denied",
    "is_of_cluster",
    "is_protected",
    "named_url",
    "resolve_url",
    "unavailable",
]

_SENTINEL_TIMEOUT_S = 1.0  # for one Sentinel's answer; then the next is asked

_UNKNOWN_USER = (AuthenticationError, AuthenticationWrongNumberOfArgsError)

_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")


def named_url(url: str | None) -> str:
    """`url`, else LIVECACHE_REDIS_URL; "" where neither names a server: then it is the embedded one.

    Raises `ConfigError` for a URL that cannot be used.
    """
    if not isinstance(url, str | None):
        raise ConfigError(
            f"the Redis URL is text, not {type(url).__name__}",
            "redis://host:6379; a Redis client of your own is given as client=",
        )
    chosen = url or os.environ.get("LIVECACHE_REDIS_URL") or "embedded"
    if chosen == "embedded":
        return ""
    if problem := url_problem(chosen):
        what, hint = problem
        raise ConfigError(f"the Redis URL: {what}", hint)
    return chosen


def resolve_url(url: str | None) -> str:
    """The Redis to use: `url`, else LIVECACHE_REDIS_URL, else the embedded server that runs here.

    The latter is looked for in LIVECACHE_REDIS_DATA_DIR, else in the user's data directory.

    Raises `RedisUnavailable` if none is found, `ConfigError` for a URL that cannot be used.
    """
    if named := named_url(url):
        return named
    # Only here: whoever names a server needs nothing of the embedded one.
    from .embedded_state import find_url

    directory = os.environ.get("LIVECACHE_REDIS_DATA_DIR")
    return find_url(Path(directory).expanduser() if directory else None)


def client_for(library: Any, url: str, **options: Any) -> Any:
    """A client of `library` (`redis` or `redis.asyncio`) for a resolved URL; nothing connects yet.

    `options` are redis-py's; those in the URL win. Raises `ConfigError` for an option's value that cannot be
    used, a certificate that cannot be read among them.
    """
    sentinels = parse_sentinels(url)
    server_url = sentinels.server_url if sentinels else url
    try:
        given: dict[str, Any] = parse_url(server_url)  # type: ignore[no-untyped-call]
    except ValueError:
        # Without its cause: the message may quote a part of the URL, and that may be the password.
        raise ConfigError(
            "the Redis URL cannot be read", "redis://[user:password@]host:port/number"
        ) from None
    _check_certificates(given)
    if sentinels is None:
        return library.Redis.from_url(server_url, **options)
    return _through(sentinels, library, {**options, **given})


def database_of(client: Any) -> int:
    """The number of the database that a client of redis-py's works in."""
    pool = getattr(client, "connection_pool", None)  # which a client of a cluster has not, nor has it others
    options = getattr(pool, "connection_kwargs", None)
    return int(options.get("db") or 0) if isinstance(options, dict) else 0


def hint_on(error: BaseException) -> str:
    """What to do about an error of redis-py's or of the network's."""
    sentinel = isinstance(error, MasterNotFoundError)
    causes = list(_causes(error))
    if any(is_protected(cause) for cause in causes):
        return "it is in protected mode, for this machine only: give it a password, or a `bind`"
    if any(is_of_cluster(cause) for cause in causes):
        return "a Redis Cluster is not supported: a single server is, or one behind Sentinels"
    if any(is_denied(cause) for cause in causes):
        return "docs/redis.md lists what each user has to be allowed"
    if any(isinstance(cause, _UNKNOWN_USER) for cause in causes):
        option = "sentinel_username=…&sentinel_password=…" if sentinel else "redis://user:password@host"
        return f"check user and password: {option}"
    # redis-py wraps this one in an error of its own.
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return "name the CA that signed its certificate: ?ssl_ca_certs=/path/ca.pem, or SSL_CERT_FILE"
    if sentinel:
        return "check the Sentinels' addresses and the master's name: redis+sentinel://host:26379/master"
    return "is it running, and is this its address? LIVECACHE_REDIS_URL or the reader's url"


def is_denied(error: BaseException) -> bool:
    """Whether the server's ACL forbids it. From within a script that is an error of no class of its own."""
    return isinstance(error, NoPermissionError) or (
        isinstance(error, ResponseError) and "ACL failure in script" in str(error)
    )


def is_protected(error: BaseException) -> bool:
    """Whether the server talks to nobody beyond its own machine: it has neither a password nor a `bind`."""
    return isinstance(error, ResponseError) and str(error).startswith("DENIED ")


def is_of_cluster(error: BaseException) -> bool:
    """Whether it is what a node of a Redis Cluster says to a client that does not know of it."""
    return isinstance(error, AskError | ClusterCrossSlotError | ClusterError)


def unavailable(error: BaseException) -> RedisUnavailable:
    """What a reader raises for this error of redis-py's or of the network's."""
    text = str(error)[:200] or type(error).__name__
    if is_denied(error):
        return AccessDenied(f"Redis does not allow it: {text}", hint_on(error))
    if isinstance(error, _UNKNOWN_USER):
        return AccessDenied(f"Redis does not let us in: {text}", hint_on(error))
    return RedisUnavailable(f"Redis cannot be read: {text}", hint_on(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised for."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


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
    if options.pop("connection_class", None) is not None:
        options["ssl"] = tls["ssl"] = True
    for name in ("host", "port"):
        options.pop(name, None)
    asking = {
        **tls,
        "username": sentinels.username,
        "password": sentinels.password,
        "socket_timeout": _SENTINEL_TIMEOUT_S,
        "socket_connect_timeout": _SENTINEL_TIMEOUT_S,
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
        for sentinel in self.sentinels:
            try:
                masters = sentinel.sentinel_masters()
            except (RedisError, OSError) as error:
                met.append(error)
            else:
                if (address := _living(self, masters, service_name)) is not None:
                    return address
        raise _not_found(service_name, self.sentinels, met)


class _AsyncSentinels(AsyncSentinel):
    """As `_Sentinels`."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        met: list[Exception] = []
        for sentinel in self.sentinels:
            try:
                masters = await sentinel.sentinel_masters()
            except (RedisError, OSError) as error:
                met.append(error)
            else:
                if (address := _living(self, masters, service_name)) is not None:
                    return address
        raise _not_found(service_name, self.sentinels, met)


def _living(asker: Any, masters: Any, name: str) -> tuple[str, int] | None:
    """Where the master of that name is, if the Sentinel that said this knows it, and knows it well."""
    state = masters.get(name)
    if state is None or not asker.check_master_state(state, name):
        return None
    return state["ip"], state["port"]


def _not_found(master: str, sentinels: list[Any], met: list[Exception]) -> MasterNotFoundError:
    """Why none is known. A Sentinel that refuses, or is none, may be put right, like one that is away."""
    asked = ", ".join("{host}:{port}".format(**one.connection_pool.connection_kwargs) for one in sentinels)
    why = f": {met[0]}" if met else ""
    problem = MasterNotFoundError(f"no Sentinel of {asked} names a living master {master!r}{why}")
    problem.__cause__ = met[0] if met else None
    return problem


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
