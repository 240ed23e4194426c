"""Property P3 of request 001: so many days before the end, and no other."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.commands.history.asking import wanted_of
from livecache.commands.history.fill import Wanted
from livecache.config.schema import Config
from tests.sizes import examples

from .bourse import DAY, SESSIONS, Bourse, Filling

moments = st.datetimes(datetime(2015, 1, 1), datetime(2027, 6, 1), timezones=st.just(UTC))


def asked(days: int, until: str | None) -> Wanted:
    nothing: dict[str, object] = dict.fromkeys(
        ("venue", "symbols", "symbols_file", "timeframes", "since", "years")
    )
    flags = {**nothing, "days": days, "until": until, "force": False, "oldest_first": False}
    return wanted_of(Config(), **flags)[1]  # type: ignore[arg-type]


@settings(max_examples=examples(60))
@given(moments, st.integers(1, 4_000), st.one_of(st.none(), st.dates(date(2010, 1, 1), date(2030, 1, 1))))
def test_P3_the_range_is_just_so_many_days_before_its_end(now: datetime, days: int, end: date | None) -> None:
    now_ms = int(now.timestamp() * 1000)
    span = asked(days, None if end is None else end.isoformat()).span(now_ms)
    until = now if end is None else datetime(end.year, end.month, end.day, tzinfo=UTC)
    assert span.start == int((until - timedelta(days=days)).timestamp() * 1000)
    assert span.end == min(now_ms, int(until.timestamp() * 1000)), "what is to come is not asked for"


@settings(max_examples=5, deadline=None)
@given(moments, st.integers(1, 90))
def test_P3_and_its_sessions_are_what_is_stored(
    tmp_path_factory: pytest.TempPathFactory, now: datetime, days: int
) -> None:
    filling = Filling(tmp_path_factory.mktemp("dates"), Bourse(), ["AAPL"], days=days)
    filling.now = int(now.timestamp() * 1000)
    start, final = filling.now - days * DAY, filling.final
    expected = [
        time
        for time in SESSIONS.opens(start - DAY, filling.now)
        if start <= time and SESSIONS.end(time) <= final
    ]
    filling.run()
    rows, _ = filling.held("AAPL") if expected else ([], None)
    assert [row.time for row in rows] == expected
