"""docs/api-guide.md, from top to bottom in each language, and the TypeScript client, beside one service."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from livecache.embedded.server import EmbeddedServer
from livecache.model.timeframe import Timeframe

from ..http.udf_adapter import Adapter, Bar
from .support import NOON, exchange, free_port, livecache, market_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/api-guide.md").read_text(encoding="utf-8")
HOURS = 30 * 24
"""From thirty days before the newest 5m candle that has closed, 11:55, to the newest such hour, 11:00."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a service answers that keeps ten days of years."""
    folder = tmp_path_factory.mktemp("guide")
    with EmbeddedServer(temporary=True) as redis, exchange(market_of("BTC-USD")) as venue:
        http = f"127.0.0.1:{free_port()}"
        more = {"HISTORY_SINCE": "10d", "CACHE_TIMEFRAMES": "5m,1h", "HTTP_LISTEN": http}
        env = venue.settings(redis.url, ("BTC-USD",), HISTORY_URL=f"sqlite:///{folder}/history.db", **more)
        with livecache("run", env=env) as service:
            service.event("warm")
            yield http
            service.stop()


@pytest.mark.takes(10)
def test_a_chart_by_udf_scrolls_into_years_that_are_fetched_while_it_waits(address: str) -> None:
    """What is kept are ten days; row by row it is the exchange's own market."""
    adapter = Adapter(f"http://{address}")
    symbol = adapter.resolve("BTC-USD")
    assert symbol and "60" in symbol["supported_resolutions"]
    end, shown = NOON // 1000 + 3_600, list[Bar]()
    while len(shown) < 24 * 45:
        bars, meta = adapter.bars(symbol, "60", end - 300 * 3_600, end, 300)
        assert bars and not meta.no_data
        shown, end = bars + shown, bars[0].time // 1000
    adapter.close()
    H1 = Timeframe.H1
    truth = market_of("BTC-USD").candles("BTC-USD", H1, shown[0].time, NOON, NOON)
    whole = [bar for bar in shown if bar.time + H1.ms <= NOON]
    assert whole == [Bar(row.time, *map(float, row.numbers)) for row in truth][: len(whole)]
    assert {later.time - bar.time for bar, later in pairwise(shown)} == {H1.ms}


def blocks(language: str, address: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(found) > 5
    return [block.replace("127.0.0.1:8787", address) for block in found]


def printed(*command: str, cwd: Path) -> list[str]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


EXPECTED = [
    "200 60 candles",
    f"{HOURS} hours",
    "succeeded",
    "200 304",
    "state",
    "404 unknown_series did you mean",
]


def as_expected(lines: list[str]) -> None:
    """The lines that both languages print."""
    for expected in EXPECTED:
        assert any(line.startswith(expected) for line in lines), (expected, lines)


@pytest.mark.takes(25)
def test_the_python_does_what_the_guide_says(address: str, tmp_path: Path) -> None:
    for package in ("pandas", "pyarrow"):
        pytest.importorskip(package)  # which show
    (tmp_path / "guide.py").write_text("\n".join(blocks("python", address)))
    lines = printed(sys.executable, "guide.py", cwd=tmp_path)
    as_expected(lines)
    assert "false ['open', 'high', 'low', 'close', 'volume'] 100" in lines and lines.count("True") == 1


def test_the_javascript_does_what_the_guide_says(address: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    (tmp_path / "guide.mjs").write_text("\n".join(blocks("js", address)))
    as_expected(printed(node, "guide.mjs", cwd=tmp_path))


def test_the_commands_do_what_the_guide_says(address: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    for line in "".join(blocks("sh", address)).splitlines():
        ends = line.startswith("curl -sN")
        command = (
            f"timeout 3 {line} || true" if ends else line.replace("curl -s ", "curl -s --fail-with-body ")
        )
        assert "\n".join(printed("bash", "-c", command, cwd=tmp_path)), line


@pytest.mark.takes(15)
def test_the_typescript_client_is_typed_by_the_service_and_does_what_it_says(
    address: str, tmp_path: Path
) -> None:
    tools = {name: shutil.which(name) for name in ("node", "openapi-typescript", "tsc")}
    if absent := [name for name, found in tools.items() if found is None]:
        pytest.skip(f"{absent[0]} is not on the PATH; .ci/run installs it in a directory of its own")
    shutil.copytree(ROOT / "docs/examples/typescript", tmp_path, dirs_exist_ok=True)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    client = (tmp_path / "client.ts").read_text()
    (command,) = re.findall(r"^//   npx (.*)$", client, re.MULTILINE)
    printed(*command.replace("127.0.0.1:8787", address).split(), cwd=tmp_path)
    printed("tsc", cwd=tmp_path)
    lines = printed("node", "example.js", f"http://{address}", cwd=tmp_path)
    assert lines[0] == f"{HOURS} hours"
    assert re.fullmatch(r"job succeeded: (\d+) of \1", lines[-2])
    assert lines[-1].startswith("refused: unknown_series, did you mean BTC-USD")
