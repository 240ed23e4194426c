"""`livecache history copy`: what is in the target is what is in the source, whatever happened on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from livecache.__main__ import main
from livecache.commands.files import copying
from livecache.equities.action import Action
from livecache.history.columns import Columns
from livecache.history.opening import open_history
from livecache.history.records.symbols import AboutSymbol
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import HistoryDatabase, SeriesInfo
from livecache.keys.history_place import Place
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import TIME_MAX, Timeframe
from livecache.venues.venue import Instrument

from .pg import Postgres
from .support import KEY, MINUTE, START, HandClock, covered, market, minute, number_of, put, same

HOUR = KEY._replace(symbol="ETH-USD", timeframe=Timeframe.H1)


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty history, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/other.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.emptied("other")


@pytest.fixture
def other(target: str, tmp_path: Path, clock: HandClock) -> Iterator[HistoryDatabase]:
    with closing(open_history(Place.of(target, tmp_path), clock)) as held:
        yield held


def copied(store: SqliteHistory, target: str, *arguments: str) -> int:
    return main(["history", "copy", f"sqlite:///{store.path}", target, *arguments])


def alike(store: HistoryDatabase, other: HistoryDatabase, *, past: bool = True) -> None:
    """All that a reader may ask is answered alike."""
    for info in store.all_series():
        its = other.series(info.key)
        assert its is not None and (its.grid_text, its.listed) == (info.grid_text, info.listed)
        mine, theirs = store.read(info.id, 0, TIME_MAX), other.read(its.id, 0, TIME_MAX)
        assert theirs.rows.candles() == mine.rows.candles() and theirs.coverage == mine.coverage
        assert other.actions(*info.key[:2]) == store.actions(*info.key[:2])
        if past:
            assert other.revisions(its.id, 0, TIME_MAX) == store.revisions(info.id, 0, TIME_MAX)


def test_a_copy_is_the_same_and_again_only_what_is_new(
    store: SqliteHistory,
    other: HistoryDatabase,
    target: str,
    series: int,
    clock: HandClock,
    tmp_path: Path,
) -> None:
    put(store, series, 0, 3_000)
    clock.now += 100 * MINUTE
    put(store, series, 100, 200, of=2)
    hour = number_of(store, HOUR)
    store.list_since(hour, START)
    rows = [row for row in market(0, 60_000 * 2, quiet=0.99) if row.time % HOUR.timeframe.ms == 0]
    store.commit(hour, Columns.of(rows), covered(0, 120_000))
    assert copied(store, target) == 0
    alike(store, other)
    its = other.series(KEY)
    assert its is not None
    before = clock.now - 50 * MINUTE
    assert other.read(its.id, minute(0), minute(3_000), as_of=before).rows.candles() == (
        store.read(series, minute(0), minute(3_000), as_of=before).rows.candles()
    ), "what was known when goes along"
    rev = its.rev
    back = Place(tmp_path / "back.db")
    assert main(["history", "copy", target, f"sqlite:///{back}"]) == 0
    with closing(open_history(back, clock)) as third:
        alike(store, third)
    assert copied(store, target) == 0
    again = other.series(KEY)
    assert again is not None and again.rev == rev, "nothing has changed, so nothing does"

    put(store, series, 50, 60, of=3)  # revised since
    put(store, series, 4_000, 4_100)  # new, behind a hole
    assert copied(store, target, "--symbols", "BTC-USD") == 0
    alike(store, other, past=False)
    (kept,) = {each.at for each in other.revisions(its.id, minute(50), minute(60)) if each.rev > rev}
    assert kept > clock.now, "what was replaced here was replaced when it was copied"


def test_what_the_target_knew_better_by_itself_stays(
    store: SqliteHistory, other: HistoryDatabase, target: str, series: int
) -> None:
    put(store, series, 0, 100)
    its = number_of(other)
    put(other, its, 50, 200, of=2)
    assert copied(store, target) == 0
    assert other.coverage(its) == covered(0, 200)
    assert same(other.read(its, minute(0), minute(100)).rows.candles(), market(0, 100))
    assert same(other.read(its, minute(100), minute(200)).rows.candles(), market(100, 200, of=2))


class Torn:
    """A store whose process ends at the so-many-th page, before or after that is stored."""

    def __init__(self, store: HistoryDatabase, pages: int, *, after: bool) -> None:
        self._store, self._pages, self._after = store, pages, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, *page: Any, **more: Any) -> object:
        self._pages -= 1
        if self._pages == 0 and not self._after:
            raise KeyboardInterrupt
        done = self._store.commit(*page, **more)
        if self._pages == 0:
            raise KeyboardInterrupt
        return done


def test_it_may_end_at_any_page_and_what_is_revised_meanwhile_comes_along(
    store: SqliteHistory, other: HistoryDatabase, series: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_AT_ONCE", 100)
    put(store, series, 0, 1_000)

    def info() -> SeriesInfo:
        return store.info(series)

    for turn, after in enumerate((True, False, True)):
        torn: Any = Torn(other, 3, after=after)
        with pytest.raises(KeyboardInterrupt):
            copying.copy_series(store, torn, info(), "store")
        put(store, series, 10 * turn, 10 * turn + 5, of=7)  # also where it has been
        put(store, series, 1_000 + 10 * turn, 1_010 + 10 * turn)
    line = copying.copy_series(store, other, info(), "store")
    assert not line.error
    alike(store, other, past=False)
    its = other.series(KEY)
    assert its is not None and line.candles == store.info(series).rows == its.rows


def test_a_split_that_was_told_since_is_one_in_the_copy_too(
    store: SqliteHistory, other: HistoryDatabase, target: str, clock: HandClock
) -> None:
    share = SeriesId("bourse", "AAPL", Timeframe.D1)
    series, day = number_of(store, share), share.timeframe.ms
    first = clock.now // day * day - 50 * day
    days = [
        msgspec.structs.replace(row, time=first + n * day) for n, row in enumerate(market(0, 40, quiet=0))
    ]
    about = Instrument(currency="USD", name="Apple")

    def tell(start: int, end: int, *actions: Action) -> None:
        clock.now = first + end * day
        told, known = AboutSymbol(clock.now, actions, about), Coverage([(first + start * day, clock.now)])
        store.commit(series, Columns.of(days[start:end]), known, told=told)

    tell(0, 20)
    assert copied(store, target) == 0
    alike(store, other)
    split = first + 30 * day
    tell(20, 40, Action(split, "split", "4/1"))
    assert store.read(series, first, split).converted, "what lies before is to be read again"
    assert copied(store, target) == 0
    alike(store, other, past=False)
    (asset,) = other.assets()
    assert (asset.currency, asset.name) == ("USD", "Apple")


def test_it_is_told_what_was_done(
    store: SqliteHistory, target: str, series: int, capsys: pytest.CaptureFixture[str]
) -> None:
    put(store, series, 0, 100)
    count = len(market(0, 100))
    assert copied(store, target) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"venue:BTC-USD 1m: {count} new, 0 revised, {count} in all",
        f"1 series, {count} candles in {Place.of(target, Path())}",
    ]
    assert copied(store, target, "--json") == 0
    (line,) = json.loads(capsys.readouterr().out)["series"]
    assert line == {"series": "venue:BTC-USD 1m", "inserted": 0, "revised": 0, "candles": count, "error": ""}
    assert copied(store, f"sqlite:///{store.path}") == 2
    assert "name two histories" in capsys.readouterr().err
    assert copied(store, "embedde") == 2
    assert "TO: 'embedde' is no place" in capsys.readouterr().err
