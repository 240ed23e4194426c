"""Whatever a client of Redis raises, and whatever a server says, ends as an error of ours with a remedy."""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import hiredis
import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis._parsers.base import BaseParser

from livecache import AccessDenied, AsyncReader, LivecacheError, Reader, RedisUnavailable
from livecache.clock import SystemClock
from livecache.commands.reading import connect
from livecache.commands.redis_cli import send
from livecache.config.schema import Config, RedisConfig
from livecache.process.logs import setup
from livecache.wire.refusals import ERRORS, hint_on, kind_of, passes, said, unavailable
from livecache.wire.trouble import AGAIN_MOST_S, Trouble, waits_s

from .either import either
from .support import BTC, Source, until
from .writing import Flaky, on_valkey, running, writer_of
from .writing import said as logged


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def subclasses(of: type[BaseException]) -> Iterator[type[BaseException]]:
    for one in of.__subclasses__():
        yield one
        yield from subclasses(one)


def made(kind: type[BaseException]) -> Exception:
    for arguments in (("1234 127.0.0.1:6379",), (), (["field"],), (ValueError(), object())):
        with suppress(Exception):
            error = kind(*arguments)
            assert isinstance(error, Exception)
            return error
    raise AssertionError(f"how is {kind} made?")


OF_CLIENT = sorted(
    {one for one in subclasses(Exception) if one.__module__.partition(".")[0] in ("redis", "hiredis")},
    key=lambda kind: (kind.__module__, kind.__name__),
)

ALL = [
    *map(made, OF_CLIENT),
    OSError(errno.EHOSTUNREACH, "No route to host"),
    ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    ConnectionResetError(errno.ECONNRESET, "reset"),
    BrokenPipeError(errno.EPIPE, "pipe"),
    TimeoutError(),
    socket.gaierror(-2, "Name or service not known"),
    ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
    ssl.SSLCertVerificationError(1, "unable to get local issuer certificate"),
    EOFError(),
    asyncio.IncompleteReadError(b"", 4),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    UnicodeError("label empty or too long"),
]


def name(error: Exception) -> str:
    return f"{type(error).__module__}.{type(error).__name__}"


# --- each error there is


def test_the_walk_finds_what_there_is() -> None:
    assert {hiredis.ProtocolError, redis.exceptions.SlotNotCoveredError, redis.ConnectionError} <= set(
        OF_CLIENT
    )
    assert len(OF_CLIENT) > 40


@pytest.mark.parametrize("error", ALL, ids=name)
def test_every_error_of_the_client_is_one_of_ours_with_a_remedy(error: Exception) -> None:
    assert isinstance(error, ERRORS)
    ours = unavailable(error)
    assert isinstance(ours, RedisUnavailable) and ours.exit_code == 3
    assert ours.message and ours.hint and kind_of(error).isidentifier()


class Failing:
    """A client on which every way to the server fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def execute_command(self, *_: Any) -> Any:
        raise self.error

    def pipeline(self, *_: Any, **__: Any) -> Any:
        return self

    def pubsub(self, *_: Any, **__: Any) -> Any:
        return self

    def __enter__(self) -> Any:
        return _Queue(self.error)

    def __exit__(self, *_: object) -> None:
        pass

    def subscribe(self, *_: Any) -> Any:
        raise self.error

    def close(self) -> None:
        pass


class _Queue:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def execute_command(self, *_: Any) -> None:
        pass

    def execute(self, **_: Any) -> Any:
        raise self.error


class AsyncFailing(Failing):
    """`Failing`, awaited."""

    async def execute_command(self, *_: Any) -> Any:
        raise self.error

    async def __aenter__(self) -> Any:
        return _AsyncQueue(self.error)

    async def __aexit__(self, *_: object) -> None:
        pass

    async def subscribe(self, *_: Any) -> Any:
        raise self.error

    async def aclose(self) -> None:
        pass


class _AsyncQueue(_Queue):
    async def execute(self, **_: Any) -> Any:
        raise self.error


def ways(reader: Any) -> Iterator[Any]:
    yield lambda: reader.candles("BTC-USD", "5m", 5)
    yield lambda: reader.states([BTC, BTC])
    yield reader.series
    yield lambda: next(reader.follow("BTC-USD", "5m", 5, patience=0))
    yield lambda: next(reader.closes(patience=0))
    yield lambda: reader.wait_ready([("BTC-USD", "5m", 5)], timeout=0)


@pytest.mark.parametrize("error", ALL, ids=name)
def test_readers_raise_only_errors_of_ours(kind: str, error: Exception) -> None:
    client = Failing(error) if kind == "sync" else AsyncFailing(error)
    with either(kind, None, client=client) as reader:
        for way in ways(reader):
            with pytest.raises(RedisUnavailable) as caught:
                way()
            assert caught.value.hint


@pytest.mark.parametrize(
    "error", [one for one in ALL if name(one).startswith(("redis.", "hiredis."))], ids=name
)
def test_commands_raise_only_errors_of_ours(error: Exception, clean_valkey: str) -> None:
    with pytest.raises(RedisUnavailable), connect(Config(redis=RedisConfig(url=clean_valkey))):
        raise error


def test_a_writer_at_work_survives_every_error_and_any_refusal(clean_valkey: str) -> None:
    errors = [*ALL, *(reply(text) for text, *_ in REFUSALS), reply("ERR something never heard of")]

    async def test(client: Any, source: Source) -> None:
        flaky = Flaky(client)
        writer = writer_of(flaky, source)

        async def becomes(condition: Callable[[], bool]) -> None:
            while not condition():
                source.wake.set()
                await asyncio.sleep(0.005)

        async with running(writer):
            await until(lambda: writer.stats.upserts >= 2)
            for error in errors:
                told, recoveries = writer.stats.errors, writer.stats.recoveries
                flaky.error = error
                await becomes(lambda before=told: writer.stats.errors > before)  # type: ignore[misc]
                flaky.error = None
                await becomes(lambda before=recoveries: writer.stats.recoveries > before)  # type: ignore[misc]

    with logged() as events:
        on_valkey(clean_valkey, test, seconds=120)
    assert events.count("redis_trouble") >= 10, "each kind is told"


def test_a_redis_that_is_back_is_written_to_within_a_second() -> None:
    for jitter in (0.0, 0.5, 0.999):
        waits = waits_s(lambda jitter=jitter: jitter)  # type: ignore[misc]
        assert all(0 < next(waits) <= AGAIN_MOST_S <= 1.0 for _ in range(100))


# --- what servers say

# What is said, a part of the remedy, and whether waiting may help.
REFUSALS = [
    ("NOAUTH HELLO must be called with the client already authenticated, otherwise", "user:password@", True),
    ("NOAUTH Authentication required.", "user:password@", True),
    ("WRONGPASS invalid username-password pair or user is disabled.", "user and password", True),
    (
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?",
        "leave user and password out",
        True,
    ),
    ("NOPERM this user has no permissions to run the 'evalsha' command", "docs/redis.md", True),
    (
        "ERR ACL failure in script: User writer has no permissions to run the 'publish' command script: 1",
        "docs/redis.md",
        True,
    ),
    ("ERR The user executing the script can't run this command or subcommand", "docs/redis.md", True),
    (
        "ERR The user executing the script can't access at least one of the keys mentioned in the command "
        "arguments",
        "docs/redis.md",
        True,
    ),
    ("DENIED Redis is running in protected mode because", "protected mode", True),
    ("ERR SELECT is not allowed in cluster mode", "redis+cluster://", False),
    ("ERR DB index is out of range", "another number", False),
    ("ERR invalid DB index", "another number", False),
    ("ERR SELECT is not supported", "another number", False),
    ("ERR Only database 0 is supported", "another number", False),
    ("ERR unknown command 'HELLO', with args beginning with: '3' ", "protocol=2", False),
    ("NOPROTO unsupported protocol version", "protocol=2", False),
    ("ERR unknown command 'EVALSHA', with args beginning with: 'abc'", "Lua scripts", False),
    ("ERR unknown command `EVALSHA`", "Lua scripts", False),
    ("ERR unsupported command 'eval'", "Lua scripts", False),
    ("ERR Command is not available: 'EVAL'", "Lua scripts", False),
    ("ERR This command is disabled", "Lua scripts", False),
    ("MOVED 1234 10.0.0.1:6379", "redis+cluster://", True),
    ("CROSSSLOT Keys in request don't hash to the same slot", "redis+cluster://", True),
    ("CLUSTERDOWN Hash slot not served", "a master of the cluster is away", True),
    ("OOM command not allowed when used memory > 'maxmemory'.", "maxmemory", True),
    (
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist",
        "disk",
        True,
    ),
    ("MISCONF Errors writing to the AOF file: No space left on device", "make room", True),
    ("READONLY You can't write against a read only replica.", "primary's address", True),
    (
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is 'no'.",
        "primary's address",
        True,
    ),
    ("NOREPLICAS Not enough good replicas to write.", "min-replicas-to-write", True),
    ("LOADING Redis is loading the dataset in memory", "by itself", True),
    ("BUSY Redis is busy running a script.", "SCRIPT KILL", True),
    ("ERR max number of clients reached", "maxclients", True),
    ("ERR max daily request limit exceeded. Limit: 10000, Usage: 10000.", "provider's limit", True),
    ("ERR max requests limit exceeded. Limit: 500000", "provider's limit", True),
    ("ERR You have exceeded your rate limit", "provider's limit", True),
    ("ERR Too many requests, slow down", "provider's limit", True),
    ("ERR quota used up", "provider's limit", True),
    ("THROTTLED try again", "provider's limit", True),
    ("ERR command not allowed when used memory > 'maxmemory'.", "maxmemory", True),
    ("ERR user_script:1: command not allowed when used memory > 'maxmemory'", "maxmemory", True),
    ("ERR Command not allowed while database is being migrated", "that this passes", True),
    ("ERR command not supported during failover", "that this passes", True),
    ("ERR server is in maintenance, commands are not allowed", "that this passes", True),
    ("ERR Redis is not able to persist on disk. Commands that write are disabled", "disk", True),
    ("ERR DISABLE You can't write against a read only replica.", "primary's address", True),
    ("ERR this user has no permissions to run the 'evalsha' command", "docs/redis.md", True),
    ("ERR unknown command 'SMEMBERS', with args beginning with: 'livecache:venues'", "a Sentinel", False),
    ("ERR unknown command 'CLUSTER', with args beginning with: 'SLOTS'", "no node of a cluster", False),
    ("ERR something never heard of", "server's own words", True),
    ("SOMETHING never heard of", "server's own words", True),
]


def reply(text: str) -> Exception:
    """What redis-py makes of that error reply."""
    error = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize(("text", "remedy", "may_pass"), REFUSALS, ids=[text[:30] for text, *_ in REFUSALS])
def test_a_refusal_is_told_with_its_remedy(text: str, remedy: str, may_pass: bool) -> None:
    error = reply(text)
    assert remedy in hint_on(error)
    assert "is this its address" not in hint_on(error), "it answers, so that is not what is wrong"
    assert passes(error) is may_pass
    assert kind_of(error).isidentifier()


def test_a_server_that_is_paused_is_not_told_as_one_that_is_away(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as paused:
        url = f"redis://127.0.0.1:{paused.getsockname()[1]}?socket_timeout=0.2"
        with either(kind, url) as reader, pytest.raises(RedisUnavailable) as caught:
            reader.series()
    assert "is it paused" in caught.value.hint


def test_kinds_that_take_turns_are_told_apart() -> None:
    told = [kind_of(reply(text)) for text in ("MISCONF x", "OOM x", "NOREPLICAS x", "SOMETHING x", "ERR x y")]
    assert told == ["MISCONF", "OutOfMemoryError", "NOREPLICAS", "ResponseError", "ResponseError"]


@pytest.mark.parametrize(("text", "remedy", "may_pass"), REFUSALS, ids=[text[:30] for text, *_ in REFUSALS])
def test_a_start_ends_by_code_3_where_waiting_is_in_vain(
    text: str, remedy: str, may_pass: bool, clean_valkey: str
) -> None:
    async def test(client: Any, source: Source) -> None:
        flaky = Flaky(client)
        flaky.error = reply(text)
        opening = asyncio.create_task(writer_of(flaky, source).open())
        if may_pass:
            await until(lambda: flaky.failures > 2)
            flaky.error = None
            await opening
        else:
            with pytest.raises(RedisUnavailable) as caught:
                await opening
            assert remedy in caught.value.hint and caught.value.exit_code == 3
            # A service that starts over is none that starts: it has run, and goes on.
            again = writer_of(flaky, source, used_before=True)
            opening = asyncio.create_task(again.open())
            await until(lambda: again.stats.errors > 2)
            flaky.error = None
            await opening

    on_valkey(clean_valkey, test)


def test_the_log_says_what_is_wrong_and_what_to_do_once_in_a_line() -> None:
    out = io.StringIO()
    setup("INFO", "text", out)
    Trouble(SystemClock(), remind_s=10.0).note(reply(REFUSALS[0][0]))
    line = out.getvalue()
    for once in ("Redis wants a password, and the URL has none", "as user:password@host"):
        assert line.count(once) == 1, line


def test_a_password_that_is_wanted_is_asked_for_in_our_words() -> None:
    error = reply(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH"
    )
    assert said(error) == unavailable(error).message == "Redis wants a password, and the URL has none"
    assert isinstance(unavailable(error), AccessDenied)


# --- what answers there is no Redis

NONSENSE = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "a banner": b"220 mail.example.com ESMTP\r\n",
    "nothing, and the end": b"",
    "always OK": b"+OK\r\n" * 50,
    "always a number": b":7\r\n" * 50,
    "always nothing": b"$-1\r\n" * 50,
    "a number that is none": b":abc\r\n" * 50,
    "a length that is none": b"$abc\r\n" * 50,
    "a list of lists of lists": b"*1\r\n" * 5_000,
    "bytes": bytes(range(128, 256)) + b"\r\n",
}


@contextmanager
def talking(answer: bytes) -> Iterator[str]:
    """The URL of something that answers whatever it is sent so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    connection.recv(4096)
                    if answer:
                        connection.sendall(answer)
                        while connection.recv(4096):
                            pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}?socket_timeout=2"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_what_is_no_redis_is_unavailable_to_readers_and_commands(answer: bytes) -> None:
    with talking(answer) as url:
        with Reader(url) as reader, pytest.raises(LivecacheError):
            reader.candles("BTC-USD", "5m", 5)

        async def asynchronously() -> None:
            async with AsyncReader(url) as reader:
                await reader.candles("BTC-USD", "5m", 5)

        with pytest.raises(LivecacheError):
            asyncio.run(asynchronously())
        with pytest.raises(RedisUnavailable), connect(Config(redis=RedisConfig(url=url))) as client:
            client.ping()
        with suppress(RedisUnavailable):  # It may be an answer, as far as that goes.
            send(url, ["GET", "a"], out=io.StringIO())
