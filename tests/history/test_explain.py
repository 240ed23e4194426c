"""`livecache explain`: the story of a bucket, as the store and Redis have it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from livecache.__main__ import main
from livecache.commands.history.explain import versions_of
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.candle import ExactCandle
from livecache.model.rollup import roll_up
from livecache.model.timeframe import Timeframe, iso

from .support import KEY, HandClock, covered, market, minute, number_of, put
from .test_reader import kept_lately

Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture
def explain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Explain:
    """`livecache explain BTC-USD …` on the file of the test, without a Redis."""
    monkeypatch.chdir(tmp_path)
    for name in ("LIVECACHE_HISTORY_URL", "LIVECACHE_REDIS_URL", "LIVECACHE_REDIS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def ran(*arguments: str, symbol: str = "BTC-USD") -> tuple[int, str, str]:
        code = main(["explain", symbol, *arguments, "--history-url", "sqlite:///history.db"])
        return code, *capsys.readouterr()

    return ran


def test_each_version_of_a_bucket_is_told_with_when_and_by_what(
    explain: Explain, store: SqliteHistory, series: int, clock: HandClock
) -> None:
    first, second, third = (ExactCandle(minute(5), "1", "3", "1", "2", f"{n}.5") for n in range(3))
    moments = [clock.now]
    store.commit(series, Columns.of([first]), covered(0, 10))
    for row, source in ((second, "feed"), (third, "a.csv")):
        clock.now += 86_400_000
        moments.append(clock.now)
        store.commit(series, Columns.of([row]), covered(5, 6), source=source)
    clock.now += 1
    store.commit(series, Columns.of(()), covered(5, 6), replace=covered(5, 6), source="page")
    told = json.loads(explain("1m", iso(minute(5) + 30_000), "--json")[1])
    assert (told["start"], told["end"]) == (minute(5), minute(6))
    assert [(v["source"], v["revised"], v["candle"]) for v in told["versions"]] == [
        ("page", False, ["1", "3", "1", "2", "0.5"]),
        ("feed", True, ["1", "3", "1", "2", "1.5"]),
        ("a.csv", True, ["1", "3", "1", "2", "2.5"]),
        ("page", True, None),
    ]
    assert [v["at"] for v in told["versions"]][:3] == moments
    code, out, _ = explain("1m", iso(minute(5)))
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith("venue:BTC-USD 1m, 2024-10-04T00:05Z to 2024-10-04T00:06Z")
    assert "known by a page of the venue's: open 1, high 3, low 1, close 2, volume 0.5" in lines[1]
    assert "revised by the file a.csv" in lines[3] and "nothing was traded" in lines[4]
    assert "Redis could not be asked" in lines[-1]


def test_the_versions_are_those_that_were_read_at_each_time(
    store: SqliteHistory, series: int, clock: HandClock
) -> None:
    """Against `as_of`, over buckets that came, were revised, vanished and came again."""
    clock.now = int(time.time() * 1000) - 40 * 86_400_000
    moments = []
    for of in range(1, 6):
        clock.now += 86_400_000
        rows = market(0, 60, of=of, quiet=0.4)
        store.commit(series, Columns.of(rows), covered(0, 60), replace=covered(0, 60))
        moments.append(clock.now)
    info = store.info(series)
    for number in range(60):
        versions = list(versions_of(store, info, minute(number)))
        assert versions[0].at is not None and versions[0].at <= moments[0]
        for moment in moments:
            then = store.read(series, minute(number), minute(number + 1), as_of=moment).rows.candles()
            told = [version for version in versions if version.at is not None and version.at <= moment][-1]
            assert told.candle == (then[0].numbers if then else None)


def test_sums_and_what_is_not_known_are_told(explain: Explain, store: SqliteHistory, series: int) -> None:
    put(store, series, 0, 90)
    whole = json.loads(explain("1h", iso(minute(30)), "--json")[1])
    rolled = roll_up(minute(0), market(0, 60))
    assert rolled and whole["versions"] == []
    (told,) = whole["sums"]
    assert (told["timeframe"], told["known"], told["parts"]) == ("1m", 60, 60)
    assert told["candle"] == list(rolled.numbers)
    code, out, _ = explain("1h", iso(minute(60)))
    assert code == 1 and "of its 60 candles of 1m, 30 are known" in out and "is not stored" in out
    number_of(store, KEY._replace(timeframe=Timeframe.H1))
    assert "it is missing" in explain("1h", iso(minute(60)))[1]


def test_what_redis_holds_is_told_beside_it(
    explain: Explain,
    store: SqliteHistory,
    series: int,
    clean_valkey: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(store, series, 0, 100, of=1)
    with redis.Redis.from_url(clean_valkey) as client:
        kept_lately(client, 50, 150)
    monkeypatch.setenv("LIVECACHE_REDIS_URL", clean_valkey)
    row = market(120, 150)[3]

    def told(*arguments: str) -> Any:
        return json.loads(explain(*arguments, "--json")[1])

    later = told("1m", iso(row.time))
    assert later["versions"] == [] and later["redis"] == {"kind": "settled", "candle": list(row.numbers)}
    assert explain("1m", iso(row.time))[0] == 0
    assert told("1m", iso(minute(2)))["redis"] is None
    store.path.unlink()
    assert "not stored" in explain("1m", iso(row.time))[1]


def test_a_slip_is_told_with_what_was_meant(explain: Explain, store: SqliteHistory, series: int) -> None:
    put(store, series, 0, 10)
    code, _, err = explain("1m", iso(minute(0)), symbol="BTC-USDT")
    assert code == 1 and "did you mean BTC-USD?" in err
    assert explain("1m", "yesterday")[0] == 2 and explain("7q", iso(minute(0)))[0] == 2
