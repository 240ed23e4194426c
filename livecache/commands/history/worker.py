"""`livecache history worker`: works on the orders of a history that others give, for as long as it runs."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

from ...clock import SystemClock
from ...config.schema import Config
from ...errors import ConfigError, LivecacheError
from ...history.opening import Place, open_history
from ...history.service.log_keeper import LogKeeper
from ...history.service.service import error_of
from ...history.thread import StoreThread
from ...pacing.backoff import delays
from ...process.logs import setup
from ...process.stopping import until_stopped
from ...quiet import logger
from .fill import Filling, shared_redis

__all__ = ["work"]

_AGAIN_FIRST_S, _AGAIN_MOST_S = 1.0, 60.0


def work(config: Config, place: Place, venue: str | None) -> int:
    """Work for that venue, or for all that are configured, until a signal. Raises ConfigError."""
    if venue is not None and venue not in config.venues:
        raise ConfigError(f"--venue {venue!r} is not configured", f"one of {', '.join(config.venues)}")
    asyncio.run(_work(config, place, [venue] if venue else list(config.venues)))
    return 0


async def _work(config: Config, place: Place, venues: list[str]) -> None:
    clock = SystemClock()

    async def main() -> None:
        async with LogKeeper(place, clock, venues[0]) as log:
            setup(config.log.level, config.log.format, also=log.take)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(log.run(), name="history log")
                for venue in venues:
                    with logger.contextualize(venue=venue):
                        tasks.create_task(_forever(config, place, venue, clock), name=f"history {venue}")

    await until_stopped(main)


async def _forever(config: Config, place: Place, venue: str, clock: SystemClock) -> None:
    """Whatever becomes of the store or of the venue, it goes on once they are there again."""
    waits = delays(random.random, first_s=_AGAIN_FIRST_S, most_s=_AGAIN_MOST_S)
    while True:
        began_s = clock.monotonic()
        error = await error_of(_once(config, place, venue, clock), "history worker")
        if not isinstance(error, LivecacheError):
            raise error
        if clock.monotonic() - began_s > _AGAIN_MOST_S:
            waits = delays(random.random, first_s=_AGAIN_FIRST_S, most_s=_AGAIN_MOST_S)
        wait_s = next(waits)
        log = logger.bind(event="history_unusable", hint=error.hint, wait_s=round(wait_s))
        log.error("{}; trying again in {:.0f} s", error.message, wait_s)
        await clock.sleep(wait_s)


async def _once(config: Config, place: Place, venue: str, clock: SystemClock) -> None:
    async with AsyncExitStack() as stack:
        thread = await stack.enter_async_context(StoreThread())
        store = await thread(lambda: open_history(place))
        stack.push_async_callback(thread, store.close)
        logger.bind(event="history_opened", path=str(place)).info("works on what is ordered in {}", place)
        redis = await shared_redis(config, stack)
        await Filling(config, venue, store, thread, clock, redis).work()
