"""`livecache simulator --faults FILE` and `--faults-seed N`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from livecache.simulator.face import KINDS, kind_of

from ..commands.support import livecache

COMMAND = [sys.executable, "-m", "livecache", "simulator", "--port", "0", "--symbols", "BTC-USD"]


def test_the_command_plays_a_script_and_says_so(tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('[[faults]]\nkind = "http_error"\nstatus = 502\nlasts = 600\n')
    with subprocess.Popen(
        [*COMMAND, "--faults", str(script), "--log-format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert answered(url) == 502
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert '"event": "fault_began"' in said and '"kind": "http_error"' in said


def answered(url: str) -> int:
    """The status of GET /time."""

    async def ask() -> int:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{url}/api/v3/brokerage/time") as answer,
        ):
            return answer.status

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("text", "more", "told"),
    [
        ('[[faults]]\nkind = "clsoe"', [], "did you mean close? one of close, drop"),
        ('[[faults]]\nkind = "drop"\nproducts = ["BTC-USDT"]', [], "the market has no product 'BTC-USDT'"),
        ("", ["--faults-seed", "3"], "--faults and --faults-seed exclude each other"),
        (
            '[[faults]]\nkind = "garbage"',
            ["--venue", "deribit"],
            "fault garbage: the simulated deribit does not play it\n  hint: one of close, drop",
        ),
        (
            '[[faults]]\nkind = "drop"\nproducts = ["BTC-USD"]',
            ["--venue", "binance"],
            "does not play it for single products",
        ),
    ],
)
def test_a_script_that_cannot_be_played_ends_the_command(
    tmp_path: Path, text: str, more: list[str], told: str
) -> None:
    script = tmp_path / "faults.toml"
    script.write_text(text)
    # Wide enough that no message is broken over lines.
    wide, arguments = {"COLUMNS": "1000"}, ("simulator", "--faults", str(script), *more)
    ended = livecache(*arguments, env=wide, cwd=tmp_path)
    assert ended.returncode == 2
    assert told in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("venue", "status", "words"),
    [
        ("binance", 429, b'"code":-1003'),
        ("binance-usdm", 500, b'"code":-1000'),
        ("deribit", 429, b'"code":10028'),
        ("deribit", 400, b'"error"'),
    ],
)
def test_an_error_is_in_the_words_of_the_venue(venue: str, status: int, words: bytes) -> None:
    answer = kind_of(venue).refusing(status, 7)
    assert answer.status == status and words in answer.body and answer.headers == {"Retry-After": "7"}


def test_every_other_venue_draws_faults_of_its_own_by_a_seed() -> None:
    assert {venue for venue in KINDS if not kind_of(venue).faults} == {"coinbase"}
