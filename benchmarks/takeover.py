"""How long until the other instance writes: two over one Redis, and the writing one fails again and again.

    python -m benchmarks.takeover
    python -m benchmarks.takeover --rounds 8

Two `livecache run` share an embedded Valkey and a simulated exchange whose market runs 60 times as fast. In
turn the writing one is stopped and woken, killed with -9, and has its network to Redis stalled and cut. A
reader looks at every series ten times a second all the while. At the end every candle in the store is held
against what was traded, and every write that the server has recorded against who held the lease just then.
Prints a table; 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import redis
from loguru import logger

from benchmarks.common import circumstances, table
from livecache.embedded.server import EmbeddedServer
from tests.e2e.two_instances import FAULTS, SERIES, SPEED, TakeOver, pair

__all__ = ["main"]

ROUNDS = 20
PROMISED_S = 10.0

HEADERS = ("", "lease", "alive", "asked", "blind", "a reader got meanwhile")
LEGEND = f"""
Seconds since the fault until the other instance held the lease, and until it vouched to readers.
asked: candle requests until then, where only the waiting one could make any.
blind: the longest time in which a reader could not read all {len(SERIES)} series; it looks every 0.1 s."""


def main() -> int:
    """Run the rounds and print them; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how many faults ({ROUNDS})")
    rounds = parser.parse_args().rounds
    logger.remove()
    seen: list[TakeOver] = []
    with EmbeddedServer(temporary=True) as server:
        with redis.Redis.from_url(server.url) as store:
            print(
                *circumstances(store, "livecache"),
                f"market at speed {SPEED:g}",
                sep="\n",
                end="\n\n",
                flush=True,
            )
        with pair(server.url) as two:
            for number in range(rounds):
                seen.append(two.fail(FAULTS[number % len(FAULTS)]))
                print(f"… {number + 1} of {rounds}: {seen[-1].fault}", file=sys.stderr)
            unlawful, writes = two.unlawful_writes(), len(two.recorder.writes)
            compared = two.compare()
            wrong, looks = [*two.watcher.wrong, *two.watcher.went_back], len(two.watcher.looks)
    print(*table(HEADERS, rows(seen)), LEGEND, "", sep="\n")
    print(f"{compared} candles of the store and the stream compared with the market: all as traded")
    print(f"{writes} writes recorded, {len(unlawful)} of them without the lease")
    print(f"{looks} looks of a reader at {len(SERIES)} series, {len(wrong)} wrong answers")
    problems = [*unlawful, *wrong]
    problems += [f"late: {one}" for one in seen if one.alive_s > PROMISED_S]
    problems += [f"the waiting one asked the venue: {one}" for one in seen if one.asked]
    for problem in problems[:20]:
        print(problem, file=sys.stderr)
    return int(bool(problems))


def rows(rounds: Sequence[TakeOver]) -> list[tuple[str, ...]]:
    """A row for each round, and the worst of all."""
    worst = (
        "at most",
        f"{max(one.lease_s for one in rounds):.2f}",
        f"{max(one.alive_s for one in rounds):.2f}",
        str(max((one.asked or 0) for one in rounds)),
        f"{max(one.blind_s for one in rounds):.2f}",
        "",
    )
    return [*(_cells(one) for one in rounds), worst]


def _cells(one: TakeOver) -> tuple[str, ...]:
    asked = "-" if one.asked is None else str(one.asked)
    got = ", ".join(f"{count} {name}" for name, count in one.errors.items()) or "nothing but candles"
    if one.late_ms:
        got += f", at most {one.late_ms / 1000:.0f} s of the market late"
    return one.fault, f"{one.lease_s:.2f}", f"{one.alive_s:.2f}", asked, f"{one.blind_s:.2f}", got


if __name__ == "__main__":
    sys.exit(main())
