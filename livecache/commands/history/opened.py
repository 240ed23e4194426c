"""The store of history that a command works on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...config.schema import Config
from ...embedded.state import default_data_dir
from ...errors import ConfigError
from ...history import opening
from ...history.opening import Place
from ...history.store import HistoryDatabase
from ...keys.history_place import place_problem

__all__ = ["Place", "open_history", "place_of"]


def place_of(config: Config, url: str | None, given: str = "--history-url") -> Place:
    """That of the URL that was `given` by that name, else of the one configured. Raises ConfigError."""
    own = Path(config.redis.data_dir).expanduser() if config.redis.data_dir else default_data_dir(os.environ)
    if url and (problem := place_problem(url)):
        raise ConfigError(f"{given}: {problem[0]}", problem[1])
    return Place.of(url or config.history.url, own, config.history.password_file, config.history.layout)


@contextmanager
def open_history(place: Place, *, writes: bool = False, create: bool = False) -> Iterator[HistoryDatabase]:
    """The store that is there. Raises StoreUnusable, also for none, or ConfigError.

    With `create` it is made if need be.
    """
    # Not made by looking at it, also not by whoever may write.
    store = opening.open_history(place, read_only=not create and (not writes or not place.exists()))
    try:
        yield store
    finally:
        store.close()
