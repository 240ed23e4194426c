"""What TradingView's own UDF adapter asks and how it reads the answers.

After `UDFCompatibleDatafeedBase`, `HistoryProvider`, `DataPulseProvider` and `Requester` of the public
`datafeeds/udf` that comes with the charting library, in its words of today (each method names its source).
It reads the body of an answer as JSON whatever the status is, and never sees the status.
"""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

__all__ = ["Adapter", "Bar", "Meta"]


class Bar(NamedTuple):
    """As the library is given it: `time` in ms."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Meta(NamedTuple):
    """`HistoryMetadata`."""

    no_data: bool
    next_time: int | None


class Adapter:
    """Over one connection; `asked` is what it has asked for."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        self._headers = dict(headers or {})
        self.asked: list[str] = []
        self.configuration = self.send("config")
        # `_setupWithConfiguration` throws otherwise.
        assert self.configuration["supports_search"] or self.configuration["supports_group_request"]

    def close(self) -> None:
        self._connection.close()

    def send(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """`Requester.sendRequest`: each value by `encodeURIComponent`."""
        query = "&".join(
            f"{name}={quote(_text(value), safe=_UNRESERVED)}" for name, value in (params or {}).items()
        )
        path = f"/udf/{path}{'?' if query else ''}{query}"
        self.asked.append(path)
        self._connection.request("GET", path, headers=self._headers)
        return json.loads(self._connection.getresponse().read())

    def server_time(self) -> int:
        """`getServerTime`: `parseInt` of the parsed body."""
        return int(self.send("time"))

    def search(self, text: str, exchange: str = "", kind: str = "") -> list[dict[str, Any]]:
        """`searchSymbols`: in capitals, 30 at most; an answer with `s` is an error, and finds nothing."""
        found = self.send("search", {"limit": 30, "query": text.upper(), "type": kind, "exchange": exchange})
        return [] if isinstance(found, dict) and "s" in found else found

    def resolve(self, name: str) -> dict[str, Any] | None:
        """`resolveSymbol`: None is `unknown_symbol`, which any answer with `s` is."""
        told = self.send("symbols", {"symbol": name})
        if "s" in told:
            return None
        return {
            **told,
            "has_intraday": told.get("has_intraday", False),
            "minmov": told.get("minmovement", told.get("minmov", 0)),
            "supported_resolutions": told.get(
                "supported_resolutions", self.configuration["supported_resolutions"]
            ),
            "has_daily": told.get("has_daily", True),
            "intraday_multipliers": told.get("intraday_multipliers", ["1", "5", "15", "30", "60"]),
        }

    def bars(
        self,
        symbol: Mapping[str, Any],
        resolution: str,
        start: float,
        end: float,
        count: int | None = None,
    ) -> tuple[list[Bar], Meta]:
        """`HistoryProvider.getBars`. Raises ValueError with `errmsg`, as the library's onError gets it."""
        params: dict[str, Any] = {
            "symbol": symbol.get("ticker", ""),
            "resolution": resolution,
            "from": start,
            "to": end,
        }
        if count is not None:
            params["countback"] = count
        told = self.send("history", params)
        if told.get("s") not in ("ok", "no_data"):
            raise ValueError(told["errmsg"])
        if told["s"] == "no_data":
            return [], Meta(True, told.get("nextTime"))
        columns = (told[name] for name in "tohlcv")
        return [Bar(row[0] * 1000, *row[1:]) for row in zip(*columns, strict=True)], Meta(False, None)

    def pulse(self, symbol: Mapping[str, Any], resolution: str, now_s: int) -> list[Bar]:
        """`DataPulseProvider._updateDataForSubscriber`: every ten seconds the newest two bars."""
        return self.bars(symbol, resolution, now_s - _length_s(resolution, 10), now_s, 2)[0]


_UNRESERVED = "-_.!~*'()"


def _text(value: Any) -> str:
    """As `toString` has it: a whole number without a point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _length_s(resolution: str, count: int) -> float:
    """`periodLengthSeconds`, which reckons in days, and so in fractions of seconds."""
    days = {"D": 1, "1D": 1, "W": 7, "1W": 7, "M": 31, "1M": 31}.get(resolution)
    many = count * days if days else count * int(resolution) / (24 * 60)
    return math.nan if many is None else many * 24 * 60 * 60
