"""What an exchange's calendar costs: on disk, to load, and in memory.

    python -m benchmarks.calendars

CPU of the first use in a process of its own, the best of five; memory as tracemalloc counts it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Mapping

from benchmarks.common import machine, table
from livecache.equities.calendar import DATA

NAMES = ("XNYS", "XLON", "XTKS")
_MEASURED = """
import json, sys, time, tracemalloc
from livecache.equities.calendar import calendar_named
if len(sys.argv) > 2:
    tracemalloc.start()
began = time.process_time()
calendar = calendar_named(sys.argv[1])
loaded, held = time.process_time() - began, tracemalloc.get_traced_memory()[0]
began = time.process_time()
calendar.grids()
grids = time.process_time() - began
sizes = {"held": held, "all": tracemalloc.get_traced_memory()[0], "sessions": len(calendar.days)}
print(json.dumps({"loaded": loaded, "grids": grids, **sizes}))
"""


def measured(*arguments: str) -> Mapping[str, float]:
    """What a process of its own says of it."""
    command = [sys.executable, "-c", _MEASURED, *arguments]
    told: Mapping[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return told


def main() -> int:
    """Print both tables."""
    print("\n".join(machine("livecache")), end="\n\n")
    files = {file.name: file.read_bytes() for file in sorted(DATA.iterdir())}
    sizes = [
        [name, f"{len(data) / 1000:.1f}", f"{len(zlib.compress(data, 9)) / 1000:.1f}"]
        for name, data in files.items()
    ]
    print("\n".join(table(["file", "KB", "packed"], sizes)), end="\n\n")
    rows = []
    for name in NAMES:
        runs = [measured(name) for _ in range(5)]
        held = measured(name, "memory")
        times = [f"{1000 * min(run[what] for run in runs):.1f}" for what in ("loaded", "grids")]
        memory = [f"{held[what] / 1e6:.1f}" for what in ("held", "all")]
        rows.append([name, f"{held['sessions']:.0f}", *times, *memory])
    headers = ["calendar", "sessions", "ms to load", "ms for all grids", "MB", "MB with all grids"]
    print("\n".join(table(headers, rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
