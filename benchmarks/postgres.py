"""History on a PostgreSQL: how fast it takes pages, how large it is, how soon it answers.

    python -m benchmarks.postgres               # 6.84 million minutes of two perpetuals
    python -m benchmarks.postgres --scale 0.1   # a tenth of them
    python -m benchmarks.postgres --layout packed

Prints tables and asserts no time. The server is one of its own, as durable as Debian sets one up. Beside it
stands the upsert that one would write with SQLAlchemy, into a NUMERIC(18,8) table of the same server.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.common import installed, machine, table
from benchmarks.history_store import MINUTE, PAGE, PEER_ROWS, Market, answers, load, made_up, milliseconds
from livecache.history.postgres.store import PackedHistory, PostgresHistory, open_postgres
from tests.history.pg import postgres_server

__all__ = ["main"]

_YEAR = """SELECT date_bin('1 hour', time, 'epoch') AS hour, (array_agg(open ORDER BY time))[1], max(high),
    min(low), (array_agg(close ORDER BY time DESC))[1], sum(volume) FROM {} GROUP BY hour ORDER BY hour"""
_END = "(SELECT to_timestamp(min(first) / 1000.0) FROM blocks) + interval '366 days'"
_BY_VIEW = f"ohlcv WHERE symbol = 'BTC-PERPETUAL' AND time < {_END}"
_BY_FUNCTION = f"ohlcv_of('BTC-PERPETUAL', '1m', '2000-01-01', {_END})"


def by_sql(store: PostgresHistory | PackedHistory) -> Iterator[list[str]]:
    """What people ask by psql."""
    for name, source in (("in SQL", _BY_VIEW), ("by ohlcv_of", _BY_FUNCTION)):
        took = milliseconds(lambda source=source: store.raw.execute(_YEAR.format(source)).fetchall(), 3)  # type: ignore[misc]
        yield [f"a year 1m → 1h {name}, ms", f"{took:.0f}"]
    gaps = "SELECT * FROM gaps WHERE gap_end IS NOT NULL"
    yield ["view gaps, ms", f"{milliseconds(lambda: store.raw.execute(gaps).fetchall()):.2f}"]
    kept = "blocks" if isinstance(store, PackedHistory) else "candles"
    size = store.one(f"SELECT pg_total_relation_size('{kept}'), (SELECT sum(rows) FROM series)")
    yield ["candles and their index, MB", f"{size[0] / 1e6:.0f}"]
    yield ["… bytes a candle", f"{size[0] / float(size[1]):.0f}"]


def upsert(url: str, market: Market) -> Iterator[list[str]]:
    """The usual way: one row a candle, and `ON CONFLICT DO UPDATE`, a transaction a page."""
    import sqlalchemy as sa
    from sqlalchemy.dialects.postgresql import insert

    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    names = ("open", "high", "low", "close", "volume")
    candles = sa.Table(
        "peer",
        sa.MetaData(),
        sa.Column("timestamp", sa.DateTime(True), primary_key=True),
        sa.Column("instrument", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Numeric(18, 8), nullable=False) for name in names),
    )
    candles.metadata.create_all(engine)
    statement = insert(candles)
    statement = statement.on_conflict_do_update(
        index_elements=["timestamp", "instrument"], set_={n: statement.excluded[n] for n in names}
    )
    took, cpu, count = 0.0, 0.0, 0
    while count < min(PEER_ROWS, len(market.time)):
        rows = market.rows(count, count + PAGE)
        began, worked = time.perf_counter(), time.process_time()
        values = [
            {
                "timestamp": datetime.fromtimestamp(at / 1000, UTC),
                "instrument": market.symbol,
                **dict(zip(names, n, strict=True)),
            }
            for at, *n in rows
        ]
        with engine.begin() as connection:
            connection.execute(statement, values)
        took, count = took + time.perf_counter() - began, count + len(rows)
        cpu += time.process_time() - worked
    random, start = np.random.default_rng(5), datetime.fromtimestamp(int(market.time[0]) / 1000, UTC)

    def read() -> object:
        since = start + timedelta(milliseconds=int(random.integers(0, count - PAGE)) * MINUTE)
        query = sa.select(candles).where(candles.c.instrument == market.symbol, candles.c.timestamp >= since)
        with engine.connect() as connection:
            return connection.execute(query.order_by(candles.c.timestamp).limit(5_000)).fetchall()

    yield ["SQLAlchemy's upsert from texts, rows/s", f"{count / took:,.0f}"]
    yield ["… of the client's CPU time", f"{count / cpu:,.0f}"]
    yield ["5,000 rows there, ms", f"{milliseconds(read):.2f}"]
    with engine.connect() as connection:
        size = connection.execute(sa.text("SELECT pg_total_relation_size('peer')")).scalar_one()
    yield ["bytes a candle there", f"{size / count:.0f}"]
    engine.dispose()


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the 6.84 million minutes")
    parser.add_argument("--layout", choices=("rows", "packed"), default="rows")
    options = parser.parse_args()
    for line in machine("numpy", "psycopg", "sqlalchemy"):
        print(line)
    markets = [
        made_up("BTC-PERPETUAL", int(4_674_240 * options.scale), "0.5", 740.0, 1),
        made_up("ETH-PERPETUAL", int(2_166_000 * options.scale), "0.05", 300.0, 2),
    ]
    with postgres_server(()) as server:
        url = server.emptied()
        store = open_postgres(
            replace(server.place(), layout=options.layout), lambda: time.time_ns() // 1_000_000
        )
        rows = [["PostgreSQL", store.one("SHOW server_version")[0].partition(" ")[0]]]
        rows += load(store, markets)
        store.vacuum()
        rows += [*answers(store, markets[0]), *by_sql(store)]
        store.close()
        if installed("sqlalchemy"):
            rows += upsert(url, markets[0])
    print()
    for line in table(["years on a PostgreSQL", ""], rows):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
