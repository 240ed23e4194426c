"""What each task waits for, on SIGUSR1: names and places in the code, never a value, so never a secret."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import signal
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..quiet import logger

__all__ = ["TASKS_MOST", "told_on_signal", "waits_of"]

TASKS_MOST = 200
PLACES_MOST = 12  # of a task: how it came to wait, the innermost last
LINE_MOST = 500  # characters


@contextmanager
def told_on_signal() -> Iterator[None]:
    """While this is entered, in a running loop, SIGUSR1 has all of it told. It never ends the process.

    In the log where the loop has time for it; straight to stderr where it is busy with something, which may
    never end, and then the first lines say with what.
    """
    loop = asyncio.get_running_loop()

    def on_signal(_: int, frame: FrameType | None) -> None:
        if frame is None or _is_idle(frame):
            loop.call_soon_threadsafe(_log, loop)
            return
        lines = ["SIGUSR1: the event loop is busy here:", *_places(frame), "and these wait:"]
        lines += waits_of(asyncio.all_tasks(loop))
        with contextlib.suppress(OSError):
            os.write(2, "".join(f"{line}\n" for line in lines).encode(errors="replace"))

    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def waits_of(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """A line for each task: its name, and from place to place what it waits for; in the order of names."""
    named = sorted(tasks, key=lambda task: task.get_name())
    lines = [f"  {task.get_name()}: {' > '.join(_waits(task.get_coro()))}" for task in named[:TASKS_MOST]]
    more = len(named) - TASKS_MOST
    return [line[:LINE_MOST] for line in lines] + ([f"  and {more} more"] if more > 0 else [])


def _log(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    # A record a line, for a record is one line.
    for line in (f"SIGUSR1: what {len(tasks)} tasks wait for", *waits_of(tasks)):
        logger.bind(event="tasks_told").info("{}", line)


def _is_idle(frame: FrameType) -> bool:
    """Whether the loop waits for the outside: then it soon has time."""
    return frame.f_code.co_name == "select" and frame.f_code.co_filename.endswith("selectors.py")


def _waits(awaited: Any) -> list[str]:
    """The places along a chain of coroutines and generators, and what the last of them awaits."""
    places: list[str] = []
    while awaited is not None and len(places) < 100:
        if not hasattr(awaited, "cr_frame"):
            # What an `async for` awaits tells nothing of itself, but it holds the generator.
            awaited = next(filter(inspect.isasyncgen, gc.get_referents(awaited)), awaited)
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if frame is None:
            places.append(type(awaited).__name__)
            break
        places.append(_place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname))
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")
    left_out = len(places) - PLACES_MOST
    return [places[0], f"… {left_out} …", *places[1 - PLACES_MOST :]] if left_out > 0 else places


def _first(thing: Any, *names: str) -> Any:
    return next((getattr(thing, name) for name in names if hasattr(thing, name)), None)


def _places(frame: FrameType) -> list[str]:
    stack = traceback.extract_stack(frame)[-PLACES_MOST:]
    return [f"  {_place(at.filename, at.lineno or 0, at.name)}" for at in stack]


def _place(file: str, line: int, name: str) -> str:
    """`engine/backfiller.py:212 Backfiller._wait`: the file within its package."""
    return f"{'/'.join(file.split(os.sep)[-2:])}:{line} {name}"
