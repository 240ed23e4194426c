"""Where a store of history lies: in a file, or in a database of PostgreSQL's."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

__all__ = ["Place", "place_problem"]

_FILE = "history.db"
_SCHEME = "sqlite:///"
_SERVERS = ("postgresql", "postgres")
_LOOKS = "embedded, sqlite:///path/to/history.db, or postgresql://user@host/database"
_SECRET = ("password", "sslpassword")


def place_problem(url: str) -> tuple[str, str] | None:
    """Why that is no place for a store, and a hint; None if it is one. It tells no password."""
    if url in ("embedded", "off") or url.removeprefix(_SCHEME) not in (url, ""):
        return None
    if not _is_server(url):
        return f"{_without_password(url)!r} is no place for a history", f"it looks like {_LOOKS}"
    if not urlsplit(url).path.strip("/"):
        return f"{_without_password(url)!r} names no database", "postgresql://user@host/database"
    return None


@dataclass(frozen=True, slots=True)
class Place:
    """A file, or a database. As a text it has no password."""

    path: Path | None
    """The file; None for a database."""
    url: str = field(default="", repr=False)
    """Of the database. It may have a password in it: it is for who connects."""
    password_file: Path | None = None
    """Has the password of the database in its first line."""
    layout: str = "rows"
    """How a database is to keep candles if it is made now: "rows", or "packed"."""

    @classmethod
    def of(cls, url: str, data_dir: Path, password_file: str = "", layout: str = "rows") -> Place:
        """The place of that URL; any word that is none is a file in the data directory.

        What follows the three slashes of `sqlite:///path` is relative to the working directory where its
        directory is there, else it is taken from the root: `sqlite:////data/history.db` always is.
        """
        if _is_server(url):
            return cls(None, url, Path(password_file).expanduser() if password_file else None, layout)
        if not url.startswith(_SCHEME):
            return cls(data_dir / _FILE)
        path = Path(url.removeprefix(_SCHEME)).expanduser()
        rooted = Path("/") / path
        if not path.is_absolute() and not path.parent.is_dir() and rooted.parent.is_dir():
            return cls(rooted)
        return cls(path.absolute())

    def __str__(self) -> str:
        return str(self.path) if self.path else _without_password(self.url)

    def exists(self) -> bool:
        """Whether its file is there; whether a database is, only opening it tells."""
        return self.path is None or self.path.exists()

    def written(self) -> tuple[int, int, int] | None:
        """When its file was written last (ns), its size and number; None where there is no file."""
        try:
            found = self.path.stat() if self.path else None
        except OSError:
            return None
        return found and (found.st_mtime_ns, found.st_size, found.st_ino)


def _is_server(url: str) -> bool:
    return url.partition("://")[0] in _SERVERS and "://" in url


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("://")[0] + "://…"
    user, at, host = parts.netloc.rpartition("@")
    query = urlencode([each for each in parse_qsl(parts.query) if each[0] not in _SECRET], safe="/")
    return urlunsplit(parts._replace(netloc=user.partition(":")[0] + at + host, query=query))
