"""`livecache check --history`: each finding on stored years, as a user sees it, and none on sound ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from livecache.__main__ import main
from livecache.history.columns import Columns, runs_of
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Want
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.rollup import roll_up
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe, iso
from livecache.quality.history.findings import Kind
from livecache.quality.history.outliers import typical
from livecache.quality.history.peers import asset_of

from .conftest import Check
from .support import KEY, covered, market, minute, number_of, put
from .test_damage import cut


def walk(count: int, *, seed: int = 1, start: int = 0) -> list[ExactCandle]:
    """Minutes of a price that wanders, each traded."""
    random = np.random.default_rng(seed)
    closes = np.rint(50_000 * np.exp(np.cumsum(random.normal(0, 0.0005, count + 1)))).astype(int).tolist()
    wicks = random.integers(0, 20, (count, 2)).tolist()
    return [
        ExactCandle(
            minute(start + n),
            str(closes[n]),
            str(max(closes[n : n + 2]) + wicks[n][0]),
            str(min(closes[n : n + 2]) - wicks[n][1]),
            str(closes[n + 1]),
            f"{n % 7 + 1}.5",
        )
        for n in range(count)
    ]


def keep(store: SqliteHistory, rows: Sequence[ExactCandle], key: SeriesId = KEY) -> None:
    """Store these, and that there is nothing between them."""
    step = key.timeframe.ms
    span = Coverage([(rows[0].time, rows[-1].time + step)])
    store.commit(number_of(store, key), Columns.of(rows), span)


def changed(row: ExactCandle, **fields: str) -> ExactCandle:
    return msgspec.structs.replace(row, **fields)


def raised(row: ExactCandle) -> ExactCandle:
    """A tenth dearer."""
    opens, highs, lows, closes = (str(int(number) * 11 // 10) for number in row.numbers[:4])
    return ExactCandle(row.time, opens, highs, lows, closes, row.volume)


def kinds(report: Any, of: str = "findings") -> list[str]:
    return [finding["kind"] for finding in report[of]]


def test_sound_candles_are_clean_and_counted(check: Check, store: SqliteHistory) -> None:
    keep(store, walk(3_000))
    report = check()
    assert report["clean"] and report["findings"] == report["warnings"] == report["gaps"] == []
    (line,) = report["series"]
    assert line["series"] == ["venue", "BTC-USD", "1m"]
    assert (line["rows"], line["expected"], line["known"], line["missing"]) == (3_000, 3_000, 3_000, 0)
    assert line["known_percent"] == line["completeness_percent"] == 100
    assert (line["first"], line["last"]) == (minute(0), minute(2_999))


def test_what_was_never_asked_for_and_what_failed_is_missing(
    check: Check, store: SqliteHistory, series: int
) -> None:
    put(store, series, 0, 100)
    put(store, series, 160, 200)
    report = check("--strict", "--gap", "20")
    assert kinds(report) == ["missing"]
    (gap,) = report["gaps"]
    assert (gap["start"], gap["end"], gap["buckets"]) == (minute(100), minute(160), 60)
    assert "--since 2024-10-04T01:40Z --until 2024-10-04T02:40Z" in report["findings"][0]["remedy"]
    assert check("--gap", "61")["clean"], "a threshold hides what is shorter"
    assert check("--gap", "61")["series"][0]["missing"] == 60, "and it is counted all the same"
    store.submit([Want(series, minute(-100), minute(0))])
    first, _ = check("--gap", "20")["gaps"]
    assert (first["start"], first["buckets"]) == (minute(-100), 100), "asked for, and not there"
    store.list_since(series, minute(-30))
    assert {gap["buckets"] for gap in check("--gap", "20")["gaps"]} == {60, 30}, "nothing is older than that"
    assert check("--since", "2024-10-04T02:40Z")["series"][0]["missing"] == 0


def test_buckets_that_are_known_to_be_empty_are_a_warning(check: Check, store: SqliteHistory) -> None:
    rows = walk(500)
    keep(store, [*rows[:100], *rows[108:300], *rows[301:]])
    report = check("--gap", "5")
    assert report["clean"] and kinds(report, "warnings") == ["empty"]
    (gap,) = report["gaps"]
    assert (gap["kind"], gap["start"], gap["buckets"]) == ("empty", minute(100), 8)
    (line,) = report["series"]
    assert (line["empty"], line["known"], line["rows"], line["completeness_percent"]) == (9, 500, 491, 98.2)
    assert not check("--gap", "5", "--strict")["clean"]
    assert len(check()["gaps"]) == 2 and len(check("--top", "1")["gaps"]) == 1


@pytest.mark.parametrize(
    "fields",
    [{"high": "1"}, {"open": "99999"}, {"close": "0.5"}, {"low": "-3"}, {"volume": "-1"}, {"low": "0"}],
)
def test_a_candle_that_cannot_be_is_found(check: Check, store: SqliteHistory, fields: dict[str, str]) -> None:
    rows = walk(400)
    keep(store, [*rows[:200], changed(rows[200], **fields), *rows[201:]])
    report = check()
    assert kinds(report) == ["ohlcv"]
    assert report["findings"][0]["start"] == minute(200)
    assert report["findings"][0]["remedy"].endswith(
        "--since 2024-10-04T03:20Z --until 2024-10-04T03:21Z --force"
    )


def test_of_the_gaps_those_come_first_that_should_not_be(
    check: Check, store: SqliteHistory, series: int
) -> None:
    rows = walk(500)
    keep(store, [*rows[:100], *rows[108:300], *rows[301:]])
    store.uncover(series, covered(400, 402))
    (gap,) = check("--top", "1")["gaps"]
    assert (gap["kind"], gap["buckets"]) == ("missing", 2), "of longer ones it is known that they are empty"


def test_a_candle_between_two_buckets_is_found(check: Check, store: SqliteHistory) -> None:
    rows = walk(400)
    late = ExactCandle(rows[200].time + 1_000, *rows[200].numbers)
    keep(store, [*rows[:200], late, *rows[201:]])
    assert kinds(check()) == ["misaligned"]


def spike(rows: list[ExactCandle], at: int) -> list[ExactCandle]:
    close = str(int(rows[at].close) * 11 // 10)
    return [*rows[:at], changed(rows[at], close=close, high=close), *rows[at + 1 :]]


def test_what_stands_out_is_a_warning(check: Check, store: SqliteHistory) -> None:
    rows = spike(walk(5_000), 1_000)
    rows[2_000] = changed(rows[2_000], low="45000")
    rows[3_000] = changed(rows[3_000], volume="0")
    keep(store, rows)
    report = check()
    assert report["clean"] and kinds(report, "warnings") == ["outlier"] * 3
    back, wick, volume = report["warnings"]
    assert back["start"] == minute(1_000) and "is back at once" in back["message"]
    assert wick["start"] == minute(2_000) and "has a wick of" in wick["message"]
    assert volume["start"] == minute(3_000) and "without any volume" in volume["message"]
    assert kinds(check("--move", "1000", "--wick", "100000"), "warnings") == ["outlier"], "by volume alone"


def test_a_price_that_moves_and_stays_there_is_none(check: Check, store: SqliteHistory) -> None:
    rows = walk(2_000)
    keep(store, [*rows[:1_000], *map(raised, rows[1_000:])])
    assert check()["warnings"] == []


def test_the_median_of_the_moves_around_is_that_of_about_five_hundred() -> None:
    random = np.random.default_rng(3)
    sizes = np.abs(random.standard_t(3, 20_000)) * np.linspace(1, 50, 20_000)
    sizes[random.random(20_000) < 0.3] = 0
    moved = np.flatnonzero(sizes > 0)
    found = typical(sizes)
    for at in random.integers(0, len(moved), 300).tolist():
        near = [
            np.median(sizes[moved[max(0, at - before) : at - before + 500]]) for before in range(125, 376, 25)
        ]
        if 375 <= at < len(moved) - 500:
            assert min(near) * 0.9 <= found[moved[at]] <= max(near) * 1.1
    assert np.isinf(typical(sizes[:10])).all(), "of a few moves nothing is known"


def test_sums_of_minutes_are_compared_with_the_venues_own_hours(check: Check, store: SqliteHistory) -> None:
    rows = walk(60 * 50)
    hours = [roll_up(minute(60 * n), rows[60 * n : 60 * n + 60]) for n in range(50)]
    own = [hour for hour in hours if hour is not None]
    hourly = KEY._replace(timeframe=Timeframe.H1)
    keep(store, rows)
    keep(store, own, hourly)
    report = check()
    assert report["clean"] and report["sums_compared"] == 1
    own[7] = changed(own[7], volume="1.25")
    own[9] = changed(own[9], high="99999")
    keep(store, own, hourly)
    found = check()["findings"]
    assert [(one["kind"], one["start"]) for one in found] == [
        ("rollup", minute(7 * 60)),
        ("rollup", minute(9 * 60)),
    ]
    assert "add up to" in found[0]["message"] and "--timeframe 1h" in found[0]["remedy"]


def test_a_damaged_block_is_named_and_the_rest_is_judged(check: Check, store: SqliteHistory) -> None:
    keep(store, spike(walk(1_440 * 4), 5_000))
    cut(store.path)
    report = check()
    assert kinds(report) == ["damaged"] and kinds(report, "warnings") == ["outlier"]
    assert report["findings"][0]["remedy"] == "livecache history verify --heal"


def test_candles_beyond_what_is_known_are_told(check: Check, store: SqliteHistory, series: int) -> None:
    put(store, series, 0, 100)
    store.uncover(series, covered(40, 60))
    report = check("--gap", "15")
    assert kinds(report) == ["missing"] and kinds(report, "warnings") == ["unread"]


def test_a_move_that_one_venue_alone_shows_is_a_warning(check: Check, store: SqliteHistory) -> None:
    rows = walk(3_000)
    jump = 1_500
    with_jump = [*rows[:jump], *map(raised, rows[jump:])]
    keep(store, rows, SeriesId("one", "BTC-USD", Timeframe.M1))
    keep(store, with_jump, SeriesId("two", "BTCUSDT", Timeframe.M1))
    keep(store, walk(3_000, seed=9), SeriesId("two", "ETHUSDT", Timeframe.M1))
    assert check()["warnings"] == []
    report = check("--peers")
    assert report["clean"] and report["peers_compared"] == 1
    (found,) = report["warnings"]
    assert (found["kind"], found["series"][0], found["start"]) == ("peers", "two", minute(jump))
    assert "at one" in found["message"]
    keep(store, rows, SeriesId("two", "BTCUSDT", Timeframe.M1))
    assert check("--peers")["warnings"] == []


@pytest.mark.parametrize(
    ("symbol", "asset"),
    [
        ("BTC-USD", ("BTC", "USD")),
        ("BTC/USDT", ("BTC", "USD")),
        ("BTCUSDT", ("BTC", "USD")),
        ("BTC-PERPETUAL", ("BTC", "USD")),
        ("ETHBTC", ("ETH", "BTC")),
        ("ETH-BTC", ("ETH", "BTC")),
        ("BTC-27JUN25", ("BTC", "27JUN25")),
        ("BTCEUR", ("BTC", "EUR")),
        ("USDT", ("USDT", "USD")),
    ],
)
def test_one_asset_is_known_by_any_of_its_names(symbol: str, asset: tuple[str, str]) -> None:
    assert asset_of(symbol) == asset


def test_the_reports_are_files_too(
    check: Check, store: SqliteHistory, series: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(store, series, 0, 1_440, of=1)
    put(store, series, 1_500, 2_000)
    rows = market(2_000, 2_010, quiet=0)
    bad = [*rows[:5], changed(rows[5], high="1"), *rows[6:]]
    store.commit(series, Columns.of(bad), covered(2_000, 2_010))
    check("--output", "report", "--gap", "60")
    assert sorted(each.name for each in (tmp_path / "report").iterdir()) == [
        *("findings.csv", "gaps.csv", "months.csv", "ohlcv.csv"),
        *("report.html", "report.json", "report.txt", "series.csv"),
    ]
    tables = {
        name: list(csv.DictReader(io.StringIO((tmp_path / f"report/{name}.csv").read_text())))
        for name in ("series", "findings", "gaps", "ohlcv")
    }
    (gap,) = tables["gaps"]
    assert (gap["symbol"], gap["buckets"], gap["from"]) == ("BTC-USD", "60", "2024-10-05T00:00Z")
    assert [one["kind"] for one in tables["ohlcv"]] == ["ohlcv"]
    assert tables["series"][0]["rows"] == str(store.stats(series)[0].rows)
    text = (tmp_path / "report/report.txt").read_text()
    assert "venue:BTC-USD 1m" in text and "97.01 %" in text and "What would mend it:" in text
    capsys.readouterr()
    assert main(["check", "--history", "--history-url", "sqlite:///history.db", "--csv", "gaps"]) == 7
    assert capsys.readouterr().out.startswith("venue,symbol,timeframe,kind,start,end,buckets,from,to\n")


OUTAGE = Path(__file__).parents[2].parent / "shared/data/coinbase/BTC-USD_5m_2025-07-01_2025-11-15.csv"


@pytest.mark.skipif(not OUTAGE.exists(), reason="the real market data is not here")
def test_a_real_outage_is_all_that_is_wrong_with_real_candles(check: Check, store: SqliteHistory) -> None:
    rows = list(csv.reader(io.StringIO(OUTAGE.read_text())))[1:]
    times = (int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1000) for at, *_ in rows)
    columns = Columns.of(ExactCandle(time, *row[1:6]) for time, row in zip(times, rows, strict=True))
    key = KEY._replace(timeframe=Timeframe.M5)
    store.commit(number_of(store, key), columns, runs_of(columns.time, key.timeframe.grid))
    report = check()
    assert [(iso(one["start"]), iso(one["end"])) for one in report["findings"]] == [
        ("2025-10-25T14:55Z", "2025-10-25T15:00Z"),
        ("2025-10-25T15:15Z", "2025-10-25T21:00Z"),
    ]
    assert 0 < len(report["warnings"]) < 20, "of forty thousand few stand out"


def test_options_of_the_other_check_are_refused(
    store: SqliteHistory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", "--history", "--against-venue"]) == 2
    assert "--against-venue" in capsys.readouterr().err
    assert main(["check", "--peers"]) == 2
    assert "--history" in capsys.readouterr().err
    assert main(["check", "--history", "--history-url", "sqlite:///none.db"]) == 8
    assert main(["check", "--history", "--history-url", "sqlite:///history.db", "--csv", "hours"]) == 2
    assert "series, findings, gaps, ohlcv" in capsys.readouterr().err


def test_each_kind_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs/checking.md").read_text().partition("\n## Years")[2]
    assert page and [kind for kind in Kind if f"`{kind.value}`" not in page] == []
