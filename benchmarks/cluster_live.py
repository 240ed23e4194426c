"""What 5,000 live series cost on a Redis Cluster of three masters, beside the same on one server.

    python -m benchmarks.cluster_live               # seven minutes
    python -m benchmarks.cluster_live --only cluster

1,000 products × 5 timeframes, each product with the 28,800 trades a day of the simulator's liquid ones: 333
trades a second in all. Each row is a service begun anew; once it is warm a minute is measured that has a 5m
boundary in it. Then it is asked over HTTP whether it is ready, and for the table of all series.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import redis

from benchmarks.common import circumstances, table
from benchmarks.everything import resident_mb
from benchmarks.loopback import Exchange, Opening, exchange, symbols
from benchmarks.warming import spent_s
from livecache import Timeframe
from livecache.embedded.server import EmbeddedServer
from tests.cluster.nodes import cluster
from tests.e2e.support import free_port

__all__ = ["main"]

PRODUCTS = 1_000
TIMEFRAMES = ("1m", "5m", "15m", "1h", "1d")
REQUESTS_PER_S = 150
MEASURED_S = 60.0
FILL_S = 150.0  # from the start of the market until the minute that is measured
WARM_S_MAX = 400.0
ANSWER_S = 60.0
BOUNDARY = 1_763_165_100_000  # 2025-11-15T00:05Z

_METRIC = re.compile(r"^livecache_(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


class Store(NamedTuple):
    """A Redis to write to: its URL, the processes of its masters, and those of their replicas."""

    name: str
    url: str
    masters: Sequence[int]
    replicas: Sequence[int] = ()


class Service:
    """A running `livecache run`, asked over HTTP."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.pid = process.pid
        self._process = process
        self._address = f"http://127.0.0.1:{port}"

    def metrics(self) -> dict[str, float]:
        """The sum of each metric, and each value by its name and labels."""
        found: dict[str, float] = {}
        for name, labels, value in _METRIC.findall(self.get("/metrics")[1].decode()):
            found[name] = found.get(name, 0.0) + float(value)
            found[f"{name}{{{labels}}}"] = float(value)
        return found

    def get(self, path: str) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        try:
            with urllib.request.urlopen(self._address + path, timeout=ANSWER_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()

    def ready(self) -> int:
        """How many series are; 0 while it does not answer."""
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"the service ended with {code}")
        try:
            return int(self.metrics().get('series{state="ready"}', 0))
        except OSError:
            return 0


@contextmanager
def service(venue: Exchange, url: str, directory: Path) -> Iterator[Service]:
    """A service that writes there; what it says goes to a file in the directory."""
    port = free_port()
    settings = {
        "REDIS_URL": url,
        "HTTP_LISTEN": f"127.0.0.1:{port}",
        "CACHE_TIMEFRAMES": ",".join(TIMEFRAMES),
        "VENUES_COINBASE_SYMBOLS": ",".join(symbols(PRODUCTS)),
        "VENUES_COINBASE_REQUESTS_PER_SECOND": str(REQUESTS_PER_S),
        "VENUES_COINBASE_REST_URL": venue.address.rest_url,
        "VENUES_COINBASE_WS_URL": venue.address.ws_url,
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIVECACHE_")}
    environment = clean | {f"LIVECACHE_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "livecache", "run"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=environment, stderr=log)
        try:
            yield Service(process, port)
        finally:
            process.terminate()
            process.wait(30)


def row(store: Store, directory: Path) -> tuple[str, ...]:
    """The row of one store."""
    directory.mkdir()
    start_ms = BOUNDARY - round((FILL_S + MEASURED_S / 2) * 1000)
    opening = Opening(symbols(PRODUCTS), start_ms, 0.0, 2 * REQUESTS_PER_S, 2 * REQUESTS_PER_S, alike=True)
    with exchange(opening) as venue, service(venue, store.url, directory) as running:
        began_s = time.monotonic()
        count = PRODUCTS * len(TIMEFRAMES)
        while running.ready() < count:
            if time.monotonic() - began_s > WARM_S_MAX:
                raise TimeoutError(f"{running.ready()} of {count} series after {WARM_S_MAX:g} s")
            time.sleep(1)
        warm_s = time.monotonic() - began_s
        # Where the fill took longer, the minute is that of the next boundary.
        before_ms = round(MEASURED_S * 500)
        begins_ms = Timeframe.M5.ceil(venue.now() + before_ms) - before_ms
        time.sleep(max(0.0, (begins_ms - venue.now()) / 1000))

        def spent() -> tuple[float, ...]:
            by_store = (sum(map(spent_s, pids)) for pids in (store.masters, store.replicas))
            return (spent_s(running.pid), *by_store)

        before, counted, from_s = spent(), running.metrics(), time.monotonic()
        time.sleep(MEASURED_S)
        took_s = time.monotonic() - from_s
        shares = [(now - then) / took_s for now, then in zip(spent(), before, strict=True)]
        metrics = running.metrics()
        rates = [
            (metrics[name] - counted[name]) / took_s for name in ("feed_frames_total", "series_writes_total")
        ]
        return (
            store.name,
            f"{warm_s:.0f}",
            *(f"{rate:,.0f}" for rate in rates),
            *(f"{share:.1%}" if share else "" for share in shares),
            resident_mb(running.pid),
            *(_answered(running, path) for path in ("/readyz", "/api/v1/series")),
        )


def _answered(running: Service, path: str) -> str:
    """How long that took, in seconds, and what it said where that is not all that there is."""
    began_s = time.monotonic()
    status, body = running.get(path)
    took = f"{time.monotonic() - began_s:.2f}"
    told = json.loads(body)
    series = told.get("series", 0)
    known = series if isinstance(series, int) else len(series)
    if known == PRODUCTS * len(TIMEFRAMES):
        return took
    return f"{took} ({status}, {known} series: {' '.join(told.get('reasons', ())):.80})"


HEADERS = (
    *("5,000 series", "warm", "frames/s", "writes/s", "service", "masters", "replicas"),
    *("MB", "/readyz", "/api/v1/series"),
)
LEGEND = """
warm: seconds until all were ready. service, masters, replicas: of one core, all of a kind together.
MB: of the service. /readyz, /api/v1/series: seconds until the answer was there."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("server", "cluster"), help="one of the rows")
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory(prefix="livecache-benchmark-") as name:
        directory = Path(name)
        rows: list[tuple[str, ...]] = []
        with EmbeddedServer(directory / "one") as server, redis.Redis.from_url(server.url) as client:
            print(*circumstances(client, "redis", "hiredis"), sep="\n", flush=True)
            if only != "cluster":
                pid: int = client.info("server")["process_id"]
                rows.append(row(Store("one server", server.url, [pid]), directory / "of one"))
        if only != "server":
            with cluster(directory / "cluster") as nodes:
                pids = [node.info("server")["process_id"] for node in nodes.nodes]
                three = Store("a cluster of three", nodes.url, pids[:3], pids[3:])
                rows.append(row(three, directory / "of three"))
        print(*table(HEADERS, rows), LEGEND, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
