"""Logs: one line a record, in either format, and never a secret."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys

import pytest
from loguru import logger

from livecache.process.logs import setup

pytestmark = pytest.mark.usefixtures("logs_end")


def test_text_shows_level_message_event_and_fields_on_one_line() -> None:
    out = io.StringIO()
    setup("INFO", "text", out)
    logger.bind(event="backfill_start", symbols=["A-B", "C-D"], rate=9.0, note="two words").info(
        "Filling {}", 2
    )
    line = out.getvalue()
    assert line.endswith('INFO    Filling 2 [backfill_start symbols=A-B,C-D rate=9 note="two words"]\n')
    assert line[:24].endswith("Z")
    assert line.count("\n") == 1


def test_a_line_for_people_says_each_fact_once() -> None:
    out = io.StringIO()
    setup("INFO", "text", out)
    fields = {
        "event": "backfill_task_failed",
        "symbol": "BTC-USD",
        "timeframe": "5m",
        "error": "HTTP 429: slow down",
        "attempt": 2,
        "elapsed": 12.04,
        "timeframes": ["5m", "15m"],
        "cause": None,
    }
    told = "BTC-USD 5m: HTTP 429: slow down (tried 2 times in 12.0 s; 5m, 15m)"
    logger.bind(**fields).info(told)
    assert out.getvalue().endswith(f"INFO    {told} [backfill_task_failed]\n")
    out.truncate(0)
    # What the sentence says once stands for one field; and the 4 in 429, or in 4h, for none.
    logger.bind(event="x", series=2, requests=2, hours=4, slow=True).info("2 of them: HTTP 429 at 4h and 4.5")
    assert out.getvalue().endswith("[x requests=2 hours=4 slow=yes]\n")
    out.truncate(0)
    logger.bind(event="x", symbols=[f"S{n}-USD" for n in range(25)]).info("25 symbols")
    assert out.getvalue().endswith("[x symbols=S0-USD,S1-USD,S2-USD,S3-USD,S4-USD,…+20]\n")


def test_json_is_one_object_a_line() -> None:
    out = io.StringIO()
    setup("DEBUG", "json", out)
    logger.bind(event="x", count=3, time="a field", obj={1}).debug("two\nlines")
    record = json.loads(out.getvalue())
    assert out.getvalue().count("\n") == 1
    assert list(record)[:4] == ["time", "level", "event", "message"]
    assert (record["level"], record["event"], record["message"]) == ("DEBUG", "x", "two\nlines")
    assert (record["count"], record["time_"], record["obj"]) == (3, "a field", "{1}")
    assert record["time"].endswith("Z")


def test_what_a_venue_sends_cannot_forge_a_line() -> None:
    out = io.StringIO()
    setup("INFO", "text", out)
    logger.bind(event="x", payload="a\nb").info("c\r\nd")
    assert out.getvalue().count("\n") == 1


def test_set_up_again_it_does_not_log_twice_and_keeps_to_the_level() -> None:
    out = io.StringIO()
    setup("INFO", "text", out)
    setup("WARNING", "text", out)
    logger.bind(event="x").info("no")
    logger.bind(event="x").warning("yes")
    assert "no" not in out.getvalue()
    assert out.getvalue().count("yes") == 1


@pytest.mark.parametrize("format", ["text", "json"])
def test_passwords_in_urls_are_hidden(format: str) -> None:
    out = io.StringIO()
    setup("INFO", format, out)
    logger.bind(event="x", url="redis://u:s3cret@h:1/0").info("using redis://:s3cret@h/0")
    assert "s3cret" not in out.getvalue()
    assert out.getvalue().count("***@h") == 2


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_traceback_does_not_show_the_values_of_variables(format: str) -> None:
    out = io.StringIO()
    setup("INFO", format, out)
    key = "s3cret"
    try:
        _ = len(key) // 0
    except ZeroDivisionError:
        logger.bind(event="x").exception("broken")
    assert "ZeroDivisionError" in out.getvalue()
    assert "s3cret'" not in out.getvalue()


def test_warnings_of_libraries_come_along() -> None:
    out = io.StringIO()
    setup("INFO", "json", out)
    logging.getLogger("somelib").info("chatter")
    logging.getLogger("somelib").warning("beware of %s", "{this}")
    record = json.loads(out.getvalue())
    assert (record["event"], record["library"], record["message"]) == (
        "library",
        "somelib",
        "beware of {this}",
    )


HOST = """
import asyncio, sys
from loguru import logger
from livecache.simulator import MarketClock, Product, SeededMarket, Simulator
if "asked" in sys.argv:
    logger.enable("livecache")

async def main():
    market = SeededMarket(seed=7, products=[Product.parse("BTC-USD")])
    async with Simulator(market, clock=MarketClock(start_ms=1_771_588_980_000, speed=1.0)) as exchange:
        reader, writer = await asyncio.open_connection(*exchange.rest_url.rpartition("/")[2].split(":"))
        writer.write(b"GET /nothing HTTP/1.0\\r\\n\\r\\n")
        await reader.read()
        writer.close()

asyncio.run(main())
logger.info("the host's own")
"""


@pytest.mark.parametrize("asked", [False, True])
def test_a_program_that_uses_livecache_has_its_log_for_itself_unless_it_asks(asked: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOST, *(["asked"] if asked else [])],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stderr.splitlines()
    assert "the host's own" in lines[-1]
    assert any("livecache." in line for line in lines) is asked, done.stderr


def test_where_there_is_no_stderr_nothing_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    setup("INFO", "text")
    logger.bind(event="x").info("to nobody")


@pytest.mark.parametrize("end", ["nobody reads", "its reader is gone", "closed", "full"])
def test_a_stderr_that_takes_nothing_holds_nobody_up(end: str) -> None:
    reading, writing = os.pipe()
    number = os.open("/dev/full", os.O_WRONLY) if end == "full" else writing
    stream = os.fdopen(number, "w")
    setup("INFO", "text", stream)
    logger.bind(event="x").info("the first")
    if end == "its reader is gone":
        os.close(reading)
    elif end == "closed":
        stream.close()
    for _ in range(300):  # a kilobyte each: a pipe holds 64
        logger.bind(event="x").info("x" * 1_000)
    if end == "nobody reads":
        assert os.read(reading, 1 << 20).count(b"\n") > 10
        logger.bind(event="x").info("once more")
        assert os.read(reading, 1 << 20).endswith(b"once more [x]\n"), "once there is room it goes on"
    with contextlib.suppress(OSError, ValueError):
        stream.close()
