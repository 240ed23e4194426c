"""What its markets differ in: where they are, how long their pages are, and what these cost.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MARKETS", "Market"]


class Market(NamedTuple):
    """One of its markets."""

    rest_url: str
    ws_url: str
    api: str  # what the paths of its history begin with
    stream: str  # the path of its feed
    page: int  # rows in a page
    weight: int  # what such a page costs
    list_weight: int  # what its list of symbols costs, however few are asked for
    weight_a_minute: int  # what an address may use; its list of symbols tells it anew
    streams: int  # on one connection
    frames_per_s: int  # that a client may send, pongs included
    lighter: tuple[tuple[int, int], ...] = ()  # pages of up to so many rows that cost less
    lists_few: bool = False  # whether its list can be asked for some symbols only
    list_asks: tuple[tuple[str, str], ...] = ()  # for less in its list


MARKETS: dict[str, Market] = {
    # These hosts serve market data only, and are open where others are not.
    "spot": Market(
        rest_url="https://data-api.binance.vision",
        ws_url="wss://data-stream.binance.vision",
        api="/api/v3",
        stream="/stream",
        page=1000,
        weight=2,
        list_weight=20,
        weight_a_minute=6000,
        streams=1024,
        frames_per_s=5,
        lists_few=True,
        list_asks=(("showPermissionSets", "false"),),  # most of 17 MB
    ),
    # A page of up to 1500 costs 10: half as many candles for the weight. Its feed moved in 2026: the former
    # path, without /market, still takes subscriptions, acknowledges them, and sends no candle.
    "usdm": Market(
        rest_url="https://fapi.binance.com",
        ws_url="wss://fstream.binance.com",
        api="/fapi/v1",
        stream="/market/stream",
        page=499,
        weight=2,
        lighter=((99, 1),),
        list_weight=1,
        weight_a_minute=2400,
        streams=200,
        frames_per_s=10,
    ),
    "us": Market(
        rest_url="https://api.binance.us",
        ws_url="wss://stream.binance.us:9443",
        api="/api/v3",
        stream="/stream",
        page=1000,
        weight=2,
        list_weight=10,
        weight_a_minute=1200,
        streams=1024,
        frames_per_s=5,
        lists_few=True,
    ),
}
