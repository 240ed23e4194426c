"""An answer that is made once for all who ask, and made anew only after a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from ...clock import Clock
from ...errors import RedisUnavailable
from ..conditional import GZIP_FROM_BYTES, given, packed, tag_of
from ..shapes.fields import NoQuery
from ..source import Source, Way, parse
from ..watch.lookout import LOOK_SHARE

__all__ = ["Kept", "Seen"]

LOOK_S = 20.0  # for one look; 6,300 series take half a second, and many times that on a host short of time

_T = TypeVar("_T", bound=msgspec.Struct)


class Seen(NamedTuple, Generic[_T]):
    """What a look found, and as it is sent."""

    found: _T
    body: bytes
    gzipped: bytes
    tag: str
    way: Way
    until_s: float


class Kept(Generic[_T]):
    """Looks by `look`, again after `least_s`, or after so many times as long as it took, `most_s` at most."""

    def __init__(
        self,
        source: Source,
        clock: Clock,
        look: Callable[[Way], Awaitable[_T]],
        *,
        least_s: float,
        most_s: float,
    ) -> None:
        self._source = source
        self._clock = clock
        self._look = look
        self._least_s = least_s
        self._most_s = most_s
        self._turn = asyncio.Lock()
        self._seen: Seen[_T] | None = None

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Raises LivecacheError for what cannot be answered."""
        parse(request, NoQuery)
        seen = await self.seen()
        return given(request, seen.body, tag=seen.tag, gzipped=seen.gzipped)

    async def seen(self) -> Seen[_T]:
        """What was found a moment ago, or now. Raises LivecacheError."""
        way = self._source.way()
        async with self._turn:
            began_s = self._clock.monotonic()
            seen = self._seen
            if seen is None or seen.way is not way or began_s >= seen.until_s:
                try:
                    async with asyncio.timeout(LOOK_S):
                        found = await self._look(way)
                except TimeoutError:
                    raise RedisUnavailable(f"Redis does not answer within {LOOK_S:g} s") from None
                body = msgspec.json.encode(found)
                gzipped = await asyncio.to_thread(packed, body) if len(body) >= GZIP_FROM_BYTES else b""
                ended_s = self._clock.monotonic()
                wait_s = min(max(self._least_s, LOOK_SHARE * (ended_s - began_s)), self._most_s)
                seen = self._seen = Seen(found, body, gzipped, tag_of(body), way, ended_s + wait_s)
            return seen
