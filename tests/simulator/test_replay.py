"""A tape: what is on it, what is not, and that a service which it is played to gets the same candles."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from livecache.app import open_engine
from livecache.clock import SystemClock
from livecache.commands.simulator import run_simulator
from livecache.config.schema import CacheConfig, Config, RedisConfig
from livecache.embedded.server import EmbeddedServer
from livecache.errors import ConfigError, LivecacheError, ReadError
from livecache.model.timeframe import Timeframe
from livecache.reader.async_reader import AsyncReader
from livecache.record import record
from livecache.simulator import KeyRing, MarketClock, Product, SeededMarket, Simulator, throwaway_key
from livecache.simulator.replay import Replay, replay_forever
from livecache.tape import Recorded, Tape, read_tape
from livecache.venues.net.http import HttpSource
from livecache.venues.registry import settings_of

NOON = 1_771_588_800_000  # 2026-02-20T12:00Z
TIMEFRAMES = (Timeframe.M5, Timeframe.H1)
WAIT_S = 120.0

Rows = dict[tuple[str, str], list[tuple[float, ...]]]


def exchange(venue: str, **more: Any) -> Simulator:
    """One at 12:01, in real time: for four minutes whoever asks later asks for the same."""
    market = SeededMarket(seed=3, products=[Product.parse("BTC-USD"), Product.parse("ETH-USD")])
    return Simulator(market, clock=MarketClock(NOON + 60_000), venue=venue, **more)


def config(kind: str, redis_url: str, own: Mapping[str, Any]) -> Config:
    return Config(
        redis=RedisConfig(url=redis_url),
        cache=CacheConfig(timeframes=TIMEFRAMES),
        venues={kind: settings_of(kind)(**own)},
    )


async def filled(kind: str, own: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Rows:
    """What a reader gets of each series, once all of it is settled and the feed is up."""
    with EmbeddedServer(temporary=True) as server:
        async with (
            open_engine(config(kind, server.url, own), environ=environ or {}) as engine,
            AsyncReader(server.url) as reader,
            asyncio.timeout(WAIT_S),
        ):
            running = asyncio.create_task(engine.run(), name="engine")
            try:
                rows: Rows = {}
                for symbol in own["symbols"]:
                    for timeframe in TIMEFRAMES:
                        while len(rows.get((symbol, timeframe), ())) < 60:
                            assert not running.done(), running
                            await asyncio.sleep(0.02)
                            try:
                                found = await reader.candles(symbol, timeframe, 60, settled=True)
                            except ReadError:
                                continue
                            if found[-1].time + timeframe.ms == NOON and found.feed == "up":
                                rows[symbol, timeframe] = [tuple(candle) for candle in found]
                return rows
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("venue", ["coinbase", "binance", "deribit"])
@pytest.mark.takes(30)
def test_a_service_that_a_tape_is_played_to_holds_the_same_candles(venue: str, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "tape.jsonl"
        async with exchange(venue) as simulator:
            kind, own = simulator.settings()
            symbols = {"symbols": tuple(simulator.exchange.symbols)}
            with path.open("x") as file:
                tape = Tape(file, kind, now_s=asyncio.get_running_loop().time)
                with tape.running():
                    there = await filled(kind, {**own, **symbols})
        recorded, lines, damage = read_tape(path)
        assert (recorded, damage) == (kind, "")
        assert {line.what for line in lines} >= {"page", "open", "frame"}
        async with Replay(lines) as replay:
            urls = {"rest_url": replay.rest_url, "ws_url": replay.ws_url}
            assert await filled(kind, {**own, **symbols, **urls}) == there
        assert len(there) == 4

    asyncio.run(main())


@pytest.mark.takes(20)
def test_no_key_and_no_token_is_on_the_tape_of_a_service_that_has_a_key(tmp_path: Path) -> None:
    key = throwaway_key("ed25519")
    secrets = {"LIVECACHE_COINBASE_KEY_NAME": key.name, "LIVECACHE_COINBASE_KEY_SECRET": key.secret}

    async def main() -> None:
        async with exchange("coinbase", keys=KeyRing(key)) as simulator:
            kind, own = simulator.settings()
            now_s = asyncio.get_running_loop().time
            with (tmp_path / "tape.jsonl").open("x") as file, Tape(file, kind, now_s=now_s).running():
                await filled(kind, {**own, "symbols": ("BTC-USD",)}, secrets)
            assert any("market" not in asked.path for asked in simulator.exchange.requests)

    asyncio.run(main())
    text = (tmp_path / "tape.jsonl").read_text()
    assert "candles" in text
    for secret in (key.name, key.secret, key.name.rpartition("/")[2], "eyJ", "Bearer"):
        assert secret not in text


@pytest.mark.takes(20)
def test_the_command_records_for_so_long_without_a_key_and_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(os.environ, "LIVECACHE_COINBASE_KEY_NAME", "not-to-be-seen")
    out = tmp_path / "tape.jsonl"

    async def main() -> None:
        async with exchange("coinbase") as simulator:
            kind, own = simulator.settings()
            wanted = config(kind, "redis://127.0.0.1:1", {**own, "symbols": ("BTC-USD",)})
            assert await record(wanted, venue=kind, seconds=5.0, out=out) == 0
            with pytest.raises(LivecacheError, match="cannot be made: File exists"):
                await record(wanted, venue=kind, seconds=1.0, out=out)
            with pytest.raises(ConfigError, match="'nowhere' is not configured"):
                await record(wanted, venue="nowhere", seconds=1.0, out=tmp_path / "other")

    asyncio.run(main())
    told, lines, damage = read_tape(out)
    assert (told, damage) == ("coinbase", "") and lines
    assert f"{len(lines) + 1} lines" in capsys.readouterr().out
    assert "not-to-be-seen" not in out.read_text()
    assert not (tmp_path / "other").exists()


# --- what is on a tape


def written(write: Callable[[Tape], object], **more: Any) -> tuple[Tape, list[dict[str, Any]]]:
    file = io.StringIO()
    tape = Tape(file, "x", now_s=lambda: 1.0, **more)
    write(tape)
    return tape, [json.loads(line) for line in file.getvalue().splitlines()[1:]]


def test_of_a_request_path_query_and_counts_are_kept_and_no_secret() -> None:
    headers = {"Retry-After": "3", "X-Used-Weight": "7", "Set-Cookie": "s3cret", "Authorization": "s3cret"}
    body = b'{"jwt": "s3cret", "close":"1.5", "apiKey":"s3\\"cret", "at":"eyJhbGciOi.eyJzdWIi.s3cret"}'
    asked = [("start", "5"), ("_", "9"), ("api_key", "s3cret"), ("signature", "s3cret"), ("end", "7")]
    _, lines = written(lambda tape: tape.page("/p", asked, 200, body, headers))
    assert "s3cret" not in json.dumps(lines) and "cret" not in lines[0]["body"]
    assert lines[0]["page"] == "/p?end=7&start=5"
    assert lines[0]["headers"] == {"Retry-After": "3", "X-Used-Weight": "7"}
    assert '"close":"1.5"' in lines[0]["body"]


def test_of_a_post_the_body_is_kept_without_its_secrets_and_without_the_number_of_the_call() -> None:
    call = '{"jsonrpc":"2.0", "id":7, "method":"get", "params":{"b":1.50,"a":[2], "token":"s3cret"}}'
    form, empty = "b=2&a=1&api_key=s3cret&_=9", ""

    def write(tape: Tape) -> None:
        for body in (call, f"[{call}]", form, empty):
            tape.page("/p?x=1&secret=s3cret", (), 200, b"{}", {}, body)

    _, lines = written(write)
    assert "s3cret" not in json.dumps(lines) and {line["page"] for line in lines} == {"/p?x=1"}
    one = '{"jsonrpc": "2.0", "method": "get", "params": {"a": [2], "b": 1.5, "token": "***"}}'
    assert [line["posted"] for line in lines] == [one, f"[{one}]", "a=1&b=2", ""]
    _, lines = written(lambda tape: tape.page("/p", (), 200, b"{}", {}))
    assert "posted" not in lines[0]


def test_a_tape_has_an_end_and_says_so_once() -> None:
    ends: list[int] = []

    def write(tape: Tape) -> None:
        for _ in range(100):
            tape.frame(1, b"x" * 50)

    tape, lines = written(write, most_bytes=1000, ended=lambda: ends.append(1))
    assert (tape.problem, ends) == ("it is full", [1])
    assert 5 < len(lines) < 20


def test_a_tape_that_is_cut_or_damaged_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    head, good = '{"tape":1,"venue":"x"}\n', '{"at":1,"frame":1,"text":"\\udcff"}\n'
    path.write_text(head + good + good)
    assert read_tape(path) == ("x", [Recorded(1, "frame", 1, b"\xff")] * 2, "")
    damaged = [
        good[:9],
        good[:-1],
        "[]\n",
        '{"at":1}\n',
        '{"at":-1,"frame":1,"text":""}\n',
        f'{{"at":1{"0" * 400},"frame":1,"text":""}}\n',
        "\x00\n",
        '{"at":1,"page":"/","status":9,"body":""}\n',
    ]
    for text in [*damaged, '{"at":1,"frame":1,"text":"\\ud800"}\n', "[" * 50_000 + "\n"]:
        path.write_text(head + good + text + good)
        _, lines, damage = read_tape(path)
        assert (len(lines), damage) == (1, "line 3 is damaged: what is before it is played"), text[:50]
    for text in ("", "{}\n", '{"tape":2,"venue":"x"}\n', good):
        path.write_text(text)
        with pytest.raises(LivecacheError, match="is no tape"):
            read_tape(path)
    with pytest.raises(LivecacheError, match="cannot be read"):
        read_tape(tmp_path / "none")


# --- how it is played


def test_of_several_answers_the_nearest_in_time_is_given_and_what_is_unknown_is_told() -> None:
    lines = [Recorded(at, "page", "/p?a=1&b=2", str(at).encode(), 200) for at in (1000, 2000, 9000)]
    lines += [Recorded(1500, "open", 1), Recorded(1500, "frame", 1, b"hello"), Recorded(1600, "close", 1)]
    now_s, told = 50.0, list[str]()

    class Hand:
        """A clock that is set by hand, and waits for nobody."""

        def monotonic(self) -> float:
            return now_s

        def wall(self) -> float:
            return now_s

        async def sleep(self, seconds: float) -> None:
            nonlocal now_s
            now_s += seconds

    async def main() -> None:
        nonlocal now_s
        async with (
            Replay(lines, speed=2.0, clock=Hand(), announce=told.append) as replay,
            aiohttp.ClientSession() as session,
        ):
            for at_s, answer in (
                (50.0, "1000"),
                (50.3, "2000"),
                (52.0, "2000"),
                (53.0, "9000"),
                (99.0, "9000"),
            ):
                now_s = at_s
                async with session.get(f"{replay.rest_url}/p?b=2&_={at_s}&a=1") as found:
                    assert (found.status, await found.text()) == (200, answer), at_s
            async with session.get(f"{replay.rest_url}/p?b=3") as missing:
                assert missing.status == 404
                assert "not on the tape: GET /p?b=3" in await missing.text()
            async with session.ws_connect(replay.ws_url) as feed:
                assert await feed.receive_str() == "hello"
                assert (await feed.receive()).type is aiohttp.WSMsgType.CLOSE
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(replay.ws_url)
            assert replay.unknown == 2
            assert told == ["not on the tape: GET /p?b=3", "not on the tape: one more connection"]

    asyncio.run(main())


def test_a_post_is_answered_by_its_method_its_path_and_its_body(tmp_path: Path) -> None:
    def call(method: str, number: int) -> str:
        return json.dumps({"jsonrpc": "2.0", "id": number, "method": method})

    path, posts = tmp_path / "tape", (call("a", 1), call("b", 2), "kind=form", "")

    async def recorded() -> None:
        async def serve(request: web.BaseRequest) -> web.Response:
            return web.Response(text="got" if request.method == "GET" else f"to {await request.text()}")

        async with RawTestServer(serve) as server:
            with path.open("x") as file, Tape(file, "x", now_s=lambda: 1.0).running():
                source = HttpSource(str(server.make_url("")), clock=SystemClock(), timeout_s=30.0)
                for body in (*posts, None):
                    assert await source.get(
                        "candles", "/rpc?v=2", posted=body, decode=lambda answer: answer.body
                    )
                await source.aclose()

    async def main() -> None:
        await recorded()
        _, lines, damage = read_tape(path)
        assert (len(lines), damage) == (5, "")
        async with Replay(lines) as replay, aiohttp.ClientSession() as session:
            url = f"{replay.rest_url}/rpc?v=2"
            for sent, meant in zip((call("a", 77), call("b", 78), *posts[2:]), posts, strict=True):
                async with session.post(url, data=sent) as found:
                    assert (found.status, await found.text()) == (200, f"to {meant}")
            async with session.get(url) as found:
                assert await found.text() == "got"
            for unknown in (call("c", 1), "kind=other"):
                async with session.post(url, data=unknown) as found:
                    assert found.status == 404
            assert replay.unknown == 2

    asyncio.run(main())


@pytest.mark.parametrize("fed", [True, False])
def test_what_is_to_be_configured_is_told_and_that_a_venue_without_a_feed_takes_no_ws_url(
    tmp_path: Path, fed: bool
) -> None:
    told: list[str] = []
    path = tmp_path / "tape"
    lines = ['{"tape":1,"venue":"x"}', '{"at":1,"page":"/","status":200,"body":""}']
    path.write_text("\n".join([*lines, *['{"at":2,"open":1}'] * fed, ""]))

    class Enough(Exception): ...

    def announce(line: str) -> None:
        told.append(line)
        if line.startswith("[venues.x]"):
            raise Enough

    with pytest.raises(Enough):
        asyncio.run(replay_forever(path, speed=1.0, port=0, announce=announce))
    assert ("# not with" in told[-1]) is not fed


def test_a_replay_has_no_market_of_its_own(tmp_path: Path) -> None:
    none: dict[str, Any] = dict.fromkeys(("rate", "start", "hold", "faults", "faults_seed"))
    none |= {"port": 0, "speed": 1.0, "seed": 1, "venue": "x", "latency": 0.0, "years": 10}
    own: dict[str, Any] = {"symbols": "", "csv": (), "listed": (), "halt": ()}
    for one in ({"symbols": "A-B"}, {"listed": ("A-B=2020-01-01",)}, {"halt": ("2025-01-01/2025-01-02",)}):
        with pytest.raises(ConfigError, match="brings its own market"):
            run_simulator(replay=tmp_path, **none, **{**own, **one})
