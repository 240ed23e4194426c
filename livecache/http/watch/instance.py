"""What the HTTP server looks at: this process, and the engine in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ...clock import Clock
from ...config.changes import Changes
from ...config.load import Config
from ...engine.engine import Engine

__all__ = ["Instance", "Role"]

Role = Literal["starting", "waiting", "writing"]


class Instance:
    """This process. `engine` is None before one runs, and between two: an overtaken one starts over."""

    def __init__(self, config: Config, clock: Clock, source: str = "") -> None:
        self.config = config
        self.clock = clock
        self.source = source  # where the configuration came from
        self.reload: Callable[[], Changes] | None = None  # reads it again; None: there is none to read
        self.engine: Engine | None = None
        self.change: Callable[[Config], None] | None = None  # the engine takes another configuration over
        self.redis = ""  # its address, for people
        self.started_at_s = clock.wall()
        self.was_ready = False  # all was ready once, as readers saw it; stays so

    @property
    def role(self) -> Role:
        """Whether it writes the cache, waits for the lease of one that does, or does not know yet."""
        if self.engine is None:
            return "starting"
        if self.engine.writer.writing:
            return "writing"
        return "waiting" if self.engine.writer.pulse.waits_for else "starting"
