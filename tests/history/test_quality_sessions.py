"""`livecache check --history` of sessions: what a calendar expects, what the venue lacks, what stands out."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from livecache.__main__ import main
from livecache.equities.action import Action
from livecache.equities.calendar import Calendar, calendar_named
from livecache.equities.written import grid_text
from livecache.history.columns import Columns
from livecache.history.records.symbols import AboutSymbol
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Outcome, Want
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.grid import Grid
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.venues.venue import Instrument

from .conftest import Check
from .test_quality import changed, kinds

D1, H1, W1 = Timeframe.D1, Timeframe.H1, Timeframe.W1
KEY = SeriesId("shares", "AAPL", D1)
DATA = Path(__file__).parents[2].parent / "shared/data"


def calendar(name: str = "XNYS") -> Calendar:
    found = calendar_named(name)
    assert found
    return found


def ms(day: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def opens(start: str, end: str, timeframe: Timeframe = D1, name: str = "XNYS") -> list[int]:
    return [*calendar(name).grid(timeframe).opens(ms(start), ms(end))]


def wander(times: Sequence[int], *, seed: int = 1) -> list[ExactCandle]:
    """A price that moves by a hundredth from one to the next, and volumes of a like size."""
    random = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.01, len(times))))
    gaps, volumes = np.exp(random.normal(0, 0.003, len(times))), np.exp(random.normal(15, 0.4, len(times)))
    rows, last = [], 100.0
    for time, close, gap, volume in zip(times, closes.tolist(), gaps, volumes, strict=True):
        low, high = sorted((last * gap, close))
        o, h, l, c = (f"{each:.4f}" for each in (last * gap, high * 1.003, low * 0.997, close))  # noqa: E741
        rows.append(ExactCandle(time, o, h, l, c, f"{volume:.0f}"))
        last = close
    return rows


def times_as_much(row: ExactCandle, by: float) -> ExactCandle:
    o, h, l, c = (f"{float(each) * by:.4f}" for each in row.numbers[:4])  # noqa: E741
    return ExactCandle(row.time, o, h, l, c, row.volume)


def keep(
    store: SqliteHistory,
    rows: Sequence[ExactCandle],
    key: SeriesId = KEY,
    *,
    name: str = "XNYS",
    told: AboutSymbol | None = None,
) -> int:
    """Store these, and that there is nothing between them."""
    made = store.series(key, create=True, grid_text=name)
    assert made
    grid: Grid = made.grid
    span = (grid.end_before(rows[0].time), grid.end(rows[-1].time))
    store.commit(made.id, Columns.of(rows), Coverage([span]), replace=Coverage([span]), told=told)
    return made.id


def test_a_year_of_sessions_is_complete_and_a_holiday_is_no_gap(check: Check, store: SqliteHistory) -> None:
    keep(store, wander(opens("2025-11-25", "2026-11-25")))
    keep(store, wander(opens("2025-11-25", "2026-11-25", H1)), KEY._replace(timeframe=H1))
    report = check("--strict")
    days, hours = sorted(report["series"], key=lambda line: line["rows"])
    assert report["clean"] and report["months"] == report["gaps"] == report["notes"] == []
    assert (days["calendar"], days["rows"], days["expected"]) == ("XNYS", 251, 251)
    assert hours["rows"] == hours["expected"] == 7 * 251 - 3 * 2, "three days end at 13:00, after four hours"
    assert days["completeness_percent"] == hours["completeness_percent"] == 100
    assert report["sums_compared"] == 0, "an auction is in the day and in none of its hours"


def test_a_session_without_a_candle_is_absent_and_one_never_asked_for_missing(
    check: Check, store: SqliteHistory
) -> None:
    times = opens("2026-01-01", "2026-07-01")
    rows = wander(times)
    series = keep(store, [*rows[:30], *rows[32:]])
    grid = calendar().sessions
    store.uncover(series, Coverage([(grid.end_before(times[60]), grid.end(times[63]))]))
    report = check()
    assert kinds(report) == ["missing"] and sorted(kinds(report, "warnings")) == ["absent", "unread"]
    assert [(gap["kind"], gap["start"], gap["buckets"]) for gap in report["gaps"]] == [
        ("missing", times[60], 4),
        ("absent", times[30], 2),
    ]
    assert report["findings"][0]["remedy"].endswith("--since 2026-03-31T13:30Z --until 2026-04-06T20:00Z")
    (line,) = report["series"]
    assert (line["expected"], line["absent"], line["missing"], line["empty"]) == (123, 2, 4, 0)
    assert line["completeness_percent"] == round(100 * 117 / 123, 2)
    months = {month["month"]: month for month in report["months"]}
    assert {name: (month["rows"], month["expected"]) for name, month in months.items()} == {
        "2026-02": (17, 19),
        "2026-03": (21, 22),
        "2026-04": (18, 21),
    }
    assert (months["2026-02"]["absent"], months["2026-04"]["missing"]) == (2, 3)


def test_days_are_of_the_month_that_their_exchange_calls_them_by(check: Check, store: SqliteHistory) -> None:
    rows = wander(opens("2026-01-10", "2026-03-10", name="XASX"))
    gone = {ms("2026-01-31T23:00"), ms("2026-02-26T23:00")}  # Monday the 2nd and Friday the 27th, in Sydney
    kept = [row for row in rows if row.time + 3_600_000 not in gone and row.time not in gone]
    assert len(kept) < len(rows)
    keep(store, kept, name="XASX")
    assert {month["month"] for month in check()["months"]} == {"2026-02"}


def test_nothing_is_expected_before_the_listing(check: Check, store: SqliteHistory) -> None:
    times = opens("2026-03-02", "2026-07-01")
    series = keep(store, wander(times))
    store.submit([Want(series, ms("2025-07-01"), ms("2026-07-01"))])
    assert check()["series"][0]["completeness_percent"] < 50
    store.list_since(series, times[0])
    assert check("--strict")["series"][0]["completeness_percent"] == 100


def test_nothing_is_expected_before_the_day_that_a_page_calls_the_first(
    check: Check, store: SqliteHistory
) -> None:
    times, grid = opens("2026-01-02", "2026-07-01"), calendar().sessions
    about = Instrument(listed=times[60])
    keep(store, wander(times[60:]), told=AboutSymbol(times[-1] + D1.ms, about=about))
    (info,) = store.all_series()
    store.commit(info.id, Columns.of(()), Coverage([(grid.end_before(times[0]), grid.end(times[59]))]))
    report = check("--strict")
    assert report["clean"] and report["months"] == []
    (line,) = report["series"]
    assert (line["start"], line["listed"], line["expected"]) == (times[60], times[60], len(times) - 60)
    keep(store, [changed(row, high="1") for row in wander(times[:60])])
    assert len(kinds(check())) == 60, "candles of before are judged all the same"


def test_one_fill_mends_what_is_missing_of_shares_that_reach_as_far(
    check: Check, store: SqliteHistory, capsys: pytest.CaptureFixture[str]
) -> None:
    times, grid = opens("2026-01-01", "2026-07-01"), calendar().sessions
    for symbol, first in (("AA", 0), ("BB", 0), ("LATE", 50)):
        series = keep(store, wander(times[first:]), KEY._replace(symbol=symbol))
        hole = 70 if symbol == "AA" else 90
        store.uncover(series, Coverage([(grid.end_before(times[hole]), grid.end(times[hole + 1]))]))
    assert main(["check", "--history", "--history-url", "sqlite:///history.db"]) == 7
    mends = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  livecache")]
    assert [line.partition("--symbols ")[2] for line in mends] == [
        "AA,BB --timeframe 1d --since 2026-04-15T13:30Z --until 2026-05-14T20:00Z",
        "LATE --timeframe 1d --since 2026-05-13T13:30Z --until 2026-05-14T20:00Z",
    ]


def test_what_is_not_final_yet_is_counted_apart(check: Check, store: SqliteHistory) -> None:
    rows = wander(opens("2026-01-01", "2026-07-01"))
    series = keep(store, rows[:-2])
    shown: dict[int, ExactCandle | None] = {row.time: row for row in rows[-2:]}
    store.commit(series, Columns.of(()), Coverage(), shown=shown)
    store.submit([Want(series, ms("2026-01-01"), ms("2026-07-01"))])
    report = check("--strict")
    (line,) = report["series"]
    assert report["clean"] and report["months"] == []
    assert (line["rows"], line["provisional"], line["expected"], line["known"]) == (121, 2, 121, 121)
    assert line["completeness_percent"] == 100


def test_what_was_asked_for_in_vain_is_in_the_report_with_the_reason(
    check: Check, store: SqliteHistory
) -> None:
    made = store.series(KEY, create=True, grid_text="XNYS")
    assert made
    store.submit([Want(made.id, ms("2026-01-01"), ms("2026-07-01"))])
    report = check()
    assert kinds(report) == ["missing"] and report["series"][0]["expected"] == 123
    assert report["findings"][0]["message"].endswith(" are missing")
    job = store.claim("me")
    assert job
    store.settle(job.lease, Outcome.FAILED, "HTTP 404: it may be delisted")
    (found,) = check()["findings"]
    assert found["message"].endswith(" are missing, asked for in vain: HTTP 404: it may be delisted")


@pytest.mark.parametrize("own", [False, True])
def test_beyond_what_the_calendar_is_sure_of_nothing_is_missing(
    check: Check, store: SqliteHistory, own: bool
) -> None:
    through = calendar().through
    name = grid_text(D1, calendar().sessions, "OF ONE'S OWN", through) if own else "XNYS"
    year = ms("2028-01-01")
    times = calendar().sessions.opens(year, through)
    series = keep(store, wander(times), name=name)
    store.submit([Want(series, year, ms("2030-01-01"))])
    report = check("--strict")
    assert report["clean"] and kinds(report, "notes") == ["unknown"]
    assert report["notes"][0]["start"] >= through
    (line,) = report["series"]
    assert line["calendar"] == ("OF ONE'S OWN" if own else "XNYS")
    assert (line["rows"], line["missing"]) == (line["expected"], 0) and line["unknown"] > 240
    assert line["completeness_percent"] == 100
    store.submit([Want(series, ms("1962-01-01"), ms("2060-01-01"))])
    assert kinds(check()) == ["missing"], "and where the calendar ends altogether the check does not"


def test_a_candle_between_two_sessions_is_no_record(check: Check, store: SqliteHistory) -> None:
    rows = wander(opens("2026-01-01", "2026-07-01"))
    moved = ExactCandle(rows[40].time + 3_600_000, *rows[40].numbers)
    keep(store, [*rows[:40], moved, *rows[41:]])
    report = check()
    assert kinds(report) == ["misaligned"] and kinds(report, "warnings") == ["absent"]
    assert report["series"][0]["rows"] == 123 and report["series"][0]["completeness_percent"] < 100


@pytest.mark.parametrize("by", [2, 5, 0.1, 1.5, 100])
def test_a_move_as_by_a_split_that_nobody_told_of_is_a_warning(
    check: Check, store: SqliteHistory, by: float
) -> None:
    rows = wander(opens("2026-01-01", "2026-07-01"))
    keep(store, [*(times_as_much(row, by) for row in rows[:70]), *rows[70:]])
    report = check()
    assert report["clean"] and kinds(report, "warnings") == ["split"]
    (found,) = report["warnings"]
    assert found["start"] == rows[70].time
    assert "pence" in found["message"] if by == 100 else "no such one is known" in found["message"]
    assert found["remedy"].endswith("--since 2026-01-02T14:30Z --until 2026-04-15T13:30Z --force")


def test_a_split_is_found_in_few_sessions_too(check: Check, store: SqliteHistory) -> None:
    times = opens("2026-06-01", "2026-06-16")
    flat = [ExactCandle(time, "14.5", "14.5", "14.5", "14.5", "0") for time in times]
    keep(store, [*flat[:4], *(times_as_much(row, 0.01) for row in flat[4:7]), *flat[7:]])
    found = check()["warnings"]
    assert [one["start"] for one in found] == [times[4], times[7]], "days in pounds among such in pence"
    keep(store, wander(times))
    assert check("--strict")["clean"]


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (1.0, []),
        (5.0, ["which is known, and not applied to what lies before"]),
        (0.2, ["as if the split of 5 for 1 were applied twice before"]),
        (2.0, ["and no such one is known"]),
    ],
)
def test_a_known_split_that_is_not_applied_or_twice_is_told_as_that(
    check: Check, store: SqliteHistory, by: float, said: list[str]
) -> None:
    rows = wander(opens("2026-01-01", "2026-07-01"))
    split = Action(rows[71].time, "split", "5/1")  # a day late, as venues tell some
    shown = [*(times_as_much(row, by) for row in rows[:70]), *rows[70:]]
    keep(store, shown, told=AboutSymbol(rows[-1].time + D1.ms, (split,)))
    found = [one["message"] for one in check()["warnings"]]
    assert len(found) == len(said)
    assert all(message.endswith(end) for message, end in zip(found, said, strict=True))


def test_what_is_still_to_be_read_again_after_a_split_is_a_note(check: Check, store: SqliteHistory) -> None:
    rows = wander(opens("2026-01-01", "2026-07-01"))
    evening = rows[69].time + D1.ms // 2
    keep(store, [times_as_much(row, 5) for row in rows[:70]], told=AboutSymbol(evening))
    split = Action(rows[70].time, "split", "5/1")
    keep(store, rows[70:], told=AboutSymbol(rows[-1].time + D1.ms, (split,)))
    report = check("--strict")
    assert report["clean"] and kinds(report, "notes") == ["converted"]
    assert report["notes"][0]["end"] == rows[69].time + 23_400_000


def test_a_day_in_pence_stands_out_once(check: Check, store: SqliteHistory) -> None:
    rows = wander(opens("2026-01-01", "2026-07-01"))
    keep(store, [*rows[:70], times_as_much(rows[70], 100), *rows[71:]])
    assert kinds(check(), "warnings") == ["outlier"]


def test_moves_that_happen_are_no_splits(check: Check, store: SqliteHistory) -> None:
    rows = wander(opens("2026-01-01", "2026-07-01"))
    fallen = [*rows[:70], *(times_as_much(row, 0.58) for row in rows[70:])]
    keep(store, fallen)
    assert check("--strict")["clean"], "by 42 %: no whole ratio"
    steps = [times_as_much(row, 0.97 ** max(0, n - 60)) for n, row in enumerate(rows[:90])]
    keep(store, [*steps, *(times_as_much(row, 0.97**29) for row in rows[90:])])
    assert check("--strict")["clean"], "by a half, but day by day"


def test_a_session_with_next_to_no_volume_is_a_warning(check: Check, store: SqliteHistory) -> None:
    rows = wander(opens("2026-01-01", "2026-07-01"))
    rows[50] = changed(rows[50], volume="0", open="100", high="100", low="100", close="100")
    rows[80] = changed(rows[80], volume=str(int(rows[80].volume) // 40))
    rows[100] = changed(rows[100], volume=str(int(rows[100].volume) // 2))
    keep(store, rows)
    found = [one for one in check()["warnings"] if one["kind"] == "volume"]
    assert [one["start"] for one in found] == [rows[50].time, rows[80].time]
    assert "has a volume of 0, and none" in found[0]["message"] and "--force" in found[0]["remedy"]


# --- real data


def rows_of(path: Path, name: str) -> list[ExactCandle]:
    with path.open() as file:
        lines = list(csv.DictReader(file))
    found = []
    for line in lines:
        day = date.fromisoformat((line.get("Date") or line["Datetime"])[:10])
        time = calendar(name).session_on(day)
        assert time, f"{day} is no session of {name}"
        numbers = (line[field] for field in ("Open", "High", "Low", "Close", "Volume"))
        found.append(ExactCandle(time, *numbers))
    return sorted(found, key=lambda row: row.time)


@pytest.mark.skipif(not DATA.exists(), reason="the real market data is not here")
def test_a_real_split_that_was_not_applied_is_found_and_not_in_its_mended_twin(
    check: Check, store: SqliteHistory
) -> None:
    rows = rows_of(DATA / "venues/4063-T-1d-bad-stock-split.csv", "XTKS")
    keep(store, rows, name="XTKS")
    report = check()
    assert kinds(report, "warnings") == ["split"] and report["series"][0]["completeness_percent"] == 100
    assert (
        "opens at 4146 after a close of 20710: as by a split of 5 for 1" in report["warnings"][0]["message"]
    )
    keep(store, rows_of(DATA / "venues/4063-T-1d-bad-stock-split-fixed.csv", "XTKS"), name="XTKS")
    assert check("--strict")["clean"]


@pytest.mark.skipif(not DATA.exists(), reason="the real market data is not here")
def test_real_sound_days_with_dividends_are_clean(check: Check, store: SqliteHistory) -> None:
    keep(store, rows_of(DATA / "venues/CALM-1d-no-bad-divs.csv", "XNYS"))
    report = check("--strict")
    assert report["findings"] == [] and report["series"][0]["completeness_percent"] == 100
