"""The URL of a Redis: a server's, a socket's, that of Sentinels who know the server, or a cluster's.

    redis://[user:password@]host[:port][/number]                        rediss:// for TLS
    unix://[user:password@]/path/of/the/socket[?db=number]
    redis+sentinel://[user:password@]host[:port][,…]/master[/number]    rediss+sentinel:// for TLS
    redis+cluster://[user:password@]host[:port][,…]                     rediss+cluster:// for TLS

Options follow as `?name=value&…`; those that livecache passes on to redis-py are `OPTIONS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

__all__ = [
    "OPTIONS",
    "SCHEMES",
    "ClusterNodes",
    "Sentinels",
    "address_of",
    "parse_cluster",
    "parse_sentinels",
    "url_problem",
]

SCHEMES = (
    *("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"),
    *("redis+cluster", "rediss+cluster"),
)

SERVER_PORT, SENTINEL_PORT = 6379, 26379

_TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
    "ssl_password",
)
_SENTINEL_OPTIONS = ("sentinel_password", "sentinel_username")
_CLUSTER_OPTIONS = ("read_from",)

OPTIONS = (
    *("client_name", "db", "health_check_interval", "max_connections", "password", "protocol"),
    *("socket_connect_timeout", "socket_keepalive", "socket_timeout", "username"),
    *_TLS_OPTIONS,
    *_SENTINEL_OPTIONS,
    *_CLUSTER_OPTIONS,
)
"""What may follow the `?`. redis-py takes an option that it does not know for a fault of the program."""


class Sentinels(NamedTuple):
    """What a Sentinel URL says."""

    addresses: tuple[tuple[str, int], ...]
    master: str
    server_url: str  # of no server: the scheme, user, number and options that the master is connected with
    username: str | None  # what the Sentinels themselves ask for
    password: str | None


def parse_sentinels(url: str) -> Sentinels | None:
    """What a Sentinel URL says; None for any other. The URL is one without a `url_problem`."""
    parts = urlsplit(url)
    if not parts.scheme.endswith("+sentinel"):
        return None
    user, at, hosts = parts.netloc.rpartition("@")
    master, _, number = parts.path.strip("/").partition("/")
    options = parse_qsl(parts.query)
    own = {name: value for name, value in options if name in _SENTINEL_OPTIONS}
    return Sentinels(
        addresses=tuple(_address(host) for host in hosts.split(",")),
        master=unquote(master),
        server_url=SplitResult(
            parts.scheme.removesuffix("+sentinel"), f"{user}{at}master", f"/{number}", _others(parts, own), ""
        ).geturl(),
        username=own.get("sentinel_username"),
        password=own.get("sentinel_password"),
    )


class ClusterNodes(NamedTuple):
    """What a cluster's URL says."""

    addresses: tuple[tuple[str, int], ...]  # of some of its nodes: they know the others
    server_url: str  # of no server: the scheme, user and options that each node is connected with
    from_replicas: bool  # what only reads may ask replicas


def parse_cluster(url: str) -> ClusterNodes | None:
    """What a cluster's URL says; None for any other. The URL is one without a `url_problem`."""
    parts = urlsplit(url)
    if not parts.scheme.endswith("+cluster"):
        return None
    user, at, hosts = parts.netloc.rpartition("@")
    own = {name: value for name, value in parse_qsl(parts.query) if name in _CLUSTER_OPTIONS}
    scheme = parts.scheme.removesuffix("+cluster")
    return ClusterNodes(
        addresses=tuple(_address(host, SERVER_PORT) for host in hosts.split(",")),
        server_url=SplitResult(scheme, f"{user}{at}node", "", _others(parts, own), "").geturl(),
        from_replicas=own.get("read_from") == "replica",
    )


def _others(parts: SplitResult, own: Collection[str]) -> str:
    """The options but for these, as they were written."""
    return "&".join(pair for pair in parts.query.split("&") if pair.partition("=")[0] not in own)


def address_of(url: str) -> str:
    """Where a Redis URL points, for people: without user, password and options; "" for one with a problem."""
    if url_problem(url):
        return ""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def url_problem(url: str) -> tuple[str, str] | None:
    """What is wrong with a Redis URL, and a hint; None if nothing is.

    Neither holds more of it than its scheme, host or the names of its options: a password may be anywhere.
    """
    scheme, separator, _ = url.partition("://")
    if scheme not in SCHEMES or not separator:
        what = f"the scheme {scheme!r} is not one that livecache knows" if separator else "is not a URL"
        hint = f"it begins with {', '.join(f'{s}://' for s in SCHEMES[:-1])} or {SCHEMES[-1]}://"
        if scheme in ("valkey", "valkeys"):
            hint = f"Valkey speaks Redis's protocol: write {scheme.replace('valkey', 'redis')}://"
        return what, hint
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is not a URL", "redis://[user:password@]host:port/number"
    return _place_problem(parts) or _options_problem(parts)


def _place_problem(parts: SplitResult) -> tuple[str, str] | None:
    """What is wrong with where it points."""
    hosts = parts.netloc.rpartition("@")[2]
    if parts.scheme == "unix":
        if hosts or not parts.path.strip("/"):
            return "names no socket", "the path is absolute: unix:///run/redis/redis.sock"
        return None
    sentinel, cluster = parts.scheme.endswith("+sentinel"), parts.scheme.endswith("+cluster")
    try:
        addresses = [_address(host) for host in (hosts.split(",") if sentinel or cluster else [hosts])]
    except ValueError:
        return "its port is not a number from 0 to 65535", "it looks like scheme://host:port"
    path = [unquote(part) for part in parts.path.strip("/").split("/") if part]
    if sentinel:
        example = f"{parts.scheme}://host:{SENTINEL_PORT},host:{SENTINEL_PORT}/master"
        if not all(host for host, _ in addresses):
            return "names a Sentinel without a host", f"it looks like {example}"
        if not path:
            return "does not name the master", f"it looks like {example}"
        path = path[1:]
    if cluster:
        if not all(host for host, _ in addresses):
            return (
                "names a node without a host",
                f"it looks like {parts.scheme}://host:{SERVER_PORT},host:{SERVER_PORT}",
            )
        if path not in ([], ["0"]) or dict(parse_qsl(parts.query)).get("db", "0") != "0":
            return "names a database", "a cluster has database 0 alone: leave the number out"
    if len(path) > 1 or not all(part.isascii() and part.isdigit() for part in path):
        return "its database is not a number", "it is the number behind the last slash; the default is 0"
    return None


def _options_problem(parts: SplitResult) -> tuple[str, str] | None:
    """What is wrong with its options. Their values stay unsaid."""
    tls = parts.scheme.startswith("rediss")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(OPTIONS)}"
            return f"has an unknown option {name!r}", hint
        if name in _TLS_OPTIONS and not tls:
            return f"has the option {name} without TLS", "the scheme of TLS is rediss://"
        if name in _SENTINEL_OPTIONS and not parts.scheme.endswith("+sentinel"):
            return f"has the option {name} without Sentinels", "the scheme is redis+sentinel://"
        if name in _CLUSTER_OPTIONS and not parts.scheme.endswith("+cluster"):
            return f"has the option {name} without a cluster", "the scheme is redis+cluster://"
        if name == "read_from" and value not in ("master", "replica"):
            return "its read_from is unknown", "master (the default) or replica"
        if name == "ssl_cert_reqs" and value not in ("none", "optional", "required"):
            return "its ssl_cert_reqs is unknown", "one of none, optional, required"
        if not value:
            return f"its option {name} is empty", "give a value, or leave it out"
    return None


def _address(text: str, default: int = SENTINEL_PORT) -> tuple[str, int]:
    """Host and port of one Sentinel, node or server. ValueError for a bad port."""
    parts = urlsplit(f"//{text}")
    return parts.hostname or "", default if parts.port is None else parts.port
