"""A PostgreSQL of the tests' own: real, on loopback, as a user who is not root, and as fast as it can be."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from livecache.keys.history_place import Place

from ..e2e.support import free_port, until

__all__ = ["Postgres", "postgres_server", "program"]

_FAST = ("fsync=off", "full_page_writes=off", "autovacuum=off", "shared_buffers=32MB", "max_connections=40")


@dataclass
class Postgres:
    """A server, which can be killed and started again. What was committed stays: the machine lives on."""

    data: Path
    port: int
    settings: Sequence[str] = _FAST
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(self, database: str = "history", user: str = "livecache") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def place(self, database: str = "history", user: str = "livecache") -> Place:
        return Place(None, self.url(database, user))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "unix_socket_directories=",
            *self.settings,
        ]
        with (self.data.parent / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program("postgres"), "-D", str(self.data), *(x for each in options for x in ("-c", each))],
                stdout=log,
                stderr=log,
                **_user(),
            )
        until("PostgreSQL answers", self._answers, 120.0)

    def _answers(self) -> bool:
        assert self.process and self.process.poll() is None, (self.data.parent / "log").read_text()
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=10).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """By default at once, as by `pg_ctl stop -m immediate`: what is not committed is gone."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(timeout=120)
            self.process = None

    def emptied(self, database: str = "history") -> str:
        """The URL of a database of that name, with no row in it: its tables are there, if they were."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            if not db.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
                db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        with psycopg.connect(self.url(database), autocommit=True) as db:
            found = db.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename != 'meta'"
            ).fetchall()
            if found:
                names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in found)
                db.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(names))
        return self.url(database)

    def fresh(self, database: str) -> str:
        """The URL of a database of that name in which there is nothing."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            name = sql.Identifier(database)
            db.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            db.execute(sql.SQL("CREATE DATABASE {}").format(name))
        return self.url(database)


@contextmanager
def postgres_server(settings: Sequence[str] = _FAST) -> Iterator[Postgres]:
    """A server that answers, gone with the block; skips where PostgreSQL is not installed."""
    if not program("initdb"):
        pytest.skip("takes PostgreSQL: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="livecache-pg") as name:
        directory = Path(name)
        if os.getuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        data = directory / "data"
        options = ["--username=livecache", "--auth=trust", "--no-sync", "--locale=C.UTF-8", "--encoding=UTF8"]
        subprocess.run(
            [program("initdb"), "-D", str(data), *options], check=True, stdout=subprocess.DEVNULL, **_user()
        )
        server = Postgres(data, free_port(), settings)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGINT)


def program(name: str) -> str:
    """Where a program of PostgreSQL is: Debian keeps some away from the PATH."""
    newest = max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), default=None)
    return shutil.which(name) or str(newest or "")


def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": "postgres", "group": "postgres", "cwd": "/"} if os.getuid() == 0 else {}
