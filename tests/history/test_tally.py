"""What a fill says of its progress, and how long the rest will take."""

from __future__ import annotations

from typing import Any

import numpy as np
from loguru import logger

from livecache.history.columns import Columns, Decimals
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Want
from livecache.history.tally import Tally
from livecache.model.coverage import Coverage, Span

from .support import KEY, MINUTE, covered, minute

_PAGE = 1_000


def test_each_ten_thousand_candles_are_told_with_the_total_and_what_is_to_go(
    store: SqliteHistory, series: int
) -> None:
    passed = [0.0]
    tally = Tally(lambda: passed[0], lambda series: _PAGE)
    store.submit([Want(series, minute(0), minute(25_000))])
    job = store.claim("somebody")
    assert job
    info, span = store.info(series), Span(minute(0), minute(25_000))
    tally.wanted(info, span, Coverage([span]))
    said: list[Any] = []
    tally.began(job, info, Coverage([span]), Coverage([span]))
    sink = logger.add(lambda message: said.append(message.record), level="INFO")
    logger.enable("livecache")
    try:
        for first in range(0, 25_000, _PAGE):
            passed[0] += 0.25
            times = np.arange(minute(first), minute(first + _PAGE), MINUTE)
            rows = Columns(times, *[Decimals(np.ones(_PAGE, np.int64), 0)] * 5)
            commit = store.commit(series, rows, covered(first, first + _PAGE), lease=job.lease)
            asked = Span(minute(first), minute(first + _PAGE))
            tally.committed(job, info, asked, commit, store.missing(job.id))
    finally:
        logger.remove(sink)
    told = [one["message"] for one in said if one["extra"].get("event") == "history_progress"]
    assert len(told) == 2
    assert "10,000 candles, 40.0 %" in told[0] and "20,000 candles, 80.0 %" in told[1]
    assert "10 pages, 15 left, 4 s to go" in told[0] and "4,000/s" in told[0]
    assert {one["extra"]["symbol"] for one in said} == {KEY.symbol}
