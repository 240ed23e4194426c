"""The commands where several venues are filled under one prefix."""

from __future__ import annotations

import pytest

from livecache.commands.look.ready import meant_by
from livecache.commands.reading import choose_series, find_series, shown
from livecache.errors import UnknownSeries
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.quality.findings import Finding, Flaw
from livecache.quality.report import Report, together

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
