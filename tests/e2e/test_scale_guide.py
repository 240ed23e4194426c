"""docs/scale.md from one machine to three, as a stranger goes through it, on one machine by its ports."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from livecache import Reader
from livecache.config.load import load

from ..history.pg import Postgres
from .support import environment, exchange, free_port, livecache, market_of, until

ROOT = Path(__file__).parents[2]
GUIDE = (
    (ROOT / "docs/scale.md").read_text().partition("## From one machine to three")[2].partition("\n## ")[0]
)
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD")


def blocks(language: str) -> list[str]:
    """Those of the guide's steps."""
    found = re.findall(rf"^   ```{language}\n(.*?)^   ```$", GUIDE, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(each) for each in found]


def test_the_configurations_of_the_guide_load_and_its_commands_are_there(tmp_path: Path) -> None:
    first, last = blocks("toml")
    for text in (first, last):
        (tmp_path / "config.toml").write_text(text)
        assert load(tmp_path / "config.toml", {}).config.venues["coinbase"].symbols == SYMBOLS
    config = tomllib.loads(last)
    servers, years = blocks("sh")
    ports = re.findall(r":(\d+)", servers)
    assert len(ports) == 6 and set(re.findall(r":(\d+)", config["redis"]["url"])) <= set(ports)
    assert config["history"]["url"] in years
    assert set(re.findall(r"^([\w-]+)", servers + years, re.MULTILINE)) == {
        *("for", "redis-cli", "createdb", "livecache")
    }


class Stranger:
    """Whoever does what the guide says, on ports that are free here."""

    def __init__(self, folder: Path, ports: dict[str, int], env: dict[str, str]) -> None:
        self.folder, self._ports, self.env = folder, ports, env

    def here(self, text: str) -> str:
        for told, port in self._ports.items():
            text = text.replace(told, str(port))
        return text

    def does(self, text: str, *, code: int = 0) -> str:
        """The output of these lines in a shell."""
        done = subprocess.run(
            ["bash", "-ec", self.here(text)],
            cwd=self.folder,
            env=environment(self.env),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def stranger(tmp_path: Path, postgres: Postgres) -> Iterator[Stranger]:
    if not (shutil.which("redis-server") and shutil.which("redis-cli")):
        pytest.skip("apt-get install redis-server")
    told = re.findall(r"--dir.*|:(\d+)", blocks("sh")[0])
    ports = dict[str, int]()
    while len(ports) < 6:
        if (port := free_port()) < 55_000:  # 10,000 above is the nodes' own
            ports[[each for each in told if each][len(ports)]] = port
    bins = [str(Path(sys.executable).parent), "/usr/lib/postgresql/15/bin", os.environ["PATH"]]
    env = {
        "PATH": ":".join(bins),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGUSER": "livecache",
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    yield Stranger(tmp_path, ports, env)
    for port in ports.values():
        subprocess.run(["redis-cli", "-p", str(port), "shutdown", "nosave"], capture_output=True, check=False)


@pytest.mark.long
def test_the_guide_leads_from_one_machine_to_three(stranger: Stranger) -> None:
    first, last = (text.replace('since = "100d, 1d=5y"', 'since = "3d"') for text in blocks("toml"))
    servers, years = blocks("sh")
    config, env = stranger.folder / "config.toml", stranger.env
    with exchange(market_of(*SYMBOLS)) as venue, ExitStack() as stack:
        for kind, url in (("REST", venue.rest_url), ("WS", venue.ws_url)):
            env[f"LIVECACHE_VENUES_COINBASE_{kind}_URL"] = url
        config.write_text(first)
        one = stack.enter_context(livecache("run", env=env, cwd=stranger.folder))
        one.event("warm", 120)
        stranger.does(servers)
        until(
            "years are there", lambda: "nothing is missing" in stranger.does("livecache history gaps || true")
        )
        stranger.does(years)
        config.write_text(stranger.here(last))
        three = [stack.enter_context(livecache("run", env=env, cwd=stranger.folder)) for _ in range(3)]
        until("it is ready", lambda: "ready: 20" in stranger.does("livecache ready || true"), 180, every_s=1)
        one.stop()
        stranger.does(years.splitlines()[-1])
        assert "20 series: 20 ready" in stranger.does("livecache status")
        stranger.does("livecache check")
        three[0].send(signal.SIGKILL)
        stranger.does(f"redis-cli -p {next(iter(stranger._ports))} shutdown nosave || true")
        until(
            "it is ready again",
            lambda: "ready: 20" in stranger.does("livecache ready || true"),
            60,
            every_s=1,
        )
        settings = tomllib.loads(config.read_text())
        with Reader(settings["redis"]["url"]) as reader:
            assert all(len(reader.candles(symbol, "5m", 60)) == 60 for symbol in SYMBOLS)
        stranger.does("livecache history publish published")
        told = json.loads((stranger.folder / "published/_manifest.json").read_bytes())
        assert {each["symbol"] for each in told["series"] if each["files"]} == {*SYMBOLS}
