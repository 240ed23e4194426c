"""`livecache record`: a service that writes down what its venue says, over a Redis of its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec

from .app import open_engine
from .clock import SystemClock
from .config.schema import Config, RedisConfig
from .embedded.server import EmbeddedServer
from .errors import LivecacheError
from .process.stopping import until_stopped
from .tape import Tape
from .venues.registry import settings_named

__all__ = ["record"]


async def record(config: Config, *, venue: str, seconds: float | None, out: Path) -> int:
    """Record for so many seconds, or until a signal or the tape is full; 0.

    It asks without a key, and touches no Redis but one that ends with it. Raises ConfigError for a venue that
    is not configured, LivecacheError for a file that is there or cannot be made.
    """
    own = {venue: settings_named(venue, config.venues).without_key()}
    clock, over = SystemClock(), asyncio.Event()
    try:
        file = out.open("x", encoding="ascii")
    except OSError as error:
        raise LivecacheError(f"{out} cannot be made: {error.strerror}", "name a new file") from None

    async def main() -> None:
        with EmbeddedServer(temporary=True) as server, tape.running():
            here = msgspec.structs.replace(config, redis=RedisConfig(url=server.url), venues=own)
            async with open_engine(here, environ={}) as engine, asyncio.TaskGroup() as tasks:
                running = tasks.create_task(engine.run(), name="engine")
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await over.wait()
                running.cancel()

    with file:
        tape = Tape(file, venue, now_s=clock.monotonic, ended=over.set)
        await until_stopped(main)
    print(f"{out}: {tape.lines} lines{f'; {tape.problem}' if tape.problem else ''}")
    return 0
