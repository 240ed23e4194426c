"""What the HTTP server looks at: this process, and the engines in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ...clock import Clock
from ...config.changes import Changes
from ...config.schema import Config
from ...engine.engine import Engine
from ...engine.fleet import Place, Role
from ...keys.history_place import Place as HistoryPlace

if TYPE_CHECKING:
    from ...history.service.standing import Standing

__all__ = ["Change", "Instance", "Role"]

Change = Callable[[Config], Callable[[], None]]
"""Gives what has an engine take over another configuration; or ConfigError, and nothing has changed."""


class Instance:
    """This process. `places` are its venues by their ids, in the order of the configuration."""

    def __init__(self, config: Config, clock: Clock, source: str = "") -> None:
        self.config = config
        self.clock = clock
        self.source = source  # where the configuration came from
        self.reload: Callable[[], Changes] | None = None  # reads it again; None: there is none to read
        self.places: Mapping[str, Place] = {}
        self.changes: dict[tuple[str, int | None], Change] = {}  # of each venue and shard whose engine runs
        self.history: Mapping[str, Standing] = {}  # of each venue whose history is kept
        self.history_place: HistoryPlace | None = None  # None where none is kept
        self.redis = ""  # its address, for people
        self.started_at_s = clock.wall()
        self.was_ready = False  # all was ready once, as readers saw it; stays so

    @property
    def engines(self) -> Mapping[str, Engine]:
        """Of each venue the first that runs, if any does."""
        return {venue: place.engine for venue, place in self.places.items() if place.engine is not None}

    def engine_of(self, venue: str, symbol: str) -> Engine | None:
        """The one that fills that symbol, if one does that runs here."""
        return self.places[venue].engine_of(symbol) if venue in self.places else None

    @property
    def engine(self) -> Engine | None:
        """The first that runs."""
        return next(iter(self.engines.values()), None)

    @property
    def role(self) -> Role:
        """What the process does for its venues: the most that any of them has of it."""
        roles = {place.role for place in self.places.values()}
        return "writing" if "writing" in roles else "waiting" if "waiting" in roles else "starting"

    def history_written(self) -> tuple[int, int, int] | None:
        """When and which, of the history's file; None where it is in none."""
        return self.history_place.written() if self.history_place else None

    def name(self, venue: str, text: str) -> str:
        """The text, with the venue that it is about where there are several."""
        return f"{venue}: {text}" if len(self.places) > 1 else text
