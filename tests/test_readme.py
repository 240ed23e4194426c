"""README.md and docs/ say what is so: their examples are run, and their tables compared with the code."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import json
import os
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from livecache import AsyncReader, ReadError, errors
from livecache.__main__ import main
from livecache.app import start_service
from livecache.cache.embedded import EmbeddedServer
from livecache.cli import checking, keeping, looking
from livecache.commands.check import FINDINGS_EXIT_CODE
from livecache.commands.stored import BucketKind
from livecache.config import CoinbaseConfig, Config, RedisConfig, VenuesConfig, settings
from livecache.core.timeframe import TIMEFRAME_PRIORITY
from livecache.simulator import MarketClock, Product, SeededMarket, Simulator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CLI = (ROOT / "docs/cli.md").read_text()
PAGES = ["README.md", "CHANGELOG.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

# What the README tells people to start, only faster: the market has the same candles at any speed.
BEGIN = datetime(2026, 2, 20, 12, 4, tzinfo=UTC)
SETTLED_THROUGH = datetime(2026, 2, 20, 12, 5, tzinfo=UTC)
SPEED = 15.0


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


# --- the examples


class Example(NamedTuple):
    """A command line of a ```console block, and what it prints; `…` in there stands for anything."""

    command: str
    output: str

    def matches(self, printed: str) -> bool:
        """Whether `printed` is what is written here, but for white space at the ends of lines."""
        return bool(re.fullmatch(re.escape(_trimmed(self.output)).replace("…", ".*"), _trimmed(printed)))


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines())


def fences(language: str, page: str = README) -> list[str]:
    """What is in a page's fenced blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def console_examples() -> list[Example]:
    blocks = [*fences("console"), *fences("console", CLI)]
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)]
    return [Example(*part.split("\n", 1)) for part in parts if part]


EXAMPLES = console_examples()


class Seen(NamedTuple):
    """What the README's examples printed over a live cache."""

    commands: list[str]  # what each command printed
    mistakes: str  # of the interactive session
    scripts: list[str]  # what each script printed


# One test, not many: each of xdist's processes would start a service of its own.
def test_the_examples_of_the_readme_give_what_it_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are run while a service runs on the simulator, as the README says to start both."""
    pytest.importorskip("numpy")  # which shows in the session
    with EmbeddedServer(temporary=True) as server:
        for name in [name for name in os.environ if name.startswith("LIVECACHE_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("LIVECACHE_REDIS_URL", server.url)
        monkeypatch.chdir(tmp_path)  # where no config.toml is
        seen = asyncio.run(_observe(server.url))

    pairs = zip(EXAMPLES, seen.commands, strict=True)
    wrong = [f"$ {e.command}\n{printed}" for e, printed in pairs if not e.matches(printed)]
    assert wrong == [], "\n".join(["it prints", *wrong])
    assert seen.mistakes == ""
    reading, simulating = seen.scripts
    assert reading == "60 candles, the last close 76324.18, feed up\n"
    assert f"It prints `{simulating.strip()}`" in README


async def _observe(url: str) -> Seen:
    market = SeededMarket(products=[Product.parse("BTC-USD")])
    async with Simulator(market, clock=MarketClock(ms(BEGIN), SPEED)) as exchange:
        coinbase = CoinbaseConfig(symbols=("BTC-USD",), rest_url=exchange.rest_url, ws_url=exchange.ws_url)
        config = Config(redis=RedisConfig(url=url), venues=VenuesConfig(coinbase=coinbase))
        async with start_service(config) as service:
            await service.start()
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(service.run(), name="service")
                async with asyncio.timeout(30):
                    await _until_settled(url)
                seen = await asyncio.to_thread(_run_examples)
                running.cancel()
            return seen


async def _until_settled(url: str) -> None:
    """Wait until the bucket of 12:00 is settled and the feed vouches for the one after it."""
    async with AsyncReader(url) as reader:
        while True:
            with contextlib.suppress(ReadError):
                candles = await reader.candles("BTC-USD", "5m", 60, forming=True)
                if candles.settled_through >= ms(SETTLED_THROUGH) and len(candles) == 61:
                    return
            await asyncio.sleep(0.02)


def _run_examples() -> Seen:
    commands = [_printed_by(partial(main, shlex.split(e.command)[1:])) for e in EXAMPLES]
    session = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    mistakes: list[str] = []
    for fence in fences("pycon"):
        test = doctest.DocTestParser().get_doctest(fence, {}, "README.md", "README.md", 0)
        session.run(test, out=mistakes.append)
    scripts = [compile(fence, "README.md", "exec") for fence in fences("python")]
    return Seen(commands, "".join(mistakes), [_printed_by(partial(exec, s, {})) for s in scripts])


def _printed_by(work: Callable[[], object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        work()
    return out.getvalue()


def test_the_examples_look_at_every_kind_of_key() -> None:
    keys = {word for e in EXAMPLES for word in shlex.split(e.command) if word.startswith("livecache:")}
    assert {key.rpartition(":")[2] for key in keys} == {"5m", "state", "alive", "series", "closes", "feed"}


# --- the tables


def rows(document: str, head: str) -> list[list[str]]:
    """The cells of the table in that document whose head begins so, without head and rule."""
    table = document.partition(f"\n| {head} |")[2].split("\n\n", 1)[0]
    assert table, f"no table | {head} |"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_the_table_of_settings_has_each_with_its_default() -> None:
    told = {key.strip("`"): default.strip("`") for key, default, _ in rows(README, "key")}
    defaults = {
        key: "not set" if value is None else json.dumps(value, ensure_ascii=False)
        for key, value in settings(Config())
    }
    assert told == defaults


def test_the_table_of_exit_codes_has_each_that_an_error_ends_with() -> None:
    told = {int(code) for code, _ in rows(CLI, "exit code")}
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    ours = {kind.exit_code for kind in kinds if issubclass(kind, errors.LivecacheError)}
    assert told == ours | {0, FINDINGS_EXIT_CODE, 70, 130}


def test_each_command_has_a_section_that_shows_it() -> None:
    sections = set(re.findall(r"^## (.+)$", CLI, re.MULTILINE))
    shown = {shlex.split(e.command)[1] for e in EXAMPLES}
    for group in (looking, checking, keeping):
        for command in group.COMMANDS:
            name = command.name or ""
            assert name in sections
            # One does not end by itself, two need the service's HTTP server, one asks the exchange.
            assert name in shown or name in ("watch", "repair", "reload", "doctor", "completion")


def test_the_kinds_of_buckets_are_told() -> None:
    assert {kind.strip("`") for _, kind, _ in rows(CLI, "in the chart")} == set(BucketKind)


def test_the_table_of_errors_names_each_that_a_reader_raises() -> None:
    told = {name.strip("`") for name, *_ in rows(README, "error")}
    kinds = {kind.__name__ for kind in errors.ReadError.__subclasses__()}
    assert told == kinds | {"RedisUnavailable"}


def test_the_default_priority_of_timeframes_is_told() -> None:
    assert f"| `TIMEFRAME_PRIORITY` | {', '.join(TIMEFRAME_PRIORITY)}:" in README


def test_each_limit_is_the_one_in_the_code() -> None:
    page = (ROOT / "docs/limits.md").read_text()
    told = re.findall(r"^\| .+? \| (.+?) \| `([\w.]+)` \|$", page, re.MULTILINE)
    assert len(told) > 40
    wrong = []
    for bound, name in told:
        numbers = [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", bound)]
        if float(_constant(name)) not in numbers:
            wrong.append(f"{name} is {_constant(name)}, not {bound}")
    assert wrong == []


def _constant(name: str) -> float:
    """The value of `module.NAME`, or the default of `module.Class.field`, under `livecache`."""
    module, _, constant = name.rpartition(".")
    owner: Any
    try:
        owner = importlib.import_module(f"livecache.{module}")
    except ModuleNotFoundError:
        module, _, kind = module.rpartition(".")
        owner = getattr(importlib.import_module(f"livecache.{module}"), kind)()
    return float(getattr(owner, constant))


# --- the pages


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        if file.startswith("https://"):
            continue
        there = (ROOT / page).parent / file if file else ROOT / page
        assert there.exists(), f"{page}: {target}"
        if anchor:
            heads = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads]
            assert anchor in anchors, f"{page}: {target}"
