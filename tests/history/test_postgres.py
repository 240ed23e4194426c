"""What only a server does: others ask it and write into it, and it ends, and comes back."""

from __future__ import annotations

import re
import select
import signal
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import psycopg
import pytest

from livecache.errors import DamagedBlock, NewerSchema, StoreUnusable
from livecache.history.columns import Columns
from livecache.history.opening import open_history
from livecache.history.postgres.schema import SCHEMA
from livecache.history.postgres.store import PostgresHistory, open_postgres
from livecache.history.records.log import LogEntry
from livecache.history.store import HistoryDatabase, JobState, Outcome, Want
from livecache.keys.history_place import Place
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from .engines import OnServer
from .pg import Postgres, program
from .support import KEY, HandClock, covered, market, minute, number_of, put, same

_END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()"


@pytest.fixture
def store(postgres: Postgres, clock: HandClock) -> Iterator[PostgresHistory]:
    engine = OnServer(postgres)
    engine.empty()
    held = engine.open(clock)
    assert isinstance(held, PostgresHistory)
    yield held
    held.close()


def by_hand(postgres: Postgres, sql: str) -> None:
    with psycopg.connect(postgres.url(), autocommit=True) as db:
        db.execute(sql)


def test_the_queries_of_the_requests_work_by_psql_as_they_are_written(
    store: PostgresHistory, series: int, postgres: Postgres
) -> None:
    put(store, series, 0, 100)
    put(store, series, 150, 200)
    put(store, number_of(store, KEY._replace(symbol="ETH-USD")), 0, 10)

    def asked(sql: str) -> list[str]:
        psql = [program("psql"), "-X", "-A", "-t", "-d", postgres.url(), "-c", f"SET TimeZone = 'UTC'; {sql}"]
        return subprocess.run(psql, check=True, capture_output=True, text=True).stdout.splitlines()[1:]

    rows = market(0, 100) + market(150, 200)
    assert asked("SELECT symbol, count(*), min(time), max(time) FROM ohlcv GROUP BY symbol ORDER BY symbol")[
        0
    ] == (f"BTC-USD|{len(rows)}|2024-10-04 00:00:00+00|2024-10-04 03:19:00+00")
    assert asked("SELECT * FROM gaps WHERE gap_end IS NOT NULL") == [
        "venue|BTC-USD|1m|2024-10-04 01:40:00+00|2024-10-04 02:30:00+00"
    ]
    first = rows[0]
    assert asked("SELECT open, volume FROM ohlcv WHERE symbol = 'BTC-USD' ORDER BY time LIMIT 1") == [
        f"{first.open}|{first.volume}"
    ], "its digits as the venue printed them"
    missing = """SELECT day FROM generate_series(timestamptz '2024-10-03', '2024-10-06', '1 day') AS day
        WHERE NOT EXISTS (SELECT 1 FROM ohlcv WHERE symbol = 'BTC-USD' AND timeframe = '1m'
            AND time >= day AND time < day + interval '1 day') ORDER BY day"""
    assert [line[:10] for line in asked(missing)] == ["2024-10-03", "2024-10-05", "2024-10-06"]


def test_what_the_page_on_history_shows_in_sql_works(
    store: PostgresHistory, series: int, postgres: Postgres
) -> None:
    put(store, series, 0, 100)
    whole = (Path(__file__).parents[2] / "docs/history.md").read_text()
    page = whole.partition("## In a PostgreSQL")[2].partition("\n## ")[0]
    shown = [block.partition("```")[0] for block in page.split("```sql\n")[1:]]
    assert len(shown) == 4 and "create_hypertable" in shown[3], "which takes an extension"
    with psycopg.connect(postgres.url()) as db:
        for sql in shown[:3]:
            db.execute(sql)
        (count,) = db.execute("SELECT count(*) FROM prices").fetchone() or (0,)
        assert count == len(market(0, 100))
        db.rollback()


@pytest.mark.parametrize("how", ["killed", "restarted", "cut off"])
def test_what_was_acknowledged_stays_whatever_happens_to_the_server(
    store: PostgresHistory, series: int, postgres: Postgres, how: str
) -> None:
    """A page is there as a whole or not at all, and the store goes on by itself when the server is back."""
    random, acknowledged, refused = Random(how), set[int](), list[StoreUnusable]()
    (number,) = store.submit([Want(series, minute(0), minute(3_000))]).jobs
    job = store.claim("worker")
    assert job and job.id == number

    def trouble() -> None:
        if how == "cut off":
            by_hand(postgres, _END_ALL)
            return
        postgres.stop(signal.SIGQUIT if how == "killed" else signal.SIGINT)
        postgres.start()

    for _ in range(3 if how == "cut off" else 1):
        timer = threading.Timer(random.uniform(0.05, 0.2), trouble)
        timer.start()
        while timer.is_alive():
            page = random.randrange(30)
            try:
                put(store, series, page * 100, page * 100 + 100, job.lease)
                acknowledged.add(page)
            except StoreUnusable as error:
                refused.append(error)
        timer.join()
    assert acknowledged and refused
    assert all(error.hint and str(store.place) in error.message for error in refused)
    coverage = store.coverage(series)
    pages = {page for page in range(30) if coverage.covers(minute(page * 100), minute(page * 100 + 100))}
    assert acknowledged <= pages
    assert coverage == Coverage(span for page in pages for span in covered(page * 100, page * 100 + 100))
    truth = [row for row in market(0, 3_000) if row.time in coverage]
    assert same(store.read(series, 0, 1 << 60).rows.candles(), truth)
    assert list(store.verify()) == []
    held = store.job(number)
    assert held and held.inserted == len(truth), "counters and rows are one commit"


def test_a_server_that_lets_nobody_in_is_told_without_a_password(
    postgres: Postgres,
) -> None:
    now = HandClock()
    for url, said, hint in (
        (f"postgresql://livecache:secret@127.0.0.1:{postgres.port}/nowhere", "nowhere", "createdb"),
        (f"postgresql://me:secret@127.0.0.1:{postgres.port}/history", "role", "check the user"),
        ("postgresql://me:secret@127.0.0.1:1/history", "refused", "tried again"),
        (f"postgresql://me:secret@127.0.0.1:{postgres.port}/history?oops=1", "no URL", "looks like"),
    ):
        with pytest.raises(StoreUnusable) as raised:
            open_history(Place(None, url), now)
        told = f"{raised.value.message} {raised.value.hint}"
        assert said in told and hint in told and "secret" not in f"{told} {raised.value.__cause__}"


def test_what_a_role_may_not_do_is_told_and_changes_nothing(
    store: PostgresHistory, series: int, postgres: Postgres
) -> None:
    put(store, series, 0, 10)
    by_hand(postgres, "DROP ROLE IF EXISTS viewer")
    by_hand(postgres, "CREATE ROLE viewer LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO viewer")
    try:
        place = postgres.place(user="viewer")
        reader = open_history(place, store.now, read_only=True)
        assert same(reader.read(series, 0, 1 << 60).rows.candles(), market(0, 10))
        with pytest.raises(StoreUnusable, match="read-only"):
            put(reader, series, 10, 20)
        reader.close()
        writer = open_history(place, store.now)
        with pytest.raises(StoreUnusable, match="permission denied") as raised:
            put(writer, series, 10, 20)
        assert "granted" in raised.value.hint
        writer.close()
        assert store.coverage(series) == covered(0, 10)
    finally:
        by_hand(postgres, "DROP OWNED BY viewer; DROP ROLE viewer")


def test_who_holds_a_series_for_long_is_not_waited_for_for_ever(
    store: PostgresHistory, series: int, postgres: Postgres
) -> None:
    hurried = open_postgres(store.place, store.now, busy_s=0.1)
    other = number_of(store, KEY._replace(symbol="ETH-USD"))
    with store.writing() as db:
        store.lock(db, series)
        with pytest.raises(StoreUnusable, match="lock timeout") as raised:
            put(hurried, series, 0, 10)
        assert "another" in raised.value.hint
        put(hurried, other, 0, 10)  # nobody waits for another's series
    put(hurried, series, 0, 10)
    hurried.close()


def test_two_may_make_the_tables_at_once_and_a_newer_one_is_left_alone(postgres: Postgres) -> None:
    postgres.fresh("new")
    place, made, now = postgres.place("new"), list[HistoryDatabase](), HandClock()
    threads = [threading.Thread(target=lambda: made.append(open_postgres(place, now))) for _ in range(4)]
    with pytest.raises(StoreUnusable, match="there is no history at"):
        open_postgres(place, now, read_only=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({store.identity for store in made}) == 1 and len(made) == 4
    put(made[0], number_of(made[0]), 0, 10)
    assert made[1].coverage(1) == covered(0, 10) and made[0].total_bytes() > 0
    with psycopg.connect(place.url) as db:
        db.execute("UPDATE meta SET value = %s WHERE key = 'schema'", (str(SCHEMA + 1),))
    for read_only in (True, False):
        with pytest.raises(NewerSchema, match="newer livecache"):
            open_postgres(place, now, read_only=read_only)
    for store in made:
        store.close()


@pytest.mark.parametrize("layout", ["rows", "packed"])
def test_nothing_goes_into_what_was_made_anew_meanwhile(postgres: Postgres, layout: str) -> None:
    """Numbers of series and of jobs, and the layout, are those of what was opened: there they mean others."""
    postgres.fresh("anew")
    now, other = HandClock(), KEY._replace(symbol="ETH-USD")
    old = open_postgres(postgres.place("anew"), now)
    theirs = number_of(old)
    old.submit([Want(theirs, minute(0), minute(100))])
    lease = old.claim("old")
    postgres.fresh("anew")
    new = open_postgres(replace(postgres.place("anew"), layout=layout), now)
    assert number_of(new, other) == theirs
    new.submit([Want(theirs, minute(0), minute(100))])
    assert lease and new.claim("new"), "a job of that number, just claimed, is there as well"
    for _ in range(2):
        with pytest.raises(StoreUnusable, match="made anew"):
            put(old, theirs, 0, 10, lease.lease)
    assert not new.coverage(theirs) and not len(new.read(theirs, 0, 1 << 60).rows)
    old.close()
    new.close()


def test_how_a_database_is_set_up_changes_nothing(postgres: Postgres) -> None:
    """What its owner may have set for all: writers wait for one another, texts and times are as they were."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as db:
        db.execute("DROP DATABASE IF EXISTS odd")
        db.execute("CREATE DATABASE odd ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        for setting in (
            *("TimeZone = 'America/New_York'", "DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'"),
            *("standard_conforming_strings = off", "bytea_output = 'escape'", "extra_float_digits = -15"),
            *("default_transaction_isolation = 'serializable'", "xmloption = 'document'"),
        ):
            db.execute(f"ALTER DATABASE odd SET {setting}".encode())
    now = HandClock()
    stores = [open_postgres(postgres.place("odd"), now) for _ in range(3)]
    series = number_of(stores[0])

    def fill(which: int) -> None:
        for page in range(which, 30, 3):
            put(stores[which], series, page * 10, page * 10 + 10)
            stores[which].submit([Want(series, minute(300), minute(300 + page // 3 + 1))])

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(fill, range(3)))
    one = stores[0]
    assert same(one.read(series, 0, 1 << 60).rows.candles(), market(0, 300)) and not list(one.verify())
    assert one.waiting() == 10
    said = "… € Ω \\ ' % ? :x"
    one.log([LogEntry(1, "INFO", said, said)])
    assert [entry.message for entry in one.logged()] == [said]
    for store in stores:
        store.close()


def test_an_encoding_that_lacks_letters_is_told_before_anything_is_made(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as db:
        db.execute("DROP DATABASE IF EXISTS latin")
        db.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreUnusable, match="not UTF8") as raised:
        open_postgres(postgres.place("latin"), HandClock())
    assert "--encoding=UTF8" in raised.value.hint


def test_a_text_that_postgresql_does_not_take_stops_no_job(store: PostgresHistory, series: int) -> None:
    """As an exchange's error may have it."""
    store.submit([Want(series, minute(0), minute(10))])
    job = store.claim("worker")
    assert job
    store.settle(job.lease, Outcome.FAILED, "what \0 and \udcff")
    (failed,) = store.jobs()
    assert failed.state is JobState.FAILED and failed.error == "what \\x00 and \\udcff"


def test_behind_a_pooler_no_statement_is_kept_by_name(
    store: PostgresHistory, series: int, postgres: Postgres
) -> None:
    """One that gives each transaction another connection would take it for another client's."""

    class Pooler(socketserver.BaseRequestHandler):
        """As any does, it names a process that is not the server's."""

        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", postgres.port)) as server:
                while True:
                    for each in select.select([self.request, server], [], [])[0]:
                        if not (data := each.recv(1 << 16)):
                            return
                        data = re.sub(rb"(?s)(?<=K\0\0\0\x0c)....", b"\0\0\0\7", data)
                        (server if each is self.request else self.request).sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pooler) as pooler:
        pooler.daemon_threads = True
        threading.Thread(target=pooler.serve_forever, args=(0.01,), daemon=True).start()
        place = Place(None, store.place.url.replace(str(postgres.port), str(pooler.server_address[1])))
        with closing(open_postgres(place, store.now)) as behind:
            for page in range(10):
                put(behind, series, page * 10, page * 10 + 10)
            with behind.reading() as db:
                assert db.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        pooler.shutdown()
    assert store.coverage(series) == covered(0, 100)


def test_tables_of_somebody_else_are_left_alone(postgres: Postgres) -> None:
    with psycopg.connect(postgres.fresh("others"), autocommit=True) as db:
        db.execute("CREATE TABLE series (x int)")
        with pytest.raises(StoreUnusable, match="series") as raised:
            open_postgres(postgres.place("others"), HandClock())
        assert "of its own" in raised.value.hint
        assert db.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (1,)


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("DELETE FROM candles WHERE time = '2024-10-05 12:00Z'", "pages brought"),
        ("INSERT INTO candles VALUES (1, '2024-10-05 12:00:01Z', 1, 1, 1, 1, 1)", "pages brought"),
        ("UPDATE candles SET time = time - interval '1 s' WHERE time = '2024-10-05 00:00Z'", "pages brought"),
        ("UPDATE candles SET close = 'NaN' WHERE time = '2024-10-05 12:00Z'", "no page brought"),
        ("UPDATE candles SET low = '-Infinity' WHERE time = '2024-10-05 12:00Z'", "no page brought"),
        ("UPDATE candles SET open = 1e20000 WHERE time = '2024-10-05 12:00Z'", "no page brought"),
        ("UPDATE candles SET volume = 1e-9000 WHERE time = '2024-10-05 12:00Z'", "no page brought"),
    ],
)
def test_what_is_written_by_hand_is_found_put_aside_and_fetched_again(
    store: PostgresHistory, series: int, postgres: Postgres, by: str, said: str
) -> None:
    rows = market(0, 1_440 * 3, quiet=0)
    store.commit(series, Columns.of(rows), covered(0, 1_440 * 3))
    by_hand(postgres, by)
    found = list(store.verify())
    assert found and all(said in each.reason for each in found)
    if said == "no page brought":
        with pytest.raises(DamagedBlock, match="no number"):
            store.read(series, 0, 1 << 60)
    store.heal()
    assert list(store.verify()) == []
    missing = store.coverage(series).missing(minute(0), minute(1_440 * 3))
    assert missing.covers(minute(1_440), minute(1_440 * 2))
    for start, end in missing:
        page = [row for row in rows if start <= row.time < end]
        store.commit(series, Columns.of(page), Coverage([(start, end)]))
    assert same(store.read(series, 0, 1 << 60).rows.candles(), rows) and list(store.verify()) == []


def test_a_row_by_hand_where_a_page_comes_stops_no_page(
    store: PostgresHistory, series: int, postgres: Postgres
) -> None:
    by_hand(postgres, "INSERT INTO candles VALUES (1, '2024-10-04 00:05Z', 1, 1, 1, 1, 1)")
    rows = market(0, 10, quiet=0)
    store.commit(series, Columns.of(rows), covered(0, 10))
    assert same(store.read(series, 0, 1 << 60).rows.candles(), rows)
    store.heal()
    assert list(store.verify()) == []


def test_any_number_of_digits_goes_in_and_out(store: PostgresHistory) -> None:
    """By the way of long numbers, and by that of short ones."""
    series = number_of(store, SeriesId("venue", "PEPE", Timeframe.M1))
    texts = [
        "0",
        "-1.5",
        "0.00000001",
        "12345678.87654321",
        "99999999999999",
        "1e-30",
        "123456789012345678901234567890",
    ]
    for n, text in enumerate(texts):
        row = ExactCandle(minute(n), text, text, text, text, text)
        store.commit(series, Columns.of([row]), covered(n, n + 1))
        assert same(store.read(series, minute(n), minute(n + 1)).rows.candles(), [row])
    assert [float(c) for c in texts] == store.read(series, 0, 1 << 60).rows.close.floats().tolist()


def test_a_copy_is_pg_dumps_and_vacuum_is_postgresqls(store: PostgresHistory, series: int) -> None:
    put(store, series, 0, 10)
    with pytest.raises(StoreUnusable) as raised:
        store.backup(Path("copy.db"))
    assert "pg_dump --format=custom --file=copy.db" in raised.value.hint
    store.vacuum()
    assert store.coverage(series) == covered(0, 10)
