"""The file: how it is opened, what a transaction is, and what SQLite's errors mean for people.

The journal is a rollback journal, never a write-ahead log: that needs a directory that readers may write to,
and before SQLite 3.51.3 it could be reset under a second writer. In this mode any number of processes may
write and read, and a connection that finds the journal of one that was killed rolls it back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import NewerSchema, NoHistory, StoreUnusable
from ..tables.database import Sql, Tables
from .schema import APPLICATION, LATER, SCHEMA, STAND_INS, STATEMENTS

__all__ = ["BUSY_S", "Database", "network_file_system"]

BUSY_S = 30.0
"""So long one waits for another connection's transaction."""

_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "fuse.glusterfs", "afs")
_MOUNTS = Path("/proc/self/mounts")


class Database(Tables):
    """An open store. `now` tells Unix ms by the host's clock."""

    def __init__(self, path: Path, now: Callable[[], int], *, writes: bool, busy_s: float) -> None:
        self.path, self.now, self.writes = path, now, writes
        self._seen: int | None = None  # of the file, since it was found to be ours
        self._schema = SCHEMA  # as this connection sees it: a reader may find an older one
        if writes:
            self._refuse_network()
        elif not path.exists():
            raise NoHistory(f"there is no history at {path}", _MAKES_IT)
        with self._told():
            # Readers, too: only who may write can roll back what a killed writer left.
            mode = "rwc" if writes else "rw"
            uri = f"{path.absolute().as_uri()}?mode={mode}"
            self.db = sqlite3.connect(
                uri, uri=True, isolation_level=None, timeout=busy_s, check_same_thread=False
            )
        self.identity = _identity(path)
        """Of the file."""
        try:
            if not writes:
                self.db.execute("PRAGMA temp_store = MEMORY")
            self.check()
            self._prepare() if writes else self.db.execute("PRAGMA query_only = ON")
        except BaseException:
            self.db.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self.db.close()

    @property
    def moved(self) -> bool:
        """Whether another file is at its path by now, or none: who only reads is told by no error."""
        return _identity(self.path) != self.identity

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that alone may write; all is stored, or nothing. Within one it is part of that."""
        if self.db.in_transaction:
            yield self.db
            return
        with self._told():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")  # which fails where the disk is full
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction in which all is as it was at its first statement. Commits wait for its end."""
        if self.db.in_transaction:
            yield self.db
            return
        with self._told():
            self.db.execute("BEGIN")
            try:
                yield self.db
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")

    def lock(self, db: Sql, series: int, *, symbol: bool = False) -> None:
        """There is nothing to do: one alone may write at a time."""

    def alone(self, db: Sql) -> None:
        """There is nothing to do for that, either."""

    def _refuse_network(self) -> None:
        kind = network_file_system(self.path.absolute(), _MOUNTS.read_text() if _MOUNTS.exists() else "")
        if kind:
            raise StoreUnusable(
                f"{self.path} lies on a network file system ({kind}), whose locks SQLite cannot trust",
                "put history.url on a local disk",
            )

    def check(self) -> None:
        """That it is ours, and that we understand it. Raises `StoreUnusable`."""
        with self.reading() as db:
            (schema,) = db.execute("PRAGMA user_version").fetchone()
            if schema == self._seen:  # of the file that is open nothing else can change
                return
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and not application:
            if not self.writes:  # somebody is just making it
                raise NoHistory(f"there is no history at {self.path} yet", _MAKES_IT)
            return
        if application != APPLICATION:
            raise StoreUnusable(f"{self.path} is no history of livecache's", "give history.url another path")
        if schema > SCHEMA:
            raise NewerSchema(
                f"{self.path} was made by a newer livecache (schema {schema}, this one knows {SCHEMA})",
                "upgrade livecache here, too",
            )
        if not self.writes and schema != self._schema:
            self._stand_in(schema)
        self._seen = schema

    def _stand_in(self, schema: int) -> None:
        """What the file lacks that a reader asks for is there, and empty; until a writer has made it."""
        self.db.execute("PRAGMA query_only = OFF")
        for kind, name in self.db.execute("SELECT type, name FROM temp.sqlite_master").fetchall():
            self.db.execute(f"DROP {kind} temp.{name}")
        for later in range(schema + 1, SCHEMA + 1):
            for statement in STAND_INS[later]:
                self.db.execute(statement)
        self.db.execute("PRAGMA query_only = ON")
        self._schema = schema

    def _prepare(self) -> None:
        with self._told():
            (mode,) = self.db.execute("PRAGMA journal_mode = TRUNCATE").fetchone()
            if mode != "truncate":
                raise StoreUnusable(
                    f"{self.path} is kept in journal mode {mode} by another program",
                    "end that program: livecache sets the mode back by itself",
                )
            self.db.execute("PRAGMA synchronous = FULL")
            self.db.execute("PRAGMA foreign_keys = ON")
        with self.writing() as db:
            (schema,) = db.execute("PRAGMA user_version").fetchone()  # another one may just have made it
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                for statement in STATEMENTS:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION}")
            else:
                for later in range(schema + 1, SCHEMA + 1):
                    for statement in LATER[later]:
                        db.execute(statement)
            # Each time: where nothing can be written, SQLite would open it for reading, and say nothing.
            db.execute(f"PRAGMA user_version = {max(schema, SCHEMA)}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a bug of ours
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            hint = _HINTS.get(code) or _HINTS.get(code & 0xFF, "")
            raise StoreUnusable(f"{self.path}: {error}", hint.format(path=self.path.name)) from error


def _identity(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino


_MAKES_IT = "livecache history fill makes it"
_FULL = "make room: nothing is lost, and it goes on from there"
_UNWRITTEN = f"{_FULL}; if there is room, {{path}}-journal belongs to another user"
_DENIED = "give this user the right to write there, to the file and its directory"

_HINTS = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_WRITE: _UNWRITTEN,
    sqlite3.SQLITE_IOERR_FSYNC: _FULL,
    sqlite3.SQLITE_READONLY: _DENIED,
    sqlite3.SQLITE_READONLY_DBMOVED: "it was moved while it was open: begin again with what is there",
    sqlite3.SQLITE_CANTOPEN: "it takes a directory that is there, and the right to read and write in it",
    sqlite3.SQLITE_READONLY_ROLLBACK: (
        "a writer was killed in the middle of a page: start livecache where it may write, it puts that right"
    ),
    sqlite3.SQLITE_BUSY: "another process holds it for long: end that one, or wait",
    sqlite3.SQLITE_NOTADB: "it is no SQLite file: give history.url another path",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: move it away, and copy a backup there or fill it anew",
}


def network_file_system(path: Path, mounts: str) -> str:
    """Over which network file system a path is reached, by the system's table of mounts; "" if over none."""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, mounted, found, *_ = line.split(" ")
        mounted = mounted.replace("\\040", " ")
        if len(mounted) >= len(best) and path.is_relative_to(mounted):
            best, kind = mounted, found
    return kind if kind in _NETWORK else ""
