"""The candles API of running services: live, with a dead venue, in a standby, over a restart."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import Any

from livecache import Reader
from livecache.simulator import ScriptedFaults
from livecache.simulator.trouble.script import Unreachable

from ..http.api import listening
from ..http.support import Answer, ask
from .support import exchange, free_port, livecache, market_of, until
from .test_http import ANYWHERE, FOREVER_S, comes, url_of

SERIES = "BTC-USD:5m"


def candles(url: str, query: str = "") -> Answer:
    return ask(url, f"/api/v1/candles?symbol=BTC-USD&timeframe=5m{query}")


def row(url: str) -> Any:
    """BTC-USD 5m in the table."""
    return next(one for one in ask(url, "/api/v1/series").content["series"] if one["timeframe"] == "5m")


def test_it_serves_what_readers_read_and_tells_what_happens_next(clean_valkey: str) -> None:
    with exchange(market_of("BTC-USD"), speed=60.0, update_ms=3_000) as venue:
        env = venue.settings(clean_valkey, CACHE_TIMEFRAMES="5m,15m")
        with livecache("run", env=env | ANYWHERE) as service:
            url = url_of(service)
            comes(url, 200, 200, 200)
            with listening(url, SERIES) as stream, Reader(clean_valkey) as reader:
                state = stream.event("state").data
                assert state["series"][0]["state"] == "ready"
                answer = candles(url, "&limit=60")
                expected = reader.candles("BTC-USD", "5m", 100)
                # A minute of this market is a second: what has closed in between may differ.
                rows = {row[0]: row for row in answer.content["candles"]}
                shared = [candle for candle in expected if candle.time in rows]
                assert len(shared) > 50
                assert all(rows[c.time] == [c.time, c.open, c.high, c.low, c.close, c.volume] for c in shared)
                forming = stream.event("forming").data
                assert forming["candle"][0] == forming["time"]
                closed = stream.event("closed")
                settled = until(
                    "the same bucket settles",
                    lambda: next(
                        (e for e in [stream.event("settled")] if e.data["time"] == closed.data["time"]), None
                    ),
                    60.0,
                )
                span = f"&from={closed.data['time']}&to={closed.data['time'] + 1}"
                stored = until(
                    "it can be read", lambda: next((a for a in [candles(url, span)] if a.status == 200), None)
                )
                assert stored.content["candles"] == [settled.data["candle"]]
            service.stop()
            assert service.errors == []


def test_a_dead_venue_is_told_plainly(clean_valkey: str) -> None:
    faults = ScriptedFaults()
    with exchange(faults=faults) as venue, livecache("run", env=venue.settings(clean_valkey) | ANYWHERE) as s:
        url = url_of(s)
        comes(url, 200, 200, 200)
        with listening(url, SERIES) as stream:
            until("the feed is up", lambda: stream.event("state").data["series"][0]["feed"] == "up", 60.0)
            faults.begin(Unreachable(lasts=FOREVER_S))
            until(
                "nobody vouches",
                lambda: stream.event("state").data["series"][0]["state"] == "stale",
                60.0,
            )
            refused = candles(url, "&limit=60")
            assert (refused.status, refused.content["kind"]) == (503, "stale")
            assert row(url)["feed"] == ""
            faults.end_all()
            until("all is well", lambda: stream.event("state").data["series"][0]["state"] == "ready", 60.0)
        s.stop()


def test_a_standby_serves_as_well_and_a_stream_goes_on_at_the_next_service(clean_valkey: str) -> None:
    with exchange(market_of("BTC-USD"), speed=60.0, update_ms=3_000) as venue, ExitStack() as stack:
        env = venue.settings(clean_valkey, CACHE_TIMEFRAMES="5m")
        leader = stack.enter_context(livecache("run", env=env | ANYWHERE))
        comes(url_of(leader), 200, 200, 200)
        standby = stack.enter_context(livecache("run", env=env | ANYWHERE))
        standby.event("lease_wait")
        url = url_of(standby)
        assert candles(url, "&limit=60").status == 200
        with listening(url, SERIES) as stream:
            before = stream.event("closed")
            leader.send(signal.SIGKILL)
            leader.ended()
            standby.event("lease_acquired")
            after = stream.event("closed")
            assert after.data["time"] > before.data["time"]
        standby.stop()
        third = stack.enter_context(livecache("run", env=env | ANYWHERE))
        comes(url_of(third), 200, 200, 200)
        with listening(url_of(third), SERIES, Last_Event_ID=before.id) as stream:
            assert stream.event("closed", "settled", "revised", "lost").name != "lost"
        third.stop()


def test_before_redis_answers_it_says_so() -> None:
    with exchange() as venue:
        env = venue.settings(f"redis://127.0.0.1:{free_port()}") | ANYWHERE
        with livecache("run", env=env) as service:
            url = url_of(service)
            for path in ("/api/v1/series", f"/api/v1/stream?series={SERIES}"):
                answer = ask(url, path)
                assert (answer.status, answer.content["kind"]) == (503, "redis_unavailable"), answer
            service.stop()
