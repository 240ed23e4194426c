"""README.md and docs/ say what is so: their tables are compared with the code, their links followed.

Their commands are run by test_docs_commands.py, their Python by test_python_docs.py and test_readme.py.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from livecache import errors
from livecache.app import assemble
from livecache.cli import app, checking, keeping, looking
from livecache.clock import SystemClock
from livecache.commands.check import FINDINGS_EXIT_CODE
from livecache.commands.look.stored import BucketKind
from livecache.config.load import check
from livecache.config.render import settings
from livecache.config.schema import Config

ROOT = Path(__file__).parent.parent
CLI = (ROOT / "docs/cli.md").read_text()
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()
PYTHON = (ROOT / "docs/python.md").read_text()
PAGES = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md"),
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]

# --- the tables


def rows(document: str, head: str) -> list[list[str]]:
    """The cells of the table in that document whose head begins so, without head and rule."""
    table = document.partition(f"\n| {head} |")[2].split("\n\n", 1)[0]
    assert table, f"no table | {head} |"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_the_table_of_settings_has_each_with_its_default() -> None:
    told = {key.strip("`"): default.strip("`") for key, default, _ in rows(CONFIGURATION, "key")}
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
    shown = set(re.findall(r"^\$ livecache (\w+)", CLI, re.MULTILINE))
    for group in (looking, checking, keeping):
        for command in group.COMMANDS:
            name = command.name or ""
            assert name in sections
            assert name in shown or re.search(rf"^```sh\n[^`]*livecache {name}\b", CLI, re.MULTILINE), name


def test_the_kinds_of_buckets_are_told() -> None:
    assert {kind.strip("`") for _, kind, _ in rows(CLI, "in the chart")} == set(BucketKind)


def test_the_table_of_errors_names_each_that_a_reader_raises() -> None:
    told = {name.strip("`") for name, *_ in rows(PYTHON, "error")}
    kinds = {kind.__name__ for kind in errors.ReadError.__subclasses__()}
    assert told == kinds | {"RedisUnavailable"}


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
    """The value of `module.NAME` or `module.Class.NAME`, or the default of `module.Class.field`."""
    module, _, constant = name.rpartition(".")
    owner: Any
    try:
        owner = importlib.import_module(f"livecache.{module}")
    except ModuleNotFoundError:
        module, _, kind = module.rpartition(".")
        owner = getattr(importlib.import_module(f"livecache.{module}"), kind)
        owner = owner if isinstance(getattr(owner, constant), int | float) else owner()
    return float(getattr(owner, constant))


# --- the pages


def test_the_example_of_several_venues_has_what_each_of_them_serves() -> None:
    loaded, wrong = check(ROOT / "docs/examples/venues.toml", {})
    assert wrong == []
    series = {}
    for name in loaded.config.venues:
        engine, _ = assemble(loaded.config, redis.asyncio.Redis(), SystemClock(), venue=name)
        series[name] = len(engine.series)
    assert series == {"coinbase": 10, "binance": 8, "binance-usdm": 5, "deribit": 10}


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text()
    linked = set(re.findall(r"\]\(([\w./-]+)\)", index))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(pages - linked) == []


def test_the_way_of_a_candle_leads_through_functions_that_are_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    hops = re.findall(r"^\| \d+ \| `([\w/]+\.py)::(\w+)` \|", page, re.MULTILINE)
    assert len(hops) == 10
    wrong = [hop for hop in hops if f"def {hop[1]}(" not in (ROOT / "livecache" / hop[0]).read_text()]
    assert wrong == []


def test_the_picture_of_the_rooms_is_drawn_from_the_code() -> None:
    told = "run python -m docs.pictures.rooms"
    rooms = importlib.import_module("docs.pictures.rooms")
    assert rooms.PICTURE.read_text() == rooms.drawn(), told


def test_the_pictures_of_what_runs_where_are_drawn_from_what_is_said() -> None:
    topologies = importlib.import_module("docs.pictures.topologies")
    for name, topology in topologies.TOPOLOGIES.items():
        told = "run python -m docs.pictures.topologies"
        assert (topologies.FOLDER / f"{name}.svg").read_text() == topologies.drawn(topology), told


def test_every_command_and_setting_has_its_place() -> None:
    assert [f"livecache {name}" for name in app.commands if f"`livecache {name}" not in CLI] == []


def test_each_task_of_contributing_is_one_command_that_there_is() -> None:
    told = re.findall(r"`make (\w+)", (ROOT / "CONTRIBUTING.md").read_text())
    made = re.findall(r"^(\w+): +;", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert (
        set(told)
        == set(made)
        >= {"quick", "test", "long", "seeds", "teeth", "lint", "pictures", "benchmarks"}
    )


def test_requests_name_tests_that_are_there() -> None:
    page = (ROOT / "docs/requests.md").read_text()
    told = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(told) >= 12
    wrong = [f"{file}::{name}" for file, name in told if f"def {name}(" not in (ROOT / file).read_text()]
    assert wrong == []


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
