"""Reading years, and bringing them in from files: how soon, beside a folder of Parquet files.

    python -m benchmarks.history_reading              # five years of 1m of one symbol, of 1d of ten
    python -m benchmarks.history_reading --scale 0.1  # a tenth of the minutes

Prints a table and asserts no time. The candles are made up as those of history_store.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from itertools import groupby
from pathlib import Path

import numpy as np

from benchmarks.common import installed, machine, table
from benchmarks.history_store import MINUTE, SINCE, Market, Row, beside, made_up, milliseconds
from livecache import Reader, Timeframe
from livecache.__main__ import main as livecache
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId

__all__ = ["main"]

_DAY = 86_400_000
_MINUTES = 2_628_000  # of five years


def both(call: Callable[[], object], times: int = 30) -> str:
    """The medians of so many calls in ms: of the clock, and of the processor, which others slow down less."""
    took, worked = [], []
    for _ in range(times):
        began, at = time.perf_counter(), time.process_time()
        call()
        worked.append((time.process_time() - at) * 1e3)
        took.append((time.perf_counter() - began) * 1e3)
    return f"{statistics.median(took):.2f} / {statistics.median(worked):.2f}"


def archived(market: Market, folder: Path) -> int:
    """The minutes as an exchange publishes them: a zip a month, twelve columns, a checksum beside it."""

    def month(row: Row) -> str:
        return f"{datetime.fromtimestamp(row[0] / 1000, UTC):%Y-%m}"

    months = groupby(market.rows(0, len(market.time)), month)
    count = 0
    for name, rows in months:
        lines = [f"{','.join(map(str, row))},{row[0] + 59_999},1234.56,321,0.5,617.28,0\n" for row in rows]
        place = folder / f"BTCUSDT-1m-{name}.zip"
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(f"{place.stem}.csv", "".join(lines))
        digest = hashlib.sha256(place.read_bytes()).hexdigest()
        place.with_name(f"{place.name}.CHECKSUM").write_text(f"{digest}  {place.name}\n")
        count += len(lines)
    return count


def imported(folder: Path, market: Market) -> Iterator[list[str]]:
    """How long the import takes, of the clock and of the processor."""
    (folder / "archives").mkdir()
    rows = archived(market, folder / "archives")
    began, worked = time.perf_counter(), time.process_time()
    place = f"sqlite:///{folder / 'history.db'}"
    with contextlib.redirect_stdout(io.StringIO()):
        code = livecache(["import", str(folder / "archives"), "--venue", "one", "--history-url", place])
    assert code == 0
    took, cpu = time.perf_counter() - began, time.process_time() - worked
    yield [f"import of {rows:,} minutes from archives, s", f"{took:.1f}"]
    yield ["… of CPU time", f"{cpu:.1f}"]


def days(folder: Path) -> None:
    """Five years of days of ten symbols, into the same file."""
    store = SqliteHistory.open(folder / "history.db")
    for number in range(10):
        made = store.series(SeriesId("one", f"S{number}-USD", Timeframe.D1), create=True)
        assert made
        market = made_up(f"S{number}", 1_826, "0.01", 100.0, number)
        rows = market.rows(0, 1_826)
        first = SINCE // _DAY * _DAY
        candles = [ExactCandle(first + n * _DAY, *row[1:]) for n, row in enumerate(rows)]
        store.commit(made.id, Columns.of(candles), Coverage([(first, first + len(candles) * _DAY)]))
    store.close()


def answers(folder: Path, market: Market) -> Iterator[list[str]]:
    """How soon a reader answers, with no Redis beside it."""
    start, end = int(market.time[0]), int(market.time[-1]) + MINUTE
    random = np.random.default_rng(5)
    os.environ["XDG_DATA_HOME"] = str(folder)  # where no server is told of
    with Reader(history=f"sqlite:///{folder / 'history.db'}") as reader:

        def read(timeframe: str, at: int, upto: int, symbol: str = "BTCUSDT") -> int:
            found = reader.history(symbol, timeframe, at, upto, gaps="allow")
            return sum(map(len, (found.open, found.high, found.low, found.close, found.volume)))

        def some() -> int:
            at = start + int(random.integers(0, max(1, (end - start) // MINUTE - 5_000))) * MINUTE
            return read("1m", at, at + 5_000 * MINUTE)

        store = SqliteHistory.open(folder / "history.db", read_only=True)
        (info,) = store.all_series(["BTCUSDT"])

        def stored() -> int:
            at = start + int(random.integers(0, max(1, (end - start) // MINUTE - 5_000))) * MINUTE
            rows = store.read(info.id, at, at + 5_000 * MINUTE).rows
            return sum(len(each.floats()) for each in rows.numbers)

        yield ["5,000 candles of an open store, ms / of CPU", both(stored)]
        yield ["5,000 candles by a reader, ms / of CPU", both(some)]
        missing = milliseconds(lambda: store.coverage(info.id).missing(start, end))
        yield ["gaps of everything, ms", f"{missing:.3f}"]
        year = min(end, start + 366 * _DAY)
        hours = both(lambda: read("1h", start, year), 7)
        yield [f"{(year - start) / _DAY:.0f} days of 1m as 1h, ms / of CPU", hours]
        whole = both(lambda: read("1m", start, end), 3)
        yield [f"all {len(market.time):,} minutes, ms / of CPU", whole]
        first = SINCE // _DAY * _DAY
        ten = milliseconds(
            lambda: [read("1d", first, first + 1_826 * _DAY, f"S{n}-USD") for n in range(10)], 7
        )
        yield ["five years of days of ten symbols, ms", f"{ten:.0f}"]
        store.close()


def parquet(folder: Path, market: Market) -> Iterator[list[str]]:
    """The same out of a folder of Parquet files, as `livecache export` writes them."""
    ds = import_module("pyarrow.dataset")

    place = f"sqlite:///{folder / 'history.db'}"
    wish = ["--format", "parquet", "--symbols", "BTCUSDT", "--output", str(folder / "parquet")]
    with contextlib.redirect_stderr(io.StringIO()):
        assert livecache(["export", "--history", "--history-url", place, *wish]) == 0
    data = ds.dataset(folder / "parquet", partitioning="hive")
    start, end = int(market.time[0]), int(market.time[-1])
    random = np.random.default_rng(5)

    def some() -> int:
        at = start + int(random.integers(0, max(1, (end - start) // MINUTE - 5_000))) * MINUTE
        stretch = (datetime.fromtimestamp(t / 1000, UTC) for t in (at, at + 5_000 * MINUTE))
        first, last = stretch
        found = data.to_table(filter=(ds.field("time") >= first) & (ds.field("time") < last))
        return len(found)

    def gaps() -> int:
        times = data.to_table(columns=["time"])["time"].cast("int64").to_numpy()
        return int((np.diff(np.sort(times)) != MINUTE).sum())

    size = sum(path.stat().st_size for path in (folder / "parquet").rglob("*.parquet"))
    yield ["Parquet: 5,000 candles, ms", f"{milliseconds(some, 10):.2f}"]
    yield ["Parquet: gaps of everything, ms", f"{milliseconds(gaps, 3):.1f}"]
    yield ["Parquet: bytes a candle", f"{size / len(market.time):.1f}"]


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of five years of minutes")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("LIVECACHE_")]:
        del os.environ[name]
    for line in machine("numpy", "pyarrow"):
        print(line)
    market = made_up("BTC", int(_MINUTES * options.scale), "0.01", 40_000.0, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [*imported(folder, market)]
        size = (folder / "history.db").stat().st_size
        rows += [["bytes a candle", f"{size / len(market.time):.2f}"]]
        days(folder)
        rows += answers(folder, market)
        if installed("pyarrow"):
            rows += parquet(folder, market)
        rows += beside(folder, [market])
    print()
    for line in table(["reading years", ""], rows):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
