"""Kraken before the suite, by ccxt's own class of it: the newest 720 rows and the one in progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from livecache.clock import Clock
from livecache.model.grid import Grid
from livecache.model.timeframe import Timeframe
from livecache.venues.by_ccxt.settings import CcxtSettings
from livecache.venues.by_ccxt.venue import CcxtVenue
from tests.conformance.playing import PlayedFace

__all__ = ["KEPT", "KrakenFace", "settings_for"]

KEPT = 720


def settings_for(urls: Sequence[str], **more: Any) -> CcxtSettings:
    """What every exchange of ccxt's is tried with."""
    return CcxtSettings(rest_url=urls[0], request_timeout=5.0, requests_per_second=100.0, **more)


class KrakenFace(PlayedFace):
    """`tests.conformance.face.Face`, without a feed."""

    name, symbol, other = "kraken", "BTC/USDT", "ETH/USD"
    aliases: Mapping[str, str] = {}
    data = leaving = ""
    flag: tuple[str, str] | None = None
    bad_row = (rb'\[(\d{10}), "[\d.]+"', rb'[\1, "none"')
    grids: Mapping[Timeframe, Grid] = {
        Timeframe(t): Timeframe(t).grid for t in ("1m", "5m", "15m", "30m", "1h", "4h", "1d")
    }
    carried = Timeframe.M1
    pairs: Mapping[str, Any] = {"XBTUSDT": ("XBT", "USDT", symbol), "XETHZUSD": ("XETH", "ZUSD", other)}

    def answer(self, path: str, asked: Mapping[str, str]) -> Any:
        what = path.removeprefix("/0/public/")
        if what == "Time":
            return self.told({"unixtime": self.now() // 1000})
        if what == "AssetPairs":
            return self.told(
                {
                    id_: {
                        "altname": id_,
                        "base": base,
                        "quote": quote,
                        "pair_decimals": 1,
                        "status": "online",
                    }
                    for id_, (base, quote, _) in self.pairs.items()
                }
            )
        if what != "OHLC" or asked["pair"] not in self.pairs:
            return {"error": ["EQuery:Unknown asset pair"]}
        timeframe = next(t for t in self.grids if t.ms == int(asked["interval"]) * 60_000)
        newest = timeframe.grid.floor(self.now())
        since = max(int(asked.get("since", 0)) * 1000 + 1, newest - KEPT * timeframe.ms)
        rows = self.table(self.pairs[asked["pair"]][2], timeframe, since, newest + 1)
        wires = [[t // 1000, o, h, l, c, "0.0", v, 0] for t, o, h, l, c, v in rows]  # noqa: E741
        return self.told({asked["pair"]: wires, "last": newest // 1000})

    def told(self, result: Any) -> Any:
        return {"error": [], "result": result}

    def asked(self, message: str) -> tuple[bool, Sequence[str]]:
        raise AssertionError("there is no feed")

    def say(self, what: str, ids: Sequence[str] = (), row: Any = None, *, last: bool = False) -> str:
        raise AssertionError("there is no feed")

    def venue(self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock) -> CcxtVenue:
        return CcxtVenue(settings_for(urls, page_limit=600), name=name, now=now, clock=clock)
