"""The store of history that a command works on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...config.schema import Config
from ...embedded.state import default_data_dir
from ...errors import ConfigError
from ...keys.history_file import path_of, place_problem

if TYPE_CHECKING:
    from ...history.sqlite.store import SqliteHistory

__all__ = ["open_history", "place_of"]


def place_of(config: Config, url: str | None) -> Path:
    """The file: of the URL that was given, else of the one configured. Raises ConfigError."""
    own = Path(config.redis.data_dir).expanduser() if config.redis.data_dir else default_data_dir(os.environ)
    if url and (problem := place_problem(url)):
        raise ConfigError(f"--history-url: {problem[0]}", problem[1])
    return path_of(url or config.history.url, own)


@contextmanager
def open_history(path: Path, *, writes: bool = False, create: bool = False) -> Iterator[SqliteHistory]:
    """The store that is in that file. Raises StoreUnusable, also for none, and ConfigError without numpy.

    With `create` it is made if need be.
    """
    try:
        from ...history.sqlite.store import SqliteHistory
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        raise ConfigError("numpy is not installed", "pip install 'livecache[history]'") from None
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    # Not made by looking at it, also not by whoever may write.
    store = SqliteHistory.open(path, read_only=not create and (not writes or not path.exists()))
    try:
        yield store
    finally:
        store.close()
