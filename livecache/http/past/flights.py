"""What many ask for at once is read once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Flights"]

_K = TypeVar("_K", bound=Hashable)
_T = TypeVar("_T")


class _Flight(Generic[_T]):
    """Reads of one thing, one after the other."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.asking = 0
        self.begun = 0
        self.told = 0
        self.result: _T
        self.error: Exception | None = None


class Flights(Generic[_K, _T]):
    """Nobody is told what was read before he asked: who comes while a read is under way shares the next one.

    A read belongs to one of those who wait for it; when that one goes, the next one begins anew.
    """

    def __init__(self) -> None:
        self._flights: dict[_K, _Flight[_T]] = {}

    async def __call__(self, key: _K, read: Callable[[], Awaitable[_T]]) -> _T:
        """What a read gives that begins from now on. Raises what it raises."""
        flight = self._flights.setdefault(key, _Flight())
        wanted = flight.begun + 1
        flight.asking += 1
        try:
            async with flight.turn:
                if flight.told < wanted:
                    flight.begun = number = flight.begun + 1
                    flight.error = None
                    try:
                        flight.result = await read()
                    except Exception as error:
                        flight.error = error
                    flight.told = number
                if flight.error is not None:
                    raise flight.error
                return flight.result
        finally:
            flight.asking -= 1
            if not flight.asking:
                self._flights.pop(key, None)
