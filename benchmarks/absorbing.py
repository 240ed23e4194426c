"""Who takes what the feed sends, in a process each: livecache, the usual loop, the least that it costs."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import redis.asyncio
from loguru import logger
from websockets.asyncio.client import connect

from benchmarks.candles_api import stored
from benchmarks.filling import BTC, Pages, btc_market, complete
from livecache import Timeframe
from livecache.app import SWITCH_S
from livecache.clock import SystemClock
from livecache.config.schema import Config
from livecache.engine.engine import Engine, Settings
from livecache.engine.fleet import Place
from livecache.engine.venue_time import VenueTime
from livecache.history.service.service import HistoryService
from livecache.http.api.routes import Api
from livecache.http.guard import Guard
from livecache.http.listen import bind
from livecache.http.route import Requests
from livecache.http.routes import routes
from livecache.http.server import Server
from livecache.http.watch.instance import Instance
from livecache.keys.history_place import Place as HistoryPlace
from livecache.keys.keyspace import Keyspace
from livecache.model.policy import Policy
from livecache.simulator import Market
from livecache.venues.coinbase.settings import CoinbaseSettings
from livecache.venues.coinbase.venue import CoinbaseVenue
from livecache.venues.net.websocket import Connection as OneConnection
from livecache.venues.venue import FetchFailure, Page, PageRequest

__all__ = ["WAYS", "Absorber", "Job", "Spent", "absorber", "usual_channel", "usual_key"]

TIMEFRAMES = (Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)
CANDLES = 100
_ANSWER_S_MAX = 120.0


@dataclass(frozen=True)
class Job:
    """What an absorber is told. Market's time is the monotonic clock and `ahead_ms`."""

    port: int
    url: str
    symbols: Sequence[str]
    ahead_ms: int


class Spent(NamedTuple):
    """Counts since the start: frames taken, CPU seconds, resident bytes, and when that was."""

    frames: int
    cpu_s: float
    resident: int
    at_s: float


def usual_key(symbol: str) -> str:
    """The set that the usual loop writes."""
    return f"usual:{symbol}"


def usual_channel(symbol: str) -> str:
    """Where the usual loop publishes, that its latency can be seen at all."""
    return f"usual:{symbol}:updates"


# --- the process


class Absorber:
    """An absorber as the benchmark's process sees it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._hear()

    def spent(self) -> Spent:
        """What it has taken and spent so far."""
        self._pipe.send("spent")
        return self._hear()

    def _hear(self) -> Spent:
        if not self._pipe.poll(_ANSWER_S_MAX):
            raise TimeoutError("the absorber does not answer")
        spent: Spent = self._pipe.recv()
        return spent


Count = Callable[[], int]
Way = Callable[[Job, Callable[[Count], None]], Awaitable[None]]


@contextmanager
def absorber(way: str, job: Job) -> Iterator[Absorber]:
    """A process that absorbs in the way of that name (`WAYS`), connected and ready."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_absorb, args=(theirs, way, job), daemon=True
    )
    process.start()
    theirs.close()
    try:
        with ours:
            yield Absorber(ours)
    finally:
        process.terminate()
        process.join(5)


def _absorb(pipe: Connection, way: str, job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logger.remove()
    asyncio.run(_run(pipe, WAYS[way], job))


async def _run(pipe: Connection, way: Way, job: Job) -> None:
    def begin(count: Count) -> None:
        def answer() -> None:
            try:
                pipe.recv()
                pipe.send(Spent(count(), time.process_time(), _resident(), time.monotonic()))
            except (EOFError, OSError):
                asyncio.get_running_loop().remove_reader(pipe.fileno())

        pipe.send(Spent(0, 0.0, 0, time.monotonic()))
        asyncio.get_running_loop().add_reader(pipe.fileno(), answer)

    await way(job, begin)


def _resident() -> int:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


# --- the ways


class _Years(CoinbaseVenue):
    """Answers at once with what it is given: what a page costs here is taking and storing it."""

    market: Market

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        rows = self.market.candles(BTC, request.timeframe, request.start, request.end, request.end)
        return Page(request, tuple(rows))


async def livecache(job: Job, begin: Callable[[Count], None]) -> None:
    """Feed, consumer, timeline and writer of the engine, over a full cache; nothing asks the venue."""
    await _livecache(job, begin, None)


async def livecache_filling(job: Job, begin: Callable[[Count], None]) -> None:
    """The same, and years are filled beside it, nine pages a second."""
    with tempfile.TemporaryDirectory(prefix="livecache-benchmark-") as folder:
        clock = SystemClock()
        history = HistoryService(
            HistoryPlace(Path(folder, "history.db")),
            clock,
            timeframes=(Timeframe.M5,),
            since=lambda _: -130 * 86_400_000,
            share=1.0,
            jitter=lambda: 0.5,
        )
        await _livecache(job, begin, history)


async def livecache_read(job: Job, begin: Callable[[Count], None]) -> None:
    """The same as livecache, and years are read over HTTP beside it by twenty who never pause."""
    _, now, _ = btc_market()
    with tempfile.TemporaryDirectory(prefix="livecache-benchmark-") as folder:
        path = Path(folder, "history.db")
        stored(path, now)
        sys.setswitchinterval(SWITCH_S)  # as `livecache run` does
        await _livecache(job, begin, None, read=path)


async def _read_by_many(engine: Engine, path: Path, begun: asyncio.Event) -> None:
    """Serve the API, and have it asked by another process."""
    clock, sockets, stats = SystemClock(), bind("127.0.0.1", 0), Requests()
    instance = Instance(Config(), clock)
    instance.history_place, instance.places = HistoryPlace(path), {"coinbase": Place(engine)}
    api = Api(instance, clock, 1e9)
    server = Server(routes(instance, stats, clock, api), Guard(None, loopback=True), stats, clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(api.run(), name="api")
        tasks.create_task(server.run(sockets), name="http")
        port = str(sockets[0].getsockname()[1])
        command = (sys.executable, "-m", "benchmarks.candles_api", "--ask", port)
        asking = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            assert asking.stdout
            assert await asking.stdout.readline()
            begun.set()
            await asking.wait()
        finally:
            asking.kill()


async def _livecache(
    job: Job, begin: Callable[[Count], None], history: HistoryService | None, *, read: Path | None = None
) -> None:
    market, _, _ = btc_market()
    now = int(time.monotonic() * 1000) + job.ahead_ms
    venue_time = VenueTime(SystemClock())
    coinbase = CoinbaseSettings(
        symbols=tuple(job.symbols),
        rest_url="http://benchmark",
        ws_url=f"ws://127.0.0.1:{job.port}",
        products_per_connection=len(job.symbols),
        silence_timeout=600.0,
    )
    venue = _Years(
        coinbase,
        key=None,
        name="coinbase",
        now=venue_time.if_known,
        clock=venue_time.clock,
        jitter=lambda: 0.5,
    )
    venue.market = market
    async with redis.asyncio.Redis.from_url(job.url, socket_timeout=5.0) as store:
        engine = Engine(
            venue,
            store,
            Keyspace(),
            Settings(coinbase.symbols, TIMEFRAMES, Policy(candles=CANDLES), budgets=()),
            time=venue_time,
            name="benchmark",
            jitter=lambda: 0.5,
        )
        complete(engine.live.timeline, Pages(market, now))
        venue_time.venue_clock.confirm(int(time.monotonic() * 1000) + job.ahead_ms, time.monotonic())
        engine.live.serving = True
        await engine.writer.open()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.writer.run(), name="writer")
            tasks.create_task(engine.feeds.run(), name="feed")
            if history is not None:
                engine.backfiller.listing.filled.set()
                tasks.create_task(history.beside(engine), name="history")
            if read is not None:
                begun = asyncio.Event()
                tasks.create_task(_read_by_many(engine, read, begun), name="readers")
                await begun.wait()
            begin(lambda: engine.live.feed.frames)


async def usual_loop(job: Job, begin: Callable[[Count], None]) -> None:
    """json.loads, ZREMRANGEBYSCORE and ZADD in a MULTI, a message at a time: the 5m candle and no roll-up."""
    frames = 0
    async with (
        redis.asyncio.Redis.from_url(job.url) as store,
        connect(f"ws://127.0.0.1:{job.port}", ping_interval=None, compression=None) as connection,
    ):
        begin(lambda: frames)
        async for message in connection:
            frames += 1
            for event in json.loads(message)["events"]:
                for candle in event["candles"]:
                    time_ms = int(candle["start"]) * 1000
                    values = (float(candle[name]) for name in ("open", "high", "low", "close", "volume"))
                    member = json.dumps([time_ms, *values])
                    key = usual_key(candle["product_id"])
                    async with store.pipeline(transaction=True) as pipe:
                        pipe.zremrangebyscore(key, time_ms, time_ms)
                        pipe.zadd(key, {member: time_ms})
                        pipe.publish(usual_channel(candle["product_id"]), member)
                        await pipe.execute()


async def receive_by_websockets(job: Job, begin: Callable[[Count], None]) -> None:
    """Nothing but the receive of websockets' own client, as the SDK uses it."""
    async with connect(f"ws://127.0.0.1:{job.port}", ping_interval=None, compression=None) as connection:
        await _take(begin, lambda: connection.recv(decode=False), lambda data: data)


async def receive_by_aiohttp(job: Job, begin: Callable[[Count], None]) -> None:
    """Nothing but the receive of aiohttp."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{job.port}", decode_text=False) as connection,
    ):
        await _take(begin, connection.receive_bytes, lambda data: data)


async def receive(job: Job, begin: Callable[[Count], None]) -> None:
    """Nothing but livecache's receive: websockets' protocol under a transport of its own."""
    await _receive(job, begin, lambda data: data)


async def receive_and_decode(job: Job, begin: Callable[[Count], None]) -> None:
    """Receive, and decode into structs."""
    await _receive(job, begin, msgspec.json.Decoder(_Frame, strict=False).decode)


async def _receive(job: Job, begin: Callable[[Count], None], handle: Callable[[Any], object]) -> None:
    host = f"127.0.0.1:{job.port}"
    connection = await OneConnection.open(f"ws://{host}", host, timeout_s=10.0, message_bytes=1 << 20)
    try:
        await _take(begin, connection.receive, handle)
    finally:
        await connection.close()


async def _take(
    begin: Callable[[Count], None],
    receive_one: Callable[[], Awaitable[Any]],
    handle: Callable[[Any], object],
) -> None:
    frames = 0
    begin(lambda: frames)
    while True:
        handle(await receive_one())
        frames += 1


class _Candle(msgspec.Struct, gc=False):
    start: int
    high: str
    low: str
    open: str
    close: str
    volume: str
    product_id: str


class _Event(msgspec.Struct, gc=False):
    type: str
    candles: list[_Candle]


class _Frame(msgspec.Struct, gc=False):
    channel: str
    timestamp: str
    sequence_num: int
    events: list[_Event]


WAYS: dict[str, Way] = {
    "livecache": livecache,
    "livecache, filling": livecache_filling,
    "livecache, years read by 20": livecache_read,
    "the usual loop": usual_loop,
    "receive: websockets": receive_by_websockets,
    "receive: aiohttp": receive_by_aiohttp,
    "receive": receive,
    "… and decode": receive_and_decode,
}
