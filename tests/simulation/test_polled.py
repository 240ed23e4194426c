"""The service at exchanges that are asked by ccxt, by its own classes, each failing in its own words.

* errors in an answer 200, refusals as text with 403, maintenance (`WORDS`); HTML, half an answer, a cut;
* a row that is absent, `confirm` that is missing, pages that are up to a minute behind others;
* Kraken's newest 720, flat rows, Hong Kong's day at OKX (the faces).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from aiohttp import web

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from tests.conformance.polled import BybitFace, KrakenFace, OkxFace, PolledFace

from .place import START, Place
from .virtual import run_virtually

M1, M5, H1, D1 = Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.D1
FACES = {face.name: face for face in (KrakenFace, BybitFace, OkxFace)}
WORDS: Mapping[str, tuple[tuple[int, str], ...]] = {
    "kraken": (
        (200, '{"error":["EAPI:Rate limit exceeded"]}'),
        (200, '{"error":["EService:Unavailable"]}'),
        (200, '{"error":["EGeneral:Temporary lockout"]}'),
    ),
    "bybit": (
        (403, "access too frequent, please try again in 5 minutes"),
        (200, '{"retCode":10006,"retMsg":"Too many visits. Exceeded the API Rate Limit.","result":{}}'),
        (200, '{"retCode":10016,"retMsg":"Internal server error.","result":{}}'),
    ),
    "okx": (
        (429, '{"code":"50011","msg":"Too Many Requests","data":[]}'),
        (200, '{"code":"50001","msg":"Service temporarily unavailable. Try again later","data":[]}'),
        (200, '{"code":"50011","msg":"Too Many Requests","data":[]}'),
    ),
}
COMMON = ((502, "<html><h1>502 Bad Gateway</h1></html>"), (200, '{"err'), (0, "cut"))
_BEHIND_MOST_MS = 60_000


class Polled(Place):
    """One of the faces, which fails until `until_ms` with the probability `share`."""

    def __init__(self, name: str, seed: int, until_ms: int, share: float) -> None:
        super().__init__(name, {"kind": "ccxt"}, seed)
        self.counts: Counter[str] = Counter()
        chance, kinds = Random(seed), (*WORDS[name], *COMMON)
        face: Any = FACES[name]

        class Failing(face):  # type: ignore[misc]
            async def _serve(self, request: web.Request) -> Any:
                await asyncio.sleep(0.08)
                if self.clock.now() >= until_ms:
                    return await super()._serve(request)
                if chance.random() < share:
                    status, text = kinds[counts.total() % len(kinds)]
                    counts[f"{status} {text}"] += 1
                    if status:
                        return web.Response(status=status, text=text, content_type="application/json")
                    assert request.transport is not None
                    request.transport.abort()
                    return web.Response()
                return await super()._serve(request)

            def table(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> Any:
                now = self.clock.now()
                behind = (
                    chance.randrange(_BEHIND_MOST_MS) if now < until_ms and chance.random() < share else 0
                )
                self.now: Any = lambda: now - behind
                rows = super().table(symbol, timeframe, start, end)
                self.now = self.clock.now
                if rows and now < until_ms and chance.random() < share:
                    del rows[chance.randrange(len(rows))]
                return rows

            def answer(self, path: str, asked: Mapping[str, str]) -> Any:
                told = super().answer(path, asked)
                if name == "okx" and "bar" in asked and self.clock.now() < until_ms:
                    return told | {"data": [row[:-1] for row in told["data"]]}
                return told

        counts, clock = self.counts, self.clock
        self.face: PolledFace = Failing(START, 1.0, clock)
        self._quiet: PolledFace = FACES[name](START, 1.0, clock)
        self.symbols = (self.face.symbol, self.face.other)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Let it listen."""
        async with self.face.listening() as (url, _):
            self._settings |= {"rest_url": url, "page_limit": self.face.page_limit}
            yield

    def told(
        self, symbol: str, timeframe: Timeframe, start: int, end: int
    ) -> Iterable[Iterable[ExactCandle]]:
        return [self._quiet.rows(symbol, timeframe, start, end)]


LONG = [pytest.param(name, seed, 60, marks=pytest.mark.long) for name in FACES for seed in range(1, 12)]


@pytest.mark.takes(5)
@pytest.mark.parametrize(("name", "seed", "minutes"), [("bybit", 1, 30), *LONG])
def test_whatever_an_exchange_of_ccxts_answers_nothing_settled_is_wrong_and_nothing_stays_missing(
    clean_valkey: str, name: str, seed: int, minutes: int
) -> None:
    async def main() -> None:
        place = Polled(name, seed, START + minutes * M1.ms, share=0.15)
        async with place.listening(), place.run(clean_valkey, (M1, M5, H1, D1)) as running:
            for _ in range(minutes // 2):
                await place.watched(running, 120)
            assert place.compared > 100 * minutes
            await place.watched(running, 1_500)
            place.converged(running)
        assert len(place.counts) == len(WORDS[name]) + len(COMMON), place.counts

    run_virtually(main())
