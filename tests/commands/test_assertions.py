"""`livecache doctor --venue X`: what is gone by holds at the simulated venue, and a liar is told."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from livecache.__main__ import main
from livecache.clock import SystemClock
from livecache.venues.registry import KINDS, asserted_of

from ..conformance.bench import START, Make
from ..conformance.binance import BinanceFace
from ..conformance.deribit import DeribitFace
from ..conformance.front import Front, passing
from ..conformance.polled import KrakenFace

ROOT = Path(__file__).parents[2]
H = 3_600_000

Tamper = Callable[[Front], None]


def outcomes(found: dict[str, dict[str, str]], kind: str) -> Counter[str]:
    """How often what is said of what is gone by; each is told with what it is, and what follows."""
    counted: Counter[str] = Counter()
    for one in asserted_of(kind):
        said = found[one.name]
        counted[said["outcome"]] += 1
        if said["outcome"] == "right":
            assert said["message"] == one.goes_by
        elif said["outcome"] != "skipped":
            assert said["message"].startswith("differs: ") and said["remedy"] == one.otherwise, said
    return counted


def looked_at(make: Make, patch: pytest.MonkeyPatch, tamper: Tamper, *symbols: str, **more: str) -> int:
    """The exit code of the doctor, where the venue is tampered with so."""

    async def run() -> int:
        face = make(START, 60.0, SystemClock())
        async with face.listening() as urls, passing(*urls) as front:
            tamper(front)
            name = face.name.upper()
            own = {"rest_url": front.url, "symbols": ",".join(symbols), **more}
            if face.data:
                own["ws_url"] = front.ws_url
            for setting, value in own.items():
                patch.setenv(f"LIVECACHE_VENUES_{name}_{setting.upper()}", value)
            return await asyncio.to_thread(main, ["doctor", "--venue", face.name, "--json"])

    return asyncio.run(run())


def honest(front: Front) -> None:
    """What this venue says comes as it is."""


@pytest.fixture
def told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, dict[str, str]]]:
    """What is said of each part, if the exit code goes with it."""

    def look(make: Make, tamper: Tamper, *symbols: str, **more: str) -> dict[str, dict[str, str]]:
        code = looked_at(make, monkeypatch, tamper, *symbols, **more)
        told = json.loads(capsys.readouterr().out)
        assert told["ok"] == (code == 0)
        return {one["part"]: one for one in told["checks"]}

    return look


def changed(answer: web.Response, change: Callable[[Any], Any]) -> web.Response:
    assert isinstance(answer.body, bytes)
    return web.json_response(change(json.loads(answer.body)), status=answer.status)


def own_buckets(front: Front, opens_at_ms: int) -> None:
    """Deribit's 6h and 12h open so."""
    before = front.answer

    def answer(request: web.Request, told: web.Response) -> Any:
        asked = request.query
        if asked.get("resolution") not in ("360", "720"):
            return before(request, told)
        step = int(asked["resolution"]) * 60_000
        first = (int(asked["start_timestamp"]) - opens_at_ms) // step * step + opens_at_ms
        return web.json_response({"result": {"ticks": [first + step, first + 2 * step]}})

    front.answer = answer


def deribit_lies(front: Front) -> None:
    asked: Counter[str] = Counter()

    def answer(request: web.Request, told: web.Response) -> Any:
        what = request.query.get("resolution", request.path.rpartition("/")[2])
        asked[what] += 1
        if what == "get_time" and asked[what] == 15:
            body = {"error": {"code": 10028, "message": "too_many_requests", "data": {"wait": 1}}}
            return web.json_response(body, status=429)
        if what == "1D":
            return changed(told, lambda said: _ticks(said, -8 * H))
        if what == "1":
            return changed(told, lambda said: _volumes(said, 0.5 * asked[what]))
        return told

    front.answer = answer
    own_buckets(front, 0)
    front.frame = lambda text: (re.sub(r',?"chart\.trades\.ETH-PERPETUAL\.1"', "", text),)


def _ticks(said: Any, by: int) -> Any:
    said["result"]["ticks"] = [tick + by for tick in said["result"]["ticks"]]
    return said


def _volumes(said: Any, by: float) -> Any:
    said["result"]["volume"] = [volume + by for volume in said["result"]["volume"]]
    return said


def test_what_is_gone_by_of_deribit_holds_at_the_simulator_and_a_liar_is_told_point_by_point(
    told: Any,
) -> None:
    found = told(DeribitFace, honest, "BTC-PERPETUAL", "ETH-PERPETUAL")
    assert outcomes(found, "deribit") == {"right": 6, "skipped": 2}
    found = told(DeribitFace, deribit_lies, "BTC-PERPETUAL", "ETH-PERPETUAL")
    assert outcomes(found, "deribit") == {"wrong": 4, "note": 2, "skipped": 2}
    assert found["6h and 12h"]["message"].endswith(":00 UTC")
    assert "ETH-PERPETUAL" in found["channels"]["message"]
    assert "too many requests" in found["pace"]["message"]


def binance_lies(front: Front) -> None:
    asked: Counter[str] = Counter()

    def answer(request: web.Request, told: web.Response) -> Any:
        what = request.query.get("interval", request.path.rpartition("/")[2])
        asked[what] += 1
        if what == "1d":
            return web.json_response([])
        if what == "exchangeInfo":
            return changed(told, partial(_listed, weight=4_000))
        if what == "1m":
            return changed(
                told, lambda rows: [[*row[:5], f"{row[5]}{asked[what]}", *row[6:]] for row in rows]
            )
        return told

    front.answer = answer
    front.frame = lambda text: () if '"s":"ETHUSDT"' in text else (text,)


def _listed(said: Any, weight: int) -> Any:
    """Of all that are listed the last is out of trade; so much may be asked for in a minute."""
    said["rateLimits"][0]["limit"] = weight
    if len(said["symbols"]) > 1:
        said["symbols"][-1]["status"] = "BREAK"
    return said


def binance_delists_one(front: Front) -> None:
    def answer(request: web.Request, told: web.Response) -> Any:
        listed = request.path.endswith("exchangeInfo")
        return changed(told, partial(_listed, weight=6_000)) if listed else told

    front.answer = answer


def test_so_it_is_of_binance(told: Any) -> None:
    found = told(BinanceFace, binance_delists_one, "BTCUSDT")
    assert outcomes(found, "binance") == {"right": 6}
    found = told(BinanceFace, binance_lies, "BTCUSDT")
    assert outcomes(found, "binance") == {"wrong": 3, "note": 2, "right": 1}
    assert "ETHUSDT" in found["streams"]["message"] and "4000" in found["weight"]["message"]


def test_a_venue_that_bans_is_not_asked_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each request would make the ban longer."""
    fronts: list[Front] = []

    def bans(front: Front) -> None:
        fronts.append(front)
        body = {"code": -1003, "msg": "Way too much request weight used"}
        front.answer = lambda *_: web.json_response(body, status=418, headers={"Retry-After": "600"})

    assert looked_at(BinanceFace, monkeypatch, bans, "BTCUSDT") == 1
    found = {one["part"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert found["rest"]["outcome"] == "wrong" and "418" in found["rest"]["message"]
    assert {found[part]["outcome"] for part in ("symbols", "feed", "streams", "list")} == {"skipped"}
    (front,) = fronts
    assert len(front.asked) <= 2 and front.connections == 0


def test_a_list_that_is_too_long_is_told(told: Any) -> None:
    def padded(front: Front) -> None:
        def answer(request: web.Request, answered: web.Response) -> Any:
            assert isinstance(answered.body, bytes)
            whole = request.path.endswith("exchangeInfo") and "symbols" not in request.query
            return web.Response(body=answered.body + b" " * 34_000_000) if whole else answered

        front.answer = answer

    found = told(BinanceFace, padded, "BTCUSDT")
    assert found["list"]["outcome"] == "wrong" and "more than" in found["list"]["message"]
    assert found["closed candles"]["outcome"] == "right"


def kraken_lies(front: Front) -> None:
    asked: Counter[str] = Counter()

    def answer(request: web.Request, told: web.Response) -> Any:
        if not request.path.endswith("OHLC"):
            return told
        interval, since = request.query["interval"], int(request.query["since"])
        asked[interval] += 1

        def change(said: Any) -> Any:
            (pair, rows), last = next(iter(said["result"].items())), said["result"]["last"]
            if interval == "1440":
                rows = [[row[0] + 3600, *row[1:]] for row in rows]
            if interval == "60":
                rows = rows[-300:] if since > last - 3600 * 650 else []
            if interval == "1":
                rows = [[*row[:6], f"{float(row[6]) + asked[interval]}", row[7]] for row in rows]
            return {"error": [], "result": {pair: rows, "last": last}}

        return changed(told, change)

    front.answer = answer


def test_so_it_is_of_an_exchange_by_ccxt(told: Any) -> None:
    more = {"kind": "ccxt", "requests_per_second": "100"}
    found = told(KrakenFace, honest, "BTC/USDT", **more)
    assert outcomes(found, "ccxt") == {"right": 4, "skipped": 1}
    found = told(KrakenFace, kraken_lies, "BTC/USDT", **more)
    assert outcomes(found, "ccxt") == {"wrong": 4, "skipped": 1}


def test_a_venue_that_is_none_is_told_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--venue", "binnance"]) == 2
    assert "'binnance' is not configured" in capsys.readouterr().err


def test_what_nobody_answers_is_not_tried(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(BinanceFace, honest, "NOSUCH")
    assert outcomes(found, "binance") == {"skipped": 6}
    assert "none of the symbols" in found["streams"]["message"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if asserted_of(kind)])
def test_the_page_of_venues_has_the_same_list(kind: str) -> None:
    page = (ROOT / "docs/venues.md").read_text()
    tables = re.findall(r"\*\*Not proven here\*\*.*?\n\n(\|.*?)\n\n", f"{page}\n", re.DOTALL)
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for table in tables for line in table.split("\n")[2:]
    ]
    for one in asserted_of(kind):
        assert [one.name, one.goes_by, one.otherwise] in rows
    assert len(rows) == sum(len(asserted_of(kind)) for kind in KINDS)
