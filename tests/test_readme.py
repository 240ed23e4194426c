"""README.md and docs/ say what is so: their examples are run, their tables compared with the code."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import importlib
import io
import json
import os
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from livecache import AsyncReader, ReadError, errors
from livecache.__main__ import main
from livecache.app import start_service
from livecache.cache.embedded import EmbeddedServer
from livecache.config import CoinbaseConfig, Config, RedisConfig, VenuesConfig, settings
from livecache.simulator import MarketClock, Product, SeededMarket, Simulator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = ["README.md", "CHANGELOG.md", "docs/architecture.md", "docs/decisions.md", "docs/limits.md"]

# What the README tells people to start, only faster: the market has the same candles at any speed.
START_MS = int(datetime(2026, 2, 20, 12, 4, tzinfo=UTC).timestamp() * 1000)
SETTLED_MS = int(datetime(2026, 2, 20, 12, 5, tzinfo=UTC).timestamp() * 1000)
SPEED = 20.0


def fences(language: str) -> list[str]:
    """The contents of the README's fenced blocks in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A command line and what it prints; `…` in there stands for anything."""

    command: str
    output: str

    def matches(self, printed: str) -> bool:
        """Whether `printed` is what is written here, but for white space at the ends of lines."""
        pattern = "\n".join(line.rstrip() for line in self.output.splitlines())
        lines = "\n".join(line.rstrip() for line in printed.splitlines())
        return bool(re.fullmatch(re.escape(pattern).replace("…", ".*"), lines))


def console_examples() -> list[Example]:
    return [
        Example(*part.split("\n", 1))
        for fence in fences("console")
        for part in re.split(r"^\$ ", fence, flags=re.MULTILINE)
        if part
    ]


class Seen(NamedTuple):
    """What the README's examples printed over a live cache."""

    commands: dict[str, str]
    doctest: tuple[int, str]  # failures, and what they were
    scripts: dict[str, str]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Run the README's examples against a service on the simulator that the README describes."""
    with pytest.MonkeyPatch.context() as patch, EmbeddedServer(temporary=True) as server:
        for name in [name for name in os.environ if name.startswith("LIVECACHE_")]:
            patch.delenv(name)
        patch.setenv("LIVECACHE_REDIS_URL", server.url)
        patch.chdir(tmp_path_factory.mktemp("readme"))  # no config.toml there
        yield asyncio.run(observe(server.url))


async def observe(url: str) -> Seen:
    """Warm up, go live, and let the examples look once the bucket of 12:00 is settled."""
    market = SeededMarket(products=[Product.parse("BTC-USD")])
    async with Simulator(market, clock=MarketClock(START_MS, SPEED)) as exchange:
        coinbase = CoinbaseConfig(
            symbols=("BTC-USD",), rest_url=exchange.rest_url, ws_url=exchange.ws_url
        )
        config = Config(redis=RedisConfig(url=url), venues=VenuesConfig(coinbase=coinbase))
        async with start_service(config) as service:
            await service.start()
            running = asyncio.create_task(service.run(), name="service")
            try:
                async with asyncio.timeout(20):
                    await settled_and_live(url)
                return await asyncio.to_thread(run_examples)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


async def settled_and_live(url: str) -> None:
    async with AsyncReader(url) as reader:
        while True:
            with contextlib.suppress(ReadError):
                candles = await reader.candles("BTC-USD", "5m", 60, forming=True)
                if candles.settled_through >= SETTLED_MS and len(candles) == 61:
                    return
            await asyncio.sleep(0.02)


def run_examples() -> Seen:
    commands = {}
    for example in console_examples():
        words = shlex.split(example.command)
        assert words[0] == "livecache"
        commands[example.command] = printed_by(lambda words=words: main(words[1:]))
    checker = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    report: list[str] = []
    for fence in fences("pycon"):
        test = doctest.DocTestParser().get_doctest(fence, {}, "README.md", "README.md", 0)
        checker.run(test, out=report.append)
    scripts = {
        fence: printed_by(lambda fence=fence: exec(compile(fence, "README.md", "exec"), {"__name__": "x"}))
        for fence in fences("python")
    }
    return Seen(commands, (checker.summarize(verbose=False).failed, "".join(report)), scripts)


def printed_by(work: object) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert callable(work)
        work()
    return out.getvalue()
