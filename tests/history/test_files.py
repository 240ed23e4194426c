"""`livecache import` and `livecache export --history`: a file covers what it proves, and digits survive."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import sqlite3
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livecache.__main__ import main
from livecache.history.columns import Columns, Decimals
from livecache.history.files.candles import Candles, decimals_of, gathered, times_of
from livecache.history.files.reading import source_of
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe, iso

from .drawing import candles
from .support import KEY, MINUTE, START, covered, market, minute, number_of, opened, put, same

HOUR = 3_600_000
JANUARY = 1_704_067_200_000  # of 2024


class Place:
    """A directory with a history, and the commands on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.err = ""

    def run(self, *arguments: str) -> tuple[int, str]:
        code = main([*arguments, "--history-url", "sqlite:///history.db"])
        out, self.err = self._capsys.readouterr()
        return code, out

    def take(self, *arguments: str, code: int = 0) -> Any:
        """The report's lines of an import."""
        ended, out = self.run("import", *arguments, "--json")
        assert ended == code, self.err + out
        return json.loads(out)["files"]

    def held(self, symbol: str = "BTC-USD", timeframe: Timeframe = Timeframe.M1, venue: str = "venue") -> Any:
        """What is stored: candles, and what is known."""
        store = opened(self.folder)
        info = store.series(SeriesId(venue, symbol, timeframe))
        assert info is not None
        answer = store.read(info.id, 0, 1 << 50)
        store.close()
        return answer


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    monkeypatch.chdir(tmp_path)
    for name in ("LIVECACHE_HISTORY_URL", "LIVECACHE_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    return Place(tmp_path, capsys)


OF = ("--venue", "venue", "--symbol", "BTC-USD", "--timeframe", "1m")


def write(path: Path, rows: Sequence[ExactCandle], head: str = "time,open,high,low,close,volume") -> str:
    lines = [f"{row.time},{','.join(row.numbers)}" for row in rows]
    path.write_text("\n".join([head, *lines] if head else lines) + "\n")
    return path.name


def archive(
    folder: Path,
    name: str,
    rows: Sequence[ExactCandle],
    *,
    unit: int = 1,
    head: str = "",
    checksum: bool = True,
) -> str:
    """As exchanges publish them: twelve columns, and the sum beside it."""
    lines = [head] if head else []
    lines += [
        f"{row.time * unit},{','.join(row.numbers)},{(row.time + HOUR) * unit - 1},1.5,10,0.5,0.7,0"
        for row in rows
    ]
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name.replace(".zip", ".csv"), "\n".join(lines) + "\n")
    if checksum:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / f"{name}.CHECKSUM").write_text(f"{digest}  {name}\n")
    return name


def hours(count: int, start: int = JANUARY) -> list[ExactCandle]:
    return [
        ExactCandle(
            start + n * HOUR, f"{100 + n}.10", f"{102 + n}", f"{99 + n}.5", f"{101 + n}.25", "3.00000001"
        )
        for n in range(count)
    ]


# --- archives


@pytest.mark.parametrize("unit", [1, 1_000], ids=["ms", "us"])
@pytest.mark.parametrize("head", ["", "open_time,open,high,low,close,volume,close_time,a,b,c,d,ignore"])
def test_a_verified_archive_proves_its_whole_month(place: Place, unit: int, head: str) -> None:
    rows = hours(700)
    there = [*rows[:100], *rows[103:]]
    name = archive(place.folder, "BTCUSDT-1h-2024-01.zip", there, unit=unit, head=head)
    (line,) = place.take(name, "--venue", "venue")
    assert (line["inserted"], line["rejected"]) == (697, 0) and line["series"] == "venue:BTCUSDT 1h"
    held = place.held("BTCUSDT", Timeframe.H1)
    assert same(held.rows.candles(), there)
    assert held.coverage == Coverage([(JANUARY, JANUARY + 31 * 24 * HOUR)])


def test_one_without_a_checksum_proves_what_it_holds(place: Place) -> None:
    rows = hours(700)
    name = archive(place.folder, "BTCUSDT-1h-2024-01.zip", [*rows[:100], *rows[103:]], checksum=False)
    place.take(name, "--venue", "venue")
    expected = Coverage([(rows[0].time, rows[100].time), (rows[103].time, rows[-1].time + HOUR)])
    assert place.held("BTCUSDT", Timeframe.H1).coverage == expected


def test_one_with_another_checksum_is_refused_and_the_others_are_taken(place: Place) -> None:
    archive(place.folder, "BTCUSDT-1h-2024-01.zip", hours(100))
    archive(place.folder, "BTCUSDT-1h-2024-02.zip", hours(100, JANUARY + 31 * 24 * HOUR))
    (place.folder / "BTCUSDT-1h-2024-01.zip.CHECKSUM").write_text("0" * 64)
    wrong, right = place.take("BTCUSDT-1h-2024-01.zip", "BTCUSDT-1h-2024-02.zip", "--venue", "venue", code=1)
    assert "is not what BTCUSDT-1h-2024-01.zip.CHECKSUM says" in wrong["error"] and wrong["inserted"] == 0
    assert right["inserted"] == 100 and right["error"] == ""


def test_a_directory_is_all_that_is_in_it(place: Place) -> None:
    (place.folder / "archives").mkdir()
    for day in (1, 2, 3):
        rows = hours(24, JANUARY + (day - 1) * 24 * HOUR)
        archive(place.folder / "archives", f"BTCUSDT-1h-2024-01-{day:02}.zip", rows)
    assert [line["inserted"] for line in place.take("archives", "--venue", "venue")] == [24, 24, 24]
    assert place.held("BTCUSDT", Timeframe.H1).coverage == Coverage([(JANUARY, JANUARY + 72 * HOUR)])
    assert [line["inserted"] for line in place.take("archives", "--venue", "venue")] == [0, 0, 0]


# --- CSV


@pytest.mark.parametrize(
    ("head", "spell"),
    [
        ("time,open,high,low,close,volume", str),
        ("", str),
        ("timestamp,open,high,low,close,volume", lambda time: str(time // 1_000)),
        ("Date,Open,High,Low,Close,Volume", lambda time: iso(time)),
        ("unix,open,high,low,close,volume", lambda time: str(time * 1_000_000)),
        ("datetime,open,high,low,close,volume", lambda time: f"{datetime.fromtimestamp(time / 1000, UTC)}"),
    ],
)
def test_times_and_columns_are_understood(place: Place, head: str, spell: Callable[[int], str]) -> None:
    rows = market(0, 300)
    lines = [",".join((spell(row.time), *row.numbers)) for row in rows]
    (place.folder / "a.csv").write_text("\n".join([head, *lines] if head else lines))
    (line,) = place.take("a.csv", *OF)
    assert line["inserted"] == len(rows) and same(place.held().rows.candles(), rows)


def test_columns_in_another_order_below_a_note(place: Place) -> None:
    rows = market(0, 100)
    lines = [f"{r.volume},{r.close},x,{r.low},{r.high},{r.open},{r.time}" for r in rows]
    text = ["Timestamps are UTC", "volume,close,symbol,low,high,open,time", *lines]
    (place.folder / "a.csv").write_text("\n".join(text))
    place.take("a.csv", *OF)
    assert same(place.held().rows.candles(), rows)


def test_a_hole_in_a_file_stays_missing_unless_it_is_complete(place: Place) -> None:
    rows = [*market(0, 50, quiet=0), *market(60, 100, quiet=0)]
    name = write(place.folder / "a.csv", rows)
    place.take(name, *OF)
    assert place.held().coverage == Coverage([*covered(0, 50), *covered(60, 100)])
    (line,) = place.take(name, *OF, "--complete")
    assert (line["inserted"], line["same"]) == (0, 90) and place.held().coverage == covered(0, 100)


def test_what_cannot_be_believed_costs_its_own_bucket_and_is_told(place: Place) -> None:
    rows = [[str(row.time), *row.numbers] for row in market(0, 20, quiet=0)]
    rows[3][1] = "n/a"
    rows[5][2] = "1"  # a high below the low
    rows[7][0] = str(minute(7) + 1)
    rows[9][5] = "-4"
    rows[11] = rows[11][:4]
    rows[13][0] = "yesterday"
    (place.folder / "a.csv").write_text("\n".join(",".join(row) for row in rows))
    (line,) = place.take("a.csv", *OF, "--complete")
    assert (line["inserted"], line["rejected"]) == (14, 6) and len(line["notes"]) == 4
    held = place.held()
    lost = {3, 5, 7, 9, 11, 13}
    assert held.coverage.missing(minute(0), minute(20)) == Coverage((minute(n), minute(n + 1)) for n in lost)
    assert [each // MINUTE - START // MINUTE for each in held.rows.time.tolist()] == [
        n for n in range(20) if n not in lost
    ]


def test_what_was_in_progress_when_a_file_was_written_is_not_final(place: Place) -> None:
    name = write(place.folder / "a.csv", market(0, 16, quiet=0))
    os.utime(place.folder / name, (minute(15) / 1000 + 30,) * 2)
    (line,) = place.take(name, *OF, "--complete")
    assert (line["inserted"], line["rejected"]) == (15, 1) and "was not over" in line["notes"][0]
    assert place.held().coverage == covered(0, 15)


def test_what_is_still_to_come_is_not_final(place: Place) -> None:
    rows = hours(3, 4_000_000_000_000 // HOUR * HOUR)
    name = archive(place.folder, "BTCUSDT-1h-2096-10.zip", [*hours(2), *rows])
    (line,) = place.take(name, "--venue", "venue")
    assert (line["inserted"], line["rejected"]) == (2, 3)
    assert place.held("BTCUSDT", Timeframe.H1).coverage == Coverage([(JANUARY, JANUARY + 2 * HOUR)])


def test_disorder_is_put_right_repeats_are_one_and_contradictions_none(place: Place) -> None:
    rows = market(0, 30, quiet=0)
    other = ExactCandle(rows[9].time, "1", "1", "1", "1", "1")
    (line,) = place.take(write(place.folder / "a.csv", [*rows[15:], *rows[:15], rows[4], other]), *OF)
    assert (line["inserted"], line["repeated"], line["rejected"]) == (29, 1, 2)
    assert any("two candles of" in note for note in line["notes"])
    assert place.held().coverage == Coverage([*covered(0, 9), *covered(10, 30)])


def test_what_is_stored_stays_unless_it_is_forced(place: Place, store: SqliteHistory, series: int) -> None:
    put(store, series, 0, 100)
    own = market(0, 100)
    name = write(place.folder / "a.csv", market(50, 150, of=2))
    (line,) = place.take(name, *OF)
    assert line["inserted"] == len(market(100, 150, of=2)) and line["differ"] > 30
    assert same(place.held().rows.candles()[: len(own)], own)
    (line,) = place.take(name, *OF, "--force")
    assert line["revised"] > 30
    times = {row.time for row in market(50, 150, of=2)}
    expected = {row.time: row for row in [*own, *market(50, 150, of=2)]}
    assert same(place.held().rows.candles(), [expected[at] for at in sorted(expected)])
    (revised, *_) = store.revisions(series, min(times), max(times))
    assert revised.source == "a.csv"


def test_the_import_is_in_the_log_with_its_digest(place: Place) -> None:
    name = write(place.folder / "a.csv", market(0, 10))
    place.take(name, *OF)
    code, out = place.run("history", "log", "--json")
    (entry,) = json.loads(out)["entries"]
    digest = hashlib.sha256((place.folder / name).read_bytes()).hexdigest()
    assert code == 0 and entry["event"] == "imported" and json.loads(entry["detail"])["sha256"] == digest


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "a,b,c\n1,2,3\n", "has no head with open, high, low and close"),
        ("a.csv", "time,open,high,low,close\n1,2,3,4,5\n", "has no column 'volume'"),
        ("no.csv", None, "No such file"),
        ("a.zip", "PK\x03\x04 broken", "get it anew"),
        ("a.parquet", "PAR1 broken", "is no parquet file"),
        ("a.feather", "ARROW1 broken", "is no feather file"),
        ("a.db", "SQLite format 3\0 broken", "no table `candle`"),
    ],
)
def test_a_file_that_is_none_is_told_what_it_lacks(
    place: Place, name: str, text: str | None, says: str
) -> None:
    if name.endswith(("parquet", "feather")):
        pytest.importorskip("pyarrow")
    if text is not None:
        (place.folder / name).write_text(text)
    (line,) = place.take(name, *OF, code=1)
    assert says in line["error"]


def test_who_it_is_of_has_to_be_said(place: Place) -> None:
    write(place.folder / "a.csv", market(0, 10))
    (line,) = place.take("a.csv", "--venue", "venue", "--timeframe", "1m", code=1)
    assert "say --symbol" in line["error"]
    (line,) = place.take("a.csv", "--venue", "venue", "--symbol", "BTC-USD", code=1)
    assert "say --timeframe" in line["error"]
    assert place.run("import", "a.csv", "--venue", "No venue")[0] == 2


def test_days_begin_where_the_venue_has_them(place: Place) -> None:
    rows = [ExactCandle(minute(480 + 1_440 * n), "1", "2", "1", "2", "3") for n in range(5)]
    name = write(place.folder / "a.csv", rows)
    days = ("--symbol", "BTC-PERPETUAL", "--timeframe", "1d", "--venue")
    assert place.take(name, *days, "venue")[0]["rejected"] == 5
    assert place.take(name, *days, "deribit")[0]["inserted"] == 5


# --- numbers


@given(st.lists(st.decimals("0.00000001", "1e9", places=8), min_size=1, max_size=50))
def test_doubles_of_decimals_come_back_as_these(numbers: list[Decimal]) -> None:
    floats = np.array([float(each) for each in numbers])
    found = decimals_of(floats, None)
    assert found.floats().tolist() == floats.tolist()
    short = [each for each in numbers if len(each.normalize().as_tuple().digits) <= 15]
    if len(short) == len(numbers):
        assert [Decimal(text) for text in found.texts()] == numbers


@given(st.lists(st.floats(1e-12, 1e15), min_size=1, max_size=30))
def test_any_double_comes_back_to_the_bit(numbers: list[float]) -> None:
    assert decimals_of(np.array(numbers), None).floats().tolist() == numbers


def test_dust_is_rounded_away_where_it_is_asked_for() -> None:
    dusty = np.array([0.1 + 0.2, 1.1 * 1.1, 3.0, 0.0016200000000000001])
    assert decimals_of(dusty, 15).texts() == ["0.3", "1.21", "3", "0.00162"]
    assert decimals_of(dusty, None).floats().tolist() == dusty.tolist()
    assert decimals_of(np.array([1.00000000000001234]), 3).floats().tolist() == [1.00000000000001234]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), max_size=60),
    st.booleans(),
    st.integers(1, 20),
)
def test_any_order_of_rows_is_the_same_file(
    rows: list[tuple[int, int]], complete: bool, at_once: int
) -> None:
    """Against a model: a bucket of which all rows say the same is known, any other is not."""
    parts = []
    for first in range(0, len(rows), at_once):
        part = rows[first : first + at_once]
        texts = [[str(price) for _, price in part]] * 5
        parts.append(Candles(times_of([str(minute(n)) for n, _ in part]), texts))
    kept = gathered(parts, Timeframe.M1, Timeframe.M1.grid, whole=None, complete=complete)
    said: dict[int, set[int]] = {}
    for number, price in rows:
        said.setdefault(number, set()).add(price)
    good = sorted(number for number, prices in said.items() if len(prices) == 1)
    assert kept.rows.time.tolist() == [minute(number) for number in good]
    spans = [(minute(number), minute(number + 1)) for number in good]
    if complete and good:
        spans = [(minute(good[0]), minute(good[-1] + 1))]
    doubted = Coverage((minute(n), minute(n + 1)) for n, prices in said.items() if len(prices) > 1)
    assert kept.covered == Coverage(spans).without(doubted)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(candles(most=5), st.permutations(["time", "open", "high", "low", "close", "volume", "note"]))
def test_columns_in_any_order_hold_the_very_numbers(
    tmp_path: Path, drawn: list[ExactCandle], head: list[str]
) -> None:
    rows = [ExactCandle(row.time + START, *row.numbers) for row in drawn]
    lines = [head, *([str(getattr(row, name, "a.-/")) for name in head] for row in rows)]
    (tmp_path / "drawn.csv").write_text("\n".join(map(",".join, lines)))
    (part,) = source_of(tmp_path / "drawn.csv").parts()
    assert part.time.tolist() == [row.time for row in rows]
    for column, texts in zip(part.numbers, zip(*(row.numbers for row in rows), strict=True), strict=True):
        held = column if isinstance(column, Decimals) else Decimals.of(column)  # type: ignore[arg-type]
        assert not held.differ(Decimals.of(texts)).any()


# --- tables of others


def test_freqtrades_feather_and_parquet(place: Place) -> None:
    pa = pytest.importorskip("pyarrow")
    feather = pytest.importorskip("pyarrow.feather")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = market(0, 500)
    columns = {"date": pa.array([row.time for row in rows]).cast(pa.timestamp("ms", "UTC"))}
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = pa.array([float(getattr(row, name)) for row in rows])
    feather.write_feather(pa.table(columns), place.folder / "BTC_USDT-1m.feather", compression="lz4")
    (line,) = place.take("BTC_USDT-1m.feather", "--venue", "one", "--symbol", "BTC-USD")
    assert line["inserted"] == len(rows)
    assert same(place.held(venue="one").rows.candles(), rows), "what was printed, by its shortest text"
    parquet.write_table(pa.table(columns), place.folder / "a.parquet")
    place.take("a.parquet", "--venue", "two", "--symbol", "BTC-USD", "--timeframe", "1m")
    assert same(place.held(venue="two").rows.candles(), rows)
    exact = {
        name: column.cast(pa.decimal128(30, 8)) if name != "date" else column
        for name, column in columns.items()
    }
    parquet.write_table(pa.table(exact), place.folder / "b.parquet")
    place.take("b.parquet", "--venue", "three", "--symbol", "BTC-USD", "--timeframe", "1m")
    assert same(place.held(venue="three").rows.candles(), rows)


@pytest.mark.parametrize("number", [None, 1e-300, 1e300], ids=str)
def test_what_is_no_number_of_a_candle_costs_its_own_bucket(place: Place, number: float | None) -> None:
    rows = [[minute(n), 2.0, 3.0, 1.0, 2.0, 1e-7, "BTC-USD", "1m"] for n in range(5)]
    rows[2][5] = number
    with sqlite3.connect(place.folder / "jesse.db") as db:
        db.execute("CREATE TABLE candle (timestamp, open, high, low, close, volume, symbol, timeframe)")
        db.executemany("INSERT INTO candle VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    db.close()
    (line,) = place.take("jesse.db", *OF, "--complete")
    assert (line["inserted"], line["rejected"]) == (4, 1)
    assert place.held().coverage == Coverage([*covered(0, 2), *covered(3, 5)])


def test_jesses_table(place: Place) -> None:
    rows = market(0, 300)
    with sqlite3.connect(place.folder / "jesse.db") as db:
        db.execute(
            "CREATE TABLE candle (id TEXT PRIMARY KEY, timestamp BIGINT, open REAL, close REAL, high REAL,"
            " low REAL, volume REAL, exchange TEXT, symbol TEXT, timeframe TEXT)"
        )
        for n, (symbol, timeframe) in enumerate([("BTC-USD", "1m"), ("ETH-USD", "1m"), ("BTC-USD", "5m")]):
            db.executemany(
                "INSERT INTO candle VALUES (?, ?, ?, ?, ?, ?, ?, 'Any Exchange', ?, ?)",
                [
                    (
                        *(f"{n} {r.time}", r.time),
                        *map(float, (r.open, r.close, r.high, r.low, r.volume)),
                        *(symbol, timeframe),
                    )
                    for r in rows
                ],
            )
    db.close()
    (line,) = place.take("jesse.db", *OF)
    assert line["inserted"] == len(rows) and same(place.held().rows.candles(), rows)
    (line,) = place.take("jesse.db", *OF[:2], "--symbol", "SOL-USD", "--timeframe", "1m", code=1)
    assert "has no candles of SOL-USD 1m" in line["error"]


# --- and out again


def test_csv_goes_out_in_exact_digits_and_comes_back(place: Place, store: SqliteHistory, series: int) -> None:
    put(store, series, 0, 2_000)
    code, out = place.run("export", "--history", "--since", iso(minute(100)), "--until", iso(minute(1_900)))
    assert code == 0 and "1 series" in place.err
    lines = list(csv.DictReader(io.StringIO(out)))
    rows = market(100, 1_900)
    assert [int(line["time"]) for line in lines] == [row.time for row in rows]
    assert lines[0]["venue"] == "venue" and lines[0]["utc"] == iso(rows[0].time)
    (place.folder / "back.csv").write_text(out)
    place.take("back.csv", "--venue", "other", *OF[2:], "--complete")
    assert same(place.held(venue="other").rows.candles(), rows)
    assert place.run("export", "--history", "-o", "all.csv")[0] == 0
    assert (place.folder / "all.csv").read_text().count("\n") == 1 + len(market(0, 2_000)) + len(rows)


def test_parquet_and_feather_go_out_and_come_back(place: Place, store: SqliteHistory) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    dataset = pytest.importorskip("pyarrow.dataset")
    days = number_of(store, KEY._replace(symbol="BTC/USD", timeframe=Timeframe.D1))
    rows = [
        ExactCandle(JANUARY + n * 24 * HOUR, f"1{n}.5", f"1{n}.7", f"1{n}", f"1{n}.1", "2")
        for n in range(500)
    ]
    store.commit(days, Columns.of(rows), Coverage([(rows[0].time, rows[-1].time + 24 * HOUR)]))
    assert place.run("export", "--history", "--format", "parquet", "-o", "out")[0] == 0
    assert "500 candles" in place.err
    names = sorted(
        path.relative_to(place.folder / "out").as_posix() for path in place.folder.rglob("*.parquet")
    )
    hive = "venue=venue/timeframe=1d/symbol=BTC%2FUSD"
    assert names == [f"{hive}/year=2024/candles.parquet", f"{hive}/year=2025/candles.parquet"]
    table = dataset.dataset(place.folder / "out", partitioning="hive").to_table().to_pydict()
    assert len(table["close"]) == 500 and set(table["symbol"]) == {"BTC/USD"}
    assert sorted(table["close"]) == sorted(float(row.close) for row in rows)
    assert parquet.read_schema(place.folder / "out" / names[0]).names[0] == "time"
    assert place.run("export", "--history", "--format", "feather", "-o", "data")[0] == 0
    (made,) = (place.folder / "data").iterdir()
    assert made.name == "BTC_USD-1d.feather"
    place.take("data", "--venue", "back", "--symbol", "BTC/USD")
    assert same(place.held("BTC/USD", Timeframe.D1, "back").rows.candles(), rows)


def test_what_is_not_there_or_cannot_be_written_is_told(
    place: Place, store: SqliteHistory, series: int
) -> None:
    assert place.run("export", "--history")[0] == 1
    put(store, series, 0, 100)
    put(store, series, 200, 300)
    assert place.run("export", "--history")[0] == 0 and "100 buckets between them are missing" in place.err
    assert place.run("export", "--history", "--format", "parquet")[0] == 2
    assert "--output" in place.err
    assert place.run("export", "--history", "--json")[0] == 2 and "not with --history" in place.err
    assert main(["export", "--format", "feather"]) == 2
    assert place.run("export", "--history", "--symbols", "ETH-USD")[0] == 1


def test_wide_numbers_are_kept(place: Place) -> None:
    row = ExactCandle(
        minute(0), "1234567890123456789012.5", "1234567890123456789013", "0.000000000000000000001", "7", "0"
    )
    place.take(write(place.folder / "a.csv", [row]), *OF)
    assert same(place.held().rows.candles(), [row])
    assert isinstance(place.held().rows.high, Decimals)
