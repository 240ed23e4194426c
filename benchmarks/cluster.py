"""What a Redis Cluster costs writer and reader: series a second, and their own processor time for each.

    python -m benchmarks.cluster

One server, and three masters with a replica each, take turns on the same cores; all nodes are started here.
Written is a candle each of 100 symbols × 5 timeframes at once, with a state and a message. Read are the
newest 60 candles of a series, one after another and of twelve at once, which are four a node.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis.asyncio
from msgspec.structs import replace

from benchmarks.common import circumstances, table
from livecache import Reader
from livecache.clock import SystemClock
from livecache.embedded.server import EmbeddedServer
from livecache.keys.keyspace import AliveRecord, Keyspace, encode_alive
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import Change, Kind, SeriesId, SeriesState, Update
from livecache.model.timeframe import Timeframe
from livecache.wire.connecting import client_for
from livecache.wire.spread import NODE_S, Spread, is_apart
from livecache.write.lease import Lease
from livecache.write.upserts import Upserts, batch_changes
from tests.cluster.nodes import cluster

__all__ = ["main"]

KEYS = Keyspace()
TIMEFRAMES = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.D1)
SERIES = [SeriesId("coinbase", f"S{n:03}-USD", timeframe) for n in range(100) for timeframe in TIMEFRAMES]
START = 1_753_056_000_000
MEASURED_S = 4.0
ROUNDS = 3
TOGETHER, COUNT = 12, 60
READS, READ_ROUNDS = 60, 15


def _change(series: SeriesId, turn: int, *, whole: bool) -> Change:
    step = series.timeframe.ms
    first = START - 100 * step
    newest = ExactCandle(START, "60123.45", "60150.01", "60100.00", f"60{turn % 900 + 100}.15", f"{turn}.25")
    members: dict[int, ExactCandle | None] = {START: newest}
    if whole:
        for time_ms in range(first, START, step):
            members[time_ms] = replace(newest, time=time_ms)
    state = SeriesState(
        ready=True,
        reason="",
        contiguous_from=first,
        settled_through=START,
        known_through=START,
        closed_through=START,
        coverage=Coverage([(first, START)]),
        history_from=0,
        forming=START,
    )
    return Change(series, whole, members, 0, state, () if whole else (Update(Kind.FORMING, newest),))


async def _writes(way: Any) -> tuple[float, float]:
    """Series a second, and µs of this process's processor time for each."""
    clock = SystemClock()
    states = [KEYS.state(series.symbol, series.timeframe) for series in SERIES]
    lease = Lease(way, KEYS, "benchmark", states, clock=clock, sole_owner=True)
    await lease.acquire()
    upserts = Upserts(way, KEYS, lease, origin="https://benchmark", clock=clock)

    async def send(turn: int, *, whole: bool) -> int:
        changes = [_change(series, turn, whole=whole) for series in SERIES]
        written = 0
        for batch in batch_changes(changes, apart=is_apart(way)):
            outcomes = await upserts.send(batch)
            written += sum(isinstance(outcome, int) for outcome in outcomes.values())
        return written

    await send(0, whole=True)
    alive = encode_alive(AliveRecord("benchmark", START + 2 * Timeframe.M1.ms, "up"))
    for symbol in dict.fromkeys(series.symbol for series in SERIES):
        await way.execute_command("SET", KEYS.alive(symbol), alive)
    written, began_s, cpu_s = 0, time.monotonic(), time.process_time()
    for turn in itertools.count(1):
        written += await send(turn, whole=False)
        if turn % 5 == 0:
            await lease.keep()
        if time.monotonic() - began_s > MEASURED_S:
            break
    took_s, used_s = time.monotonic() - began_s, time.process_time() - cpu_s
    await lease.release()
    return written / took_s, used_s / written * 1e6


async def _both(server_url: str, cluster_url: str) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(client_for(redis.asyncio, server_url))
        patience = {"socket_timeout": NODE_S, "socket_connect_timeout": NODE_S}
        spread = Spread(client_for(redis.asyncio, cluster_url, **patience))
        stack.push_async_callback(spread.aclose)
        return [(await _writes(one), await _writes(spread)) for _ in range(ROUNDS)]


def _reads(url: str) -> tuple[float, float]:
    """µs of this process's processor time for a series: read by itself, and with others."""
    asked = [series[1:] for series in SERIES if series.timeframe is Timeframe.M1][:TOGETHER]
    with Reader(url, max_lag=timedelta(days=10_000)) as reader:

        def spent_us(read: Callable[[], object], series: int) -> float:
            began_s = time.process_time()
            for _ in range(READS):
                read()
            return (time.process_time() - began_s) / READS / series * 1e6

        if len(reader.many(asked, count=COUNT).ok) != TOGETHER:
            raise RuntimeError("not everything that was written can be read")
        return (
            spent_us(lambda: [reader.candles(*one, COUNT) for one in asked], TOGETHER),
            spent_us(lambda: reader.many(asked, count=COUNT), TOGETHER),
        )


def lines(server_url: str, cluster_url: str) -> Iterator[str]:
    """The table: the best of each, and what they are to each other."""
    rounds = asyncio.run(_both(server_url, cluster_url))
    one, many = ([pair[n] for pair in rounds] for n in (0, 1))
    rows: list[Sequence[str]] = []
    for name, found in (("one server", one), ("a cluster of three", many)):
        rows.append((name, f"{max(rate for rate, _ in found):,.0f}", f"{min(cpu for _, cpu in found):.0f}"))
    yield from table(("writes", "series/s", "CPU µs a series"), rows)
    ratio = max(rate for rate, _ in many) / max(rate for rate, _ in one)
    yield f"the cluster takes {ratio:.2f} × what one server does"
    yield ""
    turns = [(_reads(server_url), _reads(cluster_url)) for _ in range(READ_ROUNDS)]
    rows = []
    for way, name in enumerate((f"{COUNT} candles of a series", f"… of {TOGETHER} series at once")):
        by_one, by_many = (min(turn[store][way] for turn in turns) for store in (0, 1))
        rows.append((name, f"{by_one:.0f}", f"{by_many:.0f}", f"{by_many / by_one:.2f}"))
    yield from table(("reads, CPU µs a series", "one server", "a cluster of three", "×"), rows)


def main() -> int:
    """Run it."""
    with tempfile.TemporaryDirectory() as directory, EmbeddedServer(Path(directory) / "one") as server:
        with redis.Redis.from_url(server.url) as client:
            print(*circumstances(client, "redis", "hiredis"), sep="\n")
        with cluster(Path(directory) / "cluster") as nodes:
            print(*lines(server.url, nodes.url), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
