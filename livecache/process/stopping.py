"""Running until a signal comes: a clean stop, within seconds, whatever is under way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from ..errors import only
from ..quiet import logger

__all__ = ["HURRY_S", "until_stopped"]

_STOP_WITHIN_S = (3.0, 1.5)  # after being asked, and after being asked again

HURRY_S = 0.5
"""What is left of a stop after a second signal. A supervisor and a shell may both send one."""

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


async def until_stopped(
    main: Callable[[], Awaitable[None]], *, on_hangup: Callable[[], None] | None = None
) -> bool:
    """Run `main` until it ends or a signal comes; whether it was a signal.

    SIGINT, SIGTERM and SIGQUIT stop it. A second one leaves the stop half a second, a third nothing. SIGHUP
    stops it too, unless there is `on_hangup`: then that is called, as long as the terminal that the process
    was started in, if it was in one, is still there.
    """
    stop = asyncio.Event()
    with _signals(stop, on_hangup):
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
            error = only(group)
            if isinstance(error, EOFError):
                # The command line takes it for the end of what a user types, and would end without a word.
                raise RuntimeError("a connection has ended where nothing expected it to") from error
            raise error from None
        return False


@contextmanager
def _signals(stop: asyncio.Event, on_hangup: Callable[[], None] | None) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGHUP)
    # Under nohup, whoever closes the terminal is not to be heard; but a reload is still asked for so.
    had_terminal = _has_terminal() and before is not signal.SIG_IGN

    def on_signal(number: signal.Signals) -> None:
        stop.set()
        # The loop itself may be busy with stopping, so the second signal does not ask it. A terminal that is
        # closed may say so twice, and some supervisors send it after SIGTERM: that is no second wish.
        for each in _STOPS:
            signal.signal(each, _hurry)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        logger.bind(event="stopping", signal=number.name).info(f"{number.name}: stopping")

    def on_sighup() -> None:
        if on_hangup is None or (had_terminal and not _has_terminal()):
            on_signal(signal.SIGHUP)
        else:
            on_hangup()

    for number in _STOPS:
        loop.add_signal_handler(number, on_signal, number)
    if on_hangup is not None or before is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, on_sighup)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (*_STOPS, signal.SIGHUP):
            loop.remove_signal_handler(number)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if stop.is_set() else before)


def _has_terminal() -> bool:
    """Whether any of the standard streams leads to a terminal that is there."""
    return any(os.isatty(stream) for stream in (0, 1, 2))


def _hurry(number: int, _: object) -> None:
    for each in _STOPS:
        signal.signal(each, _end_at_once)
    signal.signal(signal.SIGALRM, lambda *_: _end_at_once(number, None))
    signal.setitimer(signal.ITIMER_REAL, HURRY_S)


def _end_at_once(number: int, _: object) -> None:
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")  # A table or a progress bar hides the cursor while it is drawn.
    os._exit(128 + number)
