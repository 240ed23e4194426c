"""What readers over HTTP lack of years is fetched while they wait: at every exchange, and through kills."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from livecache.equities.calendar import calendar_named
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import PRIORITY_READ, JobState
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import Product, ScriptedFaults, SeededMarket
from livecache.simulator.trouble.script import HttpError
from livecache.simulator.yahoo.market import ShareMarket
from livecache.simulator.yahoo.shares import default_shares

from ..http.support import Answer, ask
from .support import Exchange, Process, exchange, livecache, until
from .test_fill_years import let_leases_end
from .test_http import FOREVER_S, url_of

DAY = 86_400_000
H1, D1 = Timeframe.H1, Timeframe.D1
KINDS = ("coinbase", "binance", "deribit", "yahoo")
DAYS = ("ONE_DAY", "1d", "1D")  # as exchanges call them
ASKERS = 50


def kept(path: Path) -> bool:
    """Whether there is a history: the file is there a moment before its tables are."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return bool(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.OperationalError:  # It is just being made.
        return False


@dataclass
class Place:
    """A simulated exchange, as a service has it."""

    kind: str
    served: Exchange
    timeframe: Timeframe

    @property
    def symbol(self) -> str:
        return str(next(iter(self.face.symbols)))

    @property
    def face(self) -> Any:
        return self.served.simulator.exchange

    def truth(self, start: int, end: int) -> list[list[float]]:
        """What was traded, as the API tells it."""
        span = self.symbol, self.timeframe, start, end, self.served.simulator.now()
        if self.kind == "yahoo":
            rows: Sequence[ExactCandle] = self.face.truth.settled(*span)
        else:
            chart = getattr(self.face.exchange, "chart", self.face.exchange)
            rows = (chart.rows if hasattr(chart, "rows") else self.served.simulator.market.candles)(*span)
        return [[r.time, *map(float, r.numbers)] for r in rows if not r.flat]

    def asked(self, since: int, until_ms: int) -> int:
        """Requests for candles of its timeframe that began before then; days may tell that nothing was."""
        requests = self.served.requests[since:]
        return sum(
            r.start is not None
            and r.start * 1000 < until_ms
            and bool(r.granularity)
            and (r.granularity in DAYS) == (self.timeframe is D1)
            for r in requests
        )


def listed_at() -> int:
    """When what is no share was listed."""
    return H1.floor(int(time.time() * 1000) - 440 * DAY)


@contextmanager
def at(kind: str, listed: int = 0, **options: Any) -> Iterator[Place]:
    start = int(time.time() * 1000)
    if kind != "yahoo":
        market = SeededMarket(1, [Product.parse("BTC-USD")._replace(listed_ms=listed)])
        with exchange(market, venue=kind, start_ms=start, **options) as served:
            yield Place(kind, served, H1)
        return
    calendar = calendar_named("XNYS")
    assert calendar
    shares = default_shares(start, calendar.days)[:1]
    with exchange(ShareMarket(calendar, shares), venue=kind, start_ms=start, **options) as served:
        yield Place(kind, served, D1)


def config(folder: Path, places: Sequence[Place]) -> Path:
    """A configuration of all of them."""
    text = f"""
        [redis]
        data_dir = "{folder}"
        [cache]
        timeframes = ["1h", "1d"]
        candles = 100
        [history]
        url = "sqlite:///{folder}/history.db"
        since = "2d"
        [http]
        listen = "127.0.0.1:0"
    """
    faster: Mapping[str, Mapping[str, float]] = {
        "coinbase": {"requests_per_second": 100},
        "yahoo": {"least_delay": 0.05},
    }
    for place in places:
        _, settings = place.served.simulator.settings()
        values = {"symbols": [place.symbol], **settings, **faster.get(place.kind, {})}
        lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())
        text += f"\n[venues.{place.kind}]\n{lines}\n"
    path = folder / "config.toml"
    path.write_text(text)
    return path


def candles(url: str, place: Place, query: str) -> Answer:
    symbol = f"{place.kind}:{place.symbol}"
    return ask(url, f"/api/v1/candles?symbol={symbol}&timeframe={place.timeframe.value}{query}")


def readers(url: str, place: Place, query: str) -> list[Answer]:
    """What so many get who ask for the same at once."""
    with ThreadPoolExecutor(ASKERS) as pool:
        return list(pool.map(lambda _: candles(url, place, query), range(ASKERS)))


def job_states(folder: Path) -> list[JobState]:
    with closing(SqliteHistory.open(folder / "history.db", read_only=True)) as store:
        return [job.state for job in store.jobs() if job.want.priority <= PRIORITY_READ]


@contextmanager
def service(path: Path, *more: str, env: Mapping[str, str] | None = None) -> Iterator[Process]:
    with livecache(
        "run", "--config", str(path), *more, env={"LIVECACHE_HTTP_LISTEN": "127.0.0.1:0", **(env or {})}
    ) as running:
        yield running


@pytest.mark.takes(20)
def test_fifty_readers_of_one_gap_cause_one_set_of_requests_at_every_exchange(tmp_path: Path) -> None:
    with ExitStack() as stack:
        places = [stack.enter_context(at(kind, listed_at())) for kind in KINDS]
        running = stack.enter_context(service(config(tmp_path, places)))
        url = url_of(running)
        for place in places:
            running.event("warm", venue=place.kind)
            until("its history is kept", lambda: kept(tmp_path / "history.db"))
            before = place.timeframe.floor(int(time.time() * 1000) - 400 * DAY)
            seen = len(place.served.requests)
            answers = readers(url, place, f"&before={before}&limit=400&timeout=8")
            assert {answer.status for answer in answers} == {200}, answers[0]
            told = answers[0].content
            assert told["missing"] == [] and told["job"] is None
            assert all(answer.content["candles"] == told["candles"] for answer in answers)
            assert [[float(n) for n in row] for row in told["candles"]] == place.truth(
                told["from"], told["to"]
            )
            assert 1 <= place.asked(seen, before) <= 3, place.kind
            seen = len(place.served.requests)
            assert candles(url, place, f"&before={before}&limit=400").status == 200
            assert place.asked(seen, before) == 0, "it is there"
            if place.kind in ("binance", "deribit"):  # which tell of listings
                at_ms, found, told = D1.ceil(listed_at()) + 4 * DAY, list[float](), dict[str, Any]()
                for _ in range(3):
                    told = candles(url, place, f"&before={at_ms}&limit=200&timeout=8").content
                    found = [row[0] for row in told["candles"]] + found
                    if told["exhausted"]:
                        break
                    at_ms = told["next_before"]
                assert told["ends"] == "listing" and told["listed"] == found[0], told
        assert running.errors == []
        running.stop()


@pytest.mark.takes(10)
def test_what_is_too_much_or_too_slow_is_told_and_a_part_is_had_at_once(tmp_path: Path) -> None:
    faults = ScriptedFaults()
    with (
        at("coinbase", faults=faults) as place,
        service(config(tmp_path, [place])) as running,
    ):
        url, path = url_of(running), tmp_path
        running.event("warm")
        until("its history is kept", lambda: kept(path / "history.db"))
        before = place.timeframe.floor(int(time.time() * 1000) - 400 * DAY)
        seen = len(place.served.requests)
        for query in (f"&before={before}&limit=5000", f"&before={before}&limit=500&fill=false"):
            refused = candles(url, place, query)
            assert (refused.status, refused.content["kind"], refused.content["job"]) == (
                503,
                "incomplete",
                None,
            )
            part = candles(url, place, f"{query}&partial=true")
            assert part.status == 200 and part.content["missing"] == refused.content["missing"]
        assert "history.fill_pages" in candles(url, place, f"&before={before}&limit=5000").content["detail"]
        assert place.asked(seen, before) == replace(place, timeframe=D1).asked(seen, before) == 0

        faults.begin(HttpError(status=503, lasts=FOREVER_S, timeframes=(H1,)))
        query = f"&before={before}&limit=500&timeout=1"
        refused = until(
            "the trouble is told",
            lambda: next((a for a in [candles(url, place, query)] if "503" in a.content["detail"]), None),
        )
        assert refused.status == 503 and refused.content["job"] and int(refused.headers["Retry-After"]) >= 1
        assert refused.content["missing"] == [[before - 500 * H1.ms, before]]
        part = candles(url, place, f"{query}&partial=true")
        assert (part.status, part.content["job"]) == (200, refused.content["job"])
        faults.end_all()
        whole = until(
            "it has come by itself",
            lambda: next((a for a in [candles(url, place, query)] if a.status == 200), None),
        )
        assert [[float(n) for n in row] for row in whole.content["candles"]] == place.truth(
            before - 500 * H1.ms, before
        )
        quarters = replace(place, timeframe=Timeframe.M15)  # which nobody has kept
        answer = candles(url, quarters, f"&before={before}&limit=300&timeout=8")
        assert answer.status == 200, answer
        assert [[float(n) for n in row] for row in answer.content["candles"]] == quarters.truth(
            before - 300 * 900_000, before
        )
        # A second instance, which waits for the lease, orders what the first one fetches.
        embedded = running.event("embedded_started")["url"]
        with service(tmp_path / "config.toml", "--redis-url", embedded) as waiting:
            waiting.event("lease_wait")
            answer = candles(url_of(waiting), place, f"&before={before - 9 * DAY}&limit=300&timeout=8")
            assert answer.status == 200, answer
            waiting.stop()
        running.stop()


def killed_in_mid_fill(folder: Path, kills: int) -> None:
    """What is left goes on by itself once the service is back, and nothing is stored by half."""
    with at("coinbase", latency_s=0.5) as place:
        path = config(folder, [place])
        before = place.timeframe.floor(int(time.time() * 1000) - 400 * DAY)
        for number in range(kills):
            upto = before - number * 100 * DAY
            with service(path) as running:
                running.event("warm")
                until("its history is kept", lambda: kept(folder / "history.db"))
                seen = len(place.served.requests)
                ordered = candles(url_of(running), place, f"&before={upto}&limit=1300&timeout=0")
                assert ordered.status == 503 and ordered.content.get("job"), ordered
                until("a page is there, and others are not", lambda: JobState.SUCCEEDED in job_states(folder))
                running.send(signal.SIGKILL)
                running.ended()
            assert set(job_states(folder)) - {JobState.SUCCEEDED}, "it was killed too late"
            let_leases_end(folder)
            with service(path) as running:
                until("it goes on by itself", lambda: set(job_states(folder)) == {JobState.SUCCEEDED})
                answer = candles(url_of(running), place, f"&before={upto}&limit=1300&fill=false")
                assert answer.status == 200, answer
                rows = [[float(n) for n in row] for row in answer.content["candles"]]
                assert rows == place.truth(upto - 1300 * H1.ms, upto)
                assert place.asked(seen, upto) <= 5 + 4, "only what was in flight is asked for twice"
                running.stop()


@pytest.mark.takes(15)
def test_a_fill_that_a_kill_ends_goes_on_by_itself(tmp_path: Path) -> None:
    killed_in_mid_fill(tmp_path, 1)


@pytest.mark.long
def test_fills_that_kills_end_go_on_by_themselves(tmp_path: Path) -> None:
    killed_in_mid_fill(tmp_path, 20)
