"""`python -m tests.fuzz`: as many inputs as you like, and how to replay those that break something."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter

from .run import Failure, fuzz, numbered, walk
from .targets import TARGETS, Target

_SHOWN = 20


def main() -> int:
    """Fuzz, print what was run, and return 1 if anything broke."""
    options = _options()
    targets = [t for t in TARGETS if not options.target or t.name in options.target]
    if options.replay:
        return _replay(options.replay)
    until_s = time.monotonic() + options.seconds if options.seconds else float("inf")
    most = options.inputs or (sys.maxsize if options.seconds else 100_000)
    run: Counter[str] = Counter()
    failures: list[Failure] = []
    slowest: dict[str, tuple[float, str]] = {}

    def one(target: Target, number: int, data: bytes, seed: int | None) -> None:
        began_s = time.perf_counter()
        failure = fuzz(target, number, data, seed=seed)
        took_s = time.perf_counter() - began_s
        slowest[target.name] = max(slowest.get(target.name, (0.0, "")), (took_s, f"{len(data):,} bytes"))
        run[target.name] += 1
        if failure is not None:
            failures.append(failure)
            if len(failures) <= _SHOWN:
                print(failure, flush=True)

    for target in targets:
        for number, data in enumerate(walk(target)):
            one(target, number, data, None)
    inputs = {target.name: numbered(target, options.seed) for target in targets}
    for number in itertools.count():
        if run.total() >= most or time.monotonic() >= until_s:
            break
        for target in targets:
            one(target, number, inputs[target.name](number), options.seed)
    for target in targets:
        took_s, size = slowest[target.name]
        count = f"{target.name:10} {run[target.name]:>10,} inputs"
        print(f"{count}; the slowest took {took_s * 1000:.1f} ms ({size})")
    print(f"{'all':10} {run.total():>10,} inputs, {len(failures)} failures, seed {options.seed}")
    return 1 if failures else 0


def _replay(which: str) -> int:
    name, seed, number = which.split(":")
    target = next(t for t in TARGETS if t.name == name)
    if seed == "walk":
        data = next(itertools.islice(walk(target), int(number), None))
    else:
        data = numbered(target, int(seed))(int(number))
    print(repr(data[:2_000]), f"({len(data)} bytes)", flush=True)
    target.check(data)
    print("nothing broke")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, help="run for so long")
    parser.add_argument("--inputs", type=int, help="run so many; 100,000 unless --seconds is given")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the random inputs; the same seed, the same inputs"
    )
    parser.add_argument("--target", action="append", choices=[t.name for t in TARGETS], help="only this one")
    parser.add_argument(
        "--replay", metavar="TARGET:SEED:NUMBER", help="run one input again, with its traceback"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
