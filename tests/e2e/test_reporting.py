"""The log records that people build dashboards and alarms on, with their names and fields."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest
import redis

from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe
from livecache.simulator import Answer, Faults, RequestRecord

from .support import Record, exchange, livecache, market_of, until

KEYS = Keyspace()
FOUR = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD")
TIMEFRAMES = ["5m", "15m", "1h", "4h", "1d"]
EVERY_RECORD = {"time", "level", "event", "message"}


def fields_of(record: Record) -> set[str]:
    """The record's own fields."""
    return set(record) - EVERY_RECORD


def check_progress(progress: Sequence[Record], total: int, errors: int = 0) -> None:
    """Every record is consistent in itself and with the one before it, and no tenth is passed over."""
    assert progress
    done_before, elapsed_before = 0, 0.0
    for record in progress:
        assert fields_of(record) == {"completed", "total", "percent", "elapsed", "rate", "eta", "errors"}
        done = record["completed"] + record["errors"]
        assert record["total"] == total
        assert done_before < done <= total
        assert record["percent"] == round(100 * done / total, 1)
        assert record["elapsed"] >= elapsed_before
        assert record["rate"] >= 0 and record["eta"] >= 0
        # One page can fill several series at once, but then they are all counted in one record.
        done_before, elapsed_before = done, record["elapsed"]
    assert progress[-1]["percent"] == 100.0
    assert progress[-1]["errors"] == errors


def test_a_back_fill_tells_its_start_its_progress_each_series_and_its_end(clean_valkey: str) -> None:
    with exchange(market_of(*FOUR)) as venue:
        env = venue.settings(clean_valkey, LOG_LEVEL="DEBUG")
        with livecache("backfill", env=env) as process:
            assert process.ended() == 0, process.story()
    (start,) = process.events("backfill_start")
    assert fields_of(start) == {"symbols", "timeframes", "total"}
    assert (start["symbols"], start["timeframes"], start["total"]) == (list(FOUR), TIMEFRAMES, 20)
    assert start["level"] == "INFO"

    progress = process.events("backfill_progress")
    check_progress(progress, total=20)
    steps = [b["percent"] - a["percent"] for a, b in itertools.pairwise(progress)]
    assert max(steps) <= 10.0, "at least every tenth"

    complete = process.events("backfill_symbol_complete")
    assert Counter((r["symbol"], r["timeframe"]) for r in complete) == Counter(
        (symbol, timeframe) for symbol in FOUR for timeframe in TIMEFRAMES
    ), "each series once"
    for record in complete:
        assert fields_of(record) == {"symbol", "timeframe", "count"}
        assert record["count"] >= 100
        assert record["level"] == "DEBUG"

    (end,) = process.events("backfill_complete")
    assert fields_of(end) == {"completed", "errors", "elapsed", "requests"}
    assert (end["completed"], end["errors"], end["requests"]) == (20, 0, 16)
    order = [record["event"] for record in process.records if record["event"].startswith("backfill_")]
    assert order[0] == "backfill_start" and order[-1] == "backfill_complete"


class DailyCandlesFail(Faults):
    """The exchange has an internal error when it is asked for daily candles of one product, so often."""

    def __init__(self, product: str, times: int) -> None:
        self._product = product
        self._left = times

    async def rest(self, request: RequestRecord, proceed: Callable[[], Awaitable[Answer]]) -> Answer | None:
        if self._left and (request.product, request.granularity) == (self._product, "ONE_DAY"):
            self._left -= 1
            return Answer(500, b'{"error":"INTERNAL","message":"planted"}')
        return await proceed()


def test_a_series_that_keeps_failing_says_why_and_when_it_is_tried_again_and_heals(clean_valkey: str) -> None:
    """Its trouble is its own: the others are filled, and live, long before."""
    faults = DailyCandlesFail("ETH-USD", times=5)
    with exchange(market_of(*FOUR), faults=faults) as venue:
        env = venue.settings(clean_valkey, LOG_LEVEL="DEBUG")
        with livecache("run", env=env) as service, redis.Redis.from_url(
            clean_valkey, decode_responses=True
        ) as client:  # fmt: skip

            def state() -> dict[str, str]:
                """The state hash of the failing series."""
                fields: dict[str, str] = client.hgetall(KEYS.state("ETH-USD", Timeframe.D1))
                return fields

            until(
                "the others are ready",
                lambda: sum(client.hget(k, "ready") == "1" for k in client.keys("*:state")) == 19,
            )
            assert len(service.events("backfill_task_failed")) < 5, "nobody waited for the failing one"
            until("it is failing", lambda: state().get("reason", "").startswith("failing: "))
            reason = state()["reason"]
            assert "HTTP 500: INTERNAL: planted" in reason
            assert "tried 5 times, next at 2026-10-01T12:0" in reason
            # What it says comes by another way than what Redis holds.
            until("five are told", lambda: len(service.events("backfill_task_failed")) >= 5)
            failed = service.events("backfill_task_failed")
            assert [r["attempt"] for r in failed] == [1, 2, 3, 4, 5]
            for record in failed:
                assert (record["symbol"], record["timeframe"]) == ("ETH-USD", "1d")
                assert record["level"] == "WARNING"
                assert "ETH-USD 1d: HTTP 500: INTERNAL: planted" in record["message"]
            (end,) = service.events("backfill_complete")
            assert (end["completed"], end["errors"]) == (19, 1)
            check_progress(service.events("backfill_progress"), total=20, errors=1)

            until("it heals by itself", lambda: state()["ready"] == "1")
            assert state()["reason"] == ""
            service.event("warm")
            service.stop()


class NobodyAnswersAtFirst(Faults):
    """Cuts the connection of the first requests for candles."""

    def __init__(self, times: int) -> None:
        self._left = times

    async def rest(self, request: RequestRecord, proceed: Callable[[], Awaitable[Answer]]) -> Answer | None:
        if self._left and request.granularity:
            self._left -= 1
            return None
        return await proceed()


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_the_traceback_of_a_failed_request_is_there_at_debug_only(clean_valkey: str, level: str) -> None:
    with exchange(market_of("BTC-USD"), faults=NobodyAnswersAtFirst(2)) as venue:
        env = venue.settings(clean_valkey, LOG_LEVEL=level, CACHE_TIMEFRAMES="5m")
        with livecache("backfill", env=env) as process:
            assert process.ended() == 0, process.story()
    traced = [record for record in process.records if "exception" in record]
    if level == "INFO":
        assert traced == [], "the line says it"
        assert process.events("venue_unreachable")
    else:
        untraced = [r for r in process.events("backfill_task_failed") if r not in traced]
        assert len(traced) == len(untraced) >= 1
        for record in traced:
            assert record["event"] == "backfill_task_failed"
            assert "Traceback (most recent call last)" in record["exception"]
            assert {"symbol", "timeframe", "attempt"} <= set(record)


def test_a_batch_size_bounds_how_many_requests_start_in_a_delay(clean_valkey: str) -> None:
    """Five a second, on the exchange's own log, though the rate alone would allow a hundred."""
    with exchange(market_of(*FOUR)) as venue:
        env = venue.settings(clean_valkey, BACKFILL_BATCH_SIZE=5, BACKFILL_BATCH_DELAY_MS=1000)
        with livecache("backfill", env=env) as process:
            assert process.ended() == 0, process.story()
        arrivals = [request.at for request in venue.requests]
        assert len(venue.candle_requests) == 16, "three pages a symbol and one to deepen"
    spans = [sixth - first for first, sixth in zip(arrivals, arrivals[5:], strict=False)]
    # A request starts a little before it arrives: by how much differs with how busy the machine is. At a
    # hundred a second these would be 0.05 s and 0.16 s.
    assert min(spans) > 0.2, spans
    assert 3 * 1.0 - 0.5 < arrivals[16] - arrivals[0] < 3 * 1.0 + 3.0, "and hardly slower than that"
