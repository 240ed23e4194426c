"""What the tests of the commands share: a Redis with series in it as the service would have written them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

import redis

from livecache.keys.keyspace import AliveRecord, Keyspace, encode_alive, encode_state
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId, SeriesState
from livecache.model.timeframe import Timeframe

from ..e2e.preloaded import COMMAND, started

__all__ = ["BUCKET", "KEYS", "NOW", "fill", "livecache"]

KEYS = Keyspace("cli-test")
BUCKET = Timeframe.M5.ms
NOW = 1_760_000_100_000 // BUCKET * BUCKET + 60_000


def fill(
    store: redis.Redis,
    symbol: str = "BTC-USD",
    *,
    count: int = 70,
    ready: bool = True,
    reason: str = "",
    vouched: bool = True,
    without: Collection[int] = (),
    updated_at: int = NOW,
    venue: str = "coinbase",
) -> None:
    """Write a series as the service would: `count` settled buckets of 5m and the one in progress.

    Nothing was traded in the buckets `without`, counted from the oldest. `updated_at` is the host's
    clock, Unix ms, where that is not the venue's.
    """
    end = NOW // BUCKET * BUCKET
    start = end - count * BUCKET
    timeframe = Timeframe.M5
    keys = replace(KEYS, venue=venue)
    key = keys.candles(symbol, timeframe)
    for i, time_ in enumerate(range(start, end + BUCKET, BUCKET)):
        low = 100 + i % 7
        if i not in without:
            store.zadd(key, {f"[{time_},{low + 1},{low + 3}.5,{low},{low + 2}.25,0.0001]": time_})
    state = SeriesState(
        ready=ready,
        reason=reason,
        contiguous_from=start,
        settled_through=end,
        known_through=end,
        closed_through=end,
        coverage=Coverage([(start, end)]),
        history_from=0,
        forming=end,
    )
    fields = encode_state(state, origin="http://127.0.0.1", fence=1, revision=1, updated_at=updated_at)
    store.hset(keys.state(symbol, timeframe), items=[*fields, "count", store.zcard(key)])
    if vouched:
        store.set(keys.alive(symbol), encode_alive(AliveRecord("someone", NOW, "up")))
    store.sadd(keys.series, keys.series_member(SeriesId(venue, symbol, timeframe)))
    if venue != "coinbase":
        store.sadd(keys.venues, "coinbase", venue)


def livecache(
    *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, in an environment without livecache's variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIVECACHE_")}
    with open(os.devnull, "rb") as nothing, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        process = started(
            [*COMMAND, *arguments],
            env={**clean, **(env or {})},
            cwd=cwd or Path.cwd(),
            files=(nothing.fileno(), out.fileno(), err.fileno()),
        )
        try:
            code = process.wait(30)
        finally:
            process.kill()
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())
