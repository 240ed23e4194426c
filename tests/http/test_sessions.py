"""An exchange that closes, as the API tells of it."""

from __future__ import annotations

from typing import Any

from livecache.model.grid import read_grid

from ..cache.test_sessions import D1, GRIDS, H1, M5, filled, put
from ..core.test_calendar import ms
from .api import Served
from .support import ask


def test_an_answer_tells_the_sessions_that_its_buckets_lie_in(store: Any, server: Served) -> None:
    put(filled((M5, H1, D1), "2026-11-29T12:00", candles=200), store)
    for timeframe, grid in (("1h", GRIDS[H1]), ("1d", GRIDS[D1]), ("2h", GRIDS[H1].times(2))):
        path = f"/api/v1/candles?symbol=X-USD&timeframe={timeframe}"
        told = ask(server.url, f"{path}&limit=20").content
        times = [candle[0] for candle in told["candles"]]
        assert grid and times == [*grid.opens(times[0], told["known_through"])]
        assert times == [*read_grid(told["grid"]).opens(times[0], told["known_through"])]
        within = ask(server.url, f"{path}&from=2026-11-25&to=2026-11-28").content["candles"]
        assert [candle[0] for candle in within] == [*grid.opens(ms("2026-11-25"), ms("2026-11-28"))]
        assert ask(server.url, f"{path}&from=2026-11-28&to=2026-11-29").content["candles"] == []


def test_on_a_sunday_a_market_is_what_it_was_on_friday(store: Any, server: Served) -> None:
    put(filled((M5, H1, D1), "2026-11-29T12:00", candles=400), store)
    (market,) = ask(server.url, "/api/v1/markets").content["markets"]
    assert market["last_time"] == ms("2026-11-27T17:55")
    assert market["day_ago"] == market["last"] and set(market["closes"]) == {market["last"]}
    (hours,) = [
        row for row in ask(server.url, "/api/v1/series").content["series"] if row["timeframe"] == "1h"
    ]
    assert (hours["state"], hours["lag_ms"]) == ("ready", 0)
