"""What the HTTP server looks at: this process, and the service in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from ...clock import Clock
from ...config.changes import Changes
from ...config.load import Config
from ...engine.backfiller import Backfiller
from ...engine.live import Live
from ...engine.ratelimit import RateLimiter
from ...keys.keyspace import Keyspace
from ...venues.counted import CountedVenue
from ...writer.writer import Writer

__all__ = ["Instance", "Role", "Running"]

Role = Literal["starting", "waiting", "writing"]


class Running(Protocol):
    """A running service. `livecache.app.Service` is one."""

    config: Config
    clock: Clock
    venue: CountedVenue
    live: Live
    limiter: RateLimiter
    backfiller: Backfiller
    writer: Writer
    store: Any  # a redis.asyncio.Redis
    keys: Keyspace

    def change(self, config: Config) -> None:
        """Take over what of the configuration can be changed while it runs."""
        ...

    name: str  # of this tenure: host, process and a random word
    address: str  # of the Redis, for people


class Instance:
    """This process. `service` is None before one runs, and between two: an overtaken one starts over."""

    def __init__(self, config: Config, clock: Clock, source: str = "") -> None:
        self.config = config
        self.clock = clock
        self.source = source  # where the configuration came from
        self.reload: Callable[[], Changes] | None = None  # reads it again; None: there is none to read
        self.service: Running | None = None
        self.started_at_s = clock.wall()
        self.was_ready = False  # all was ready once, as readers saw it; stays so

    @property
    def role(self) -> Role:
        """Whether it writes the cache, waits for the lease of one that does, or does not know yet."""
        if self.service is None:
            return "starting"
        if self.service.writer.writing:
            return "writing"
        return "waiting" if self.service.writer.pulse.waits_for else "starting"
