"""What `livecache doctor` tries on this machine: the token, the port, the data directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...config.render import Loaded
from ...config.schema import listen_address
from ...embedded.server import EmbeddedServer, default_data_dir, find_url
from ...embedded.state import REFUSE
from ...embedded.trouble import check_loopback
from ...errors import ConfigError, EmbeddedError, LivecacheError, RedisUnavailable
from ...http.guard import is_loopback, load_tokens
from ...http.listen import bind, is_mistake
from ...redis_url import address_of
from ..reading import redis_url_of
from ..who import told_by_service
from .diagnosis import Diagnosis, failed, noted, right

__all__ = ["data_directory", "port", "token"]

_SPACE_LEAST = 200 * 1024 * 1024  # bytes; an append-only file is rewritten beside itself


def token(loaded: Loaded) -> list[Diagnosis]:
    """Whether the HTTP server's token can be used, and is there where it is needed."""
    http = loaded.config.http
    address = listen_address(http.listen)
    if address is None:
        return []
    try:
        given = any(load_tokens(http, os.environ))
    except ConfigError as error:
        return [failed("token", error.message, error.hint)]
    if not given and not is_loopback(address[0]):
        message = f"none, and {http.listen} is beyond loopback: only health and metrics will be served"
        return [noted("token", message, "set LIVECACHE_HTTP_TOKEN or http.token_file")]
    return [right("token", "is set" if given else "none is needed on loopback")]


def port(loaded: Loaded) -> list[Diagnosis]:
    """Whether the HTTP server can listen."""
    listen = loaded.config.http.listen
    address = listen_address(listen)
    if address is None:
        return [right("port", "http.listen is off: nothing is served")]
    try:
        for listening in bind(*address):
            listening.close()
    except OSError as error:
        if is_mistake(error):
            remedy = 'take an address of this machine and a port above 1023, or "off"'
            return [failed("port", f"cannot listen on {listen}: {error.strerror}", remedy)]
        if who := told_by_service(loaded):
            return [_of_another(loaded, listen, who)]
        remedy = "free it, or set another: LIVECACHE_HTTP_LISTEN=127.0.0.1:8788"
        return [failed("port", f"{listen} is taken, and not by livecache: {error.strerror}", remedy)]
    return [right("port", f"{listen} is free")]


def _of_another(loaded: Loaded, listen: str, who: Mapping[str, Any]) -> Diagnosis:
    """The port is taken by a livecache: by the one of this configuration, or one beside it."""
    name = f" ({who['instance']})" if who.get("instance") else ""
    answers = f"{listen}: livecache {who['version']}{name} answers there already"
    try:
        here = address_of(redis_url_of(loaded.config))
    except LivecacheError:
        here = "none yet"
    if who.get("redis") and _database(who["redis"]) != _database(here):
        remedy = "if it is another service's, set another port: LIVECACHE_HTTP_LISTEN=127.0.0.1:8788"
        return noted("port", f"{answers}, and its Redis is {who['redis']}, not this one's ({here})", remedy)
    return right("port", answers)


def _database(address: str) -> str:
    """One that is not named is the first."""
    return address.rstrip("/").removesuffix("/0")


def data_directory(loaded: Loaded) -> list[Diagnosis]:
    """Whether the embedded server could start; nothing where a Redis is given."""
    redis = loaded.config.redis
    if redis.url != "embedded":
        return []
    part = "data directory"
    remedy = "set another redis.data_dir, or redis.url"
    if os.environ.get(REFUSE) == "refuse":
        return [
            failed(part, "no Redis is given, and the embedded one is refused here", "set LIVECACHE_REDIS_URL")
        ]
    try:
        EmbeddedServer.find_binary()
        check_loopback()
        directory = (Path(redis.data_dir) if redis.data_dir else default_data_dir()).expanduser().absolute()
    except EmbeddedError as error:
        return [failed(part, error.message, error.hint)]
    # Nothing is made that a start would make: what has to be written to is the nearest that is there.
    there = next(place for place in (directory, *directory.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        return [failed(part, f"{there} cannot be written to: {error.strerror}", remedy)]
    if free < _SPACE_LEAST:
        return [noted(part, f"{directory}: {free // (1024 * 1024)} MB are free there", remedy)]
    try:
        find_url(directory)
    except RedisUnavailable:
        return [right(part, f"{directory} can be written to")]
    return [right(part, f"{directory} is in use by a running livecache")]
