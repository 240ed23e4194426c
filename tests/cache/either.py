"""Both readers behind one synchronous face: what is tested of one is tested of the other."""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from livecache import AsyncReader, Reader

__all__ = ["KINDS", "either"]

KINDS = ["sync", "async"]


class _Awaited:
    """An `AsyncReader` whose methods return what they return once it was awaited."""

    def __init__(self, runner: asyncio.Runner, reader: AsyncReader) -> None:
        self._runner = runner
        self._reader = reader

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            result = getattr(self._reader, name)(*args, **options)
            if inspect.isasyncgen(result):
                return self._iterated(cast(AsyncGenerator[Any, None], result))
            return self._runner.run(result)

        return call

    def _iterated(self, answers: AsyncGenerator[Any, None]) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(answers)

        try:
            while True:
                try:
                    yield self._runner.run(following())
                except StopAsyncIteration:
                    return
        finally:
            self._runner.run(answers.aclose())


_DEADLINE_S = 120.0


@contextmanager
def either(kind: str, url: str | None, **options: Any) -> Iterator[Any]:
    """A reader of that kind; what waits for ever with it fails after two minutes."""
    with _deadline(), _opened(kind, url, **options) as reader:
        yield reader


@contextmanager
def _deadline() -> Iterator[None]:
    def expire(*_: object) -> None:
        raise AssertionError(f"not within {_DEADLINE_S:g} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, _DEADLINE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _opened(kind: str, url: str | None, **options: Any) -> Iterator[Any]:
    if kind == "sync":
        with Reader(url, **options) as reader:
            yield reader
        return
    with asyncio.Runner() as runner:

        async def opened() -> AsyncReader:
            return AsyncReader(url, **options)

        reader_too = runner.run(opened())
        try:
            yield _Awaited(runner, reader_too)
        finally:
            runner.run(reader_too.aclose())
