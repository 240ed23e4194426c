"""What somebody may have meant."""

from __future__ import annotations

import pytest

from livecache.model.naming import near_symbols

KNOWN = ["BTC-USD", "BTC-EUR", "ETH-USD", "ETH-BTC", "DOGE-USD", "NEAR-USD", "SOL-USD", "BTC-PERP-INTX"]


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("WRONG-USD", []),  # Its end alone is near to everything.
        ("NEW-USD", []),
        ("BTC-UDS", ["BTC-USD"]),
        ("BTC-EURO", ["BTC-EUR"]),
        ("EHT-USD", ["ETH-USD"]),
        ("BTCUSD", ["BTC-USD"]),
        ("btc-usd", ["BTC-USD"]),
        ("BTC/USD", ["BTC-USD"]),
        ("btc_usd", ["BTC-USD"]),
        ("DOGE", ["DOGE-USD"]),
        ("DOGGE-USD", ["DOGE-USD"]),
        ("", []),
    ],
)
def test_the_base_of_a_symbol_says_what_is_near(wrong: str, near: list[str]) -> None:
    assert near_symbols(wrong, KNOWN) == near


@pytest.mark.parametrize("wrong", ["BTC-USDT", "btcusdt", "BTC/USDT", "BTCUSDT", "btc_usdt"])
@pytest.mark.parametrize("there", ["BTC-USD", "BTCUSDT", "BTC/USDT", "BTC-USDT", "BTC_USDT"])
def test_however_a_venue_writes_its_symbols_what_others_write_is_near(wrong: str, there: str) -> None:
    if wrong != there:
        assert near_symbols(wrong, [there, "ETH-USD", "ETHUSDT", "ETH/USDT"]) == [there]


@pytest.mark.parametrize("wrong", ["BTC-USDT", "BTC/USDT", "BTC-USD"])
def test_a_pair_is_near_to_its_perpetual(wrong: str) -> None:
    assert near_symbols(wrong, ["BTC-PERPETUAL", "ETH-PERPETUAL"]) == ["BTC-PERPETUAL"]
