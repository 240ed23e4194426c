"""check and repair over a running service: what is wrong is found, the command that is named mends it.

The service runs in this process, so that it stands still while a command of a synchronous test step runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from livecache import AsyncReader
from livecache.__main__ import main
from livecache.app import open_engine
from livecache.clock import SystemClock
from livecache.config.load import load
from livecache.engine.engine import Engine
from livecache.engine.fleet import Place
from livecache.errors import Stale
from livecache.http.front import HttpFront
from livecache.http.watch.instance import Instance
from livecache.keys.keyspace import Keyspace
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import Market
from livecache.simulator.market.market import MarketOverlay
from livecache.simulator.market.revised import RevisedMarket

from .support import NOON, Exchange, exchange, livecache, market_of

M5 = Timeframe.M5
KEYS = Keyspace()
BUCKET = M5.floor(NOON) - 40 * M5.ms
SYMBOLS = ("BTC-USD", "ANY-USD:thin")


class Forgetful(MarketOverlay):
    """Another market, that shows some of its 5m candles no more."""

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self.forgotten: set[tuple[str, int]] = set()

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        rows = super().candles(product, timeframe, start_ms, end_ms, now_ms)
        return [row for row in rows if timeframe is not M5 or (product, row.time) not in self.forgotten]


class Running:
    """A warm service, its address for orders, and the commands beside it."""

    def __init__(self, engine: Engine, env: dict[str, str]) -> None:
        self.engine = engine
        self._env = env

    def check(self, *options: str) -> tuple[int, Any]:
        """Run `livecache check` while the service stands still: the exit code, and the report."""
        code, output, _ = self.said("check", "--json", *options)
        return code, json.loads(output)

    def said(self, *arguments: str) -> tuple[int, str, str]:
        """A command's exit code and output. However long it takes, the service keeps its lease."""
        with redis.Redis.from_url(self._env["LIVECACHE_REDIS_URL"]) as client:
            client.pexpire(KEYS.lease, 600_000)
        with livecache(*arguments, env=self._env) as process:
            code = process.ended()
            output, errors = (
                "".join(f"{line}\n" for line in said) for said in (process.output, process.errors)
            )
        assert "Traceback" not in errors, errors
        return code, output, errors

    async def do(self, *arguments: str) -> tuple[int, str, str]:
        """The same while the service goes on."""
        return await asyncio.to_thread(self.said, *arguments)

    async def mend(self, remedies: list[str]) -> None:
        """Run the commands that a check has named, and wait until each has been done."""
        assert remedies
        async with asyncio.timeout(30):
            while not self.engine.writer.writing:  # It may have stood still for long.
                await asyncio.sleep(0.01)
        for remedy in remedies:
            program, *arguments = shlex.split(remedy)
            assert program == "livecache"
            if arguments == ["run"]:
                continue  # It stood still for the check, and on a busy machine for too long: here it is.
            code, _, errors = await self.do(*arguments, *["--wait"] * (arguments[0] == "repair"))
            assert code == 0, errors
        await self.written()

    async def written(self) -> None:
        """Wait until nothing is left to be written."""
        writer, live = self.engine.writer, self.engine.live
        async with asyncio.timeout(30):
            while any(live.held(track.series) is None for track in live.configured()):
                await asyncio.sleep(0.01)
            flushes = writer.stats.flushes
            live.changed.set()
            while writer.stats.flushes < flushes + 2:
                await asyncio.sleep(0.01)
                live.changed.set()


@asynccontextmanager
async def running(venue: Exchange, redis_url: str, **more: object) -> AsyncIterator[Running]:
    """The service, warm and following the feed, with its HTTP server."""
    env = venue.settings(redis_url, (), **more) | {"LIVECACHE_HTTP_LISTEN": "127.0.0.1:0"}
    config = load(Path("/dev/null"), env).config
    clock = SystemClock()
    instance = Instance(config, clock)
    async with open_engine(config) as engine:
        instance.places = {engine.venue.name: Place(engine)}
        with HttpFront(config.http, instance, clock) as http:
            working = asyncio.create_task(work(engine, http), name="service")
            tracks = engine.live.configured()
            try:
                async with asyncio.timeout(60):
                    while engine.live.warm_s is None or any(len(t.settled) < 100 for t in tracks):
                        assert not working.done()
                        await asyncio.sleep(0.02)
                yield Running(engine, env | {"LIVECACHE_HTTP_LISTEN": http.url.removeprefix("http://")})
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)


async def work(engine: Engine, http: HttpFront) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(engine.run())
        tasks.create_task(http.run())


def kinds(report: Any) -> set[str]:
    return {finding["kind"] for finding in report["findings"]}


def test_a_candle_that_the_venue_revised_is_found_and_repaired_and_announced(clean_valkey: str) -> None:
    market = RevisedMarket(market_of(*SYMBOLS))

    async def scenario(venue: Exchange) -> None:
        async with running(venue, clean_valkey) as here:
            assert here.check("--against-venue")[0] == 0
            assert market.revise("BTC-USD", BUCKET, NOON)
            code, report = here.check()
            assert (code, report["findings"]) == (0, []), "what is stored agrees with itself"
            code, report = here.check("--against-venue")
            assert code == 7
            assert kinds(report) == {"venue-differs"}
            starts = {f["timeframe"]: f["start"] for f in report["findings"] if f["symbol"] == "BTC-USD"}
            assert starts == {t: Timeframe(t).floor(BUCKET) for t in starts} and "5m" in starts
            assert report["venue"]["differ"] == len(report["findings"])

            await vouched_for(clean_valkey)
            reading = asyncio.create_task(read_on(clean_valkey), name="reader")
            await here.mend(report["remedies"])
            assert not reading.done(), "a reader got its candles all the while"
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert here.check("--against-venue")[0] == 0
        with redis.Redis.from_url(clean_valkey) as client:
            closes = [fields for _, fields in client.xrange("livecache:{coinbase}:closes")]
        revised = [c for c in closes if c[b"kind"] == b"revised"]
        assert (b"BTC-USD:5m", str(BUCKET).encode()) in [(c[b"series"], c[b"time"]) for c in revised]
        assert all(c[b"replaced"] != c[b"candle"] for c in revised)

    with exchange(market) as venue:
        asyncio.run(scenario(venue))


async def vouched_for(url: str) -> None:
    """The service stood still for the checks: on a busy machine for so long that it has to vouch anew."""
    async with AsyncReader(url) as reader, asyncio.timeout(30):
        while True:
            with contextlib.suppress(Stale):
                await reader.candles("BTC-USD", "5m", 60)
                return
            await asyncio.sleep(0.01)


async def read_on(url: str) -> None:
    """Read all the while: whatever is repaired, a reader gets its candles. Raises what a read raises."""
    async with AsyncReader(url) as reader:
        while True:
            assert len(await reader.candles("BTC-USD", "5m", 60)) == 60
            await asyncio.sleep(0.01)


def test_a_candle_that_the_venue_shows_no_more_becomes_proven_empty(clean_valkey: str) -> None:
    market = Forgetful(market_of("BTC-USD"))

    async def scenario(venue: Exchange) -> None:
        async with running(venue, clean_valkey, CACHE_TIMEFRAMES="5m") as here:
            market.forgotten.add(("BTC-USD", BUCKET))
            code, report = here.check("--against-venue")
            (finding,) = report["findings"]
            assert (code, finding["start"], finding["kind"]) == (7, BUCKET, "venue-differs")
            assert finding["message"].endswith("the venue shows nothing")
            await here.mend(report["remedies"])
            code, report = here.check("--against-venue")
            assert (code, report["findings"]) == (0, [])
            assert report["series"][0]["empty"] == 1
        with redis.Redis.from_url(clean_valkey) as client:
            told = [fields for _, fields in client.xrange("livecache:{coinbase}:closes")]
        assert [(c[b"time"], c[b"candle"]) for c in told if c[b"kind"] == b"revised"] == [
            (str(BUCKET).encode(), b"null")
        ]

    with exchange(market) as venue:
        asyncio.run(scenario(venue))


def test_what_others_did_to_the_keys_is_found_and_a_repair_rewrites_it_at_once(clean_valkey: str) -> None:
    key = "livecache:{coinbase:BTC-USD}:%s"

    async def scenario(venue: Exchange) -> None:
        async with running(venue, clean_valkey) as here:
            assert here.check()[0] == 0
            with redis.Redis.from_url(clean_valkey) as client:
                # A candle that looks right, but its volume; rubbish; one that is gone; a lie; an expiry.
                (member,) = client.zrangebyscore(key % "5m", BUCKET, BUCKET)
                client.zrem(key % "5m", member)
                client.zadd(key % "5m", {member.rpartition(b",")[0] + b",123456]": BUCKET})
                first = client.zrange(key % "15m", 0, 0, withscores=True)[0]
                client.zrem(key % "15m", first[0])
                client.zadd(key % "15m", {b"rubbish": first[1]})
                client.zremrangebyrank(key % "1h", 5, 5)
                client.hset(key % "4h:state", "known_through", 1)
                client.expire(key % "1d", 1_000)
                client.set(key % "9m", "what is this?")
            code, report = here.check()
            assert code == 7
            assert kinds(report) == {"rollup", "damaged-member", "count", "watermarks", "expires"}
            assert {f["symbol"] for f in report["findings"]} == {"BTC-USD"}
            assert [f["kind"] for f in report["advice"]] == ["unknown-key", "server"]
            code, text, _ = here.said("check")
            assert code == 7
            assert all(f"  {remedy}" in text.splitlines() for remedy in report["remedies"])
            some = ("--symbols", "BTC-USD", "--timeframes", "15m,1h", "--gap", "2")
            code, text, _ = here.said("check", "--csv", "findings", *some)
            rows = list(csv.DictReader(io.StringIO(text)))
            assert code == 7
            assert {row["timeframe"] for row in rows if row["symbol"]} == {"15m", "1h"}
            assert here.check("--symbols", "any-usd")[0] == 0
            code, _, errors = here.said("check", "--symbols", "BTC")
            assert code == 1 and "did you mean BTC-USD?" in errors
            await here.mend(report["remedies"])
            _, report = here.check()
            assert report["findings"] == []
            with redis.Redis.from_url(clean_valkey) as client:
                client.zadd("livecache:{coinbase:GONE-USD}:5m", {"[0,1,1,1,1,1]": 0})
                before = client.config_get("maxmemory")["maxmemory"]
            report = here.check()[1]
            assert [f["kind"] for f in report["advice"]] == ["leftover-key", "unknown-key", "server"]
            assert report["clean"]
            await here.mend([f["remedy"] for f in report["advice"] if f["remedy"]])
            assert [f["kind"] for f in here.check()[1]["advice"]] == ["unknown-key"]
            with redis.Redis.from_url(clean_valkey) as client:
                client.config_set("maxmemory", before)

    with exchange(market_of(*SYMBOLS)) as venue:
        asyncio.run(scenario(venue))


def test_a_comparison_keeps_within_its_limit_and_says_what_it_left_out(
    clean_valkey: str, tmp_path: Path
) -> None:
    async def scenario(venue: Exchange) -> None:
        async with running(venue, clean_valkey) as here:
            before = len(venue.candle_requests)
            output = tmp_path / "report"
            code, text, errors = here.said(
                "check", "--against-venue", "--requests", "3", "--output", str(output)
            )
            assert code == 0, errors
            assert "3 requests, at most 50 a second beside the running service" in errors
            assert "were left out: the older pages" in text
            assert len(venue.candle_requests) == before + 3
            assert sorted(path.name for path in output.iterdir()) == [
                *("findings.csv", "gaps.csv", "report.json", "report.txt", "series.csv")
            ]
            assert json.loads((output / "report.json").read_text())["venue"]["requests"] == 3

    with exchange(market_of(*SYMBOLS)) as venue:
        asyncio.run(scenario(venue))


def test_a_venue_that_does_not_answer_is_told_and_the_check_is_not_called_clean(clean_valkey: str) -> None:
    async def scenario(venue: Exchange) -> None:
        async with running(venue, clean_valkey) as here:
            away = {"LIVECACHE_VENUES_COINBASE_REST_URL": "http://127.0.0.1:9"}
            here = Running(here.engine, venue.settings(clean_valkey) | away)
            code, report = here.check("--against-venue")
            assert code == 7
            assert kinds(report) == {"not-compared"}
            assert report["venue"]["requests"] == 3, "it gives up"

    with exchange(market_of("BTC-USD")) as venue:
        asyncio.run(scenario(venue))


@pytest.mark.parametrize(
    ("timeframes", "refused", "named"),
    [
        ("6h,12h", (), "coinbase does not serve 12h: not compared"),
        ("6h,8h,12h", (), "coinbase does not serve 8h, 12h: not compared"),
        ("1h,4h", ("FOUR_HOUR",), "coinbase does not serve 4h: not compared"),  # as it turns out
    ],
)
def test_what_the_venue_does_not_serve_is_not_compared_and_nobody_is_blamed(
    clean_valkey: str, timeframes: str, refused: tuple[str, ...], named: str
) -> None:
    async def scenario(venue: Exchange) -> None:
        async with running(venue, clean_valkey, CACHE_TIMEFRAMES=timeframes) as here:
            code, report = here.check("--against-venue")
            assert (code, report["findings"]) == (0, [])
            (note,) = [note for note in report["advice"] if note["kind"] == "unserved"]
            assert note["message"].startswith(named)
            assert report["venue"]["failures"] == 0
            assert report["venue"]["same"] >= 200, "what it serves is compared"
            last = timeframes.rpartition(",")[2]
            code, report = here.check("--against-venue", "--timeframes", last)
            assert (code, report["venue"]["same"]) == (0, 0), "and nothing else"

    market = market_of("BTC-USD", "ETH-USD")
    with exchange(market, rejected_granularities=frozenset(refused)) as venue:
        asyncio.run(scenario(venue))


def test_a_refusal_for_being_too_fast_is_waited_out(clean_valkey: str) -> None:
    symbols = [f"S{n}-USD" for n in range(8)]

    async def scenario(venue: Exchange) -> None:
        slow = {"VENUES_COINBASE_REQUESTS_PER_SECOND": 3, "CACHE_TIMEFRAMES": "5m"}
        async with running(venue, clean_valkey, **slow) as here:
            fast = {"LIVECACHE_VENUES_COINBASE_REQUESTS_PER_SECOND": "200"}
            here = Running(here.engine, venue.settings(clean_valkey) | fast)
            code, report = here.check("--against-venue")
            assert (code, report["findings"]) == (0, [])
            asked = report["venue"]
            assert (asked["requests_wanted"], asked["failures"]) == (8, 0)
            assert asked["requests"] > 8, "some were refused, and asked again"
            assert asked["same"] == 800

    with exchange(market_of(*symbols), requests_per_second=4) as venue:
        asyncio.run(scenario(venue))


def test_orders_that_make_no_sense_are_one_line_and_a_hint(clean_valkey: str) -> None:
    async def scenario(venue: Exchange) -> None:
        async with running(venue, clean_valkey, CACHE_TIMEFRAMES="5m") as here:
            for arguments, code, told in (
                (["BTC-USD", "5m"], 2, "say which span"),
                (["BTC-USD", "5m", "--all", "--to", "0"], 2, "say which span"),
                (["BTC-USD", "5min", "--all"], 2, "did you mean 5m?"),
                (["BTC-USD", "5m", "--from", "yesterday"], 2, "is not a time"),
                (["BTC-USD", "5m", "--from", "2026-10-01T11:02"], 1, "2026-10-01T11:00Z"),
                (["BTC-USD", "5m", "--from", "2026-10-01", "--to", "2020-01-01"], 1, "ends after it begins"),
                (["BTC-USD", "1h", "--all"], 1, "fills no such series"),
                (["NO-USD", "5m", "--all"], 1, "fills no such series"),
            ):
                ended, _, errors = await here.do("repair", *arguments)
                assert (ended, told in errors) == (code, True), errors
            ended, _, errors = await here.do(
                "repair", "BTC-USD", "5m", "--all", "--service", "http://127.0.0.1:9"
            )
            assert ended == 1 and "no service answers" in errors
            ended, output, _ = await here.do("repair", "btc-usd", "5m", "--to", "2020-01-01")
            assert (ended, "written anew; nothing from" in output) == (0, True)
            ended, output, _ = await here.do("repair", "btc-usd", "5m", "--from", "2020-01-01")
            assert (ended, "2020" in output) == (0, False), "as far as it is kept, and that is told"
            ended, output, _ = await here.do("repair", "btc-usd", "5m", "--all")
            assert (ended, output.splitlines()[-1]) == (
                0,
                "1 waiting in all; what is settled stays served meanwhile",
            )

    with exchange(market_of("BTC-USD")) as venue:
        asyncio.run(scenario(venue))


def test_a_check_of_nothing_is_not_called_clean_and_mistakes_are_one_line(
    clean_valkey: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("LIVECACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIVECACHE_REDIS_URL", clean_valkey)
    for arguments, code, told in (
        ([], 7, "no series is announced under the prefix 'livecache'"),
        (["--csv", "candles"], 2, "one of series, findings, gaps"),
        (["--symbols", "BTC-USD"], 1, "nobody fills BTC-USD"),
        (["--timeframes", "5min"], 2, "did you mean 5m?"),
        (["--redis-url", "redis://127.0.0.1:9"], 3, "Redis cannot be read"),
        (["--output", "/dev/null/report"], 2, "cannot be written"),
    ):
        assert main(["check", *arguments]) == code
        output = "".join(capsys.readouterr())
        assert told in output and "Traceback" not in output
