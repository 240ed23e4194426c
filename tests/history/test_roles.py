"""Each user of a PostgreSQL can do what it must, and nothing else."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from livecache.__main__ import main
from livecache.errors import StoreUnusable
from livecache.history.opening import open_history
from livecache.history.records.log import LogEntry
from livecache.history.store import Outcome, Want
from livecache.keys.history_place import Place
from livecache.reader.reader import Reader

from .pg import Postgres
from .support import HandClock, market, minute, number_of, put


def test_what_keeps_anybody_from_writing_is_told_with_what_mends_it(postgres: Postgres) -> None:
    where, now = postgres.fresh("shut"), HandClock()
    with pytest.raises(StoreUnusable, match="no schema") as raised:
        open_history(Place(None, f"{where}?options=-csearch_path%3Dnowhere"), now)
    assert "CREATE SCHEMA" in raised.value.hint
    with psycopg.connect(where, autocommit=True) as db:
        db.execute("ALTER DATABASE shut SET default_transaction_read_only = on")
    with pytest.raises(StoreUnusable, match="read-only") as raised:
        open_history(Place(None, where), now)
    assert "default_transaction_read_only" in raised.value.hint


@pytest.fixture
def database(postgres: Postgres, clock: HandClock, capsys: pytest.CaptureFixture[str]) -> str:
    """The name of a database with a series, and with a writer and a reader beside its owner."""
    url = postgres.fresh("guarded")
    with closing(open_history(postgres.place("guarded"), clock)) as store:
        put(store, number_of(store), 0, 100)
    capsys.readouterr()
    assert main(["history", "roles"]) == 0
    statements = capsys.readouterr().out
    with psycopg.connect(url, autocommit=True) as db:
        for _ in range(2):  # as often as one likes
            db.execute(statements.encode())
        for user in ("writer", "reader"):
            db.execute(f"DROP ROLE IF EXISTS {user}".encode())
            db.execute(f"CREATE ROLE {user} LOGIN IN ROLE livecache_{user}".encode())
    return "guarded"


def refused(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(statement.encode())


def test_with_its_name_for_public_it_holds_for_a_schema_of_its_own(
    postgres: Postgres, clock: HandClock, capsys: pytest.CaptureFixture[str]
) -> None:
    own = "?options=-csearch_path%3Dyears"
    with psycopg.connect(postgres.fresh("guarded"), autocommit=True) as db:
        db.execute("CREATE SCHEMA years; CREATE TABLE public.theirs (x int)")
        with closing(open_history(Place(None, postgres.url("guarded") + own), clock)) as store:
            put(store, number_of(store), 0, 100)
        capsys.readouterr()
        assert main(["history", "roles"]) == 0
        statements = capsys.readouterr().out.replace("public", "years")
        db.execute(f"SET search_path TO years; {statements}".encode())
        db.execute("DROP ROLE IF EXISTS writer")
        db.execute("CREATE ROLE writer LOGIN IN ROLE livecache_writer")
    with closing(open_history(Place(None, postgres.url("guarded", "writer") + own), clock)) as store:
        put(store, 1, 100, 120)
        assert len(store.read(1, 0, 1 << 60).rows) == len(market(0, 120))
    refused(
        postgres.url("guarded", "writer"), "SELECT * FROM public.theirs", "UPDATE years.meta SET value = ''"
    )


def test_a_writer_fills_and_makes_alters_and_drops_no_table(
    postgres: Postgres, database: str, clock: HandClock
) -> None:
    with closing(open_history(postgres.place(database, "writer"), clock)) as store:
        series = number_of(store)
        put(store, series, 50, 120, of=2)
        store.submit([Want(series, minute(200), minute(300))])
        job = store.claim("worker")
        assert job
        put(store, series, 200, 300, job.lease)
        store.settle(job.lease, Outcome.SUCCEEDED)
        store.log([LogEntry(clock.now, "INFO", "event", "text")])
        store.uncover(series, store.coverage(series).clip(minute(0), minute(10)))
        store.drop(series, minute(20))
        store.heal()
        store.tidy()
    refused(
        postgres.url(database, "writer"),
        *("DROP TABLE candles", "TRUNCATE candles", "ALTER TABLE candles ADD COLUMN vwap numeric"),
        *(
            "CREATE TABLE mine (id int)",
            "DROP VIEW ohlcv",
            "UPDATE meta SET value = '99'",
            "DELETE FROM meta",
        ),
    )


def test_a_reader_reads_and_changes_nothing(postgres: Postgres, database: str) -> None:
    with Reader(history=postgres.url(database, "reader")) as reader:
        history = reader.history("BTC-USD", "1m", minute(0), minute(100))
    assert history.time.tolist() == [row.time for row in market(0, 100)]
    with closing(open_history(postgres.place(database, "reader"))) as store:
        with pytest.raises(StoreUnusable, match="permission denied") as told:
            put(store, number_of(store), 100, 200)
        assert "livecache history roles" in told.value.hint
    refused(
        postgres.url(database, "reader"),
        *("DELETE FROM candles", "INSERT INTO orders (jobs, created) VALUES ('[]', 0)", "DROP TABLE candles"),
        *("UPDATE jobs SET state = 'cancelled'", "TRUNCATE log", "CREATE TABLE mine (id int)"),
    )
