"""`livecache export`: what a spreadsheet or a script gets."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from decimal import Decimal
from pathlib import Path

import pytest
import redis

from livecache.__main__ import main
from livecache.commands.look.export import COLUMNS, replacing
from livecache.errors import ConfigError

from .support import BUCKET, KEYS, NOW, fill, livecache

END = NOW // BUCKET * BUCKET


def exported(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, str]]:
    """The rows that went to stdout."""
    assert main(["export", *arguments]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_csv_has_a_row_for_each_candle_in_the_venues_digits(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, count=60, without=[58])
    fill(store, "ETH-USD", count=3)
    rows = exported(capsys)
    assert tuple(rows[0]) == COLUMNS
    assert [(row["symbol"], row["timeframe"]) for row in rows] == [("BTC-USD", "5m")] * 59 + [
        ("ETH-USD", "5m")
    ] * 3
    assert rows[58] == {
        "symbol": "BTC-USD",
        "timeframe": "5m",
        "time": str(END - BUCKET),
        "utc": "2025-10-09T08:50:00Z",
        "open": "104",
        "high": "106.5",
        "low": "103",
        "close": "105.25",
        "volume": "0.0001",
        "kind": "settled",
        "origin": "http://127.0.0.1",
    }


def test_what_to_export_can_be_chosen(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store, count=60, without=[58])
    fill(store, "ETH-USD")
    chosen = ("--symbols", "btc-usd", "--timeframes", "5m", "-n", "3")
    kinds = [row["kind"] for row in exported(capsys, *chosen, "--empty", "--forming")]
    assert kinds == ["empty", "settled", "forming"]
    assert [row["open"] for row in exported(capsys, *chosen, "--empty")][1:] == ["", "104"]
    assert [row["kind"] for row in exported(capsys, *chosen)] == ["settled"] * 3


def test_a_multiple_is_exported_as_what_it_adds_up_to(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, count=60, without=[58])
    rows = exported(capsys, "--timeframes", "10m,5m")
    parts, sums = rows[:59], rows[59:]
    assert {row["timeframe"] for row in parts} == {"5m"} and {row["timeframe"] for row in sums} == {"10m"}
    assert {row["kind"] for row in sums} == {"settled"} and len(sums) >= 29
    volumes = {row["time"]: row["volume"] for row in sums}
    for time, volume in volumes.items():
        within = [part for part in parts if int(time) <= int(part["time"]) < int(time) + 2 * BUCKET]
        assert Decimal(volume) == sum(Decimal(part["volume"]) for part in within)
    assert main(["export", "--timeframes", "10m", "--json", "-n", "2", "--forming"]) == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert series["timeframe"] == "10m" and len(series["candles"]) == 2
    assert series["known_through"] % (2 * BUCKET) == 0
    assert main(["export", "--timeframes", "7m"]) == 1
    store.delete(KEYS.alive("BTC-USD"))
    assert main(["export", "--timeframes", "10m", "--stale"]) == 1
    assert "not exported: BTC-USD 10m: coinbase:BTC-USD:10m: nobody vouches" in capsys.readouterr().err


def test_json_says_what_vouches_for_the_candles(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, count=60)
    assert main(["export", "--json", "-n", "2"]) == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert series == {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "timeframe": "5m",
        "origin": "http://127.0.0.1",
        "feed": "up",
        "contiguous_from": END - 60 * BUCKET,
        "settled_through": END,
        "known_through": END,
        "forming": END,
        "candles": [
            [END - 2 * BUCKET, 103, 105.5, 102, 104.25, 0.0001],
            [END - BUCKET, 104, 106.5, 103, 105.25, 0.0001],
        ],
    }


def test_what_a_reader_would_be_refused_is_not_exported_and_told(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, count=2)
    fill(store, "ETH-USD", count=2, vouched=False)
    fill(store, "SOL-USD", count=2)
    assert main(["export"]) == 1
    shown = capsys.readouterr()
    assert "ETH-USD" not in shown.out
    assert "not exported: ETH-USD 5m: coinbase:ETH-USD:5m: nobody vouches for it now" in shown.err
    assert "exported 4 candles of 2 series" in shown.err
    rows = exported(capsys, "--stale", "--symbols", "ETH-USD")
    assert [row["kind"] for row in rows] == ["settled"] * 2


def test_a_name_that_nobody_fills_is_told(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    assert main(["export", "--symbols", "BTC"]) == 1
    assert "did you mean BTC-USD?" in capsys.readouterr().err
    assert main(["export", "--timeframes", "1m"]) == 1
    assert "nobody fills such a series" in capsys.readouterr().err
    assert main(["export", "--timeframes", "5min"]) == 2


def test_a_file_is_there_whole(
    store: redis.Redis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, count=60)
    target = tmp_path / "candles.csv"
    target.write_text("of yesterday")
    assert main(["export", "-o", str(target)]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"exported 60 candles of 1 series to {target}" in shown.err
    assert target.read_text().count("\n") == 61
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["candles.csv"]


def test_a_file_is_never_half_written(tmp_path: Path) -> None:
    target = tmp_path / "candles.csv"
    target.write_text("of yesterday")

    def interrupted() -> None:
        with replacing(target) as out:
            out.write("half")
            out.flush()
            assert target.read_text() == "of yesterday"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_a_link_and_permissions_are_the_usual(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    with replacing(tmp_path / "link") as out:
        out.write("candles")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "candles"
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "other") as out:
            out.write("candles")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o640


def test_a_device_is_written_not_replaced(tmp_path: Path) -> None:
    with replacing(Path("/dev/null")) as out:
        out.write("candles")
    assert not Path("/dev/null").is_file()
    with (
        pytest.raises(ConfigError, match="cannot be written: No such file"),
        replacing(tmp_path / "no" / "x"),
    ):
        pass


def test_a_full_disk_is_no_bug(store: redis.Redis) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    fill(store)
    url = os.environ["LIVECACHE_REDIS_URL"]
    for output in (["-o", "/dev/full"], ["-o", "/dev/full", "--json"]):
        ended = livecache("export", "--redis-url", url, "--prefix", KEYS.prefix, *output)
        assert ended.returncode == 1
        assert "could not be written: No space left on device" in ended.stderr
        assert "Traceback" not in ended.stderr
