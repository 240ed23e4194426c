"""Lua scripts, and the little that writing needs of a Redis client."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from redis.exceptions import NoScriptError

_ASK_AGAIN_S = 0.05
_ASK_AGAIN_MOST = 10
_FOR_PEOPLE = re.compile(r"^ *(?:--.*)?\n?", re.MULTILINE)

__all__ = ["COMMON", "RedisLike", "Script", "batches", "cancellable", "send", "text_of"]

_T = TypeVar("_T")


class RedisLike(Protocol):
    """A `redis.asyncio.Redis` that returns bytes, or anything else that can send one command."""

    async def execute_command(self, *args: Any) -> Any:
        """Send one command and return its reply, or raise what redis-py raises."""
        ...


async def cancellable(work: Awaitable[_T]) -> _T:
    """Await `work`, and let no cancellation of this task get lost in it.

    redis-py sends through `asyncio.wait_for`, which on Python 3.11 drops a cancellation that comes just when
    the send completes. Then it waits for an answer that may never come, and a shutdown hangs. So it works in
    a task of its own, which is asked again until it ends.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        for _ in range(_ASK_AGAIN_MOST):
            task.cancel()
            await asyncio.wait({task}, timeout=_ASK_AGAIN_S)
            if task.done():
                break
        if task.done() and not task.cancelled():
            task.exception()  # Nobody waits for its outcome any more.
        raise
    return task.result()


async def send(redis: RedisLike, *command: str | int) -> Any:
    """Send one command and return its reply. Redis's errors pass through."""
    return await cancellable(redis.execute_command(*command))


def _read(name: str) -> str:
    return (Path(__file__).parent.parent / name).read_text(encoding="utf-8")


COMMON = _read("wire/common.lua")
"""The start of every script that is written here in Python and wants what is in it."""


class Script:
    """A Lua script, called by its digest."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = _FOR_PEOPLE.sub("", text)  # comments and indents: a half of it
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def load(cls, *names: str) -> Script:
        """The script in these files of the package (`read/read.lua`), one after the other."""
        return cls("".join(_read(name) for name in names))

    async def run(self, redis: RedisLike, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """Run it. A server that does not know it yet is sent its text, once."""
        try:
            return await send(redis, "EVALSHA", self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await send(redis, "EVAL", self.text, len(keys), *keys, *args)


def batches(items: Sequence[_T], most: int) -> list[Sequence[_T]]:
    """The items, at most so many a call."""
    return [items[first : first + most] for first in range(0, len(items), most)]


def text_of(raw: Any) -> str:
    """A reply as text, whether the client returns bytes or text; "" for none."""
    if raw is None:
        return ""
    return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
