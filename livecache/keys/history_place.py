"""Where a store of history lies: in a file, or in a database of PostgreSQL's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Place", "place_problem"]

_FILE = "history.db"
_SCHEME = "sqlite:///"
_SERVERS = ("postgresql", "postgres")
_LOOKS = "embedded, sqlite:///path/to/history.db, or postgresql://user@host/database"
_SECRET = ("password", "sslpassword")
_ENCODED = "in user and password @ / ? # [ ] and % are written %40 %2F %3F %23 %5B %5D and %25"


def place_problem(url: str) -> tuple[str, str] | None:
    """Why that is no place for a store, and a hint; None if it is one. It tells no password."""
    path = url.removeprefix(_SCHEME)
    if url in ("embedded", "off") or (path not in (url, "") and "://" not in path):
        return None
    told = repr(_without_password(url))
    if not _is_server(url):
        return f"{told} is no place for a history", f"it looks like {_LOOKS}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{told} is no URL", _ENCODED
    if not parts.path.strip("/"):
        return f"{told} names no database", f"postgresql://user@host/database; {_ENCODED}"
    if parts.netloc.count("@") > 1 or "@" in parts.path:
        return f"{told} is no URL", _ENCODED
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
    """Also of what is no URL: a password may have any character in it, or stand as `password = …`."""
    head, at, rest = url.rpartition("@")
    scheme, there, user = head.partition("://") if "://" in head else ("", "", head)
    shown, asks, query = (scheme + there + user.partition(":")[0] + at + rest).partition("?")
    shown = re.sub(r"(?i)\b(ssl)?password\s*=.*", "…", shown, flags=re.DOTALL)
    kept = (each for each in query.split("&") if unquote(each.partition("=")[0]) not in _SECRET)
    return (shown + asks + "&".join(kept)).removesuffix("?")
