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
