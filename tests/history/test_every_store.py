"""What every store promises beyond the model, in a file and on a server."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from livecache.errors import HistoryChanged, HistoryError, StoreUnusable
from livecache.history.columns import Columns
from livecache.history.records.log import LogEntry
from livecache.history.store import Commit, HistoryDatabase
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from .engines import Engine
from .support import KEY, MINUTE, HandClock, covered, market, minute, number_of, put, same


@pytest.fixture
def store(each_store: HistoryDatabase) -> HistoryDatabase:
    return each_store


def test_every_timeframe_has_room(store: HistoryDatabase) -> None:
    for timeframe in Timeframe:
        series = number_of(store, SeriesId("venue", "ETH-USD", timeframe))
        start = timeframe.floor(1_500_000_000_000)
        opens = timeframe.grid.opens(start, start + 2_000 * timeframe.ms)
        rows = [ExactCandle(time, "1.5", "2.25", "1", "1.5", str(n)) for n, time in enumerate(opens)]
        store.commit(series, Columns.of(rows), Coverage([(start, opens[-1] + 1)]))
        assert same(store.read(series, start, opens[-1] + 1).rows.candles(), rows)
    assert list(store.verify()) == []


def test_a_page_with_rows_beyond_what_it_covers_is_a_bug(store: HistoryDatabase, series: int) -> None:
    with pytest.raises(ValueError, match="beyond"):
        store.commit(series, Columns.of(market(0, 10, quiet=0)), covered(0, 9))
    assert store.coverage(series) == Coverage()


def test_each_series_is_there_once_with_its_own_revision_and_grid(store: HistoryDatabase) -> None:
    days = SeriesId("venue", "BTC-USD", Timeframe.D1)
    assert store.series(days) is None
    made = store.series(days, create=True, grid_text="86400000 from 28800000")
    assert made and made == store.series(days) == store.series(days, create=True)
    assert made.grid.floor(1_700_000_000_000) % Timeframe.D1.ms == 8 * Timeframe.H1.ms
    minutes = number_of(store)
    assert put(store, minutes, 0, 5).rev == 1 and put(store, minutes, 5, 9).rev == 2
    store.list_since(made.id, 1_600_000_000_000)
    assert [(each.key.timeframe, each.rev, each.listed) for each in store.all_series()] == [
        (Timeframe.M1, 2, None),
        (Timeframe.D1, 0, 1_600_000_000_000),
    ]


def test_what_changed_since_a_revision_is_told_without_reading_it(
    store: HistoryDatabase, series: int
) -> None:
    put(store, series, 0, 3_000)
    rev, nothing = store.changes(series, 1)
    assert (rev, nothing) == (1, Coverage())
    put(store, series, 1_500, 1_501, of=2)
    rev, changed = store.changes(series, 1)
    assert rev == 2 and changed.covers(minute(1_500), minute(1_501)) and minute(0) not in changed
    store.commit(series, Columns.of(()), covered(0, 3_000), replace=covered(0, 3_000))
    assert store.changes(series, 2)[1].covers(*minute_span(market(0, 3_000)))


def minute_span(rows: list[ExactCandle]) -> tuple[int, int]:
    return rows[-1].time, rows[-1].time + MINUTE


def test_an_answer_stays_true_while_its_revision_of_blocks_does(store: HistoryDatabase, series: int) -> None:
    put(store, series, 0, 3_000)
    before = store.read(series, minute(0), minute(1_000))
    put(store, series, 2_000, 2_010, of=2)
    assert store.read(series, minute(0), minute(1_000)).block_rev == before.block_rev
    store.commit(series, Columns.of(()), covered(0, 1_440), replace=covered(0, 1_440))
    after = store.read(series, minute(0), minute(1_000))
    assert after.block_rev > before.block_rev and len(after.rows) == 0


def test_batches_refuse_to_go_on_where_what_was_passed_has_been_revised(
    store: HistoryDatabase, series: int
) -> None:
    put(store, series, 0, 6_000)
    put(store, series, 9_000, 9_010)
    passing = store.batches(series, minute(0), minute(9_000), rows=1_000)
    first = next(passing)
    assert len(first.rows) > 1_000
    put(store, series, 9_020, 9_030)  # elsewhere
    next(passing)
    put(store, series, 3, 4, of=2) if market(3, 4) else put(store, series, 4, 5, of=2)
    with pytest.raises(HistoryChanged):
        next(passing)


def test_a_revised_candle_is_kept_as_it_was_with_where_the_new_one_came_from(
    store: HistoryDatabase, series: int, clock: HandClock
) -> None:
    old, new = market(0, 1, quiet=0), market(0, 1, of=2, quiet=0)
    store.commit(series, Columns.of(old), covered(0, 2))
    clock.now += 5_000
    store.commit(series, Columns.of(new), covered(0, 2), source="feed")
    late = market(1, 2, quiet=0)
    store.commit(series, Columns.of(late), covered(1, 2), source="BTC-USD.zip")
    found = store.revisions(series, minute(0), minute(2))
    assert [(r.rev, r.time, r.at, r.source) for r in found] == [
        (3, minute(1), clock.now, "BTC-USD.zip"),
        (2, minute(0), clock.now, "feed"),
    ]
    assert found[0].old is None, "it was known to be empty"
    assert found[1].old and ExactCandle(minute(0), *found[1].old).equals(old[0])


def test_a_reader_beside_a_writer_sees_whole_pages_only(
    store: HistoryDatabase, engine: Engine, clock: HandClock
) -> None:
    """Each page is of one price throughout, and is covered as a whole: nobody sees half of it."""
    series, pages = number_of(store), 40
    problems: list[str] = []
    over = threading.Event()

    def reading() -> None:
        with_its_own = engine.open(clock, read_only=True)
        while not over.is_set():
            answer = with_its_own.read(series, minute(0), minute(500 * pages))
            known = sum((end - start) // MINUTE for start, end in answer.coverage)
            if len(answer.rows) != known:
                problems.append(f"{len(answer.rows)} rows, {known} known")
            prices = answer.rows.close.scaled[: len(answer.rows) // 500 * 500].reshape(-1, 500)
            if (prices != prices[:, :1]).any():
                problems.append("half a page")
        with_its_own.close()

    thread = threading.Thread(target=reading)
    thread.start()
    for page in range(pages):
        price = str(page + 1)
        rows = [
            ExactCandle(minute(n), price, price, price, price, "1")
            for n in range(page * 500, page * 500 + 500)
        ]
        store.commit(series, Columns.of(rows), covered(page * 500, page * 500 + 500))
    over.set()
    thread.join()
    assert problems == []


def test_a_reader_can_change_nothing(
    store: HistoryDatabase, series: int, engine: Engine, clock: HandClock
) -> None:
    reader = engine.open(clock, read_only=True)
    with pytest.raises(StoreUnusable):
        put(reader, series, 0, 5)
    put(store, series, 0, 5)
    assert reader.coverage(series) == covered(0, 5)
    reader.close()


def test_what_is_kept_for_a_time_only_is_forgotten_then(
    store: HistoryDatabase, series: int, clock: HandClock
) -> None:
    put(store, series, 0, 10)
    put(store, series, 0, 10, of=2)
    store.log([LogEntry(clock.now, "INFO", "said", f"number {n}", series=series) for n in range(5)])
    assert store.revisions(series, 0, 1 << 60)
    store.tidy()
    assert store.revisions(series, 0, 1 << 60) and len(store.logged()) == 5
    clock.now += 31 * 86_400_000
    store.tidy()
    assert store.revisions(series, 0, 1 << 60) and store.logged() == []
    clock.now += 60 * 86_400_000
    store.tidy()
    assert store.revisions(series, 0, 1 << 60) == []
    assert store.read(series, 0, 1 << 60).rows.time.size, "candles are kept"


def test_exact_digits_and_floats_come_out_of_the_file(store: HistoryDatabase, series: int) -> None:
    row = ExactCandle(minute(0), "0.1", "12345678901234567.123456789012", "1e-9", "0.30", "0.000000010")
    store.commit(series, Columns.of([row]), covered(0, 1))
    back = store.read(series, minute(0), minute(1)).rows
    assert back.candles()[0].numbers == (
        *("0.1", "12345678901234567.123456789012", "0.000000001", "0.3", "0.00000001"),
    )
    floats = [column.floats()[0] for column in back.numbers]
    assert floats == list(map(float, row.numbers)) and back.time.dtype == np.int64


def test_two_writers_and_no_lost_row(store: HistoryDatabase, engine: Engine, clock: HandClock) -> None:
    series = number_of(store)
    second = engine.open(clock)

    def every_other(held: HistoryDatabase, first: int) -> None:
        for n in range(first, 40, 2):
            put(held, series, n * 100, n * 100 + 100)

    threads = [threading.Thread(target=every_other, args=pair) for pair in ((store, 0), (second, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.coverage(series) == covered(0, 4_000)
    assert same(store.read(series, 0, 1 << 60).rows.candles(), market(0, 4_000))
    assert list(store.verify()) == []
    second.close()


def test_committing_nothing_is_nothing(store: HistoryDatabase, series: int) -> None:
    assert store.commit(series, Columns.of(()), Coverage()) == Commit(0)
    assert store.series(KEY) == store.all_series()[0]


def test_what_is_copied_as_it_closes_was_known_minutes_later_and_not_before(
    store: HistoryDatabase, series: int, clock: HandClock
) -> None:
    """Backtests look back without seeing what came later: to the minute, not to the hour."""
    for n in range(30):
        clock.now = minute(n) + 95_000
        store.commit(series, Columns.of(market(n, n + 1, quiet=0)), covered(n, n + 1), source="feed")
    for n in range(30):
        known = store.read(series, 0, 1 << 60, as_of=minute(n) + 95_000).coverage
        assert known == covered(0, n + 1)
        assert store.read(series, 0, 1 << 60, as_of=minute(n) + 94_999).coverage == covered(0, n)
    (arrival,) = store.arrivals(series, minute(3), minute(4))
    assert (arrival.source, arrival.lag, arrival.coverage) == ("feed", 95_000, covered(0, 30))


def test_what_was_fetched_later_was_not_known_before(
    store: HistoryDatabase, series: int, clock: HandClock
) -> None:
    clock.now = minute(10_000)
    put(store, series, 0, 100)
    clock.now += 7_200_000
    put(store, series, 0, 200, of=2)
    was = store.read(series, 0, 1 << 60, as_of=minute(10_000))
    assert was.coverage == covered(0, 100) and same(was.rows.candles(), market(0, 100))
    assert store.read(series, 0, 1 << 60, as_of=minute(9_999)).coverage == Coverage()
    clock.now += 91 * 86_400_000
    store.tidy()
    with pytest.raises(HistoryError, match="not kept any more"):
        store.read(series, 0, 1 << 60, as_of=minute(10_000))
    assert store.read(series, 0, 1 << 60, as_of=clock.now).coverage == covered(0, 200)
