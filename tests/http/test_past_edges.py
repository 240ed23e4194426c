"""`/api/v1/candles` at the edges of what is known: nothing is left out there without a word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from livecache.equities.written import grid_text
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.http.past.bounds import Ask, bounds_of
from livecache.keys.keyspace import Keyspace
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.grid import SessionGrid
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served as ServedBy
from livecache.model.traits import Traits

from ..cache.test_sessions import D1, GRIDS, filled
from ..cache.test_sessions import put as put_warm
from ..core.test_calendar import ms
from ..core.test_other_grids import SYMBOL
from ..history.support import market, minute, number_of, put
from ..history.test_damage import cut
from .api import NOW, Served, served
from .support import ask
from .test_past import SOON, as_rows, candles, fetched, history, holds, rows

__all__ = ["history"]

TRAITS = Traits(
    served={Timeframe.M1: ServedBy(page=300, reach=1_000), Timeframe.H1: ServedBy(page=300)},
)

HOUR = 3_600_000


@pytest.fixture
def server(history: SqliteHistory, clean_valkey: str) -> Iterator[Served]:
    with served(clean_valkey, venues=["venue"], history=history.path, traits=TRAITS, now=SOON) as running:
        yield running


def test_what_nobody_has_fetched_since_is_missing_and_older_candles_do_not_stand_for_it(
    history: SqliteHistory, server: Served
) -> None:
    put(history, number_of(history), 0, 700)
    for query, end in (
        (f"&before={minute(2_000)}", 760),
        (f"&before={minute(759)}", 759),
        ("&adjust=none", 760),
    ):
        refused = candles(server, f"{query}&limit=100")
        assert (refused.status, refused.content["kind"]) == (503, "incomplete"), query
        answer = candles(server, f"{query}&limit=100&partial=true")
        assert answer.content["missing"] == [[minute(700), minute(end)]], query
        assert rows(answer) == as_rows(market(end - 100, 700))


def test_a_service_that_has_stopped_hearing_has_no_newest_candles_but_old_ones(
    history: SqliteHistory, server: Served, clean_valkey: str
) -> None:
    put(history, number_of(history), 0, 700)
    holds(clean_valkey, 640, 740)
    assert rows(candles(server, f"&from={minute(600)}")) == as_rows(market(600, 740))
    with redis.Redis.from_url(clean_valkey) as client:
        client.delete(Keyspace(venue="venue").alive("BTC-USD"))
    for query in (f"&from={minute(600)}", f"&from={minute(700)}"):
        assert candles(server, query).content["kind"] == "stale", query
    assert rows(candles(server, f"&from={minute(600)}&to={minute(740)}")) == as_rows(market(600, 740))
    refused = candles(server, f"&before={minute(900)}&limit=100")
    assert (refused.status, refused.content["missing"]) == (503, [[minute(740), minute(760)]])


def test_there_is_more_where_the_venue_tells_more_of_it_than_of_what_it_is_added_up_from(
    history: SqliteHistory, server: Served
) -> None:
    put(history, number_of(history), 0, 760)
    told = candles(server, f"&before={minute(760)}&limit=30&partial=true", "1h").content
    assert told["derived_from"] == "1m" and not told["exhausted"] and told["next_before"] == told["from"]
    told = candles(server, f"&before={minute(760)}&limit=30&partial=true", "45m").content
    oldest = TRAITS.oldest(Timeframe.M1, SOON)
    assert told["ends"] == "reach" and 0 <= told["from"] - oldest < 45 * 60_000, (
        "and no bucket that lacks a part"
    )


def test_what_holds_nothing_is_not_held(history: SqliteHistory, server: Served) -> None:
    put(history, number_of(history), 0, 760)
    status, _, headers = fetched(server, "&before=0")
    assert (status, headers["Cache-Control"]) == (200, "no-cache"), "more of it may be had in a moment"


def test_a_file_that_others_use_too_does_not_make_a_symbol_theirs(
    history: SqliteHistory, server: Served, clean_valkey: str
) -> None:
    other = SeriesId("other", "BTC-USD", Timeframe.M1)
    put(history, number_of(history, other), 0, 700, of=2)
    query = f"before={minute(500)}&limit=100"
    refused = candles(server, f"&{query}")
    assert (refused.status, refused.content["kind"]) == (404, "unknown_series"), "nor if Redis tells nothing"
    put(history, number_of(history), 0, 700)
    holds(clean_valkey, 640, 760)
    assert rows(candles(server, f"&{query}")) == as_rows(market(400, 500))
    theirs = ask(server.url, f"/api/v1/candles?symbol=other:BTC-USD&timeframe=1m&{query}")
    assert rows(theirs) == as_rows(market(400, 500, of=2)) and theirs.content["venue"] == "other"


def test_before_the_first_session_that_is_known_there_is_nothing_and_no_error() -> None:
    day = 86_400_000
    grid = SessionGrid((10 * day, 11 * day), (10 * day + 6 * HOUR, 11 * day + 6 * HOUR))
    known = Coverage([(10 * day, 11 * day + 6 * HOUR)])
    for before in (0, 1, 10 * day - 1, 10 * day, 10 * day + HOUR):
        found = bounds_of(
            *(grid, Ask("A", "1d", before=before)),
            known=known,
            kept=Coverage(),
            listed=0,
            oldest=0,
            final=0,
            now=12 * day,
        )
        assert found.span.start == found.span.end and found.next_before is None and not found.old, before


def test_shares_of_before_a_split_are_told_in_no_page_while_those_of_after_it_are_kept(
    history: SqliteHistory, store: Any, clean_valkey: str
) -> None:
    venue, grid = filled((D1,), "2026-11-29T12:00", candles=70), GRIDS[D1]
    put_warm(venue, store)
    key = SeriesId("coinbase", SYMBOL, D1)
    made = history.series(key, create=True, grid_text=grid_text(D1, grid, "XNYS"))
    times = grid.opens(ms("2025-01-01"), ms("2026-11-24"))
    candles = [venue.candle(D1, t) for t in times]
    old = [ExactCandle(c.time, *[f"{float(n) * 4:g}" for n in c.numbers]) for c in candles]
    assert made
    history.commit(made.id, Columns.of(old), Coverage([(grid.end_before(times[0]), grid.end(times[-1]))]))
    with served(clean_valkey, history=history.path) as running:
        query = f"/api/v1/candles?symbol={SYMBOL}&timeframe=1d&limit=100"
        for more in ("&before=2026-01-01", f"&before={NOW}", "&before=2026-01-01&adjust=none&partial=true"):
            refused = ask(running.url, query + more)
            assert (refused.status, refused.content["kind"]) == (503, "not_now"), more
            assert "split" in refused.content["detail"]
        refused = ask(running.url, query)
        assert (refused.status, refused.content["kind"]) == (503, "not_ready")
        assert "split" in refused.content["hint"]
        assert len(ask(running.url, query.replace("100", "70")).content["candles"]) == 70
        bars = ask(running.url, f"/udf/history?symbol={SYMBOL}&resolution=1D&to={NOW // 1000}&countback=100")
        assert bars.content["s"] == "error" and "split" in bars.content["errmsg"]


def test_what_is_damaged_is_put_aside_by_who_meets_it_and_is_missing_from_then_on(
    history: SqliteHistory, clean_valkey: str
) -> None:
    series = number_of(history)
    put(history, series, 0, 3_000)
    cut(history.path)
    with served(clean_valkey, venues=["venue"], history=history.path, traits=TRAITS, now=SOON) as running:
        damaged = candles(running, f"&before={minute(3_000)}&limit=3000&fill=false")
        assert (damaged.status, damaged.content["kind"]) == (503, "unreadable"), "nobody may change anything"
        refused = candles(running, f"&before={minute(3_000)}&limit=3000")
        assert (refused.status, refused.content["kind"]) == (503, "incomplete"), refused
        ((start, end),) = refused.content["missing"]
        whole = candles(running, f"&before={minute(3_000)}&limit=3000&partial=true")
        assert rows(whole) == [each for each in as_rows(market(0, 3_000)) if not start <= each[0] < end]
