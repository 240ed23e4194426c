"""The server: how it is reached, what a transaction is, and what its errors mean for people.

Writers of one series wait for each other at its row, and for nobody else. Readers wait for nobody: what they
see is as it was when they began.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrDumper

from ...errors import NewerSchema, NoHistory, StoreUnusable
from ...keys.history_place import Place
from ..tables.database import Sql, Tables
from .schema import LAYOUTS, MIGRATIONS, SCHEMA
from .stalled import end_stalled

__all__ = ["Database"]

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"  # who has waited for a lock sees what was done meanwhile
_SUBMITTING = 0x6C636832
_MIGRATING = 0x6C636831  # "lch1": of the lock that one alone holds who makes the tables
_SESSION = """SET statement_timeout = '10min'; SET idle_in_transaction_session_timeout = '30s';
    SET client_min_messages = warning"""
# A host that is gone without a word is noticed within half a minute.
_SETTINGS: dict[str, Any] = {
    "application_name": "livecache",
    "client_encoding": "utf8",  # whatever the database's own is
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class Database(Tables):
    """An open store. `now` tells Unix ms by the host's clock."""

    first_free = " FOR UPDATE OF jobs SKIP LOCKED"

    def __init__(self, place: Place, now: Callable[[], int], *, writes: bool, busy_s: float) -> None:
        self.place, self.now, self.writes, self._busy_s = place, now, writes, busy_s
        self._process = os.getpid()
        self._made: dict[str, str] = {}
        self._raw = self._connected()
        try:
            self._prepare() if writes else self.check()
            self._made = _as_made(self._raw)
            self.stored_as = self._made["layout"]
            """In which layout the rows are: as it was when the tables were made."""
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection; in a process that was forked it is the parent's."""
        if os.getpid() == self._process:
            self._raw.close()

    @property
    def identity(self) -> tuple[object, ...]:
        """What the database was given when its tables were made."""
        return (self._made["identity"],)

    @property
    def moved(self) -> bool:
        """Whether the server has ended the connection."""
        return self._raw.closed

    @property
    def raw(self) -> psycopg.Connection:
        """The connection itself, for what is no plain SQL."""
        return self._raw

    @contextmanager
    def writing(self) -> Iterator[Sql]:
        """A transaction of which all is stored, or nothing. Within one it is part of that."""
        with self._transaction(_BEGIN if self.writes else f"{_BEGIN} READ ONLY") as db:
            yield db

    @contextmanager
    def reading(self) -> Iterator[Sql]:
        """A transaction in which all is as it was at its first statement. Nobody waits for its end."""
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY") as db:
            yield db

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Sql]:
        if self._raw.info.transaction_status == TransactionStatus.INTRANS:
            yield _Connection(self._raw)
            return
        with self._told():
            self._begin(begin)
            try:
                yield _Connection(self._raw)
                self._raw.execute("COMMIT")
            except BaseException as error:
                with suppress(psycopg.Error):  # with the connection the transaction went, too
                    self._raw.execute("ROLLBACK")
                    if isinstance(error, errors.LockNotAvailable):
                        end_stalled(self._raw)
                raise

    def _begin(self, begin: str) -> None:
        """Over a new connection if the server has ended this one: nothing was begun by it."""
        try:
            self._raw.execute(begin)
        except psycopg.OperationalError:
            if not self._raw.closed:
                raise
            raw = self._connected()
            try:
                if self._made and _as_made(raw) != self._made:
                    raise StoreUnusable(  # whose numbers of series and jobs are others
                        f"{self.place} was made anew or upgraded meanwhile",
                        "begin again with what is there",
                    ) from None
            except BaseException:
                raw.close()
                raise
            self._raw = raw
            self._raw.execute(begin)

    def lock(self, db: Sql, series: int, *, symbol: bool = False) -> None:
        """Whoever else would change that series, or any of its symbol, waits for this transaction's end."""
        which = (
            "(venue, symbol) = (SELECT venue, symbol FROM series WHERE id = ?)" if symbol else "id = ?"
        )  # all in one order: none waits for one that waits for it
        db.execute(f"SELECT 1 FROM series WHERE {which} ORDER BY id FOR NO KEY UPDATE", (series,))

    def alone(self, db: Sql) -> None:
        """Whoever else would submit jobs waits: two that want the same ones would for each other."""
        db.execute("SELECT pg_advisory_xact_lock(?)", (_SUBMITTING,))

    def check(self) -> None:
        """That it is ours, and that we understand it. Raises `StoreUnusable`."""
        schema = self._schema()
        if schema is None:
            raise NoHistory(f"there is no history at {self.place} yet", "livecache history fill makes it")
        if schema < SCHEMA:
            raise StoreUnusable(
                f"{self.place} was made by an older livecache (schema {schema}, this one knows {SCHEMA})",
                "start the service of this version there first: it brings the tables up to date",
            )

    def _schema(self) -> int | None:
        """None where there are no tables yet."""
        with self.reading() as db:
            there = db.execute("SELECT to_regclass('meta')").fetchone() != (None,)
            return self._schema_of(db) if there else None

    def _schema_of(self, db: Sql) -> int:
        found = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        schema = int(found[0]) if found else 0
        if schema > SCHEMA:
            raise NewerSchema(
                f"{self.place} was made by a newer livecache (schema {schema}, this one knows {SCHEMA})",
                "upgrade livecache here, too",
            )
        return schema

    def _prepare(self) -> None:
        if self._schema() == SCHEMA:  # whoever may write rows need not be able to make tables
            return
        with self.writing() as db:
            db.execute("SELECT pg_advisory_xact_lock(?)", (_MIGRATING,))
            db.execute("CREATE TABLE IF NOT EXISTS meta (key text PRIMARY KEY, value text NOT NULL)")
            if self._raw.info.parameter_status("server_encoding") not in ("UTF8", "SQL_ASCII"):
                raise StoreUnusable(
                    f"{self.place} cannot hold every text: its encoding is not UTF8",
                    "createdb --encoding=UTF8 --template=template0 makes one that can",
                )
            for later in range(self._schema_of(db) + 1, SCHEMA + 1):  # another one may just have made them
                for statement in MIGRATIONS[later]:
                    db.execute(statement)
            if not db.execute("SELECT 1 FROM meta WHERE key = 'layout'").fetchone():
                self.raw.execute(LAYOUTS[self.place.layout])
                db.execute("INSERT INTO meta (key, value) VALUES ('layout', ?)", (self.place.layout,))
            db.execute(
                "INSERT INTO meta (key, value) VALUES ('identity', gen_random_uuid()) ON CONFLICT DO NOTHING"
            )
            db.execute(
                "INSERT INTO meta (key, value) VALUES ('schema', ?)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (str(SCHEMA),),
            )

    def _connected(self) -> psycopg.Connection:
        with self._told():
            try:
                raw = psycopg.connect(self.place.url, autocommit=True, **_SETTINGS, **self._password())
            except psycopg.ProgrammingError:  # whose text has the whole URL in it
                raise StoreUnusable(f"{self.place} is no URL of a PostgreSQL", _LOOKS) from None
            raw.adapters.register_dumper(str, _Text)
            raw.execute(f"{_SESSION}; SET lock_timeout = {int(self._busy_s * 1000)}")
            if raw.execute("SELECT pg_backend_pid()").fetchone() != (raw.info.backend_pid,):
                raw.prepare_threshold = None  # a pooler is between: that name may be another client's
            return raw

    def _password(self) -> dict[str, Any]:
        """As its file has it, each time: it may have been changed."""
        if self.place.password_file is None:
            return {}
        try:
            return {"password": self.place.password_file.read_text().partition("\n")[0].strip()}
        except OSError as error:
            raise StoreUnusable(
                f"{self.place.password_file}: {error.strerror}", "history.password_file names a file to read"
            ) from None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.ProgrammingError, psycopg.IntegrityError, psycopg.OperationalError) as error:
            # Of what it says before it lets anybody in only the text is told on.
            hint = _hint_on(error) or next((hint for text, hint in _SAID if text in str(error)), "")
            if not hint and not isinstance(error, psycopg.OperationalError):
                raise  # a bug of ours
            said = str(error).strip().splitlines()[0].removeprefix("connection failed: ")
            raise StoreUnusable(f"{self.place}: {said}", hint or _AWAY) from error
        except (psycopg.InternalError, psycopg.DataError) as error:
            raise StoreUnusable(f"{self.place}: {str(error).strip()}", _hint_on(error) or _DAMAGED) from error


def _hint_on(error: Exception) -> str:
    return next((hint for kinds, hint in _HINTS if isinstance(error, kinds)), "")


def _as_made(raw: psycopg.Connection) -> dict[str, str]:
    """What it was given when its tables were made."""
    return dict(raw.execute("SELECT key, value FROM meta").fetchall())


class _Text(StrDumper):
    """What PostgreSQL takes of a text: an exchange's own words may have more in them."""

    def dump(self, obj: str) -> bytes:
        return obj.replace("\0", "\\x00").encode(errors="backslashreplace")


class _Connection:
    """A connection that takes SQL as the tables have it."""

    def __init__(self, raw: psycopg.Connection) -> None:
        self._raw = raw

    def execute(self, sql: str, values: Any = (), /) -> Any:
        return self._raw.execute(_translated(sql), values)

    def executemany(self, sql: str, values: Iterable[Any], /) -> Any:
        held = list(values)
        if len(held) < _FEW:
            for each in held:
                self._raw.execute(_translated(sql), each)
        else:
            with self._raw.cursor() as cursor:
                cursor.executemany(_translated(sql), held)


@lru_cache(maxsize=500)
def _translated(sql: str) -> Any:
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", sql).replace("?", "%s")


_FEW = 3  # that go by themselves sooner than together
_LOOKS = "it looks like postgresql://user@host:5432/database"
_AWAY = (
    "see that it is up and to be reached from here; it is tried again, and nothing that was stored is lost"
)
_DAMAGED = "PostgreSQL's log says more; pg_amcheck and a backup are its own means"

_SAID = (
    *(
        (text, "check the user and the password: history.password_file, PGPASSWORD or ~/.pgpass")
        for text in ("password", "authentication", "FATAL:  role")
    ),
    ("FATAL:  database", "createdb makes a database: it is not livecache's to make one"),
    ("too many", "raise max_connections, or end what holds connections and needs none"),
)

_HINTS = (
    (
        (errors.InsufficientPrivilege,),
        "livecache history roles says what a reader, a writer and an owner have to be granted",
    ),
    (
        (errors.ReadOnlySqlTransaction,),
        "write to the primary server, where neither role nor database has default_transaction_read_only",
    ),
    (
        (errors.InvalidSchemaName,),
        "CREATE SCHEMA makes the one that the URL's search_path names: it is not livecache's to make one",
    ),
    ((errors.DiskFull,), "make room: nothing is lost, and it goes on from there"),
    ((errors.LockNotAvailable, errors.QueryCanceled), "another process holds it for long: end it, or wait"),
    (
        (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation),
        "another one was first: try again",
    ),
    (
        (errors.DuplicateTable, errors.UndefinedColumn, errors.UndefinedTable),
        "these tables are no history of livecache's: give history.url a database or a schema of its own",
    ),
)
