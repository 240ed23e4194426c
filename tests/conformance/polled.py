"""Exchanges before the suite by ccxt's own classes of them: Kraken, Bybit and OKX, each in its own words."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from livecache.clock import Clock
from livecache.model.grid import Grid
from livecache.model.timeframe import Timeframe
from livecache.venues.by_ccxt.settings import CcxtSettings
from livecache.venues.by_ccxt.venue import CcxtVenue
from tests.conformance.playing import PlayedFace, Row

__all__ = ["BybitFace", "KrakenFace", "OkxFace", "PolledFace", "settings_for"]


def settings_for(urls: Sequence[str], **more: Any) -> CcxtSettings:
    """What every exchange of ccxt's is tried with."""
    return CcxtSettings(rest_url=urls[0], request_timeout=5.0, requests_per_second=100.0, **more)


class PolledFace(PlayedFace):
    """`tests.conformance.face.Face`, without a feed. `ids` are the exchange's names of the symbols.

    `intervals` is how it calls the timeframes.
    """

    name = ""
    symbol, other = "BTC/USDT", "ETH/USD"
    aliases: Mapping[str, str] = {}
    data = leaving = ""
    flag: tuple[str, str] | None = None
    bad_row = (rb'\["(\d{13})", "[\d.]+"', rb'["\1", "none"')
    carried = Timeframe.M1
    ids: Mapping[str, str] = {}
    intervals: Mapping[str, Timeframe] = {}
    page_limit: int | None = None

    @property
    def grids(self) -> Mapping[Timeframe, Grid]:  # type: ignore[override]
        return {t: t.grid for t in self.intervals.values()}

    def asked(self, message: str) -> tuple[bool, Sequence[str]]:
        raise AssertionError("there is no feed")

    def say(self, what: str, ids: Sequence[str] = (), row: Row | None = None, *, last: bool = False) -> str:
        raise AssertionError("there is no feed")

    def venue(self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock) -> CcxtVenue:
        return CcxtVenue(
            settings_for(urls, page_limit=self.page_limit),
            name=name,
            now=now,
            clock=clock,
            jitter=lambda: 0.5,
        )

    @abstractmethod
    def answer(self, path: str, asked: Mapping[str, str]) -> Any: ...


def named(*names: tuple[str, str]) -> dict[str, Timeframe]:
    return {theirs: Timeframe(ours) for theirs, ours in names}


class KrakenFace(PolledFace):
    """The newest 720 rows and the one in progress, never older ones; `since` is exclusive."""

    name, kept, page_limit = "kraken", 720, 600
    bad_row = (rb'\[(\d{10}), "[\d.]+"', rb'[\1, "none"')
    ids: Mapping[str, str] = {"XBTUSDT": "BTC/USDT", "XETHZUSD": "ETH/USD"}
    intervals: Mapping[str, Timeframe] = named(
        ("1", "1m"), ("5", "5m"), ("15", "15m"), ("30", "30m"), ("60", "1h"), ("240", "4h"), ("1440", "1d")
    )

    def answer(self, path: str, asked: Mapping[str, str]) -> Any:
        what = path.removeprefix("/0/public/")
        if what == "Time":
            return _kraken({"unixtime": self.now() // 1000})
        if what == "AssetPairs":
            parts = {"XBTUSDT": ("XBT", "USDT"), "XETHZUSD": ("XETH", "ZUSD")}
            return _kraken(
                {i: {"altname": i, "base": b, "quote": q, "status": "online"} for i, (b, q) in parts.items()}
            )
        if what != "OHLC" or asked["pair"] not in self.ids:
            return {"error": ["EQuery:Unknown asset pair"]}
        timeframe = self.intervals[asked["interval"]]
        newest = timeframe.grid.floor(self.now())
        since = max(int(asked.get("since", 0)) * 1000 + 1, newest - self.kept * timeframe.ms)
        rows = self.table(self.ids[asked["pair"]], timeframe, since, newest + 1)
        wires = [[time // 1000, *prices, "0.0", volume, 0] for time, *prices, volume in rows]
        return _kraken({asked["pair"]: wires, "last": newest // 1000})


def _kraken(result: Any) -> Any:
    return {"error": [], "result": result}


class BybitFace(PolledFace):
    """At most 1,000 rows from the one that contains `start`, newest first."""

    name = "bybit"
    ids: Mapping[str, str] = {"BTCUSDT": "BTC/USDT", "ETHUSD": "ETH/USD"}
    intervals: Mapping[str, Timeframe] = named(
        *((str(m), t) for m, t in ((1, "1m"), (3, "3m"), (5, "5m"), (15, "15m"), (30, "30m"))),
        *((str(60 * h), f"{h}h") for h in (1, 2, 4, 6, 12)),
        ("D", "1d"),
    )

    def answer(self, path: str, asked: Mapping[str, str]) -> Any:
        what = path.removeprefix("/v5/market/")
        if what == "time":
            return self._told({"timeSecond": str(self.now() // 1000)})
        if what == "instruments-info" and asked["category"] == "spot":
            listed = [
                {"symbol": id_, "baseCoin": base, "quoteCoin": quote, "status": "Trading"}
                for id_, (base, quote) in ((i, s.split("/")) for i, s in self.ids.items())
            ]
            return self._told({"category": "spot", "list": listed})
        if what != "kline" or asked["symbol"] not in self.ids:
            return {"retCode": 10001, "retMsg": "params error", "result": {}, "time": self.now()}
        timeframe = self.intervals[asked["interval"]]
        start = timeframe.grid.floor(int(asked["start"]))
        rows = self.table(self.ids[asked["symbol"]], timeframe, start, self.now())[: int(asked["limit"])]
        wires = [[str(time), *numbers, "0"] for time, *numbers in reversed(rows)]
        return self._told({"category": "spot", "symbol": asked["symbol"], "list": wires})

    def _told(self, result: Any) -> Any:
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": self.now()}


class OkxFace(PolledFace):
    """The 300 newest rows of those older than `after` and newer than `before`, newest first.

    `candles` has the newest 1,440 only. `1D` would be Hong Kong's day, and is not known here.
    """

    name = "okx"
    ids: Mapping[str, str] = {"BTC-USDT": "BTC/USDT", "ETH-USD": "ETH/USD"}
    intervals: Mapping[str, Timeframe] = named(
        *((t, t) for t in ("1m", "3m", "5m", "15m", "30m")),
        *((f"{h}H", f"{h}h") for h in (1, 2, 4)),
        *(("6Hutc", "6h"), ("12Hutc", "12h"), ("1Dutc", "1d")),
    )

    def answer(self, path: str, asked: Mapping[str, str]) -> Any:
        what = path.removeprefix("/api/v5/")
        if what == "public/time":
            return _okx([{"ts": str(self.now())}])
        if what == "public/instruments" and asked["instType"] == "SPOT":
            return _okx(
                [
                    {"instId": i, "instType": "SPOT", "baseCcy": b, "quoteCcy": q, "state": "live"}
                    for i, (b, q) in ((id_, symbol.split("/")) for id_, symbol in self.ids.items())
                ]
            )
        if asked.get("instId") not in self.ids:
            return {"code": "51001", "msg": "Instrument ID doesn't exist", "data": []}
        if (timeframe := self.intervals.get(asked["bar"])) is None:
            return {"code": "51000", "msg": "Parameter bar error", "data": []}
        start, end = int(asked["before"]) + 1, int(asked["after"])
        if what == "market/candles":
            start = max(start, timeframe.grid.far_back(self.now(), 1_439))
        newest = self.table(self.ids[asked["instId"]], timeframe, start, end)[
            -min(300, int(asked["limit"])) :
        ]
        over = self.now()
        return _okx(
            [
                [str(time), *numbers, "0", "0", str(int(timeframe.grid.end(time) <= over))]
                for time, *numbers in reversed(newest)
            ]
        )


def _okx(data: Any) -> Any:
    return {"code": "0", "msg": "", "data": data}
