"""Both readers, and the example of an indicator service, over a service that runs on a simulated exchange."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from typing import Any

import pytest
import redis

from livecache import Candle, CloseEvent, Timeframe
from livecache.model.candle import ExactCandle
from livecache.model.series import SeriesId

from ..cache.either import KINDS, either
from .support import NOON, ROOT, Process, exchange, livecache, market_of, until
from .truth import Truth, series_of

SYMBOLS = ("BTC-USD", "ETH-USD")
TIMEFRAMES = ("5m", "15m")
SERIES = series_of(SYMBOLS, TIMEFRAMES)
BTC = SERIES[0]
BEFORE_A_CLOSE = NOON + 10 * 60_000  # 12:11: buckets of 15m close after four seconds


def as_read(candle: ExactCandle) -> Candle:
    """The candle that a reader should get."""
    return Candle(candle.time, *map(float, candle.numbers))


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_was_there_before_the_service_sees_it_warm_up_and_go_live(
    kind: str, clean_valkey: str
) -> None:
    truth = Truth(market_of(*SYMBOLS))
    wanted = [(series.symbol, series.timeframe, 60) for series in SERIES]
    with (
        exchange(market_of(*SYMBOLS), speed=60, start_ms=BEFORE_A_CLOSE) as venue,
        either(kind, clean_valkey, max_lag=1_800) as reader,
        livecache("run", env=venue.settings(clean_valkey, CACHE_TIMEFRAMES="5m,15m")) as service,
    ):
        warm = reader.wait_ready(wanted)
        assert {series: len(candles) for series, candles in warm.items()} == dict.fromkeys(SERIES, 60)
        assert sorted(reader.series()) == sorted(SERIES)

        with closing(reader.follow("BTC-USD", "5m", 60)) as answers:
            seen = list(islice(answers, 5))
        through = [candles.known_through for candles in seen]
        assert through == sorted(through) and through[-1] > through[0]
        for candles in seen:
            settled = [candle for candle in candles if candle.time < candles.settled_through]
            assert settled == [as_read(truth.candle(BTC, candle.time)) for candle in settled]
            assert [c.time for c in candles] == list(range(candles[0].time, candles.known_through, 300_000))

        end = reader.candles("BTC-USD", "5m", 1, settled=True).settled_through
        hour = reader.range("BTC-USD", "5m", end - 3_600_000, end, settled=True)
        assert list(hour) == [
            as_read(truth.candle(BTC, time)) for time in range(end - 3_600_000, end, 300_000)
        ]
        assert reader.latest("BTC-USD", "15m").time % Timeframe.M15.ms == 0
        assert all(len(candles) == 30 for candles in reader.many([(*w[:2], 30) for w in wanted]).values())
        forming = until("it is in progress", lambda: forming_of(reader))
        assert forming.forming == forming.known_through

        status = reader.status()
        assert status.alive and status.connected and status.writer == status.instance
        assert status.symbols == {"BTC-USD": "up", "ETH-USD": "up"}
        assert abs(status.time - status.last_message) < 600_000

        announced = events_until(reader, all_settled_and(BTC, end))
        check_announced(announced, truth)
        # Who resumes in the middle gets the rest, as it was.
        middle = len(announced) // 2
        with closing(reader.closes(after=announced[middle].id)) as events:
            assert list(islice(events, len(announced) - middle - 1)) == announced[middle + 1 :]
        service.stop()


def forming_of(reader: Any) -> Any:
    """An answer with the bucket in progress, once something has been traded in it."""
    candles = reader.candles("BTC-USD", "5m", 10, forming=True)
    return candles if len(candles) == 11 else None


def all_settled_and(last: SeriesId, time: int) -> Callable[[CloseEvent], bool]:
    """Whether a bucket of each series was settled, and this event is of `last`, at that time or later."""
    waited_for = set(SERIES)

    def enough(event: CloseEvent) -> bool:
        if event.kind != "settled":
            return False
        waited_for.discard(event.series)
        return not waited_for and event.series == last and event.time >= time

    return enough


def events_until(reader: Any, last: Callable[[CloseEvent], bool]) -> list[CloseEvent]:
    """All events from the beginning to the first that is so."""
    events = []
    with closing(reader.closes(after="0")) as coming:
        for event in coming:
            events.append(event)
            if last(event):
                return events
    raise AssertionError("it never ends")


def check_announced(events: list[CloseEvent], truth: Truth) -> None:
    """Every settled bucket since the first was announced, with what was traded."""
    for series in SERIES:
        settled = [e for e in events if e.series == series and e.kind == "settled"]
        times = [event.time for event in settled]
        assert times == list(
            range(times[0], times[0] + len(times) * series.timeframe.ms, series.timeframe.ms)
        )
        assert [event.candle for event in settled] == [as_read(truth.candle(series, t)) for t in times]
    assert {event.kind for event in events} == {"closed", "settled"}


def test_a_follower_misses_nothing_while_the_server_restarts_empty(clean_valkey: str) -> None:
    """FLUSHALL and cut connections: the service writes everything again, and the follower goes on."""
    with (
        exchange(market_of(*SYMBOLS), speed=60, start_ms=BEFORE_A_CLOSE) as venue,
        either("sync", clean_valkey, max_lag=1_800) as reader,
        livecache("run", env=venue.settings(clean_valkey, CACHE_TIMEFRAMES="5m,15m")) as service,
        redis.Redis.from_url(clean_valkey) as store,
    ):
        service.event("warm")
        with closing(reader.follow("BTC-USD", "5m", 60)) as answers:
            before = next(answers).known_through
            store.flushall()
            store.client_kill_filter(_type="normal", skipme=True)
            store.client_kill_filter(_type="pubsub")
            through = [candles.known_through for candles in islice(answers, 3)]
        assert through == sorted(through) and through[-1] > before
        service.stop()


# --- the example


def expected_macd(closes: list[float]) -> tuple[float, float]:
    """The textbook's: every average is a weighted sum, the first value standing for all before it."""

    def average(values: list[float], span: int) -> float:
        keep = 1 - 2 / (span + 1)
        newest_first = values[::-1]
        weighted = [(1 - keep) * keep**age * value for age, value in enumerate(newest_first[:-1])]
        return math.fsum([*weighted, keep ** (len(values) - 1) * values[0]])

    macds = [average(closes[: n + 1], 12) - average(closes[: n + 1], 26) for n in range(len(closes))]
    return macds[-1], average(macds, 9)


def test_the_example_computes_a_macd_at_every_close_and_says_when_it_cannot(clean_valkey: str) -> None:
    truth = Truth(market_of(*SYMBOLS))
    example = [
        sys.executable,
        str(ROOT / "docs" / "examples" / "macd.py"),
        *SYMBOLS,
        "--timeframes",
        "5m,15m",
    ]
    with exchange(market_of(*SYMBOLS), speed=60, start_ms=BEFORE_A_CLOSE) as venue:
        macd = Process(example, {"LIVECACHE_REDIS_URL": clean_valkey}, ROOT)
        try:
            own = {"CACHE_TIMEFRAMES": "5m,15m", "CACHE_INDICATORS": "macd(12,26,9)"}
            with livecache("run", env=venue.settings(clean_valkey, **own)) as service:

                def settled(series: SeriesId) -> list[dict[str, Any]]:
                    lines = [json.loads(line) for line in list(macd.output)]
                    of_it = (series.symbol, series.timeframe)
                    return [
                        line
                        for line in lines
                        if (line["symbol"], line["timeframe"]) == of_it and line.get("settled")
                    ]

                until("settled values of all", lambda: all(len(settled(s)) >= 2 for s in SERIES), 60)
                service.stop()
            for series in SERIES:
                step = series.timeframe.ms
                for line in settled(series):
                    times = range(line["time"] - 154 * step, line["time"] + step, step)
                    value, signal = expected_macd([float(truth.candle(series, t).close) for t in times])
                    assert line["macd"] == pytest.approx(value, rel=1e-9, abs=1e-9)
                    assert line["signal"] == pytest.approx(signal, rel=1e-9, abs=1e-9)
                    assert line["histogram"] == pytest.approx(value - signal, rel=1e-9, abs=1e-9)
            # The service has stopped, and said so: nobody vouches any more.
            told = macd.line('"error": "Stale"', 30)
            assert "nobody vouches" in json.loads(told)["why"]
        finally:
            macd.close()
    assert macd.errors == []
