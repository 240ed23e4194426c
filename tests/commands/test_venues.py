"""The commands where several venues are filled under one prefix."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from livecache.__main__ import main
from livecache.commands.look.ready import meant_by
from livecache.commands.reading import choose_series, find_series, shown
from livecache.errors import UnknownSeries
from livecache.keys.keyspace import LeaseRecord, encode_lease
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.quality.findings import Finding, Flaw
from livecache.quality.report import Report, together

from .support import KEYS, fill

M5, H1 = Timeframe.M5, Timeframe.H1
BTC, BTC_HOURS = SeriesId("coinbase", "BTC-USD", M5), SeriesId("coinbase", "BTC-USD", H1)
TWIN, ETH = SeriesId("other", "BTC-USD", M5), SeriesId("coinbase", "ETH-USD", M5)
UNIFIED = SeriesId("other", "BTC/USDT:USDT", M5)
THERE = [BTC, BTC_HOURS, ETH, TWIN, UNIFIED]


@pytest.mark.parametrize(
    ("symbol", "meant"),
    [
        ("coinbase:BTC-USD", BTC),
        ("other:btc-usd", TWIN),
        ("eth-usd", ETH),
        ("BTC/USDT:USDT", UNIFIED),
        ("other:BTC/USDT:USDT", UNIFIED),
    ],
)
def test_a_symbol_is_found_at_its_venue(symbol: str, meant: SeriesId) -> None:
    assert find_series(THERE, symbol, "5m") == meant
    assert choose_series(THERE, [symbol], [M5]) == [meant]
    assert meant_by([f"{symbol}:5m"], THERE) == [meant]


def test_a_check_of_several_venues_is_one_report_whose_remedies_name_the_venue() -> None:
    def report(clean: bool) -> Report:
        found = (
            []
            if clean
            else [Finding(Flaw.COUNT, "gone", "livecache repair BTC-USD 5m --all", "BTC-USD", "5m")]
        )
        return Report(
            clean=clean,
            checked_at="now",
            prefix="livecache",
            series=[],
            findings=found,
            advice=[],
            gaps=[],
            gaps_in_all=0,
            remedies=[finding.remedy for finding in found],
            rollups_compared=2,
        )

    both = together({"coinbase": report(True), "other": report(False)})
    assert (both.clean, both.rollups_compared) == (False, 4)
    assert both.findings[0].symbol == "other:BTC-USD"
    assert both.remedies == [both.findings[0].remedy] == ["livecache repair other:BTC-USD 5m --all"]


def test_what_several_have_and_what_none_has_is_told() -> None:
    with pytest.raises(UnknownSeries, match="BTC-USD is at coinbase and at other") as caught:
        find_series(THERE, "BTC-USD", "5m")
    assert "coinbase:BTC-USD or other:BTC-USD" in caught.value.hint
    with pytest.raises(UnknownSeries) as caught:
        find_series(THERE, "ETH/USD", "5m")
    assert "did you mean coinbase:ETH-USD?" in caught.value.hint
    with pytest.raises(UnknownSeries) as caught:
        find_series([BTC, ETH], "BTC/USD", "5m")
    assert "did you mean BTC-USD?" in caught.value.hint
    with pytest.raises(UnknownSeries) as caught:
        find_series(THERE, "other:BTC-USD", "1h")
    assert "of BTC-USD there are 5m" in caught.value.hint


def test_a_symbol_of_a_venue_stands_for_all_its_timeframes() -> None:
    assert meant_by(["coinbase:BTC-USD"], THERE) == [BTC, BTC_HOURS]
    assert shown(BTC, THERE) == "coinbase:BTC-USD"
    assert shown(BTC, [BTC, ETH]) == "BTC-USD"


# --- over a Redis of both

CONFIG = """
[venues.coinbase]
symbols = ["BTC-USD", "ETH-USD"]
[venues.other]
kind = "coinbase"
symbols = ["BTC-USD"]
"""
OTHER = replace(KEYS, venue="other")


@pytest.fixture
def both(store: redis.Redis, tmp_path: Path) -> redis.Redis:
    """Coinbase has two symbols, the other one of the same name, warming; each is written by somebody."""
    (tmp_path / "config.toml").write_text(CONFIG)
    fill(store)
    fill(store, "ETH-USD")
    fill(store, venue="other", count=9, ready=False, reason="warming up: 9 of 60")
    for keys in (KEYS, OTHER):
        store.set(keys.lease, encode_lease(LeaseRecord(f"host-7-{keys.venue}", 1)))
    return store


def test_status_has_all_venues_and_who_writes_each(
    both: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == 0
    told = capsys.readouterr().out
    assert "coinbase: host-7-coinbase writes, other: host-7-other writes" in told
    assert "coinbase:BTC-USD 5m" in told and "other:BTC-USD 5m" in told
    assert main(["status", "--json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert [row["venue"] for row in as_json["series"]] == ["coinbase", "coinbase", "other"]
    assert as_json["service"]["venues"]["other"]["instance"] == "host-7-other"


def test_ready_names_the_venue_of_what_is_not_and_the_one_that_has_nothing(
    both: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ready"]) == 1
    assert "other:BTC-USD 5m: warming up: 9 of 60" in capsys.readouterr().out
    assert main(["ready", "coinbase:BTC-USD"]) == 0
    both.delete(OTHER.candles("BTC-USD", M5))
    fill(both, venue="other")
    assert main(["ready"]) == 0
    both.delete(OTHER.series)
    capsys.readouterr()
    assert main(["ready"]) == 1
    assert "other: no series yet" in capsys.readouterr().out


def test_one_venue_without_a_writer_does_not_get_the_others_restarted(both: redis.Redis) -> None:
    both.delete(OTHER.lease)
    assert main(["ready", "--health"]) == 0, "what is written is warm"
    both.delete(KEYS.lease)
    assert main(["ready", "--health"]) == 1


def test_an_export_of_several_venues_has_a_column_for_them(
    both: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "-n", "1"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["venue"], row["symbol"]) for row in rows] == [
        *(("coinbase", "BTC-USD"), ("coinbase", "ETH-USD"), ("other", "BTC-USD")),
    ]
    assert main(["export", "-n", "1", "--symbols", "other:BTC-USD"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("other,BTC-USD,5m,")


def test_a_configuration_of_several_venues_is_counted(
    both: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "--check"]) == 0
    assert "(venues: 2, symbols: 3, timeframes: 5)" in capsys.readouterr().out


def test_a_check_where_nothing_is_configured_looks_at_whatever_is_filled(
    store: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of the demo of another exchange."""
    monkeypatch.chdir(tmp_path)
    fill(store, venue="other")
    store.sadd(OTHER.venues, "other")
    main(["check", "--json"])
    told = capsys.readouterr().out
    assert [series["symbol"] for series in json.loads(told)["series"]] == ["BTC-USD"]
    assert '"absent"' not in told
