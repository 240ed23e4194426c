"""All benchmarks, one after another, each in a process of its own.

python -m benchmarks.all            # 45 minutes, an hour on a busy machine
python -m benchmarks.all --quick    # ten minutes: the small sizes
"""

from __future__ import annotations

import argparse
import subprocess
import sys

__all__ = ["main"]

WHOLE: tuple[tuple[str, ...], ...] = (
    ("warmup",),
    ("warmup", "--symbols", "250"),
    ("live",),
    ("reading",),
    ("api",),
    ("candles_api",),
    ("memory",),
    ("takeover",),
    ("cluster",),
    ("cluster_live",),
    ("budget",),
    ("everything",),
    ("history_store",),
    ("postgres",),
    ("history_reading",),
    ("venues",),
    ("calendars",),
    ("page",),
)
QUICK: tuple[tuple[str, ...], ...] = (
    *(("warmup",), ("live", "--quick"), ("reading",), ("api",), ("candles_api", "--quick"), ("memory",)),
    ("history_store", "--scale", "0.1"),
    ("history_reading", "--scale", "0.1"),
    ("postgres", "--scale", "0.1"),
)


def main() -> int:
    """Run them; 1 if any of them failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="leave out what takes long")
    failed = []
    for name, *options in QUICK if parser.parse_args().quick else WHOLE:
        print(f"\n# {' '.join([name, *options])}\n", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
