"""What a Redis Cluster costs the writer: series a second, and its own processor time for each.

    python -m benchmarks.cluster

One server, and three masters with a replica each, take turns on the same cores; all nodes are started here.
Written is a candle each of 100 symbols × 5 timeframes at once, with a state and a message.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import redis.asyncio
from msgspec.structs import replace

from benchmarks.common import circumstances, table
from livecache.clock import SystemClock
from livecache.embedded.server import EmbeddedServer
from livecache.keys.keyspace import Keyspace
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
