"""A day of an exchange is final only after the next open: until then it is stored apart, and told as such."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from livecache import Incomplete, Reader
from livecache.commands.history.look import stats
from livecache.commands.history.report import print_report, total_of
from livecache.commands.history.sql import query
from livecache.history.store import JobState
from livecache.keys.history_place import Place
from livecache.model.coverage import Coverage

from ..simulation.virtual import run_virtually
from .exchange import CLOSE, D1, DAY, H1, HOUR, OPEN, SESSIONS, WEEKS, Desk, session
from .support import same

MINUTE = 60_000
EVENING = CLOSE - OPEN + 46 * MINUTE  # after an open: the day is shown, and not final


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    held = Desk(tmp_path / "history.db")
    yield held
    held.store.close()


def test_the_newest_day_is_stored_as_provisional_and_settled_after_the_next_open(desk: Desk) -> None:
    desk.at(session(30) + EVENING)
    assert run_virtually(desk.fill(session(10))) == 1
    assert desk.states() == [JobState.SUCCEEDED]
    (line,) = desk.lines
    assert (line.inserted, line.provisional, line.completeness) == (20, 1, 100)
    rows, known, provisional = desk.held(session(10), session(31))
    assert same(rows, desk.exchange.rows(D1, session(10), session(31), desk.exchange.now))
    assert known == Coverage([(session(9) + CLOSE - OPEN, session(30) + CLOSE - OPEN)]).clip(
        session(10), 1 << 62
    )
    assert provisional == Coverage([(session(29) + CLOSE - OPEN, session(30) + CLOSE - OPEN)])
    settled, _, none = desk.held(session(10), session(31), provisional=False)
    assert same(settled, rows[:-1]) and not none
    assert desk.store.stats(desk.series().id)[0].provisional == 1

    assert run_virtually(desk.fill(session(10))) == 0, "the same evening nothing is asked for"

    desk.at(session(31) + EVENING)
    assert run_virtually(desk.fill(session(10))) == 1, "yesterday, settled, and today in one page"
    total = total_of(desk.lines)
    assert (total["skipped"], total["inserted"], total["provisional"]) == (20, 1, 1)
    assert total["began"] == "2024-11-18T21:46Z" and total["ended"] != total["began"] and total["seconds"]
    rows, _, provisional = desk.held(session(10), session(32))
    truth = desk.exchange.rows(D1, session(10), session(32), desk.exchange.now)
    assert same(rows, truth) and [row.time for row in rows if row.time in provisional] == [session(31)]
    assert desk.store.stats(desk.series().id)[0].revisions == 0, "what was not final is no revision"


def test_what_a_page_shows_too_early_is_not_asked_for(desk: Desk) -> None:
    desk.at(session(30) + CLOSE - OPEN + 44 * MINUTE)
    run_virtually(desk.fill(session(10)))
    assert desk.store.jobs()[0].want.end == session(29) + CLOSE - OPEN
    rows, known, provisional = desk.held(session(10), session(31))
    assert len(rows) == 20 and session(30) not in known and not provisional


def test_over_a_weekend_nothing_is_asked_for_and_on_monday_evening_one_page(desk: Desk) -> None:
    friday = next(n for n in range(20, 30) if session(n + 1) - session(n) == 3 * DAY)
    desk.at(session(friday) + EVENING)
    run_virtually(desk.fill(session(10)))
    for later in (DAY, 2 * DAY, 3 * DAY - EVENING - MINUTE):
        desk.at(session(friday) + EVENING + later)
        assert run_virtually(desk.fill(session(10))) == 0
    desk.at(session(friday + 1) + EVENING)
    assert run_virtually(desk.fill(session(10))) == 1


def test_hours_are_shown_while_the_day_goes_on_and_each_is_asked_for_once(desk: Desk) -> None:
    desk.at(session(20) + 2 * HOUR + 17 * MINUTE)
    assert run_virtually(desk.fill(session(18), timeframes=(H1,))) == 1
    assert [row.time for row in desk.held(session(20), session(21), H1)[0]] == [
        session(20),
        session(20) + HOUR,
    ]
    assert run_virtually(desk.fill(session(18), timeframes=(H1,))) == 0
    desk.at(session(20) + EVENING)
    assert run_virtually(desk.fill(session(18), timeframes=(H1,))) == 1
    assert desk.exchange.asked[-1].start >= session(20) + HOUR, "but for what is there"
    rows, _, provisional = desk.held(session(18), session(21), H1)
    assert len(rows) == 3 * 7 and sum(row.time in provisional for row in rows) == 7
    desk.at(session(21) + EVENING)
    run_virtually(desk.fill(session(18), timeframes=(H1,)))
    truth = desk.exchange.rows(H1, session(18), session(22), desk.exchange.now)
    assert same(desk.held(session(18), session(22), H1)[0], truth)


def test_a_day_that_a_page_does_not_show_yet_waits_for_the_next_open(desk: Desk) -> None:
    desk.exchange.halted = {session(30)}
    desk.at(session(30) + EVENING)
    assert run_virtually(desk.fill(session(10))) == 1
    rows, known, provisional = desk.held(session(10), session(31))
    assert (len(rows), not provisional, session(30) in known) == (20, True, False)
    assert desk.lines[0].provisional == 0
    assert run_virtually(desk.fill(session(10))) == 0
    desk.exchange.halted = set()
    desk.at(session(31) + EVENING)
    assert run_virtually(desk.fill(session(10))) == 1
    assert len(desk.held(session(10), session(32))[0]) == 22


def test_forced_it_is_all_asked_for_again_and_the_newest_stays_provisional(desk: Desk) -> None:
    desk.at(session(30) + EVENING)
    run_virtually(desk.fill(session(10)))
    assert run_virtually(desk.fill(session(10), force=True)) == 1
    assert desk.states() == [JobState.SUCCEEDED] * 2
    assert [row.time for row in desk.held(session(10), session(31))[0]] == [
        *SESSIONS.opens(session(10), session(31))
    ]
    assert desk.held(session(10), session(31))[2]


def test_a_fill_of_an_earlier_time_shows_nothing_of_today(desk: Desk) -> None:
    desk.at(session(30) + EVENING)
    run_virtually(desk.fill(session(10), until=session(20)))
    assert desk.exchange.asked[0].end == session(19) + CLOSE - OPEN
    assert not desk.held(session(10), session(31))[2]


def test_a_reader_gets_what_is_not_final_and_is_told_which(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LIVECACHE_REDIS_URL", "LIVECACHE_REDIS_DATA_DIR", "LIVECACHE_HISTORY_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.path.parent / "data"))
    desk.at(session(30) + EVENING)
    run_virtually(desk.fill(session(10)))
    truth = desk.exchange.rows(D1, session(10), session(31), desk.exchange.now)
    day = Coverage([(session(29) + CLOSE - OPEN, session(30) + CLOSE - OPEN)])
    with Reader(history=f"sqlite:///{desk.path}") as reader:
        answer = reader.history("AAPL", "1d", session(10))
        assert same(answer.exact(), truth) and answer.provisional == day and not answer.missing
        assert answer.settled_through == session(29) + CLOSE - OPEN
        assert "the newest provisional" in repr(answer)
        assert answer.to_pandas().attrs["provisional"] == [tuple(span) for span in day]
        settled = reader.history("AAPL", "1d", session(10), settled=True)
        assert same(settled.exact(), truth[:-1]) and not settled.provisional
        with pytest.raises(Incomplete):
            reader.history("AAPL", "1d", session(10), session(31), settled=True)
        past = desk.store.read(
            desk.series().id, session(10), session(31), as_of=desk.exchange.now + DAY, provisional=True
        )
        assert same(past.rows.candles(), truth[:-1]), "what was shown is not what was known"

        friday = next(n for n in range(30, 40) if session(n + 1) - session(n) == 3 * DAY)
        desk.at(session(friday) + EVENING)
        run_virtually(desk.fill(session(10)))
        weeks = reader.history("AAPL", "1w", WEEKS.floor(session(14)), source="derived")
        assert weeks.derived_from is D1 and weeks.time[-1] == WEEKS.floor(session(friday))
        assert [time for time in weeks.time.tolist() if time in weeks.provisional] == [weeks.time[-1]]
        assert reader.history("AAPL", "1w", WEEKS.floor(session(14)), settled=True).time[-1] < weeks.time[-1]


def test_sql_and_stats_keep_it_apart(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.at(session(30) + EVENING)
    run_virtually(desk.fill(session(10)))
    stats(Place(desk.path), None, "1d", as_json=False)
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "1"
    print_report(desk.lines, {}, as_json=False)
    assert "1 requests, 1 provisional until the next open" in capsys.readouterr().out
    pytest.importorskip("duckdb")
    question = "SELECT (SELECT count(*) FROM ohlcv) AS settled, (SELECT max(time) FROM provisional) AS newest"
    query(Place(desk.path), question, None, "1d", since=None, until=None, as_csv=True, as_json=False)
    assert capsys.readouterr().out == "settled,newest\n20,2024-11-15T14:30:00Z\n"


def test_what_was_shown_goes_with_what_is_dropped(desk: Desk) -> None:
    desk.at(session(30) + EVENING)
    run_virtually(desk.fill(session(10)))
    desk.store.drop(desk.series().id, session(31))
    assert desk.held(session(10), session(31))[0] == []
