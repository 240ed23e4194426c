"""Running until a signal comes: a clean stop, within seconds, whatever is under way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from loguru import logger

__all__ = ["until_stopped"]

_STOP_WITHIN_S = (3.0, 1.5)  # after being asked, and after being asked again


async def until_stopped(main: Callable[[], Awaitable[None]]) -> bool:
    """Run `main` until it ends or a signal comes; whether it was a signal. A second signal ends at once."""
    stop = asyncio.Event()
    with _signals(stop):
        working = asyncio.ensure_future(main())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        for wait_s in _STOP_WITHIN_S:
            if working.done():
                break
            # On Python 3.11 a TaskGroup that is just ending by an error can swallow a cancellation.
            working.cancel()
            await asyncio.wait({working}, timeout=wait_s)
        if not working.done():
            logger.bind(event="stop_timeout").error("stopping took too long: ending at once")
            os._exit(1)
        try:
            await working
        except asyncio.CancelledError:
            return True
        except BaseExceptionGroup as group:
            error = _only(group)
            if isinstance(error, EOFError):
                # The command line takes it for the end of what a user types, and would end without a word.
                raise RuntimeError("a connection has ended where nothing expected it to") from error
            raise error from None
        return False


def _only(error: BaseException) -> BaseException:
    """The one error inside nested groups, if it is one; a user wants that, not the nesting."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        logger.bind(event="stopping", signal=number.name).info(f"{number.name}: stopping")
        stop.set()
        # The loop itself may be busy with stopping, so the second signal does not ask it.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, _end_at_once)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _end_at_once(number: int, _: object) -> None:
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")  # A table or a progress bar hides the cursor while it is drawn.
    os._exit(128 + number)
