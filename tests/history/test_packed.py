"""Candles that a server keeps in arrays: the same views, a tenth of the room, and damage is found."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import psycopg
import pytest

from livecache.errors import DamagedBlock
from livecache.history.columns import Columns
from livecache.history.opening import open_history
from livecache.history.postgres.store import PackedHistory
from livecache.history.store import HistoryDatabase
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage

from .drawing import any_number, candle
from .engines import Engine
from .pg import Postgres
from .support import HandClock, covered, market, minute, number_of, put, same

END = 1_440 * 2


@pytest.fixture
def store(packed: Engine, clock: HandClock) -> HistoryDatabase:
    return packed.open(clock)


def rows_of(postgres: Postgres, sql: str) -> list[ExactCandle]:
    with psycopg.connect(postgres.url("packed")) as db:
        found = db.execute(f"SELECT time, open, high, low, close, volume FROM {sql} ORDER BY time").fetchall()
    return [ExactCandle(int(time.timestamp() * 1000), *map(str, numbers)) for time, *numbers in found]


def test_the_view_and_the_function_give_every_candle_to_the_digit(
    store: HistoryDatabase, series: int, postgres: Postgres
) -> None:
    """Where numbers are too long for arrays of integers, too, and next to such blocks."""
    random = Random(3)
    long = [candle(random, minute(n), any_number) for n in range(1_440, 1_500)]
    store.commit(series, Columns.of(market(0, 1_440) + long), covered(0, 1_500))
    put(store, series, 1_500, END + 100)
    put(store, number_of(store, store.info(series).key._replace(symbol="ETH-USD")), 0, 50, of=2)
    truth = store.read(series, 0, 1 << 60).rows.candles()
    assert same(rows_of(postgres, "ohlcv WHERE symbol = 'BTC-USD'"), truth)
    since, until = (datetime.fromtimestamp(minute(n) / 1000, UTC) for n in (100, 1_450))
    part = rows_of(postgres, f"ohlcv_of('BTC-USD', '1m', '{since}', '{until}')")
    assert same(part, [row for row in truth if minute(100) <= row.time < minute(1_450)])
    store.close()


def test_what_is_asked_of_one_symbol_unpacks_no_others(
    store: HistoryDatabase, series: int, postgres: Postgres
) -> None:
    """There may be thousands, and one that cannot be unpacked hides nothing of them."""
    put(store, series, 0, 2_000)
    other = number_of(store, store.info(series).key._replace(symbol="ETH-USD"))
    put(store, other, 0, 50)
    with psycopg.connect(postgres.url("packed")) as db:
        db.execute("UPDATE blocks SET times[1] = 9000000000000000000 WHERE series = %s", (other,))
    assert same(rows_of(postgres, "ohlcv WHERE symbol = 'BTC-USD'"), market(0, 2_000))
    with pytest.raises(psycopg.DataError, match="out of range"):
        rows_of(postgres, "ohlcv WHERE symbol = 'ETH-USD'")
    store.close()


def test_who_reads_need_not_know_how_it_is_kept(
    store: HistoryDatabase, series: int, postgres: Postgres, clock: HandClock
) -> None:
    put(store, series, 0, 100)
    for read_only in (True, False):
        other = open_history(postgres.place("packed"), clock, read_only=read_only)
        assert isinstance(other, PackedHistory)
        assert same(other.read(series, 0, 1 << 60).rows.candles(), market(0, 100))
        other.close()
    store.close()


@pytest.mark.parametrize(
    "harm", ["gaps = gaps[2:]", "times[9] = times[9] + 1", "times = NULL", "unit = 'NaN'", "opens = '{1}'"]
)
def test_a_block_that_somebody_changed_is_put_aside_and_fetched_again(
    store: HistoryDatabase, series: int, postgres: Postgres, harm: str
) -> None:
    put(store, series, 0, END)
    block = minute(0) // (1_440 * 60_000)
    with psycopg.connect(postgres.url("packed")) as db:
        db.execute(f"UPDATE blocks SET {harm} WHERE block = {block}")
    (found,) = store.verify()
    assert found.block == block
    if not harm.startswith("times[9]"):
        with pytest.raises(DamagedBlock, match="is damaged"):
            store.read(series, 0, 1 << 60)
    store.heal()
    assert store.coverage(series) == covered(1_440, END) and list(store.verify()) == []
    put(store, series, 0, 1_440)
    assert same(store.read(series, 0, 1 << 60).rows.candles(), market(0, END))
    store.close()


def test_minutes_of_a_usual_market_take_a_tenth_of_the_room(store: HistoryDatabase, series: int) -> None:
    random, price, rows = Random(5), 7_000, []
    for n in range(20_000):
        last, price = price, max(1_000, price + random.randint(-9, 9))
        low, high = min(last, price) - random.randint(0, 3), max(last, price) + random.randint(0, 3)
        numbers = [str(Decimal(each) / 2) for each in (last, high, low, price)]
        rows.append(ExactCandle(minute(n), *(*numbers, f"{random.expovariate(1):.8f}")))
    store.commit(series, Columns.of(rows), Coverage([(minute(0), minute(20_000))]))
    assert same(store.read(series, 0, 1 << 60).rows.candles(), rows)
    assert store.stats(series)[0].bytes / len(rows) < 11
    store.close()
