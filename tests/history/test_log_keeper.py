"""Both logs have each record; the store's, too, knows what it is about, and holds no secret."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import pytest

from livecache.clock import SystemClock
from livecache.history.records.log import LogEntry
from livecache.history.service.log_keeper import LogKeeper
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.tables.log import ENTRIES_MOST
from livecache.keys.history_place import Place
from livecache.process.logs import setup
from livecache.quiet import logger

from .support import opened

T = TypeVar("T")


async def inline(work: Callable[[], T]) -> T:
    return work()


def threads() -> AbstractAsyncContextManager[Any]:
    return nullcontext(inline)


pytestmark = pytest.mark.usefixtures("logs_end")


def kept(folder: Path, say: Callable[[], None]) -> tuple[list[LogEntry], list[dict[str, Any]]]:
    """What the store's log and the console have of what is said."""
    console = io.StringIO()

    async def main() -> None:
        async with LogKeeper(Place(folder / "history.db"), SystemClock(), "venue", threads) as keeper:
            setup("INFO", "json", console, also=keeper.take)
            say()

    asyncio.run(main())
    store = SqliteHistory.open(folder / "history.db", read_only=True)
    entries = list(store.logged())
    store.close()
    return entries, [json.loads(line) for line in console.getvalue().splitlines()]


def test_each_message_is_in_both_with_what_it_is_about(
    tmp_path: Path, store: SqliteHistory, series: int
) -> None:
    def say() -> None:
        logger.bind(event="history_filled", symbol="BTC-USD", timeframe="1m", job=7).info("filled")
        logger.bind(event="warm", venue="venue", ready=3).info("warm")
        logger.debug("chatter")
        try:
            raise OSError("no room")
        except OSError as error:
            about = logger.bind(event="history_failed", symbol="BTC-USD", timeframe="1m", job=8)
            about.opt(exception=error).error("it failed")

    entries, console = kept(tmp_path, say)
    assert (
        [e.message for e in entries]
        == [line["message"] for line in console]
        == [
            "filled",
            "warm",
            "it failed",
        ]
    )
    filled, warm, failed = entries
    assert (filled.job, filled.series, filled.level, filled.event) == (7, series, "INFO", "history_filled")
    assert (warm.job, warm.series) == (None, None) and json.loads(warm.detail)["ready"] == 3
    assert (failed.job, failed.series, failed.level) == (8, series, "ERROR")
    assert failed.detail.startswith("Traceback") and failed.detail.endswith("OSError: no room")


def test_no_secret_is_stored(tmp_path: Path) -> None:
    def say() -> None:
        url = "redis://user:s3cret@host/0"
        try:
            raise OSError(f"cannot reach {url}")
        except OSError as error:
            logger.bind(event="x", url=url, urls=[url]).opt(exception=error).error("using {}", url)
        logger.bind(event="y", url=url, urls=[url]).info("again")

    entries, _ = kept(tmp_path, say)
    assert len(entries) == 2 and "s3cret" not in repr(entries)
    assert (tmp_path / "history.db").read_bytes().count(b"s3cret") == 0


def test_what_could_not_be_stored_is_stored_once_it_can(tmp_path: Path) -> None:
    in_the_way = tmp_path / "data"
    in_the_way.touch()

    async def main() -> None:
        async with LogKeeper(Place(in_the_way / "history.db"), SystemClock(), "venue", threads) as keeper:
            setup("INFO", "json", io.StringIO(), also=keeper.take)
            logger.info("first")
            keeper.store()
            logger.info("second")
            in_the_way.unlink()

    asyncio.run(main())
    store = SqliteHistory.open(in_the_way / "history.db", read_only=True)
    assert [entry.message for entry in store.logged()] == ["first", "second"]
    store.close()


def test_the_log_is_bounded_by_each_write(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.log([LogEntry(0, "INFO", "x", str(number)) for number in range(ENTRIES_MOST + 5)])
    oldest = store.logged(limit=ENTRIES_MOST + 10)
    assert len(oldest) == ENTRIES_MOST and oldest[0].message == "5"
    store.close()
