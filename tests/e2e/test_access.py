"""The service under the users of docs/redis.acl, over TLS and by a socket: it runs whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from livecache import AccessDenied, Reader
from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe

from .gate import gate
from .servers import Server, certificates, server
from .support import ROOT, Exchange, exchange, livecache, market_of, until
from .truth import Truth, everything_is_right, series_of

ACL = (ROOT / "docs/redis.acl").read_text()
KEYS = Keyspace()
USERS = ("writer", "reader", "operator")
SYMBOLS = ("BTC-USD", "ETH-USD")
SERIES = series_of(SYMBOLS, ("5m", "15m", "1h", "4h", "1d"))

# What a connection says before the first command, and what docs/keyspace.md shows for other languages.
GREETING = {"hello", "auth", "client|setinfo", "select", "ping"}
FOR_PEOPLE = {"zrange", "zrevrange", "hgetall", "xlen", "xrevrange", "multi", "exec", "discard"}
FOR_OPERATORS = {"exists", "scan", "pttl", "eval", "srem", "del", "unlink", "config|get"}
FOR_CLUSTERS = {
    "command",
    "cluster|slots",
    "readonly",
    "asking",
    "ssubscribe",
    "sunsubscribe",
    "spublish",
    "wait",
}
FOR_FOLLOWERS = {"subscribe", "unsubscribe", "xread", "xrange", "xrevrange"}


def allowed(user: str) -> set[str]:
    line = next(line for line in ACL.splitlines() if line.startswith(f"user {user} "))
    return {word[1:] for word in line.split() if word.startswith("+")}


@contextmanager
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A server that loads docs/redis.acl at its start; each user's password is his name."""
    text = ACL
    for user in USERS:
        digest = hashlib.sha256(user.encode()).hexdigest()
        text = text.replace(f"#sha256-of-the-password-of-{user} ", f"#{digest} ")
    file = tmp_path / "redis.acl"
    file.write_text(f"{text}user admin on >admin ~* &* +@all\n")
    with server("--aclfile", str(file)) as running:
        yield running


def as_user(running: Server, name: str, port: int = 0) -> str:
    return f"redis://{name}:{name}@127.0.0.1:{port or running.port}/0"


def refused(running: Server) -> list[str]:
    """What the server has refused to anybody, by its own record.

    Not that the writer would have looked at its settings: docs/redis.md says what that costs.
    """
    with redis.Redis.from_url(as_user(running, "admin"), decode_responses=True) as admin:
        entries: Any = admin.acl_log()
    told = [f"{e['username']}: {e['reason']} {e['object']}" for e in entries]
    return [entry for entry in told if entry != "writer: command config|get"]


def lives_through_a_bucket(venue: Exchange, store: redis.Redis) -> None:
    """Return once a 5m bucket has closed and was settled since this was called."""
    state = KEYS.state("BTC-USD", Timeframe.M5)
    before = int(str(store.hget(state, "settled_through")))
    until("a bucket settles", lambda: int(str(store.hget(state, "settled_through"))) > before, 40.0)


# --- the file


def test_as_shipped_the_file_lets_nobody_in_by_a_known_password() -> None:
    """The server does not even start before real digests are in their place."""
    shipped = str(ROOT / "docs/redis.acl")
    with pytest.raises(AssertionError, match="64 characters"), server("--aclfile", shipped):
        pass
    assert "user default off" in ACL.splitlines()
    assert "nopass" not in ACL
    assert ">" not in ACL
    assert re.findall(r" #(\S+)", ACL) == [f"sha256-of-the-password-of-{user}" for user in USERS]


def in_redis() -> str:
    """The code that speaks to Redis."""
    rooms = (
        *("keys", "wire", "write", "writer", "read", "reader", "embedded", "quality"),
        *("quota", "sharing"),
    )
    files = [path for room in rooms for path in (ROOT / "livecache" / room).iterdir()]
    return "".join(path.read_text() for path in files if path.suffix in (".py", ".lua"))


def test_no_user_may_do_more_than_is_needed() -> None:
    """Each command that is allowed is named in the code, but for greetings and what people type."""
    code = in_redis()
    named = {word.lower() for word in re.findall(r"[\"']([A-Z_]{3,})[\"']", code)}
    assert allowed("writer") - named - GREETING - FOR_FOLLOWERS - FOR_CLUSTERS == set()
    assert allowed("reader") - named - GREETING - FOR_FOLLOWERS - FOR_CLUSTERS - FOR_PEOPLE == set()
    assert allowed("operator") - allowed("reader") == FOR_OPERATORS


def test_the_writer_may_do_whatever_a_script_does() -> None:
    code = in_redis()
    called = {word.lower() for word in re.findall(r"(?:p?call|in_pieces)\('([A-Z]+)'", code)}
    assert len(called) > 15
    assert called - allowed("writer") == set()


# --- the service under it


@pytest.mark.takes(18)
def test_the_service_lives_whole_as_writer_and_a_reader_reads_and_follows_but_writes_nothing(
    tmp_path: Path,
) -> None:
    """Through a close, an emptied server and another start. The server's own record names no refusal."""
    truth = Truth(market_of(*SYMBOLS))
    with (
        guarded(tmp_path) as running,
        exchange(market_of(*SYMBOLS), speed=60.0, update_ms=5_000) as venue,
        redis.Redis.from_url(as_user(running, "admin"), decode_responses=True) as admin,
    ):
        env = venue.settings(as_user(running, "writer"))

        def looking(user: str) -> dict[str, str]:
            return venue.settings(as_user(running, user))

        with livecache("run", env=env) as service:
            service.event("backfill_complete")
            lives_through_a_bucket(venue, admin)
            admin.flushall()
            until("all is back", lambda: admin.exists(KEYS.alive("BTC-USD")))
            with livecache("ready", "--health", env=env) as ready:
                assert ready.ended() == 0, ready.story()
            a_reader_reads_and_follows(running)
            commands_end_well("status", "ready", "series", "show BTC-USD 5m", "export", env=looking("reader"))
            commands_end_well("check", "prune", "status", env=looking("operator"))
            assert refused(running) == []
            service.stop()
        with livecache("run", env=env) as service:
            service.event("adopted")
            lives_through_a_bucket(venue, admin)
            service.stop()
            with redis.Redis.from_url(as_user(running, "admin")) as raw:
                everything_is_right(raw, SERIES, truth)
        assert refused(running) == []
        what_a_reader_may_not_do_is_refused(running, admin)
        an_operator_finds_and_removes_keys_of_livecache_only(running, admin, looking("operator"))


def commands_end_well(*commands: str, env: Mapping[str, str]) -> None:
    for command in commands:
        with livecache(*command.split(), env=env) as process:
            assert process.ended() == 0, process.story()


def a_reader_reads_and_follows(running: Server) -> None:
    """All that a `Reader` asks, and what others ask who follow `updates` and `closes`."""
    url = as_user(running, "reader")
    with Reader(url) as reader:
        assert len(reader.series()) == 10
        assert len(reader.candles("BTC-USD", "5m", 60)) == 60
        assert len(reader.many([("BTC-USD", "5m", 5), ("ETH-USD", "1h", 5)])) == 2
        known = reader.candles("BTC-USD", "5m", 3)
        assert len(reader.range("BTC-USD", "5m", known[0].time, known[-1].time)) == 2
        assert all(view.record for view in reader.states())
    with redis.Redis.from_url(url, decode_responses=True, socket_timeout=60) as client:
        with client.pubsub() as channel:
            channel.subscribe(KEYS.updates("BTC-USD", Timeframe.M5))
            until("an update is heard", lambda: _heard(channel))
        newest: Any = until("a close is announced", lambda: client.xrevrange(KEYS.closes, count=1), 40.0)
        assert client.xrange(KEYS.closes, newest[0][0], "+")
        assert client.xread({KEYS.closes: newest[0][0]}, block=30_000)


def _heard(channel: Any) -> bool:
    message = channel.get_message(ignore_subscribe_messages=True, timeout=1.0)
    return message is not None and '"candle"' in message["data"]


def what_a_reader_may_not_do_is_refused(running: Server, admin: redis.Redis) -> None:
    """Neither ours nor other keys, neither by command nor by script; and the key space is as before."""
    before = admin.dbsize()
    attempts: list[tuple[Any, ...]] = [
        ("SET", "livecache:x", "1"),
        ("DEL", KEYS.candles("BTC-USD", Timeframe.M5)),
        ("ZADD", KEYS.candles("BTC-USD", Timeframe.M5), 1, "x"),
        ("PUBLISH", KEYS.updates("BTC-USD", Timeframe.M5), "x"),
        ("XADD", KEYS.closes, "*", "a", "b"),
        ("EVAL", "return redis.call('DEL', KEYS[1])", 1, KEYS.lease),
        ("EVAL_RO", "return redis.call('DEL', KEYS[1])", 1, KEYS.lease),
        ("GET", "somebody:else"),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("FLUSHALL",),
    ]
    with redis.Redis.from_url(as_user(running, "reader")) as client:
        for attempt in attempts:
            with pytest.raises(redis.ResponseError, match=r"permission|can't|not allowed"):
                client.execute_command(*attempt)
    assert admin.dbsize() == before


def an_operator_finds_and_removes_keys_of_livecache_only(
    running: Server, admin: redis.Redis, env: Mapping[str, str]
) -> None:
    admin.set("somebody:else", "1")
    left_over = KEYS.candles("OLD-USD", Timeframe.M5)
    admin.zadd(left_over, {"[1]": 1})
    with livecache("check", env=env) as check:
        assert check.ended() == 0, check.story()
        assert any("OLD-USD 5m" in line and "no longer among" in line for line in check.output)
    with livecache("prune", "--yes", env=env) as prune:
        assert prune.ended() == 0, prune.story()
        assert prune.output == ["removed OLD-USD 5m"]
    assert not admin.exists(left_over)
    with redis.Redis.from_url(as_user(running, "operator"), decode_responses=True) as client:
        for attempt in (("UNLINK", "somebody:else"), ("FLUSHALL",), ("CONFIG", "SET", "maxmemory", "1")):
            with pytest.raises(NoPermissionError):
                client.execute_command(*attempt)


def test_what_the_acl_refuses_is_said_and_is_no_end(tmp_path: Path) -> None:
    """Another prefix than the ACL's: the service says why it waits, and goes on once it is allowed."""
    with guarded(tmp_path) as running, exchange(market_of("BTC-USD")) as venue:
        env = venue.settings(as_user(running, "writer"), REDIS_PREFIX="other")
        with livecache("run", env=env) as service:
            told = service.event("redis_trouble")
            assert "docs/redis.md" in told["message"]
            assert told["kind"] == "NoPermissionError"
            with redis.Redis.from_url(as_user(running, "admin")) as admin:
                admin.execute_command("ACL", "SETUSER", "writer", "~other:*", "&other:*")
            service.event("backfill_complete")
            service.stop()
        denied = pytest.raises(AccessDenied, match="No permissions to access a key")
        with Reader(as_user(running, "reader"), prefix="other") as reader, denied:
            reader.candles("BTC-USD", "5m", 60)
        with livecache("status", env={**env, "LIVECACHE_REDIS_URL": as_user(running, "nobody")}) as status:
            assert status.ended() == 3
            assert any("user and password" in line for line in status.errors), status.story()


def test_the_service_and_the_commands_reach_redis_over_tls_and_by_a_socket(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    with server() as running, gate(running.port, made.server_context) as way:
        for url in (
            f"rediss://127.0.0.1:{way.port}/0?ssl_ca_certs={made.ca}",
            f"unix://{running.socket}?db=1",
        ):
            with exchange(market_of("BTC-USD")) as venue:
                env = venue.settings(url)
                with livecache("run", env=env) as service:
                    service.event("backfill_complete")
                    with livecache("ready", env=env) as ready:
                        assert ready.ended() == 0, ready.story()
                    with livecache("redis", "SCARD", KEYS.series, env=env) as asked:
                        assert asked.ended() == 0, asked.story()
                        assert asked.output == ["(integer) 5"]
                    with Reader(url) as reader:
                        assert len(reader.candles("BTC-USD", "5m", 60)) == 60
                    service.stop()
