"""The manifest of what is published: which files there are, and what is known of each series. Pure.

A reader takes the files that it names and no others: it is written last, and replaced as a whole.
"""

from __future__ import annotations

import msgspec

from ...errors import StoreUnusable
from ...model.coverage import Coverage

__all__ = ["FORMAT", "MANIFEST", "File", "Manifest", "Published", "manifest_of"]

MANIFEST = "_manifest.json"
FORMAT = 1


class File(msgspec.Struct, frozen=True):
    """A year of one series. `path` is below the place, and says what is in the file: it never changes."""

    path: str
    year: int
    rows: int
    bytes: int
    first: int
    """Open of the oldest candle, Unix ms."""
    last: int
    exact: bool
    """Whether the doubles are all that there is: no number has more than 15 digits."""


class Published(msgspec.Struct, frozen=True):
    """One series. A bucket that is covered and has no row is known to be empty."""

    venue: str
    symbol: str
    timeframe: str
    store: str
    """Which store `rev` is of."""
    rev: int
    """All that the store held at this revision is in the files."""
    grid: str
    listed: int | None
    coverage: tuple[tuple[int, int], ...]
    """What is known: from when to when, Unix ms, half-open, oldest first."""
    stale: tuple[tuple[int, int, str], ...]
    """From when to when prices are converted by a split's ratio, until they have been read again."""
    files: tuple[File, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """Its name."""
        return self.venue, self.symbol, self.timeframe

    @property
    def known(self) -> Coverage:
        """What is known."""
        return Coverage(self.coverage)


class Manifest(msgspec.Struct, frozen=True):
    """All that is published at one place."""

    format: int = FORMAT
    written: int = 0
    """When, Unix ms."""
    series: tuple[Published, ...] = ()
    retired: dict[str, int] = {}
    """Files that an earlier manifest named, each with the time since when none does: they go later."""

    @property
    def files(self) -> dict[str, File]:
        """Those that are named."""
        return {file.path: file for each in self.series for file in each.files}

    def encoded(self) -> bytes:
        """As it is written: JSON, a series a line."""
        rest = msgspec.json.encode({"retired": self.retired, "written": self.written, "format": self.format})
        lines = b",\n".join(map(msgspec.json.encode, self.series))
        return rest[:-1] + b',"series":[\n' + lines + b"\n]}\n"


class _Format(msgspec.Struct):
    format: int


def manifest_of(raw: bytes | None, place: str) -> Manifest:
    """What was written; an empty one of None. Raises StoreUnusable for what is none of ours."""
    if raw is None:
        return Manifest()
    try:
        if (told := msgspec.json.decode(raw, type=_Format).format) > FORMAT:
            newer = f"{place}/{MANIFEST} was written by a newer livecache: its format is {told}"
            raise StoreUnusable(newer, "upgrade livecache here, too")
        return msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError:
        raise StoreUnusable(
            f"{place}/{MANIFEST} is no manifest of livecache's",
            "publish to another place, or delete that file: then all is published anew",
        ) from None
