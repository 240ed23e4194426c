"""What `livecache doctor` tries at Redis: that it answers, what it is, what it allows. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from msgspec import structs
from redis.exceptions import NoPermissionError, RedisError

from ...config.render import Loaded
from ...config.schema import Config
from ...errors import LivecacheError
from ...keys.keyspace import Keyspace, holder_of
from ...model.timeframe import Timeframe
from ...quality.inspection import Inspector
from ...redis_url import address_of
from ...wire.advice import SETTINGS, advice_on
from ...wire.routing import masters_of
from ...wire.scripts import text_of
from ..reading import connect, keyspace_of, redis_url_of
from .diagnosis import Diagnosis, failed, noted, right, skipped

__all__ = ["CLUSTER_COMMANDS", "COMMANDS", "redis_server"]

_CLOCK_S = 30.0  # how far two clocks may be apart

_ALLOWED = """
local denied = {}
if not redis.acl_check_cmd then return { 'unable' } end
local at = 1
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  local command = {}
  for i = 1, words do command[i] = ARGV[at + i] end
  local ok, allowed = pcall(redis.acl_check_cmd, unpack(command))
  if ok and not allowed then denied[#denied + 1] = command[1] end
  at = at + words + 1
end
return denied
"""

_KEY, _CHANNEL = "\0key", "\0channel"

COMMANDS: tuple[tuple[str, ...], ...] = (
    *(("select", "0"), ("ping",), ("info",), ("time",), ("type", _KEY), ("get", _KEY), ("set", _KEY, "1")),
    *(("evalsha", "0", "1", _KEY), ("eval", "", "1", _KEY)),
    *(("evalsha_ro", "0", "1", _KEY), ("eval_ro", "", "1", _KEY)),
    *(("del", _KEY), ("pttl", _KEY), ("pexpire", _KEY, "1"), ("persist", _KEY)),
    *(("hget", _KEY, "1"), ("hmget", _KEY, "1"), ("hgetall", _KEY)),
    *(("hset", _KEY, "1", "1"), ("hdel", _KEY, "1")),
    *(("zadd", _KEY, "1", "1"), ("zcard", _KEY), ("zrange", _KEY, "0", "1")),
    *(("zrangebyscore", _KEY, "0", "1"), ("zrevrangebyscore", _KEY, "1", "0")),
    ("zremrangebyscore", _KEY, "0", "1"),
    *(("sadd", _KEY, "1"), ("srem", _KEY, "1"), ("scard", _KEY), ("smembers", _KEY)),
    ("sismember", _KEY, "1"),
    *(("xadd", _KEY, "*", "1", "1"), ("xlen", _KEY), ("xrange", _KEY, "-", "+")),
    *(("xrevrange", _KEY, "+", "-"), ("xread", "streams", _KEY, "0")),
    *(("publish", _CHANNEL, "1"), ("subscribe", _CHANNEL), ("unsubscribe", _CHANNEL)),
)
"""All that the service sends, each with arguments that its ACL would be asked about."""

CLUSTER_COMMANDS: tuple[tuple[str, ...], ...] = (
    *(("command",), ("cluster", "slots"), ("readonly",), ("asking",), ("wait", "1", "100")),
    *(("spublish", _CHANNEL, "1"), ("ssubscribe", _CHANNEL), ("sunsubscribe", _CHANNEL)),
)
"""What it sends to a cluster beside these."""


def redis_server(loaded: Loaded) -> list[Diagnosis]:
    """All that is found there."""
    config = loaded.config
    try:
        url = redis_url_of(config)
    except LivecacheError as error:
        if config.redis.url == "embedded":
            return [skipped("redis", "`livecache run` starts the embedded one")]
        return [failed("redis", error.message, error.hint)]
    place = address_of(url)
    try:
        with connect(config) as client:
            return list(_examine(client, place, config))
    except LivecacheError as error:
        return [failed("redis", f"{place}: {error.message}", error.hint)]


def _examine(client: Any, place: str, config: Config) -> Iterator[Diagnosis]:
    for name, server in masters_of(client).items():
        yield from _server(server, name or place, config, of_cluster=bool(name))
    yield from _of_each(_keys, client, config)


def _server(client: Any, place: str, config: Config, *, of_cluster: bool) -> Iterator[Diagnosis]:
    began_s = time.monotonic()
    client.ping()
    took_ms = (time.monotonic() - began_s) * 1000
    info = _asked(client.info, {})
    version = info.get("valkey_version") or info.get("redis_version") or "of an untold version"
    name = "Valkey" if "valkey_version" in info else "Redis"
    yield right("redis", f"{place}: {name} {version} answers in {took_ms:.1f} ms")
    if not of_cluster and (info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == 1):
        yield failed(
            "redis", "it is a node of a Redis Cluster", "a cluster's URL begins with redis+cluster://"
        )
    if info.get("role") == "slave":
        yield failed("redis", "it is a replica, and only reads", "name its master, or the Sentinels")
    yield from _clock(client)
    commands = (*COMMANDS, *CLUSTER_COMMANDS) if of_cluster else COMMANDS
    yield from _of_each(partial(_allowed, commands=commands), client, config)
    yield from _settings(client, keyspace_of(config), f"--node {place} " if of_cluster else "")


def _of_each(
    look: Callable[[Any, Keyspace], Iterator[Diagnosis]], client: Any, config: Config
) -> Iterator[Diagnosis]:
    """What it finds of each venue, which is named where there are several."""
    for venue in config.venues:
        for one in look(client, keyspace_of(config, venue)):
            yield structs.replace(one, message=f"{venue}: {one.message}") if len(config.venues) > 1 else one


def _clock(client: Any) -> Iterator[Diagnosis]:
    told = _asked(client.time, None)
    if not isinstance(told, tuple):
        return
    off_s = told[0] + told[1] / 1e6 - time.time()
    if abs(off_s) > _CLOCK_S:
        message = f"its clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} this machine's"
        yield noted("redis clock", message, "set the wrong one by NTP: chronyd or systemd-timesyncd")
    else:
        yield right("redis clock", f"{off_s:+.1f} s from this machine's")


def _allowed(client: Any, keys: Keyspace, *, commands: Sequence[tuple[str, ...]]) -> Iterator[Diagnosis]:
    """Which of the commands this user may send, asked in one script that runs none of them."""
    key = keys.candles("BTC-USD", Timeframe.M5)
    channel = keys.updates("BTC-USD", Timeframe.M5)
    words: list[str] = []
    for command in commands:
        told = [{_KEY: key, _CHANNEL: channel}.get(word, word) for word in command]
        words += [str(len(told)), *told]
    try:
        denied = [text_of(name) for name in client.eval(_ALLOWED, 0, *words)]
    except RedisError as error:
        remedy = "docs/redis.md lists what each user has to be allowed"
        yield failed("redis user", f"it may not run scripts: {str(error)[:200]}", remedy)
        return
    if denied == ["unable"]:
        yield skipped("redis user", "this server, older than Redis 7, does not tell what a user may do")
    elif denied:
        remedy = f"ACL SETUSER … {' '.join(f'+{name}' for name in denied)}; docs/redis.acl has the whole line"
        yield failed("redis user", f"it may not use {', '.join(denied)} on {key} and its channel", remedy)
    else:
        yield right("redis user", f"may use all {len(commands)} commands under the prefix {keys.prefix}")


def _settings(client: Any, keys: Keyspace, at: str) -> Iterator[Diagnosis]:
    told = Inspector(client, keys).settings(SETTINGS)
    if all(value is None for value in told.values()):
        yield right("redis settings", "not told to this user; see docs/redis.md, Users")
        return
    advice = advice_on(told)
    for problem, remedy in advice:
        # That candles vanish is wrong; that they take more memory is a pity.
        say = failed if "evicts" in problem else noted
        yield say("redis settings", problem, f"livecache redis {at}{remedy}")
    if not advice:
        yield right(
            "redis settings", f"maxmemory-policy {told.get('maxmemory-policy')}, and the others are right"
        )


def _keys(client: Any, keys: Keyspace) -> Iterator[Diagnosis]:
    """Whose the keys of all series are, by commands that the service's user may send."""
    expected = {keys.series: "set", keys.feed: "hash", keys.closes: "stream", keys.lease: "string"}
    try:
        kinds = {key: text_of(client.type(key)) for key in expected}
        foreign = {key: kind for key, kind in kinds.items() if kind not in (expected[key], "none")}
        for key, kind in foreign.items():
            remedy = "delete that key if nothing needs it, or set another redis.prefix"
            yield failed("keys", f"{key} is a {kind}, which is not livecache's", remedy)
        if foreign:
            return
        series, lease = client.scard(keys.series), client.get(keys.lease)
    except NoPermissionError:
        yield skipped("keys", "this user may not read them")
        return
    holder = holder_of(lease) if lease is not None else "nobody"
    if holder is None:
        yield failed("keys", f"{keys.lease} is not a lease of livecache's", "set another redis.prefix")
        return
    yield right("keys", f"{series} series under the prefix {keys.prefix}; {holder} writes now")


def _asked(call: Any, otherwise: Any) -> Any:
    """What the server says, or that it does not tell."""
    try:
        return call()
    except RedisError:
        return otherwise
