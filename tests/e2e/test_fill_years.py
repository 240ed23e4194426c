"""`livecache history fill` as people asked: ten symbols of Binance for five years, Deribit since listing."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from livecache.errors import StoreUnusable
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe, iso
from livecache.simulator import Market, Product, SeededMarket
from livecache.simulator.binance.options import BinanceOptions
from livecache.simulator.deribit.chart import Chart, instruments_of

from .preloaded import COMMAND
from .support import ROOT, Exchange, environment, exchange, until

M1, D1 = Timeframe.M1, Timeframe.D1
NOW = 1_764_590_400_000  # 2025-12-01 12:00
TOP = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC", "BCH")
CONCURRENCY = 8
_TO_GO = re.compile(r"([\d,]+) pages, ([\d,]+) left, (?:(\d+) h )?(?:(\d+) min )?(?:(\d+) s )?to go")


@dataclass
class Fill:
    """The command in a process of its own, and what it has said with the time when it did."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()


def fill(folder: Path, served: Exchange, kind: str, *flags: str) -> Fill:
    """Begin to fill `history.db` there from that exchange."""
    config, log = folder / "config.toml", folder / "log"
    urls = f'rest_url = "{served.rest_url}"\nws_url = "{served.ws_url}"\n'
    config.write_text(f"[venues.{kind}]\n{urls}")
    command = [*COMMAND, "history", "fill", "--config", str(config), "--venue", kind, *flags]
    url = f"sqlite:///{folder}/history.db"
    with log.open("a") as errors:
        process = subprocess.Popen(
            [*command, "--history-url", url, "--report", str(folder / "report.json")],
            cwd=ROOT, env=environment({}), stdout=subprocess.DEVNULL, stderr=errors, text=True,
        )  # fmt: skip
    return Fill(process, log)


def stored(folder: Path, venue: str, symbol: str, timeframe: Timeframe) -> tuple[Columns, Coverage]:
    """All that is there of a series."""
    with closing(SqliteHistory.open(folder / "history.db", read_only=True)) as store:
        series = store.series(SeriesId(venue, symbol, timeframe))
        assert series
        answer = store.read(series.id, 0, 1 << 50)
        assert list(store.verify(series.id)) == []
        return answer.rows, answer.coverage


def equal(held: Columns, truth: Sequence[ExactCandle]) -> bool:
    """Whether these are the candles that were traded, number by number."""
    traded = Columns.of(row for row in truth if row.volume.strip("0."))
    return held.time.tolist() == traded.time.tolist() and not any(
        mine.differ(theirs).any() for mine, theirs in zip(held.numbers, traded.numbers, strict=True)
    )


def there(folder: Path, rows: int) -> bool:
    """Whether so many rows are stored by now."""
    if not (folder / "history.db").exists():
        return False
    with suppress(StoreUnusable), closing(SqliteHistory.open(folder / "history.db", read_only=True)) as store:
        return sum(each.rows for each in store.stats()) >= rows
    return False


def in_part(folder: Path, buckets: int) -> list[str]:
    """The symbols of which some days are there, and not all."""
    with closing(SqliteHistory.open(folder / "history.db", read_only=True)) as store:
        return [each.series.key.symbol for each in store.stats() if 0 < each.rows < buckets]


def let_leases_end(folder: Path) -> None:
    """As if half a minute had passed."""
    with sqlite3.connect(folder / "history.db", timeout=30) as db:
        db.execute("UPDATE jobs SET lease_until = 0")


def five_years_of_days(folder: Path, half_a_minute_later: Callable[[], None]) -> None:
    """Request 000, killed at a third and at two thirds."""
    market: Market = SeededMarket(1, [Product.parse(f"{name}-USD") for name in TOP])
    symbols = [f"{name}USDT" for name in TOP]
    wanted = ("--symbols", ",".join(symbols), "--timeframe", "1d", "--since", "2020-12-01", "--oldest-first")
    buckets = (NOW - 1_606_780_800_000) // D1.ms
    plan = len(TOP) * -(-buckets // 1000)
    with exchange(
        market, venue="binance", options=BinanceOptions(), start_ms=NOW, requests_per_second=0, latency_s=0.4
    ) as served:
        begun: list[str] = []
        for third in (1, 2):
            running = fill(folder, served, "binance", *wanted)
            until("a part is there", partial(there, folder, third * len(TOP) * buckets // 3))
            running.process.kill()
            assert running.process.wait(60) == -9
            half_a_minute_later()
            begun += in_part(folder, buckets)  # none, where it was killed between two symbols
        last = fill(folder, served, "binance", *wanted)
        assert last.process.wait(300) == 0, last.said
        asked = [each for each in served.requests if each.timeframe is D1]
        assert len(asked) <= plan + 2 * CONCURRENCY
        assert {each.status for each in served.requests} <= {0, 200}, "no limit was met"
        for symbol in begun:
            assert re.search(rf"Resuming {symbol} from 20\d\d-\d\d-\d\d", last.said), "where it goes on"
        for symbol, product in zip(symbols, market.products(), strict=True):
            rows, coverage = stored(folder, "binance", symbol, D1)
            assert len(rows) == buckets and coverage.covers(1_606_780_800_000, D1.floor(NOW))
            assert equal(rows, market.candles(product, D1, 1_606_780_800_000, D1.floor(NOW), NOW))
    total = json.loads((folder / "report.json").read_text())["total"]
    assert (total["series"], total["failed"], total["failed_symbols"]) == (len(TOP), 0, [])


@pytest.mark.takes(15)
def test_five_years_of_days_of_ten_symbols_survive_two_kills(tmp_path: Path) -> None:
    five_years_of_days(tmp_path, lambda: let_leases_end(tmp_path))


@pytest.mark.long
def test_five_years_of_days_of_ten_symbols_survive_two_kills_with_nobodys_help(tmp_path: Path) -> None:
    """Leases of those that were killed run out by themselves."""
    five_years_of_days(tmp_path, lambda: None)


END = 1_761_004_800_000  # 2025-10-21
SINCE = {"BTC-USD": 1_534_204_800_000, "ETH-USD": 1_577_404_800_000}
"""2018-08-14 and 2019-12-27: 6.84 million minutes."""


def since_listing(folder: Path, listed: dict[str, int], since: str) -> dict[str, Any]:
    """Request 004: perpetuals by the minute, from before there were any; what it took."""
    products = [Product.parse(name)._replace(listed_ms=at) for name, at in listed.items()]
    server = subprocess.Popen(
        [
            *COMMAND, "simulator", "--venue", "deribit", "--port", "0", "--latency", "0.05",
            "--symbols", ",".join(listed), "--start", "2025-10-21T00:30",
            *(f"--listed={name}={iso(at)}" for name, at in listed.items()),
        ],
        cwd=ROOT, env=environment({}), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout
        rest, ws = (server.stdout.readline().split()[-1] for _ in range(2))
        began_s = time.monotonic()
        running = fill(
            folder, Served(rest, ws), "deribit",  # type: ignore[arg-type]
            "--symbols", "BTC-PERPETUAL,ETH-PERPETUAL", "--timeframe", "1m", "--since", since,
            "--until", "2025-10-21",
        )  # fmt: skip
        told: list[tuple[float, int, int, float]] = []

        def ended() -> bool:
            for found in list(_TO_GO.finditer(running.said))[len(told) :]:
                pages, left = (int(found[n].replace(",", "")) for n in (1, 2))
                hours, minutes, seconds = (int(found[n] or 0) for n in (3, 4, 5))
                told.append((time.monotonic() - began_s, pages, left, hours * 3600 + minutes * 60 + seconds))
            return running.process.poll() is not None

        until("it is filled", ended, 900, every_s=0.25)  # what looks oftener takes a core from the fill
        took_s = time.monotonic() - began_s
        assert running.process.returncode == 0, running.said
    finally:
        server.terminate()
        server.communicate(timeout=30)
    market = SeededMarket(1, products)
    chart = Chart(market, instruments_of(market), 0)
    rows = 0
    for symbol in instruments_of(market):
        held, coverage = stored(folder, "deribit", symbol, M1)
        rows += len(held)
        assert coverage.spans[-1].end == END and len(coverage.spans) == 1
        for first in range(0, len(held), 100_000):
            part = held.take(slice(first, first + 100_000))
            start, end = int(part.time[0]), int(part.time[-1]) + M1.ms
            assert equal(part, chart.rows(symbol, M1, start, end, END + 10**8))
    report = json.loads((folder / "report.json").read_text())
    errors = [
        abs(at + eta - took_s) / took_s for at, pages, left, eta in told if pages >= (pages + left) / 10
    ]
    return {
        "rows": rows,
        "seconds": round(took_s, 1),
        "bytes": (folder / "history.db").stat().st_size,
        "requests": report["total"]["requests"],
        "worst ETA error": round(max(errors, default=0.0), 3),
        "report": report["total"],
    }


@dataclass
class Served:
    """Where an exchange is."""

    rest_url: str
    ws_url: str


@pytest.mark.takes(15)
def test_perpetuals_by_the_minute_are_filled_from_before_their_listing(tmp_path: Path) -> None:
    """The last weeks of it; the listing is found without asking for what lies before it page by page."""
    listed = {"BTC-USD": END - 40 * D1.ms, "ETH-USD": END - 15 * D1.ms}
    took = since_listing(tmp_path, listed, "2016-12-01")
    assert took["rows"] == (40 + 15) * 1_440
    assert took["requests"] <= 2 * 2 + 12 + 5 + 4, "days, minutes, and little else"
    assert took["report"]["failed_symbols"] == []


@pytest.mark.long
@pytest.mark.takes(400)
def test_all_of_two_perpetuals_by_the_minute_since_their_listing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    took = since_listing(tmp_path, SINCE, "2016-12-01")
    print(took)
    record_property("took", took)
    assert took["rows"] == 4_750 * 1_440 == 6_840_000
    assert took["bytes"] <= 150_000_000
    assert took["requests"] <= 1_369 + 15
