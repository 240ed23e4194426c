"""One way to become warm, measured: the row of `warmup.py`'s table, and livecache's own way."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from benchmarks.loopback import Exchange
from livecache import Reader, ReadError, Timeframe
from livecache.keys.keyspace import Keyspace
from livecache.simulator import RequestRecord

__all__ = [
    "CANDLES",
    "MIN_CANDLES",
    "PAGES",
    "TIMEFRAMES",
    "Row",
    "Series",
    "Setting",
    "run_livecache",
    "spent_s",
]

Series = tuple[str, Timeframe]

TIMEFRAMES = [Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1]
MIN_CANDLES, CANDLES = 60, 100

PAGES = ("/candles", "/klines", "/get_tradingview_chart_data")  # what the paths of candles end with

POLL_S_A_SERIES = 0.00016  # every 20 ms for 125 series: looking on should cost the machine little
AFTERWARDS_S = 1.0  # how long livecache goes on after all is full, so that requests too many are seen


@dataclass(frozen=True)
class Setting:
    """What is to become warm, and how fast livecache may ask Coinbase (requests a second)."""

    symbols: Sequence[str]
    latency_s: float
    rate_per_s: float = 9.0
    keyed: bool = False
    venue: str = "coinbase"
    timeframes: Sequence[Timeframe] = tuple(TIMEFRAMES)
    history: bool = False  # whether years are kept, too

    @property
    def series(self) -> list[Series]:
        """All of them, timeframes outer."""
        return [(symbol, timeframe) for timeframe in self.timeframes for symbol in self.symbols]

    def needed(self) -> tuple[int, int, int]:
        """Requests that make the first timeframe ready, all ready, and all full."""
        # Three pages a symbol make its five timeframes ready, a fourth makes them full.
        count = len(self.symbols)
        return count, 3 * count, 4 * count

    def patience_s(self) -> float:
        """How long a row may take: the slowest way needs a little over a second for five series."""
        return 60.0 + len(self.series) * 0.3


@dataclass
class Row:
    """When each series had 60 and 100 closed candles, in seconds since the start."""

    name: str
    setting: Setting
    started_s: float = field(default_factory=time.monotonic)
    ready: dict[Series, float] = field(default_factory=dict)
    full: dict[Series, float] = field(default_factory=dict)
    requests: list[RequestRecord] = field(default_factory=list)
    problem: str = ""
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    cpu_s: float = 0.0  # that it took until all was full

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started_s

    def first_s(self) -> float | None:
        """When the first request arrived."""
        return self.requests[0].at - self.started_s if self.requests else None

    def moments(self) -> tuple[float | None, float | None, float | None]:
        """When the first timeframe was ready, all were, and all were full."""
        return (
            self._last(self.ready, self.setting.timeframes[:1]),
            self._last(self.ready),
            self._last(self.full),
        )

    def asked(self, moment: float | None = None) -> tuple[int, int]:
        """Requests for candles and other ones that were answered by then, or all."""
        # What arrived later than this was not answered yet, and is no part of it.
        until = float("inf") if moment is None else moment - self.setting.latency_s
        asked = [r.path.endswith(PAGES) for r in self.requests if r.at - self.started_s <= until]
        return sum(asked), len(asked) - sum(asked)

    def refused(self) -> int:
        """Requests that the exchange refused for being too many."""
        return sum(request.status == 429 for request in self.requests)

    def _last(self, seen: dict[Series, float], timeframes: Sequence[Timeframe] = ()) -> float | None:
        wanted = [series for series in self.setting.series if not timeframes or series[1] in timeframes]
        return max(seen[series] for series in wanted) if seen.keys() >= set(wanted) else None


def run_livecache(
    name: str,
    setting: Setting,
    venue: Exchange,
    url: str,
    *,
    warm: bool = False,
    then: Callable[[int], None] | None = None,
) -> Row:
    """A row of `livecache run`, from the start of its process; what a reader gets decides.

    `warm` finds the candles of an earlier run. `then` is called with the process's id once all are full.
    """
    environment = _environment(venue, setting)
    with tempfile.TemporaryDirectory(prefix="livecache-benchmark-") as directory:
        config, log = Path(directory, "benchmark.toml"), Path(directory, "log")
        config.write_text(_configuration(venue, setting, url))
        command = [sys.executable, "-m", "livecache", "run", "--config", str(config)]
        with log.open("wb") as stderr, redis.Redis.from_url(url) as store:
            if not warm:
                store.flushall()
            row = Row(name, setting)
            process = subprocess.Popen(command, cwd=directory, env=environment, stderr=stderr)
            with _ending(process):
                _watch(row, store, process)
                row.cpu_s = spent_s(process.pid)
                time.sleep(AFTERWARDS_S)
                if then is not None and not row.problem:
                    then(process.pid)
        if process.returncode and not row.problem:
            row.problem = f"it ended with {process.returncode}"
        if row.problem:
            row.problem += "\n" + log.read_text("utf-8", "replace")[-3000:]
    row.requests = venue.requests_since(row.started_s)
    return row


def spent_s(pid: int) -> float:
    """CPU seconds of a process so far, its children's aside; 0 where that is not told or it has ended."""
    stat = Path(f"/proc/{pid}/stat")
    fields = stat.read_text().rpartition(")")[2].split() if stat.exists() else ("0",) * 13
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _configuration(venue: Exchange, setting: Setting, url: str) -> str:
    history = '[history]\nurl = "sqlite:///history.db"\n' if setting.history else ""
    rate = f"requests_per_second = {setting.rate_per_s}\n" if setting.venue == "coinbase" else ""
    return (
        f'[redis]\nurl = "{url}"\n'
        f"[cache]\ntimeframes = {[t.value for t in setting.timeframes]}\n"
        f"candles = {CANDLES}\nmin_candles = {MIN_CANDLES}\n{history}"
        f"[venues.{setting.venue}]\nsymbols = {list(setting.symbols)}\n{rate}"
        f'rest_url = "{venue.address.rest_url}"\nws_url = "{venue.address.ws_url}"\n'
    )


def _environment(venue: Exchange, setting: Setting) -> dict[str, str]:
    """Nothing configured but the key, and nothing that keeps Python from its compiled files."""
    strange = ("LIVECACHE_", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    if setting.keyed:
        environment["LIVECACHE_COINBASE_KEY_NAME"] = venue.address.key_name
        environment["LIVECACHE_COINBASE_KEY_SECRET"] = venue.address.key_secret
    return environment


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop the process at the end, as a service manager does."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _watch(row: Row, store: redis.Redis, process: subprocess.Popen[bytes]) -> None:
    """Note when a reader first gets 60 and 100 closed candles of each series; ends when all are there."""
    venue, all_series = row.setting.venue, row.setting.series
    reader, keys = Reader(client=store, venue=venue), Keyspace(venue=venue)

    def readable(series: Series, count: int) -> bool:
        try:
            return len(reader.candles(*series, count)) == count
        except ReadError:
            return False

    while waiting := [series for series in all_series if series not in row.full]:
        if row.elapsed() > row.setting.patience_s() or process.poll() is not None:
            row.problem = f"{len(row.ready)} series ready, {len(row.full)} full after {row.elapsed():.1f} s"
            return
        # The cheap question first.
        pipe = store.pipeline(transaction=False)
        for series in waiting:
            pipe.hmget(keys.state(*series), ["ready", "count"])
        for series, (ready, count) in zip(waiting, pipe.execute(), strict=True):
            if ready == b"1" and series not in row.ready and readable(series, MIN_CANDLES):
                row.ready[series] = row.elapsed()
            if series in row.ready and int(count) >= CANDLES and readable(series, CANDLES):
                row.full[series] = row.elapsed()
        time.sleep(POLL_S_A_SERIES * len(all_series))
