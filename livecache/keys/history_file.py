"""Where a store of history lies."""

from __future__ import annotations

from pathlib import Path

__all__ = ["path_of", "place_problem"]

_FILE = "history.db"
_SCHEME = "sqlite:///"
_LOOKS = "embedded, or sqlite:///path/to/history.db"


def place_problem(url: str) -> tuple[str, str] | None:
    """Why that is no place for a store, and a hint; None if it is one."""
    if url in ("embedded", "off") or url.removeprefix(_SCHEME) not in (url, ""):
        return None
    return f"{url!r} is no place for a history", f"it looks like {_LOOKS}"


def path_of(url: str, data_dir: Path) -> Path:
    """The file of that URL: `sqlite:///path`; any other word is a file in the data directory.

    What follows the three slashes is relative to the working directory where its directory is there, else it
    is taken from the root: `sqlite:////data/history.db` always is.
    """
    if not url.startswith(_SCHEME):
        return data_dir / _FILE
    path = Path(url.removeprefix(_SCHEME)).expanduser()
    rooted = Path("/") / path
    if not path.is_absolute() and not path.parent.is_dir() and rooted.parent.is_dir():
        return rooted
    return path.absolute()
