"""How long until everything is warm: livecache beside the usual ways, against one loopback exchange.

    python benchmarks/warmup.py

Prints one table of one run, and asserts no time. The exchange (`livecache.simulator`, in a process of its
own) enforces Coinbase's rates and adds 80 ms to every answer. Its market runs at speed 1 and begins a minute
into a 5m bucket; the run is over before that bucket closes, so no close falls into the measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import redis
import redis.asyncio
from loguru import logger

import livecache
from livecache import Reader, ReadError, Timeframe
from livecache.cache.embedded import EmbeddedServer
from livecache.cache.keyspace import Keyspace
from livecache.simulator import (
    DEFAULT_PRODUCTS,
    KeyRing,
    MarketClock,
    RequestRecord,
    SeededMarket,
    Simulator,
    throwaway_key,
)
from livecache.simulator.exchange import API, GRANULARITIES

__all__ = ["main"]

Series = tuple[str, Timeframe]

SYMBOLS = [product.id for product in DEFAULT_PRODUCTS[:25]]
TIMEFRAMES = [Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1]
SERIES: list[Series] = [(symbol, timeframe) for timeframe in TIMEFRAMES for symbol in SYMBOLS]
MIN_CANDLES, CANDLES = 60, 100

PUBLIC_PER_S, PRIVATE_PER_S = 10, 30  # what the exchange allows
RATE_PER_S, KEYED_RATE_PER_S = 9.0, 27.0  # what livecache is set to
LATENCY_S = 0.08
BEGIN_IN_BUCKET_MS = 60_000

# Three pages a symbol make its five timeframes ready, a fourth makes them full.
PAGES_5M, PAGES_READY, PAGES_FULL = len(SYMBOLS), 3 * len(SYMBOLS), 4 * len(SYMBOLS)

POLL_S = 0.02
AFTERWARDS_S = 1.0  # how long livecache goes on after all is full, so that requests too many are seen
ROW_S_MAX = 60.0
ANSWER_S_MAX = 10.0
ATTEMPTS_MAX = 5


# --- the exchange, in a process of its own


class Address(NamedTuple):
    """Where the exchange is, and the key that its private endpoints accept."""

    rest_url: str
    ws_url: str
    key_name: str
    key_secret: str


class Exchange:
    """The exchange as this process sees it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.address: Address = self._hear()

    def now(self) -> int:
        """The market's time, Unix ms."""
        now: int = self._ask()[0]
        return now

    def requests_since(self, started_s: float) -> list[RequestRecord]:
        """What was asked since then, by the monotonic clock, which the processes of a machine share."""
        return [request for request in self._ask()[1] if request.at >= started_s]

    def _ask(self) -> Any:
        self._pipe.send("now and all requests")
        return self._hear()

    def _hear(self) -> Any:
        if not self._pipe.poll(ANSWER_S_MAX):
            raise TimeoutError("the exchange does not answer")
        return self._pipe.recv()


@contextmanager
def exchange() -> Iterator[Exchange]:
    """A running exchange."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    with ours:
        yield Exchange(ours)
    process.join(5)


def serve(pipe: Connection) -> None:
    """Run the exchange until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent says when.
    logger.remove()
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    key = throwaway_key()
    simulator = Simulator(
        SeededMarket(products=DEFAULT_PRODUCTS[: len(SYMBOLS)]),
        clock=MarketClock(Timeframe.M5.floor(int(time.time() * 1000)) + BEGIN_IN_BUCKET_MS),
        keys=KeyRing(key),
        requests_per_second=PUBLIC_PER_S,
        private_requests_per_second=PRIVATE_PER_S,
        latency_s=LATENCY_S,
    )
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def answer() -> None:
        try:
            pipe.recv()
            pipe.send((simulator.now(), list(simulator.exchange.requests)))
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            over.set()

    async with simulator:
        pipe.send(Address(simulator.rest_url, simulator.ws_url, key.name, key.secret))
        loop.add_reader(pipe.fileno(), answer)
        await over.wait()


# --- what is measured


@dataclass
class Row:
    """One way to become warm: when each series had 60 and 100 closed candles, in seconds since its start."""

    name: str
    started_s: float = field(default_factory=time.monotonic)
    ready: dict[Series, float] = field(default_factory=dict)
    full: dict[Series, float] = field(default_factory=dict)
    requests: list[RequestRecord] = field(default_factory=list)
    problem: str = ""

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started_s

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        first = self.requests[0].at - self.started_s if self.requests else None
        cells = [self.name, _seconds(first), _seconds(_last(self.ready, TIMEFRAMES[:1]))]
        for seen in (self.ready, self.full):
            moment = _last(seen, TIMEFRAMES)
            # What arrived later than this was not answered yet, and is no part of it.
            until = self.elapsed() if moment is None else moment - LATENCY_S
            asked = [r for r in self.requests if r.at - self.started_s <= until]
            candles = sum(r.path.endswith("/candles") for r in asked)
            refused = sum(r.status == 429 for r in asked)
            cells += [_seconds(moment), f"{candles} + {len(asked) - candles}", str(refused)]
        return *cells, f"{len(self.requests)}"


def _last(seen: dict[Series, float], timeframes: Sequence[Timeframe]) -> float | None:
    wanted = [series for series in SERIES if series[1] in timeframes]
    return max(seen[series] for series in wanted) if seen.keys() >= set(wanted) else None


def _seconds(moment: float | None) -> str:
    return "never" if moment is None else f"{moment:.2f}"


# --- the usual ways: they run in this process, so that the start of an interpreter is not counted


async def five_a_batch(row: Row, venue: Exchange, store: redis.asyncio.Redis) -> None:
    """One page a series, five a batch, a second between batches, written by ZADD."""
    names = {timeframe: name for name, timeframe in GRANULARITIES.items()}
    now = venue.now()

    async def fetch(http: aiohttp.ClientSession, symbol: str, timeframe: Timeframe) -> None:
        end = timeframe.floor(now) // 1000
        start = end - 299 * timeframe.ms // 1000
        window = {"start": str(start), "end": str(end), "granularity": names[timeframe]}
        url = f"{venue.address.rest_url}{API}/market/products/{symbol}/candles"
        async with http.get(url, params=window) as response:
            response.raise_for_status()
            rows = (await response.json())["candles"]
        values = ("open", "high", "low", "close", "volume")
        candles = [[int(r["start"]) * 1000, *(float(r[value]) for value in values)] for r in rows]
        await _keep(row, store, (symbol, timeframe), candles)

    async with aiohttp.ClientSession() as http:
        for first in range(0, len(SERIES), 5):
            if first:
                await asyncio.sleep(1)
            await asyncio.gather(*(fetch(http, *series) for series in SERIES[first : first + 5]))


async def by_ccxt(row: Row, venue: Exchange, store: redis.asyncio.Redis) -> None:
    """All series at once, paced by ccxt's throttler as it comes, written by ZADD."""
    import ccxt.async_support as ccxt

    client: Any = ccxt.coinbase()
    client.urls["api"]["rest"] = venue.address.rest_url
    client.timeframes["4h"] = "FOUR_HOUR"  # which it does not list
    # Told, for its own loading would ask for products, currencies and fees first.
    markets = [{"id": symbol, "symbol": symbol.replace("-", "/"), "spot": True} for symbol in SYMBOLS]
    client.set_markets([client.safe_market_structure(market) for market in markets])
    now = venue.now()

    async def fetch(symbol: str, timeframe: Timeframe) -> None:
        since = timeframe.floor(now) - 299 * timeframe.ms
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                candles = await client.fetch_ohlcv(symbol.replace("-", "/"), timeframe.value, since)
                break
            except ccxt.RateLimitExceeded:  # It does not try again by itself.
                if attempt == ATTEMPTS_MAX:
                    raise
        await _keep(row, store, (symbol, timeframe), candles)

    row.started_s = time.monotonic()  # What stands above is not counted.
    try:
        await asyncio.gather(*(fetch(*series) for series in SERIES))
    finally:
        await client.close()


async def _keep(
    row: Row, store: redis.asyncio.Redis, series: Series, candles: Sequence[Sequence[float]]
) -> None:
    """Write candles as such loops do, and note what the series has then."""
    members = {msgspec.json.encode(candle): candle[0] for candle in candles}
    await store.zadd(":".join(series), members)
    closed = len(candles) - 1  # The newest one is in progress.
    if closed >= MIN_CANDLES:
        row.ready[series] = row.elapsed()
    if closed >= CANDLES:
        row.full[series] = row.elapsed()


Way = Callable[[Row, Exchange, redis.asyncio.Redis], Awaitable[None]]


def usual(name: str, way: Way, venue: Exchange, url: str) -> Row:
    """A row of one of these."""

    async def measure() -> Row:
        async with redis.asyncio.Redis.from_url(url) as store:
            await store.flushall()
            row = Row(name)
            try:
                async with asyncio.timeout(ROW_S_MAX):
                    await way(row, venue, store)
            except Exception as error:
                row.problem = f"{type(error).__name__}: {error}"
        row.requests = venue.requests_since(row.started_s)
        return row

    return asyncio.run(measure())


# --- livecache


def run_livecache(name: str, venue: Exchange, url: str, *, keyed: bool = False, warm: bool = False) -> Row:
    """A row of `livecache run`, from the start of its process; what a reader gets decides.

    `keyed` uses the private endpoints; `warm` finds the candles of an earlier run.
    """
    address, environment = venue.address, _environment()
    if keyed:
        environment["LIVECACHE_COINBASE_KEY_NAME"] = address.key_name
        environment["LIVECACHE_COINBASE_KEY_SECRET"] = address.key_secret
    with tempfile.TemporaryDirectory(prefix="livecache-benchmark-") as directory:
        config, log = Path(directory, "benchmark.toml"), Path(directory, "log")
        config.write_text(
            f'[redis]\nurl = "{url}"\n'
            f"[cache]\ntimeframes = {[t.value for t in TIMEFRAMES]}\n"
            f"candles = {CANDLES}\nmin_candles = {MIN_CANDLES}\n"
            f'[venues.coinbase]\nrest_url = "{address.rest_url}"\nws_url = "{address.ws_url}"\n'
            f"requests_per_second = {KEYED_RATE_PER_S if keyed else RATE_PER_S}\nsymbols = {SYMBOLS}\n"
        )
        command = [sys.executable, "-m", "livecache", "run", "--config", str(config)]
        with log.open("wb") as stderr, redis.Redis.from_url(url) as store:
            if not warm:
                store.flushall()
            row = Row(name)
            process = subprocess.Popen(command, cwd=directory, env=environment, stderr=stderr)
            try:
                _watch(row, store, process)
                time.sleep(AFTERWARDS_S)
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if process.returncode and not row.problem:
            row.problem = f"it ended with {process.returncode}"
        if row.problem:
            row.problem += "\n" + log.read_text("utf-8", "replace")[-3000:]
    row.requests = venue.requests_since(row.started_s)
    return row


def _environment() -> dict[str, str]:
    """Nothing configured, and nothing that keeps Python from its compiled files."""
    strange = ("LIVECACHE_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(strange)}


def _watch(row: Row, store: redis.Redis, process: subprocess.Popen[bytes]) -> None:
    """Note when a reader first gets 60 and 100 closed candles of each series; ends when all are there."""
    reader, keys = Reader(client=store), Keyspace()

    def readable(series: Series, count: int) -> bool:
        try:
            return len(reader.candles(*series, count)) == count
        except ReadError:
            return False

    while waiting := [series for series in SERIES if series not in row.full]:
        if row.elapsed() > ROW_S_MAX or process.poll() is not None:
            row.problem = f"{len(row.ready)} series ready, {len(row.full)} full after {row.elapsed():.1f} s"
            return
        # The cheap question first: looking on should cost the machine little.
        pipe = store.pipeline(transaction=False)
        for series in waiting:
            pipe.hmget(keys.state(*series), ["ready", "count"])
        for series, (ready, count) in zip(waiting, pipe.execute(), strict=True):
            if ready == b"1" and series not in row.ready and readable(series, MIN_CANDLES):
                row.ready[series] = row.elapsed()
            if series in row.ready and int(count) >= CANDLES and readable(series, CANDLES):
                row.full[series] = row.elapsed()
        time.sleep(POLL_S)


# --- the table


HEADERS = ("", "first", "5m", "ready", "requests", "429", "full", "requests", "429", "in all")
LEGEND = f"""
Seconds since the start of the process for livecache, since the start of their loop for the others.
first: the first request arrives. 5m: its {len(SYMBOLS)} series have {MIN_CANDLES} closed candles;
ready: all {len(SERIES)} have; full: all have {CANDLES}. requests: candles + others answered by then,
429: refused by then, by the log of the exchange. in all: what arrived until {AFTERWARDS_S:g} s after full."""


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The lines of the table."""
    five, ready, full = (f"{(pages - 1) / RATE_PER_S:.2f}" for pages in (PAGES_5M, PAGES_READY, PAGES_FULL))
    limit = (f"the limit at {RATE_PER_S:g}/s", "0.00", five, ready, f"{PAGES_READY} + 0", "0")
    cells = [HEADERS, *(row.cells() for row in rows), (*limit, full, f"{PAGES_FULL} + 0", "0", "")]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, (name, *figures) in enumerate(cells):
        texts = [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)]
        yield "  ".join([name.ljust(widths[0]), *texts]).rstrip()
        if number == 0:
            yield "  ".join("-" * width for width in widths)


def circumstances(store: redis.Redis) -> Iterator[str]:
    """When, on what, and with what it was measured."""
    server = store.info("server")
    names = {"Valkey": "valkey_version", "Redis": "redis_version"}
    name = next(name for name, key in names.items() if key in server)
    packages = ", ".join(f"{package} {_version(package)}" for package in ("livecache", "redis", "ccxt"))
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: python {' '.join(sys.argv)}"
    yield f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, load average {load}"
    yield f"Python {platform.python_version()}, {name} {server[names[name]]}, {packages}"
    latency = f"{LATENCY_S * 1000:g} ms latency"
    yield f"{len(SYMBOLS)} symbols × {', '.join(TIMEFRAMES)}; market at speed 1; {latency}"
    yield f"at most {PUBLIC_PER_S} requests a second, {PRIVATE_PER_S} with a key"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def measure(venue: Exchange, url: str, *, only_livecache: bool) -> Iterator[Row]:
    """The rows, one after another."""
    if not only_livecache:
        yield usual("five a batch, a second between", five_a_batch, venue, url)
        if _version("ccxt") != "not installed":
            yield usual("ccxt's own throttler, all at once", by_ccxt, venue, url)
    yield run_livecache(f"livecache at {RATE_PER_S:g}/s", venue, url)
    yield run_livecache("livecache again, no close missed", venue, url, warm=True)
    yield run_livecache(f"livecache with a key, at {KEYED_RATE_PER_S:g}/s", venue, url, keyed=True)


def main() -> int:
    """Measure and print; 1 if a row could not be measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only-livecache", action="store_true", help="leave the usual ways out")
    only_livecache = parser.parse_args().only_livecache
    rows: list[Row] = []
    # As an installation does; a checkout may never have been compiled.
    compileall.compile_dir(Path(livecache.__file__).parent, quiet=2)
    with EmbeddedServer(temporary=True) as server, exchange() as venue:
        with redis.Redis.from_url(server.url) as store:
            print(*circumstances(store), sep="\n", end="\n\n", flush=True)
        began = venue.now()
        for row in measure(venue, server.url, only_livecache=only_livecache):
            print(f"… {row.name}", file=sys.stderr)
            rows.append(row)
        over = venue.now()
    print(*table(rows), LEGEND, sep="\n")
    if Timeframe.M5.floor(over) != Timeframe.M5.floor(began):
        print("A 5m bucket closed meanwhile: this run does not count.")
    for row in rows:
        if row.problem:
            print(f"\n{row.name}: {row.problem}", file=sys.stderr)
    return int(any(row.problem for row in rows))


if __name__ == "__main__":
    sys.exit(main())
