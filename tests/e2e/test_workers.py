"""Workers and a service share the orders of one history in PostgreSQL, whatever befalls any of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from livecache.history.opening import open_history
from livecache.history.store import HistoryDatabase, JobState, Want
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from ..history.pg import Postgres
from .support import Exchange, Process, exchange, livecache, market_of, settings, until

DAY = 86_400_000
H1 = Timeframe.H1
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD")
WITHIN_S = 180.0
KILLS = 20


@contextmanager
def opened(server: Postgres) -> Iterator[HistoryDatabase]:
    with closing(open_history(server.place())) as store:
        yield store


def rows(server: Postgres) -> int:
    with opened(server) as store:
        return sum(each.rows for each in store.all_series())


def there(server: Postgres, enough: int) -> bool:
    return rows(server) >= enough


def let_leases_end(server: Postgres) -> None:
    """As if half a minute had passed."""
    with psycopg.connect(server.url()) as db:
        db.execute("UPDATE jobs SET lease_until = 0")


def sessions(server: Postgres) -> int:
    """How many transactions are open: one of a process that is stopped holds up others, be it in a COPY."""
    with psycopg.connect(server.url()) as db:
        found = db.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND state <> 'idle' AND pid <> pg_backend_pid()"
        )
        (count,) = found.fetchone() or (0,)
    return int(count)


class Host:
    """What a worker has: the URL of the history and where the exchange is."""

    def __init__(self, served: Exchange, server: Postgres, stack: ExitStack, since: str) -> None:
        self._served, self._server, self._stack = served, server, stack
        urls = settings(served.rest_url, served.ws_url, "embedded", SYMBOLS, CACHE_TIMEFRAMES="1h")
        self._env = {
            **urls,
            "LIVECACHE_HISTORY_URL": server.url(),
            "LIVECACHE_HISTORY_SINCE": since,
            "LIVECACHE_HISTORY_SHARE": "1.0",
        }

    def begin(self, *command: str, **more: str) -> Process:
        return self._stack.enter_context(livecache(*command, env={**self._env, **more}))

    def worker(self) -> Process:
        return self.begin("history", "worker")


def stopped_outside(process: Process, server: Postgres) -> None:
    """SIGSTOP, at a moment at which it holds up nobody."""
    while True:
        process.send(signal.SIGSTOP)
        if not sessions(server):
            return
        process.send(signal.SIGCONT)


def ordered(server: Postgres, start: int, end: int) -> tuple[int, ...]:
    with opened(server) as store:
        wants = []
        for symbol in SYMBOLS:
            series = store.series(SeriesId("coinbase", symbol, H1), create=True)
            assert series
            wants.append(Want(series.id, start, end))
        return store.submit(wants).jobs


def over(server: Postgres, jobs: tuple[int, ...]) -> bool:
    with opened(server) as store:
        found = [store.job(job) for job in jobs]
    assert all(job and job.state not in (JobState.FAILED, JobState.CANCELLED) for job in found), found
    return all(job and job.state is JobState.SUCCEEDED for job in found)


def whole(server: Postgres, served: Exchange, start: int, end: int) -> None:
    """All that was traded is there, once, and nothing else."""
    with opened(server) as store:
        assert list(store.verify()) == []
        for symbol in SYMBOLS:
            series = store.series(SeriesId("coinbase", symbol, H1))
            assert series
            answer = store.read(series.id, start, end)
            market = served.simulator.market.candles(symbol, H1, start, end, served.simulator.now())
            traded = [
                (row.time, *map(float, row.numbers)) for row in market if not row.flat or float(row.volume)
            ]
            assert [(row.time, *map(float, row.numbers)) for row in answer.rows.candles()] == traded
            assert answer.coverage == Coverage([(start, end)])
            assert store.revisions(series.id, start, end) == [], "nothing was stored twice, differently"


def test_a_worker_that_is_killed_or_paused_and_a_server_that_restarts_cost_nothing(
    history: Postgres, tmp_path: Path
) -> None:
    start = int(time.time() * 1000) // DAY * DAY - 300 * DAY
    end = start + 290 * DAY
    pages = len(SYMBOLS) * -(-290 * 24 // 330)
    total = len(SYMBOLS) * 290 * 24
    with ExitStack() as stack:
        now, market = int(time.time() * 1000), market_of(*SYMBOLS)
        served = stack.enter_context(exchange(market, start_ms=now, requests_per_second=40, latency_s=0.1))
        host = Host(served, history, stack, since="2d")
        jobs = ordered(history, start, end)
        first, second = host.worker(), host.worker()
        until("a part is there", lambda: rows(history) >= total // 6, WITHIN_S, every_s=0.3)
        first.send(signal.SIGKILL)
        first.ended()
        let_leases_end(history)
        until("some more is", lambda: rows(history) >= total // 3, WITHIN_S, every_s=0.3)
        stopped_outside(second, history)
        let_leases_end(history)
        service = host.begin("run", LIVECACHE_REDIS_DATA_DIR=str(tmp_path))
        until("half of it is", lambda: rows(history) >= total // 2, WITHIN_S, every_s=0.3)
        second.send(signal.SIGCONT)
        until("still more is", lambda: rows(history) >= total * 2 // 3, WITHIN_S, every_s=0.3)
        history.stop()
        history.start()
        let_leases_end(history)
        until("all of it is", partial(over, history, jobs), WITHIN_S, every_s=0.3)
        for worker in (second, service):
            worker.stop()
        whole(history, served, start, end)
        asked = [each for each in served.requests if each.status == 200 and each.granularity == "ONE_HOUR"]
        assert len(asked) <= pages + 4 * 4 * 8, "what was in flight is asked for again, and no more"


def known(server: Postgres) -> dict[str, Coverage]:
    """What is acknowledged of each symbol."""
    with opened(server) as store:
        return {
            each.key.symbol: store.coverage(each.id)
            for each in store.all_series()
            if each.key.timeframe is H1
        }


@pytest.mark.long
@pytest.mark.takes(200)
def test_twenty_kills_of_two_workers_and_of_the_server_lose_no_page(history: Postgres) -> None:
    kills, days = KILLS, 60 * KILLS
    start = int(time.time() * 1000) // DAY * DAY - (days + 10) * DAY
    end = start + days * DAY
    total = len(SYMBOLS) * days * 24
    with ExitStack() as stack:
        now, market = int(time.time() * 1000), market_of(*SYMBOLS)
        served = stack.enter_context(exchange(market, start_ms=now, requests_per_second=20, latency_s=0.1))
        host = Host(served, history, stack, since="2d")
        jobs = ordered(history, start, end)
        workers = [host.worker(), host.worker()]
        for n in range(kills):
            enough = total * n // (kills + 1) + total // (4 * kills)
            until("some more is there", partial(there, history, enough), WITHIN_S, every_s=0.3)
            acknowledged = known(history)
            if n % 4 == 3:
                history.stop()
                history.start()
            else:
                killed = workers[n % 2]
                killed.send(signal.SIGKILL)
                killed.ended()
                workers[n % 2] = host.worker()
            let_leases_end(history)
            after = known(history)
            for symbol, coverage in acknowledged.items():
                assert not coverage.without(after[symbol]), "what was acknowledged is there"
        until("all of it is", partial(over, history, jobs), WITHIN_S, every_s=0.3)
        for worker in workers:
            worker.stop()
        whole(history, served, start, end)
