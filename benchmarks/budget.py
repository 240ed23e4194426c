"""One budget for four processes: how often they ask together, and how long each class waits.

    python -m benchmarks.budget [--seconds 20]

They ask as often as they are let, over one server, and then over a cluster of three masters: something urgent
now and then, something to warm up or not, and always something deep.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import redis

from benchmarks.common import circumstances, table
from livecache.embedded.server import EmbeddedServer
from livecache.engine.limiter import Urgency
from tests.cluster.nodes import cluster
from tests.quota.members import PER_S, most_in
from tests.quota.processes import Told, four

__all__ = ["main"]

MIXES = (
    ("urgent 2.4/s, deep", "0.6,0,0,100"),
    ("urgent 4/s, warm-up, deep", "1,100,0,100"),
    ("urgent 4/s, ten warm-ups each, deep", "1,1000,0,100"),
)


def _line(what: str, told: Told) -> Sequence[str]:
    def waited(urgency: Urgency, share: float) -> str:
        waits = told.waits(urgency, told.began)
        return f"{waits[int(len(waits) * share)]:.2f}" if waits else ""

    return [
        what,
        f"{told.rate(told.began, told.ended):.2f}",
        str(most_in(told.starts())),
        *(waited(Urgency.LIVE, share) for share in (0.5, 0.99)),
        *(waited(urgency, 0.5) for urgency in (Urgency.WARM, Urgency.HISTORY)),
        " ".join(map(str, told.by_each)),
        f"{told.asks / len(told.sent):.1f}",
    ]


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0, help="each; in 20 there are 80 urgent ones")
    seconds: float = parser.parse_args().seconds
    head = ("", "a second", "most in one", "urgent p50", "p99", "warm-up p50", "deep p50", "by each", "asks")
    with tempfile.TemporaryDirectory(prefix="livecache-", dir="/tmp") as name:
        directory = Path(name)
        with EmbeddedServer(directory / "one") as server:
            with redis.Redis.from_url(server.url) as client:
                print(*circumstances(client, "redis", "hiredis"), sep="\n")
            print(f"at most {PER_S:g} requests a second of four processes; seconds waited; asks a request")
            lines = [_line(what, four(server.url, seconds, mix)) for what, mix in MIXES]
        with cluster(directory / "cluster") as nodes:
            lines.append(_line("the first over a cluster", four(nodes.url, seconds, MIXES[0][1])))
    print(*table(head, lines), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
