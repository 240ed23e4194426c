"""What history is published to: a directory, or a bucket of S3 or of what speaks its protocol."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from ...errors import ConfigError, HistoryError, StoreUnusable

__all__ = ["Bucket", "Directory", "Target", "target_named"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OPTIONS = ("endpoint_override", "region", "scheme")
_PART = ".part"
_CONNECT_S, _ANSWER_S = 5, 60


class Target(Protocol):
    """Files by paths with slashes. What it raises is `StoreUnusable`, with what mends it."""

    name: str
    """For people: nothing that is secret."""

    def alone(self) -> AbstractContextManager[object]:
        """Held while one publishes, where a target can tell: HistoryError if another does."""

    def read(self, path: str) -> bytes | None:
        """What is in a file; None where there is none."""

    def write(self, path: str, content: Any) -> None:
        """Make a file of these bytes, or replace it: nobody ever finds a part of it."""

    def delete(self, paths: Iterable[str]) -> None:
        """Take out files, as far as they are there."""

    def found(self) -> Iterator[tuple[str, int]]:
        """Every Parquet file, also what was left of one, and since when it is there, in Unix ms."""


def target_named(text: str, env: Mapping[str, str]) -> Target:
    """The directory, or the bucket of an `s3://` URL. Raises ConfigError."""
    if "://" not in text:
        return Directory(Path(text).absolute())
    url = urlsplit(text)
    if url.scheme != "s3" or not url.hostname:
        raise ConfigError(
            f"{url.scheme}:// is no place to publish to", "name a directory, or s3://bucket/prefix"
        )
    if "@" in url.netloc:
        raise ConfigError(
            "the URL of the bucket has a key in it",
            "leave it out, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    options = dict(parse_qsl(url.query))
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        raise ConfigError(f"{unknown[0]} is no option of an s3:// URL", f"there are {', '.join(_OPTIONS)}")
    endpoint = options.get("endpoint_override", "")
    endpoint = endpoint or env.get("AWS_ENDPOINT_URL_S3", "") or env.get("AWS_ENDPOINT_URL", "")
    scheme, _, host = endpoint.rpartition("://")
    given = {
        "endpoint_override": host.rstrip("/"),
        "scheme": options.get("scheme") or scheme or "https",
        "region": options.get("region") or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION", ""),
    }
    return Bucket(url.netloc, unquote(url.path).strip("/"), {k: v for k, v in given.items() if v})


class Directory:
    """A directory, which is made if need be."""

    def __init__(self, path: Path) -> None:
        self._path, self.name = path, str(path)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The lock goes with the process, however that ends."""
        with _told(self.name, "written to"):
            self._path.mkdir(parents=True, exist_ok=True)
            held = os.open(self._path / "_publishing.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _busy(self.name) from None
            yield
        finally:
            os.close(held)

    def read(self, path: str) -> bytes | None:
        """What is in a file."""
        with _told(self.name, "read"):
            try:
                return (self._path / path).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, path: str, content: Any) -> None:
        """Beside it first, and onto the disk: what has its name is whole."""
        place = self._path / path
        aside = place.with_name(f".{place.name}.{os.getpid()}{_PART}")
        with _told(self.name, "written to"):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                with aside.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(place)
                folder = os.open(place.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
            finally:
                aside.unlink(missing_ok=True)

    def delete(self, paths: Iterable[str]) -> None:
        """Take out files."""
        with _told(self.name, "written to"):
            for path in paths:
                (self._path / path).unlink(missing_ok=True)

    def found(self) -> Iterator[tuple[str, int]]:
        """Every Parquet file, and what a killed process has left."""
        for file in self._path.glob("venue=*/timeframe=*/symbol=*/year=*/*"):
            if file.name.endswith((".parquet", _PART)):
                with suppress(FileNotFoundError):
                    yield file.relative_to(self._path).as_posix(), int(file.stat().st_mtime * 1000)


class Bucket:
    """A prefix of a bucket. Credentials are found as by all for S3: environment, files, the machine's role.

    An object is there once all of it is. Nothing keeps two from publishing at the same time.
    """

    def __init__(self, bucket: str, prefix: str, options: Mapping[str, Any]) -> None:
        at = f"{bucket}/{prefix}" if prefix else bucket
        self._root, self.name = at, f"s3://{at}"
        try:
            self._fs = import_module("pyarrow.fs")
        except ModuleNotFoundError:
            raise ConfigError("pyarrow is not installed", "pip install 'livecache[pyarrow]'") from None
        with _told(self.name, "reached"):
            # Small ones are one request then.
            self._s3 = self._fs.S3FileSystem(
                allow_delayed_open=True, connect_timeout=_CONNECT_S, request_timeout=_ANSWER_S, **options
            )

    def alone(self) -> AbstractContextManager[object]:
        """Nobody can tell."""
        return nullcontext()

    def read(self, path: str) -> bytes | None:
        """What is in an object."""
        with _told(self.name, "read"):
            try:
                with self._s3.open_input_file(f"{self._root}/{path}") as file:
                    content: bytes = file.read()
                    return content
            except FileNotFoundError:
                return None

    def write(self, path: str, content: Any) -> None:
        """An object."""
        with _told(self.name, "written to"), self._s3.open_output_stream(f"{self._root}/{path}") as out:
            out.write(content)

    def delete(self, paths: Iterable[str]) -> None:
        """Take out objects."""
        with _told(self.name, "written to"):
            for path in paths:
                with suppress(FileNotFoundError):
                    self._s3.delete_file(f"{self._root}/{path}")

    def found(self) -> Iterator[tuple[str, int]]:
        """Every Parquet file below."""
        below = self._fs.FileSelector(self._root, allow_not_found=True, recursive=True)
        with _told(self.name, "read"):
            infos = self._s3.get_file_info(below)
        for info in infos:
            path = info.path.removeprefix(f"{self._root}/")
            if path.startswith("venue=") and path.endswith(".parquet"):
                at: datetime = info.mtime
                yield path, int(at.timestamp() * 1000)


def _busy(name: str) -> HistoryError:
    return HistoryError(f"another livecache publishes to {name} now", "one does for a place: let it go on")


@contextmanager
def _told(name: str, what: str) -> Iterator[None]:
    """An OSError as `StoreUnusable`."""
    try:
        yield
    except OSError as error:
        raise _unusable(name, what, error) from error


def _unusable(name: str, what: str, error: OSError) -> StoreUnusable:
    if name.startswith("s3://"):
        why = str(error).partition("\n")[0].rpartition("AWS Error ")[2]
        hint = (
            "are the bucket's name, region and endpoint (AWS_REGION, AWS_ENDPOINT_URL) right, and may these"
            " credentials (AWS_ACCESS_KEY_ID …) read, write, list and delete there?"
        )
    else:
        why = error.strerror or str(error)
        hint = (
            "make room" if error.errno in _FULL else f"user {os.geteuid()} has to be allowed to write there"
        )
    return StoreUnusable(
        f"{name} cannot be {what}: {why}",
        f"{hint}; what was published before still stands, and the next run goes on",
    )
