"""The store of deep history: how fast it takes pages, how small it is, how soon it answers.

    python -m benchmarks.history_store              # 6.84 million minutes of two perpetuals
    python -m benchmarks.history_store --scale 0.1  # a tenth of them
    python -m benchmarks.history_store --real DIR   # and the size of real candles, from CSV files

Prints tables and asserts no time. The candles are made up, with ticks, fat tails, minutes without a trade and
gaps. Beside it stands the upsert that one would write with SQLAlchemy, into SQLite, if that is installed.
"""

from __future__ import annotations

import argparse
import csv
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import installed, machine, table
from livecache import Timeframe
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import HistoryDatabase, Outcome, Want
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId

__all__ = ["main"]

MINUTE = 60_000
PAGE = 5_000
SINCE = 1_480_550_400_000
PEER_ROWS = 200_000  # the upsert is slow: so many tell its rate

Row = tuple[int, str, str, str, str, str]


class Market(NamedTuple):
    """Minutes of one symbol: times, prices in ticks, and volumes in units of 1e-8."""

    symbol: str
    tick: str
    time: Any
    prices: tuple[Any, Any, Any, Any]
    volume: Any

    def rows(self, start: int, end: int) -> list[Row]:
        """As a venue's client gives them: times, and decimal texts."""
        tick, places = float(self.tick), len(self.tick.partition(".")[2])
        prices = [[f"{x * tick:.{places}f}" for x in p[start:end].tolist()] for p in self.prices]
        volumes = [f"{x // 10**8}.{x % 10**8:08}" for x in self.volume[start:end].tolist()]
        return list(zip(self.time[start:end].tolist(), *prices, volumes, strict=True))


def made_up(symbol: str, count: int, tick: str, price: float, seed: int) -> Market:
    """So many minutes, a tenth of them without a trade, and thirty gaps between them."""
    random = np.random.default_rng(seed)
    total = count + 30 * 82
    kept = np.ones(total, bool)
    for gap in random.choice(total // 100, 30, replace=False):
        kept[gap * 100 + 9 : gap * 100 + 91] = False
    unrest = np.exp(np.cumsum(random.normal(0, 0.02, total)) * 0.05 - 7.4)
    quiet = random.random(total) < 0.095
    moves = np.where(quiet, 0, random.standard_t(3, total) * unrest)
    path = price * np.exp(np.cumsum(moves - moves.mean()) * 0.6)
    closes = np.maximum(np.rint(path / float(tick)).astype(np.int64), 2)
    opens = np.concatenate((closes[:1], closes[:-1]))
    opens = np.where(quiet, opens, opens + random.integers(-1, 2, total))
    closes = np.where(quiet, opens, closes)
    above, below = (
        np.where(quiet, 0, (random.exponential(1, total) * unrest * closes * 0.5).astype(np.int64))
        for _ in range(2)
    )
    highs = np.maximum(opens, closes) + above
    lows = np.maximum(np.minimum(opens, closes) - below, 1)
    volume = np.where(quiet, 0, np.rint(random.lognormal(1, 1.5, total) * 1e7) * 10).astype(np.int64)
    times = SINCE + np.arange(total, dtype=np.int64) * MINUTE
    prices = (opens[kept], highs[kept], lows[kept], closes[kept])
    return Market(symbol, tick, times[kept], prices, volume[kept])


def milliseconds(call: Callable[[], object], times: int = 30) -> float:
    """The median of so many calls."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took)


def load(store: HistoryDatabase, markets: Sequence[Market]) -> Iterator[list[str]]:
    """Page by page, the newest first, under a job's lease, as it is filled."""
    parsing = committing = again = cpu = 0.0
    count = repeated = 0
    for market in markets:
        made = store.series(SeriesId("venue", market.symbol, Timeframe.M1), create=True)
        assert made
        start, end = int(market.time[0]), int(market.time[-1]) + MINUTE
        store.submit([Want(made.id, start, end)])
        job = store.claim("benchmark")
        assert job
        for first in reversed(range(0, len(market.time), PAGE)):
            rows = market.rows(first, first + PAGE)
            stop = int(market.time[first + PAGE]) if first + PAGE < len(market.time) else end
            covered = Coverage([(rows[0][0], stop)])
            began, worked = time.perf_counter(), time.process_time()
            page = Columns.of(ExactCandle(*row) for row in rows)
            parsed = time.perf_counter()
            store.commit(made.id, page, covered, lease=job.lease)
            done = time.perf_counter()
            cpu += time.process_time() - worked
            parsing, committing, count = (
                parsing + parsed - began,
                committing + done - parsed,
                count + len(rows),
            )
            if first // PAGE % 50 == 0:
                began = time.perf_counter()
                store.commit(made.id, Columns.of(ExactCandle(*row) for row in rows), covered)
                again, repeated = again + time.perf_counter() - began, repeated + len(rows)
        assert not store.missing(job.id)
        store.settle(job.lease, Outcome.SUCCEEDED)
    size = store.total_bytes()
    yield ["from texts, rows/s", f"{count / (parsing + committing):,.0f}"]
    yield ["… of CPU time", f"{count / cpu:,.0f}"]
    yield ["commit alone, rows/s", f"{count / committing:,.0f}"]
    yield ["the same pages again, rows/s", f"{repeated / again:,.0f}"]
    yield ["rows", f"{count:,}"]
    yield ["stored, MB", f"{size / 1e6:.1f}"]
    yield ["bytes a candle", f"{size / count:.2f}"]


def answers(store: HistoryDatabase, market: Market) -> Iterator[list[str]]:
    """How soon it answers."""
    (series,) = [each for each in store.all_series() if each.key.symbol == market.symbol]
    start, end = int(market.time[0]), int(market.time[-1])
    random = np.random.default_rng(5)

    def read(count: int) -> Columns:
        at = start + int(random.integers(0, max(1, (end - start) // MINUTE - count))) * MINUTE
        return store.read(series.id, at, at + count * MINUTE).rows

    for count in (100, 5_000):
        took = milliseconds(lambda count=count: [c.floats() for c in read(count).numbers])  # type: ignore[misc]
        yield [f"{count:,} candles as doubles, ms", f"{took:.2f}"]
    yield ["5,000 candles in exact digits, ms", f"{milliseconds(lambda: read(5_000).candles()):.2f}"]
    missing = milliseconds(lambda: store.coverage(series.id).missing(start, end))
    yield ["gaps of everything, ms", f"{missing:.3f}"]
    yield ["stats of everything, ms", f"{milliseconds(store.stats):.2f}"]
    yield ["verify everything, ms", f"{milliseconds(lambda: list(store.verify()), 1):.0f}"]
    held = store.read(series.id, start, start + 366 * 86_400_000).rows
    hours = milliseconds(lambda: _hours(store.read(series.id, start, start + 366 * 86_400_000).rows), 5)
    yield [f"a year ({len(held):,} rows) 1m → 1h, ms", f"{hours:.0f}"]


def _hours(rows: Columns) -> tuple[Any, ...]:
    opens = np.flatnonzero(np.diff(rows.time // 3_600_000, prepend=-1))
    return (
        *(rows.time[opens], rows.open.scaled[opens]),
        *(np.maximum.reduceat(rows.high.scaled, opens), np.minimum.reduceat(rows.low.scaled, opens)),
        *(rows.close.scaled[np.append(opens[1:], len(rows)) - 1], np.add.reduceat(rows.volume.scaled, opens)),
    )


def beside(folder: Path, markets: Sequence[Market]) -> Iterator[list[str]]:
    """A reader beside a writer at full speed, and a bare SELECT there."""
    store = SqliteHistory.open(folder / "beside.db")
    made = store.series(SeriesId("venue", "BTC", Timeframe.M1), create=True)
    assert made
    over, ready = threading.Event(), threading.Event()
    pages = [
        Columns.of(ExactCandle(*row) for row in markets[0].rows(n, n + PAGE)) for n in range(0, 60_000, PAGE)
    ]

    def writing() -> None:
        writer = SqliteHistory.open(folder / "beside.db")
        for n in range(10**9):
            page = pages[n % len(pages)]
            moved = Columns(page.time + n // len(pages) * 60_000 * MINUTE, *page.numbers)
            writer.commit(made.id, moved, Coverage([(int(moved.time[0]), int(moved.time[-1]) + MINUTE)]))
            if n > 3:
                ready.set()
            if over.is_set():
                break
        writer.close()

    thread = threading.Thread(target=writing)
    thread.start()
    ready.wait()
    reader = SqliteHistory.open(folder / "beside.db", read_only=True)
    bare = sqlite3.connect(folder / "beside.db")
    first = int(pages[0].time[0])
    ways: dict[str, Callable[[], object]] = {
        "500 candles beside a writer": lambda: reader.read(made.id, first, first + 500 * MINUTE),
        "a bare SELECT there": lambda: bare.execute("SELECT data FROM blocks LIMIT 1").fetchall(),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(400):
        for name, call in ways.items():
            began = time.perf_counter()
            call()
            took[name].append((time.perf_counter() - began) * 1e3)
            time.sleep(0.002)
    over.set()
    thread.join()
    for name, each in took.items():
        each.sort()
        yield [f"{name}, p50 / p99, ms", f"{each[200]:.2f} / {each[396]:.2f}"]
    for held in (reader, bare, store):
        held.close()


def upsert(folder: Path, market: Market) -> Iterator[list[str]]:
    """The usual way: one row a candle, and `ON CONFLICT DO UPDATE`, a transaction a page."""
    import sqlalchemy as sa
    from sqlalchemy.dialects.sqlite import insert

    engine = sa.create_engine(f"sqlite:///{folder / 'peer.db'}")
    names = ("open", "high", "low", "close", "volume")
    candles = sa.Table(
        "ohlcv",
        sa.MetaData(),
        sa.Column("symbol", sa.String, primary_key=True),
        sa.Column("timeframe", sa.String, primary_key=True),
        sa.Column("time", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.Float) for name in names),
    )
    candles.metadata.create_all(engine)
    statement = insert(candles)
    statement = statement.on_conflict_do_update(
        index_elements=["symbol", "timeframe", "time"], set_={n: statement.excluded[n] for n in names}
    )
    took, cpu, count = 0.0, 0.0, 0
    while count < min(PEER_ROWS, len(market.time)):
        rows = market.rows(count, count + PAGE)
        began, worked = time.perf_counter(), time.process_time()
        values = [
            {
                "symbol": market.symbol,
                "timeframe": "1m",
                "time": at,
                **dict(zip(names, map(float, n), strict=True)),
            }
            for at, *n in rows
        ]
        with engine.begin() as connection:
            connection.execute(statement, values)
        took, count = took + time.perf_counter() - began, count + len(rows)
        cpu += time.process_time() - worked
    size = (folder / "peer.db").stat().st_size
    yield ["SQLAlchemy's upsert from texts, rows/s", f"{count / took:,.0f}"]
    yield ["… of CPU time", f"{count / cpu:,.0f}"]
    yield ["bytes a candle there", f"{size / count:.1f}"]
    engine.dispose()


def real(folder: Path, files: Path) -> Iterator[list[str]]:
    """How small real candles are."""
    for path, name in (
        (files / "perps/btc-perp-20211231-20220201_1m.csv", "1m"),
        (files / "coinbase/BTC-USD_5m_2025-07-01_2025-11-15.csv", "5m"),
    ):
        with path.open() as file:
            lines = list(csv.reader(file))[1:]
        candles = [ExactCandle(_ms(at), *numbers[:5]) for at, *numbers in lines]
        store = SqliteHistory.open(folder / f"{path.stem}.db")
        made = store.series(SeriesId("venue", path.stem, Timeframe(name)), create=True)
        assert made
        rows = Columns.of(candles)
        store.commit(made.id, rows, Coverage([(int(rows.time[0]), int(rows.time[-1]) + 1)]))
        back = store.read(made.id, 0, 1 << 60).rows.candles()
        assert [tuple(map(Decimal, c.numbers)) for c in back] == [
            tuple(map(Decimal, c.numbers)) for c in sorted(candles)
        ]
        yield [
            f"real {path.stem}, bytes a candle in blocks",
            f"{store.stats(made.id)[0].bytes / len(rows):.2f}",
        ]
        store.close()


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def spans() -> Iterator[list[str]]:
    """What is missing in the coverage of a thin market."""
    thin = Coverage((n * 10, n * 10 + 5) for n in range(3_000))
    yield ["missing of 3,000 spans, ms", f"{milliseconds(lambda: thin.missing(0, 30_000)):.2f}"]


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the 6.84 million minutes")
    parser.add_argument("--real", type=Path, help="a folder with CSV files of real candles")
    options = parser.parse_args()
    for line in machine("numpy", "sqlalchemy"):
        print(line)
    markets = [
        made_up("BTC-PERPETUAL", int(4_674_240 * options.scale), "0.5", 740.0, 1),
        made_up("ETH-PERPETUAL", int(2_166_000 * options.scale), "0.05", 300.0, 2),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = SqliteHistory.open(folder / "history.db")
        rows = [*load(store, markets), *answers(store, markets[0]), *spans(), *beside(folder, markets)]
        store.close()
        if installed("sqlalchemy"):
            rows += upsert(folder, markets[0])
        if options.real:
            rows += real(folder, options.real)
    print()
    for line in table(["the store of deep history", ""], rows):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
