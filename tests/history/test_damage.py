"""Damage is found, put aside and missing: no reader ever sees a wrong number."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from livecache.errors import DamagedBlock
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.coverage import Coverage

from .support import KEY, covered, market, minute, put, same

END = 1_440 * 4


def spoil(path: Path, sql: str, *values: object) -> None:
    db = sqlite3.connect(path)
    db.execute(sql, values)
    db.commit()
    db.close()


def flipped(path: Path) -> None:
    db, random = sqlite3.connect(path), Random(7)
    (data,) = db.execute(
        "SELECT data FROM blocks WHERE first <= ? AND last >= ?", (minute(1_500),) * 2
    ).fetchone()
    wrong = bytearray(data)
    wrong[random.randrange(len(wrong))] ^= 1 << random.randrange(8)
    db.close()
    spoil(path, "UPDATE blocks SET data = ? WHERE data = ?", bytes(wrong), data)


def cut(path: Path) -> None:
    spoil(path, "UPDATE blocks SET data = substr(data, 1, 60) WHERE block = 20001")


def emptied(path: Path) -> None:
    spoil(path, "UPDATE blocks SET data = x'' WHERE block = 20001")


def exchanged(path: Path) -> None:
    spoil(path, "UPDATE blocks SET data = (SELECT data FROM blocks WHERE block = 20002) WHERE block = 20001")


def of_later(path: Path) -> None:
    later = "CAST('LCB9' || substr(data, 5) AS BLOB)"
    spoil(path, f"UPDATE blocks SET data = {later} WHERE block = 20001")


DAMAGE = [flipped, cut, emptied, exchanged, of_later]


@pytest.mark.parametrize("harm", DAMAGE)
def test_a_damaged_block_is_refused_put_aside_and_fetched_again(
    store: SqliteHistory, series: int, harm: Callable[[Path], None]
) -> None:
    put(store, series, 0, END)
    harm(store.path)
    with pytest.raises(DamagedBlock, match=f"{KEY} from .* is damaged"):
        store.read(series, minute(0), minute(END))
    with pytest.raises(DamagedBlock):
        put(store, series, 1_500, END + 100, of=2)
    assert store.coverage(series) == covered(0, END), "a page is stored as a whole, or not at all"
    (found,) = store.verify()
    assert (found.block, found.series.key) == (20_001, KEY) and found.reason
    assert len(store.read(series, minute(0), minute(1_440)).rows), "the others can be read"

    assert [damage.block for damage in store.heal()] == [20_001]
    assert store.coverage(series) == Coverage([*covered(0, 1_440), *covered(2_880, END)])
    assert list(store.verify()) == [] and store.heal() == []
    (missing,) = store.coverage(series).missing(minute(0), minute(END))
    assert missing == (minute(1_440), minute(2_880))
    put(store, series, 1_440, 2_880)
    assert same(store.read(series, minute(0), minute(END)).rows.candles(), market(0, END))
    assert store.stats(series)[0].rows == store.stats(series)[0].series.rows


def test_rows_that_are_gone_are_noticed_and_all_is_fetched_again(store: SqliteHistory, series: int) -> None:
    put(store, series, 0, END)
    spoil(store.path, "DELETE FROM blocks WHERE block = 20001")
    (found,) = store.verify()
    assert found.block is None and "rows were stored" in found.reason
    store.heal(series)
    assert store.coverage(series) == Coverage()
    put(store, series, 0, END)
    assert same(store.read(series, minute(0), minute(END)).rows.candles(), market(0, END))
    assert list(store.verify()) == []


@pytest.mark.parametrize("wrong", ["last = last - 1", "rev = 1000"])
def test_what_is_told_beside_a_block_has_to_be_so(store: SqliteHistory, series: int, wrong: str) -> None:
    put(store, series, 0, END)
    spoil(store.path, f"UPDATE blocks SET {wrong} WHERE block = 20001")
    assert [damage.block for damage in store.heal()] == [20_001]


def test_what_was_written_well_meanwhile_is_left_alone(store: SqliteHistory, series: int) -> None:
    """Two processes find the same damage: only one puts it aside, and what came after stays."""
    put(store, series, 0, END)
    cut(store.path)
    (found,) = store.verify()
    store.heal()
    put(store, series, 1_440, 2_880)
    assert not store._set_aside(found)
    assert same(store.read(series, minute(0), minute(END)).rows.candles(), market(0, END))


def test_what_is_distrusted_is_read_by_nobody_until_a_page_brings_it(
    store: SqliteHistory, series: int
) -> None:
    put(store, series, 0, 100)
    store.uncover(series, covered(10, 20))
    answer = store.read(series, minute(0), minute(100))
    assert same(answer.rows.candles(), [*market(0, 10), *market(20, 100)])
    kept = market(10, 20)[1:]  # the venue has one candle less than before
    store.commit(series, Columns.of(kept), covered(10, 20))
    assert same(store.read(series, minute(0), minute(20)).rows.candles(), [*market(0, 10), *kept])
