"""docs/equities.md from top to bottom: as a stranger goes through it, beside a simulated Yahoo."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from livecache.__main__ import main
from livecache.cli import history

from ..test_docs_commands import MEANWHILE, NEEDED
from .support import environment, livecache

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs/equities.md").read_text()
SYMBOLS = ["AAPL", "MSFT", "BRK-B", "HALT", "SPLIT"]
"""Of the list, so that it is over soon."""

SLOW = {"doctor": "it asks at its own pace, for some ten seconds"}


def commands() -> Iterator[str]:
    """Those of its blocks, in order."""
    for block in re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


@pytest.fixture
def rest_url(tmp_path: Path) -> Iterator[str]:
    simulator = ("simulator", "--venue", "yahoo", "--port", "0", "--rate", "1000")
    with livecache(*simulator, env=environment()) as running:
        yield running.line("REST").split()[1]


def test_the_guide_works_from_top_to_bottom(
    rest_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "docs/examples/equities.toml", tmp_path)
    listed = json.loads((ROOT / "docs/examples/sp500.json").read_text())
    (tmp_path / "sp500.json").write_text(json.dumps({**listed, "symbols": SYMBOLS}))
    monkeypatch.chdir(tmp_path)
    for name, value in {"REST_URL": rest_url, "LEAST_DELAY": "0.01"}.items():
        monkeypatch.setenv(f"LIVECACHE_VENUES_YAHOO_{name}", value)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = 0
    for command in commands():
        words = shlex.split(command)
        if words[0] in NEEDED or command in MEANWHILE or words[1] in SLOW:
            continue
        if "sql" in words and importlib.util.find_spec("duckdb") is None:
            continue
        may_fail = words[-2:] == ["||", "true"]
        code = main(words[1 : -2 if may_fail else None])
        out = capsys.readouterr().out
        assert code == 0 or may_fail, (command, code, out)
        done += 1
    assert done >= 7
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["total"]["successful"] == len(SYMBOLS) and report["total"]["failed"] == 0
    assert report["venues"]["yahoo"]["requests_this_hour"] == len(SYMBOLS), "one request a symbol"
    assert "<svg" in (tmp_path / "report.html").read_text()


def test_it_tells_each_flag_of_a_fill() -> None:
    table = GUIDE.partition("## Every flag")[2].partition("\n## ")[0]
    given = {option.opts[0] for option in history.COMMANDS[0].commands["fill"].params}
    assert given - {"--help"} == {flag for flag in given if f"`{flag}" in table}


def test_the_configuration_that_it_shows_is_the_example() -> None:
    shown, london = re.findall(r"^```toml\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert tomllib.loads(shown) == tomllib.loads((ROOT / "docs/examples/equities.toml").read_text())
    assert tomllib.loads(london)["venues"]["london"]["kind"] == "yahoo"
