"""`livecache run` keeps years by itself: filled beside the live service, killed, stopped, without room."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from livecache import Reader
from livecache.errors import StoreUnusable
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from .screen import on_a_terminal
from .support import NOON, Exchange, exchange, livecache, market_of, reach, until

DAY = 86_400_000
SYMBOLS = ("BTC-USD", "ETH-USD")
M5 = Timeframe.M5
DAYS = 60
FROM = NOON // DAY * DAY - DAYS * DAY + DAY


def settings(venue: Exchange, redis_url: str, path: Path, **more: object) -> dict[str, str]:
    return venue.settings(
        redis_url,
        (),
        HISTORY_URL=f"sqlite:///{path}",
        **{"HISTORY_SINCE": f"{DAYS}d", "CACHE_TIMEFRAMES": "5m,1h", **more},
    )


def known(path: Path, symbol: str) -> Coverage:
    """What is stored of its 5m candles; nothing while there is no file."""
    try:
        store = SqliteHistory.open(path, read_only=True)
    except StoreUnusable:  # there is none yet
        return Coverage()
    try:
        series = store.series(SeriesId("coinbase", symbol, M5))
        return store.coverage(series.id) if series else Coverage()
    finally:
        store.close()


def filled(path: Path, end: int) -> bool:
    return all(known(path, symbol).covers(FROM, end) for symbol in SYMBOLS)


def equals_the_market(path: Path, end: int) -> None:
    """What is known is what was traded, to the digit, and all of it is sound."""
    store = SqliteHistory.open(path, read_only=True)
    for symbol in SYMBOLS:
        series = store.series(SeriesId("coinbase", symbol, M5))
        assert series
        answer = store.read(series.id, FROM, end)
        truth = market_of(*SYMBOLS).candles(symbol, M5, FROM, end, end)
        expected = [row for row in truth if row.time in answer.coverage]
        assert len(answer.rows) == len(expected)
        assert all(map(ExactCandle.equals, answer.rows.candles(), expected))
    assert list(store.verify()) == []
    store.close()


@pytest.mark.takes(45)  # thirty of them for the lease of the one that was killed
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.long)])
def test_it_fills_years_through_kills_and_reads_as_one_with_what_is_live(
    clean_valkey: str, tmp_path: Path, kills: int
) -> None:
    path, chance = tmp_path / "history.db", random.Random(6)
    with exchange(market_of(*SYMBOLS), latency_s=0.3) as venue:
        env = settings(venue, clean_valkey, path, VENUES_COINBASE_REQUESTS_PER_SECOND=12)
        slow = {
            **env,
            "LIVECACHE_VENUES_COINBASE_REQUESTS_PER_SECOND": "3",
        }  # so that enough is left
        for _ in range(kills):
            with livecache("run", env=slow if kills > 1 else env) as service:
                service.event("warm")
                before = {symbol: known(path, symbol) for symbol in SYMBOLS}
                until(
                    "something more is stored",
                    lambda: any(known(path, symbol) != was for symbol, was in before.items()),  # noqa: B023
                )
                reach(time.monotonic() + chance.uniform(0.0, 1.0))
                acknowledged = {symbol: known(path, symbol) for symbol in SYMBOLS}
                service.send(signal.SIGKILL)
                service.ended()
            for symbol in SYMBOLS:
                assert not acknowledged[symbol].without(known(path, symbol)), "what was stored stays"
        settled = venue.simulator.now() // M5.ms * M5.ms - 2 * M5.ms
        with livecache("run", env=env) as service:
            until("all is filled", lambda: filled(path, settled), 120)
            equals_the_market(path, settled)
            reader = Reader(clean_valkey, venue="coinbase", history=f"sqlite:///{path}")
            with reader:
                years = reader.history("BTC-USD", "5m", FROM)
            truth = market_of(*SYMBOLS).candles("BTC-USD", M5, FROM, settled, settled)
            assert len(years) >= len(truth)
            assert years.close[: len(truth)].tolist() == [float(row.close) for row in truth]
            service.stop()


def test_a_signal_stops_a_fill_within_seconds_with_what_was_in_flight_stored(
    clean_valkey: str, tmp_path: Path
) -> None:
    path = tmp_path / "history.db"
    with exchange(market_of(*SYMBOLS), latency_s=0.5) as venue:
        env = settings(venue, clean_valkey, path, VENUES_COINBASE_REQUESTS_PER_SECOND=8)
        with livecache("run", env=env) as service:
            service.event("history_ordered")
            asked = len(venue.candle_requests)
            until("pages are in flight", lambda: len(venue.candle_requests) > asked + 1)
            assert service.stop() < 8.0, "three are promised; the rest is for a busy machine"
        assert not service.events("stop_timeout") and not service.events("history_unusable")
        assert service.errors == []
        store = SqliteHistory.open(path, read_only=True)
        jobs = store.jobs()
        store.close()
        assert {job.state.value for job in jobs} <= {"pending", "waiting", "succeeded"}, "no lease is left"
        equals_the_market(path, NOON)


def test_a_store_without_hope_is_told_and_the_live_service_goes_on(clean_valkey: str, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE another (program TEXT)")
    db.close()
    with exchange(market_of(*SYMBOLS)) as venue:
        env = settings(venue, clean_valkey, path, LOG_LEVEL="INFO")
        with livecache("run", env=env) as service, Reader(clean_valkey) as reader:
            service.event("warm")
            told = service.event("history_unusable")
            assert "is no history of livecache's" in told["message"]
            assert told["level"] == "ERROR" and told["hint"] == "give history.url another path"
            assert len(reader.candles("BTC-USD", "5m", 60)) == 60
            path.unlink()
            service.event("history_recovered")
            until("it is filled", lambda: filled(path, NOON - 600_000), 180, every_s=0.25)
            service.stop()


def test_its_log_is_in_the_file_with_series_and_job(clean_valkey: str, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with exchange(market_of(*SYMBOLS)) as venue:
        env = settings(venue, clean_valkey, path)
        with livecache("run", env=env) as service:
            service.event("history_filled", symbol="BTC-USD", timeframe="5m")
            service.stop()
        with livecache("history", "log", "--json", "--history-url", f"sqlite:///{path}") as told:
            assert told.ended() == 0
        entries: list[dict[str, Any]] = json.loads("".join(told.output))["entries"]
        events = {entry["event"] for entry in entries}
        assert {"warm", "history_ordered", "stopping"} <= events, "of the service, from start to end"
        (done,) = [e for e in entries if e["event"] == "history_filled" and e.get("symbol") == "BTC-USD"
                   and e["timeframe"] == "5m"]  # fmt: skip
        assert done["job"] and done["level"] == "INFO"


def fill(
    venue: Exchange, path: Path, *arguments: str, **more: object
) -> tuple[int, str, list[dict[str, Any]]]:
    """`livecache history fill …`: its exit code, what it prints, and the store's log."""
    env = settings(venue, "redis://127.0.0.1:1", path, **more)
    with livecache("history", "fill", *arguments, env=env) as filling:
        code = filling.ended()
        printed = "\n".join(filling.output)
    with livecache("history", "log", "--json", "--count", "1000", env=env) as told:
        assert told.ended() == 0
    entries: list[dict[str, Any]] = json.loads("".join(told.output))["entries"]
    return code, printed, entries


def test_a_timer_does_what_is_due_and_ends_and_the_file_tells_of_it(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with exchange(market_of(*SYMBOLS)) as venue:
        short = {"HISTORY_SINCE": "3d, 1h=20d"}
        code, printed, entries = fill(venue, path, "--scheduled", **short)
        assert code == 0 and "6 of 6 series filled" in printed, "days tell where there is anything"
        assert known(path, "BTC-USD").covers(NOON // DAY * DAY - 3 * DAY, NOON - 600_000)
        filled = [e for e in entries if e["event"] == "history_filled"]
        assert {(e["symbol"], e["timeframe"]) for e in filled} == {
            (symbol, timeframe) for symbol in SYMBOLS for timeframe in ("5m", "1h", "1d")
        }
        assert all(e["job"] and e["venue"] == "coinbase" for e in filled)
        asked = len(venue.candle_requests)
        code, printed, _ = fill(venue, path, "--scheduled", **short)
        assert (code, printed) == (0, "nothing is due") and len(venue.candle_requests) == asked


def test_what_fails_by_a_timer_is_told_and_left_to_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with exchange(market_of(*SYMBOLS)) as venue:
        wanted = ("--scheduled", "--symbols", "BTC-USD,NONE-USD", "--timeframe", "1h")
        began_s = time.monotonic()
        code, printed, entries = fill(venue, path, *wanted)
        assert code == 1 and "2 of 4 series filled" in printed and "NONE-USD" in printed
        failed = [e for e in entries if e["event"] == "history_failed"]
        assert {e["timeframe"] for e in failed} == {"1d", "1h"}
        assert all(e["level"] == "ERROR" and e["symbol"] == "NONE-USD" and e["job"] for e in failed)
        assert time.monotonic() - began_s < 60, "it waits for no attempt"
        code, printed, _ = fill(venue, path, *wanted)
        assert (code, printed) == (0, "nothing is due"), "what the exchange does not know is left for a day"


@pytest.mark.long
def test_a_venue_that_cannot_be_reached_keeps_no_other_from_being_filled(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with exchange(market_of(*SYMBOLS)) as venue:
        code, printed, _ = fill(
            venue, path, "--timeframe", "5m", "--days", "5",
            VENUES_COINBASE_LEAST_DELAY="4", VENUES_BINANCE_SYMBOLS="BTCUSDT",
            VENUES_BINANCE_REST_URL="http://127.0.0.1:1", VENUES_BINANCE_WS_URL="ws://127.0.0.1:1",
        )  # fmt: skip
    assert code != 0 and "BTC-USD 5m" in printed and "100 %" in printed
    assert known(path, "BTC-USD").covers(NOON - 4 * DAY, NOON - 600_000)


def test_requests_of_a_fill_start_no_nearer_than_the_user_says_and_are_counted(tmp_path: Path) -> None:
    with exchange(market_of(*SYMBOLS)) as venue:
        env = settings(
            venue,
            "redis://127.0.0.1:1",
            tmp_path / "history.db",
            HISTORY_SINCE="5d",
            VENUES_COINBASE_LEAST_DELAY="0.4",
            VENUES_COINBASE_REQUESTS_PER_HOUR="1000",
        )
        report = tmp_path / "report.json"  # fmt: skip
        began_s = time.monotonic()
        wanted = ("history", "fill", "--scheduled", "--timeframe", "5m", "--report", str(report))
        with livecache(*wanted, env=env) as filling:
            assert filling.ended() == 0
        took_s, asked = time.monotonic() - began_s, len(venue.candle_requests)
    assert asked >= 12 and took_s >= 0.4 * (asked - 1)
    hour = json.loads(report.read_text())["venues"]["coinbase"]
    assert hour["requests_per_hour"] == 1_000 and asked < hour["requests_this_hour"] <= asked + 5, (
        "and its time"
    )


def test_on_a_terminal_a_table_of_all_series_is_drawn_while_it_fills(tmp_path: Path) -> None:
    with exchange(market_of(*SYMBOLS), latency_s=1.2) as venue:
        env = settings(venue, "redis://127.0.0.1:1", tmp_path / "history.db", HISTORY_SINCE="2d")
        wanted = ("history", "fill", "--scheduled", "--timeframe", "5m")
        with on_a_terminal(*wanted, env=env) as screen:
            screen.shows("series filled")
            assert screen.ended() == 0
    lines = screen.shown.splitlines()
    assert sum(line.endswith("requests     time") for line in lines) >= 2, "while it fills, and the report"
    for symbol in SYMBOLS:
        assert any(line.startswith(f"{symbol} 5m") and "100 %" not in line for line in lines)
