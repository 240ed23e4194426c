"""What is known of a symbol: since when it is kept, and what pages say of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from livecache import Incomplete, Reader, UnknownSeries
from livecache.commands.history.look import assets
from livecache.history.columns import NO_ROWS
from livecache.history.records.symbols import AboutSymbol, Asset
from livecache.history.store import JobState
from livecache.keys.history_place import Place
from livecache.model.coverage import Coverage
from livecache.venues.venue import FailureKind, FetchFailure, Instrument

from ..simulation.virtual import run_virtually
from .exchange import CLOSE, D1, H1, OPEN, Desk, session

EVENING = CLOSE - OPEN + 46 * 60_000
APPLE = Instrument("NasdaqGS", "USD", "XTOY", 345_479_400_000, "Apple Inc.")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    held = Desk(tmp_path / "history.db", page=40)
    held.exchange.about = {"AAPL": APPLE}
    yield held
    held.store.close()


def test_P6_a_symbol_is_known_once_however_often_it_is_asked_for(desk: Desk) -> None:
    desk.at(session(30) + EVENING)
    run_virtually(desk.fill(session(10), "AAPL", "MSFT", timeframes=(D1, H1)))
    apple, other = desk.store.assets()
    assert (apple.symbol, apple.exchange, apple.currency, apple.calendar) == (
        "AAPL",
        "NasdaqGS",
        "USD",
        "XTOY",
    )
    assert (apple.listed, apple.name) == (345_479_400_000, "Apple Inc.")
    assert other == Asset("bourse", "MSFT", other.first_seen, other.last_update)
    desk.exchange.about = {"AAPL": Instrument(currency="USD")}
    desk.at(session(31) + EVENING)
    run_virtually(desk.fill(session(10), "AAPL", "MSFT", timeframes=(D1, H1), force=True))
    again, _ = desk.store.assets()
    assert again.first_seen == apple.first_seen and again.last_update > apple.last_update
    assert again == Asset("bourse", "AAPL", apple.first_seen, again.last_update, *APPLE_S)


APPLE_S = (345_479_400_000, "NasdaqGS", "USD", "XTOY", "Apple Inc.")


def test_what_lies_before_the_listing_is_no_gap(desk: Desk) -> None:
    desk.exchange.listed = session(100)
    desk.exchange.about = {"AAPL": Instrument(listed=session(100))}
    desk.at(session(130) + EVENING)
    assert run_virtually(desk.fill(session(10))) <= 5, "those that were in flight, and no second look"
    assert desk.series().listed == session(100) and desk.lines[0].completeness == 100
    rows, known, _ = desk.held(session(10), session(131))
    assert len(rows) == 31 and known.covers(session(10), session(130))


def test_a_symbol_that_is_gone_is_failed_and_named_and_the_others_go_on(desk: Desk) -> None:
    gone = FetchFailure(FailureKind.UNKNOWN_SYMBOL, "no data found, symbol may be delisted")
    desk.exchange.answer = lambda request: gone if request.symbol == "GONE" else None
    desk.at(session(30) + EVENING)
    run_virtually(desk.fill(session(10), "AAPL", "GONE", "MSFT"))
    states = {line.symbol: (line.state, line.error) for line in desk.lines}
    assert states["GONE"] == (JobState.FAILED, gone.message)
    assert states["AAPL"][0] == states["MSFT"][0] == JobState.SUCCEEDED
    assert [each.symbol for each in desk.store.assets()] == ["AAPL", "MSFT"]


def test_they_are_listed(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.at(session(30) + EVENING)
    run_virtually(desk.fill(session(10), "AAPL"))
    capsys.readouterr()
    assets(Place(desk.path), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[0] == "bourse:AAPL" and "1980-12-12" in lines[1] and lines[-1] == "1 symbol"
    assets(Place(desk.path), as_json=True)
    (told,) = json.loads(capsys.readouterr().out)["assets"]
    assert told["currency"] == "USD" and told["first_seen"] <= told["last_update"]


def test_a_page_of_a_symbol_that_says_nothing_of_it_keeps_what_is_known(desk: Desk) -> None:
    desk.at(session(30) + EVENING)
    run_virtually(desk.fill(session(10)))
    before = desk.store.assets()
    desk.store.commit(desk.series().id, NO_ROWS, Coverage(), told=AboutSymbol(desk.exchange.now))
    assert [each.name for each in desk.store.assets()] == [each.name for each in before]


def test_days_of_an_exchange_are_never_added_up_from_hours(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LIVECACHE_REDIS_URL", "LIVECACHE_REDIS_DATA_DIR", "LIVECACHE_HISTORY_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.path.parent / "data"))
    desk.at(session(30) + EVENING)
    run_virtually(desk.fill(session(10), timeframes=(H1,)))
    with Reader(history=f"sqlite:///{desk.path}") as reader:
        assert len(reader.history("AAPL", "2h", session(10), session(12))) == 2 * 4
        with pytest.raises((Incomplete, UnknownSeries)):
            reader.history("AAPL", "1d", session(10), session(12))
