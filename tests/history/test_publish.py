"""What is published is what is stored, whole at any instant, and nothing is written twice."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from livecache.commands.files.publishing import publish as publish_command
from livecache.equities.action import Action
from livecache.errors import HistoryError, StoreUnusable
from livecache.history.columns import Columns
from livecache.history.publish.publishing import KEPT_MS, ORPHANED_MS, Publisher, Round
from livecache.history.publish.target import Directory
from livecache.history.records.symbols import AboutSymbol
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Answer, HistoryDatabase
from livecache.keys.history_place import Place
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.timeframe import Timeframe

from .publications import Found, found, kept
from .support import KEY, HandClock, market, number_of, put
from .test_commands import Run, run, told

__all__ = ["run"]  # a fixture

DAY = 86_400_000
NEW_YEAR = int(datetime(2022, 1, 1, tzinfo=UTC).timestamp() * 1000)
DAYS = KEY._replace(symbol="BTC/USD", timeframe=Timeframe.D1)


def days(first: int, last: int, price: int = 100) -> Columns:
    """Days counted from the new year of 2022."""
    return Columns.of(
        ExactCandle(NEW_YEAR + n * DAY, str(price), str(price + 2), str(price - 2), f"{price}.5", str(n % 7))
        for n in range(first, last)
    )


def of_days(first: int, last: int) -> Coverage:
    return Coverage([(NEW_YEAR + first * DAY, NEW_YEAR + last * DAY)])


class Publication:
    """A directory, and what is published to it."""

    def __init__(self, store: HistoryDatabase, folder: Path, clock: HandClock) -> None:
        self.store, self.folder, self.clock = store, folder, clock
        self.target = Directory(folder)

    def round(self, store: HistoryDatabase | None = None, target: Any = None, **asked: Any) -> Round:
        store = store or self.store
        publisher = Publisher(store, target or self.target, self.clock, "the store of the test")
        return publisher.publish(store.all_series(), **asked)

    def found(self) -> Found:
        return found(self.folder)

    def files(self) -> set[Path]:
        return set(self.folder.rglob("*.parquet"))


@pytest.fixture
def published(store: SqliteHistory, tmp_path: Path, clock: HandClock) -> Publication:
    return Publication(store, tmp_path / "published", clock)


def years_of(store: HistoryDatabase) -> dict[tuple[str, int], list[tuple[float, ...]]]:
    """The rows of each year of each series."""
    years: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for name, (rows, _) in kept(store).items():
        for row in rows:
            years.setdefault((name, datetime.fromtimestamp(row[0] / 1000, UTC).year), []).append(row)
    return years


# --- what is published


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_committed_is_published_and_only_changed_years_are_written_again(
    each_store: HistoryDatabase, tmp_path: Path, clock: HandClock, seed: int
) -> None:
    random, store = Random(seed), each_store
    published = Publication(store, tmp_path / "published", clock)
    series = [number_of(store, DAYS._replace(symbol=name)) for name in ("A/B", "Ü", "C")]
    number_of(store)  # of which nothing is known
    was = years_of(store)
    for _ in range(10):
        for _ in range(random.randrange(3)):
            number, first = random.choice(series), random.randrange(-200, 500)
            last = first + random.randrange(1, 200)
            what = random.random()
            if what < 0.6:
                quiet = {n for n in range(first, last) if random.random() < 0.1}
                rows = days(first, last, random.choice([100, 100, 120]))
                rows = rows.take([n not in quiet for n in range(first, last)])
                store.commit(number, rows, of_days(first, last), replace=of_days(first, last))
            elif what < 0.75:
                store.commit(
                    number, Columns.of(()), of_days(first, last)
                )  # known, and empty where it was not
            elif what < 0.9:
                store.uncover(number, of_days(first, last))
            else:
                store.drop(number, NEW_YEAR + (first - 200) * DAY)
        done = published.round()
        assert published.found() == kept(store)
        now = years_of(store)
        differ = {year for year in now if now[year] != was.get(year)}
        assert done.written <= len(differ), "what came back to what an earlier file has is not written again"
        assert done.files == len(now) and done.candles == sum(map(len, now.values()))
        again = published.round()
        assert (again.written, again.changed, again.removed) == (0, 0, 0)
        was = now


def test_after_a_restore_all_is_read_again_and_what_is_the_same_is_not_written(
    published: Publication, store: SqliteHistory, tmp_path: Path, clock: HandClock
) -> None:
    number = number_of(store, DAYS)
    store.commit(number, days(0, 900), of_days(0, 900))
    store.backup(tmp_path / "backup.db")
    store.commit(number, days(10, 20, 120), of_days(10, 20))
    published.round()
    restored = SqliteHistory.open(tmp_path / "backup.db", clock)
    # Its revision is the same as that of the store before, and it is another.
    restored.commit(number, days(500, 510, 130), of_days(500, 510))
    done = published.round(restored, everything=True)
    assert done.written == 2 and done.files == 3 and published.found() == kept(restored)
    # What another store has published is not gone by, either.
    done = Publisher(store, published.target, clock, "another").publish(store.all_series())
    assert done.written == 2 and published.found() == kept(store)
    restored.close()


def test_of_a_store_that_was_made_anew_in_the_same_place_all_is_read(
    published: Publication, store: SqliteHistory, tmp_path: Path, clock: HandClock
) -> None:
    """As one has who found the old one wrong."""
    place, other = Place(tmp_path / "history.db"), tmp_path / "other.db"
    number = number_of(store, DAYS)
    store.commit(number, days(0, 10), of_days(0, 10))
    publish_command(place, str(published.folder), None, None, every=None, everything=False, as_json=False)
    assert published.found() == kept(store)
    anew = SqliteHistory.open(other, clock)
    anew.commit(number_of(anew, DAYS), days(0, 10, 120), of_days(0, 10))
    store.close()
    other.replace(tmp_path / "history.db")
    publish_command(place, str(published.folder), None, None, every=None, everything=False, as_json=False)
    assert published.found() == kept(anew)
    anew.close()


def test_series_that_are_not_asked_for_stay_as_they_are(published: Publication, store: SqliteHistory) -> None:
    one, two = (number_of(store, DAYS._replace(symbol=name)) for name in ("A", "B"))
    for number in (one, two):
        store.commit(number, days(0, 10), of_days(0, 10))
    published.round()
    was = kept(store)
    for number in (one, two):
        store.commit(number, days(10, 20), of_days(10, 20))
    Publisher(store, published.target, published.clock, "the store of the test").publish([store.info(one)])
    now = kept(store)
    assert published.found() == {"venue:A 1d": now["venue:A 1d"], "venue:B 1d": was["venue:B 1d"]}


def test_what_is_known_no_more_is_published_no_more(published: Publication, store: SqliteHistory) -> None:
    number = number_of(store, DAYS)
    store.commit(number, days(0, 400), of_days(0, 400))
    published.round()
    store.uncover(number, of_days(10, 20))
    assert published.round().written == 1 and published.found() == kept(store)
    store.commit(number, days(10, 20), of_days(10, 20))
    published.round()
    assert published.found() == kept(store) and len(published.found()["venue:BTC/USD 1d"][0]) == 400


def test_of_numbers_with_more_digits_than_doubles_have_it_is_told(
    published: Publication, store: SqliteHistory
) -> None:
    number = number_of(store, DAYS)
    long = ExactCandle(NEW_YEAR, "1.5", "1.5", "1.5", "1.5", "123456789.123456789")
    store.commit(number, Columns.of([long]), of_days(0, 1))
    store.commit(number, days(365, 370), of_days(365, 370))
    published.round()
    ((_, files),) = (
        (each["symbol"], each["files"]) for each in manifest(published)["series"] if each["files"]
    )
    assert [file["exact"] for file in files] == [False, True]
    assert published.found() == kept(store)


def manifest(published: Publication) -> Any:
    return json.loads((published.folder / "_manifest.json").read_bytes())


def test_a_split_is_published_in_one_kind_of_shares(published: Publication, store: SqliteHistory) -> None:
    number, name = number_of(store, DAYS), "venue:BTC/USD 1d"
    store.commit(number, days(-800, 800, 400), of_days(-800, 800))
    published.round()
    split = Action(NEW_YEAR + 800 * DAY, "split", "4/1")
    about = AboutSymbol(asked=NEW_YEAR + 810 * DAY, actions=(split,))
    store.commit(number, days(800, 805), of_days(800, 805), told=about)
    assert published.round().written == 6
    assert {row[1] for row in published.found()[name][0]} == {100.0}
    ((start, end, ratio),) = manifest(published)["series"][0]["stale"]
    assert ((start, end),) == of_days(-800, 800).spans and ratio == "4"
    for first, last in ((400, 800), (-800, 400)):
        store.commit(number, days(first, last), of_days(first, last), told=about)
        published.round()
        assert published.found() == kept(store)
    assert manifest(published)["series"][0]["stale"] == []


class Beside(SqliteHistory):
    """A store to which another connection writes whenever it has told something."""

    then: Callable[[str], None] | None = None

    def _then(self, what: str, answer: Any) -> Any:
        if self.then:
            self.then(what)
        return answer

    def info(self, series: int) -> Any:
        return self._then("info", super().info(series))

    def coverage(self, series: int, *, provisional: bool = False) -> Any:
        return self._then("coverage", super().coverage(series, provisional=provisional))

    def version(self, series: int, start: int, end: int) -> Any:
        return self._then("version", super().version(series, start, end))

    def changes(self, series: int, after: int) -> Any:
        return self._then("changes", super().changes(series, after))

    def stats(self, series: int | None = None) -> Any:
        return self._then("stats", super().stats(series))

    def read(self, series: int, start: int, end: int, **more: Any) -> Answer:
        answer: Answer = self._then("read", super().read(series, start, end, **more))
        return answer


@pytest.fixture
def beside(store: SqliteHistory, tmp_path: Path, clock: HandClock) -> Iterator[Beside]:
    held = Beside(tmp_path / "history.db", clock, writes=True, busy_s=30.0)
    yield held
    held.close()


def test_while_others_write_it_never_says_that_nothing_was_traded_where_something_was(
    published: Publication, store: SqliteHistory, beside: Beside
) -> None:
    """Pages come between any two looks at the store, at both ends; every day was traded on."""
    number, edges = number_of(store, DAYS), [0, 0]

    def page(_: str) -> None:
        grown = edges[1] - edges[0]
        first = edges[1] if grown % 2 else edges[0] - 41
        edges[:] = min(first, edges[0]), max(first + 41, edges[1])
        store.commit(number, days(first, first + 41), of_days(first, first + 41))

    page("")
    beside.then = page
    for _ in range(4):
        published.round(beside)
        ((rows, known),) = published.found().values()
        assert [row[0] for row in rows] == [t for start, end in known for t in range(start, end, DAY)]
    beside.then = None
    published.round(beside)
    assert published.found() == kept(store) and edges[1] - edges[0] > 500


def test_a_split_that_is_told_of_meanwhile_does_not_part_what_is_published(
    published: Publication, store: SqliteHistory, beside: Beside
) -> None:
    number, reads = number_of(store, DAYS), list[str]()
    store.commit(number, days(0, 800, 400), of_days(0, 800))
    about = AboutSymbol(NEW_YEAR + 810 * DAY, (Action(NEW_YEAR + 800 * DAY, "split", "4/1"),))

    def split_and_all_read_again(what: str) -> None:
        reads.append(what)
        if reads.count("read") == 1 and what == "read":
            store.commit(number, days(800, 805), of_days(800, 805), told=about)
            store.commit(number, days(0, 800), of_days(0, 800), told=about)

    beside.then = split_and_all_read_again
    published.round(beside)
    assert {row[1] for row in published.found()["venue:BTC/USD 1d"][0]} == {100.0}


# --- at any instant


class Stopped(BaseException):
    """Nobody catches it, as nobody catches a kill."""


class Stopping(Directory):
    """A directory whose process ends before the so-maniest thing that it does there, or after it."""

    def __init__(self, path: Path, steps: int) -> None:
        super().__init__(path)
        self.steps = steps

    def _step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise Stopped

    def write(self, path: str, content: Any) -> None:
        self._step()
        super().write(path, content)
        self._step()

    def delete(self, paths: Iterable[str]) -> None:
        for path in [*paths]:
            self._step()
            super().delete([path])


def test_stopped_at_any_step_a_whole_publication_stands_and_the_next_round_goes_on(
    published: Publication, store: SqliteHistory, clock: HandClock
) -> None:
    one, two = (number_of(store, DAYS._replace(symbol=name)) for name in ("A", "B"))
    steps, ended = 0, False
    for number in (one, two):
        store.commit(number, days(360, 370), of_days(360, 370))
    published.round()
    while not ended:
        was, price = published.found(), 101 + steps
        for number in (one, two):
            store.commit(number, days(360, 370, price), of_days(360, 370))
        clock.now += KEPT_MS
        try:
            published.round(target=Stopping(published.folder, steps))
            ended = True
        except Stopped:
            assert published.found() in (was, kept(store))
        assert published.round().failed == {}
        assert published.found() == kept(store)
        steps += 1
    assert steps > 4 * 2 + 2
    # What no manifest has ever named goes, too, once it is old.
    named = {
        published.folder / file["path"] for each in manifest(published)["series"] for file in each["files"]
    }
    clock.now += 2 * ORPHANED_MS
    for path in published.files():
        os.utime(path, (clock.now / 1000 - 90_000,) * 2)
    published.round()
    published.round()
    assert published.files() == named and published.found() == kept(store)


KILLED = """
import os, signal, sys
from pathlib import Path
from livecache.history.publish.publishing import Publisher
from livecache.history.publish.target import Directory
from tests.history.support import opened

class Half(bytes):
    pass

class Killed(Directory):
    left = int(sys.argv[2])
    def write(self, path, content):
        self.left -= 1
        if not self.left:
            place = self._path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.with_name(f".{place.name}.1.part").write_bytes(bytes(content)[:100])
            os.kill(os.getpid(), signal.SIGKILL)
        super().write(path, content)

folder = Path(sys.argv[1])
store = opened(folder)
Publisher(store, Killed(folder / "published"), lambda: 1, "the store of the test").publish(store.all_series())
"""


def test_a_kill_leaves_no_lock_and_no_half_file_under_a_name(
    published: Publication, store: SqliteHistory, tmp_path: Path
) -> None:
    number = number_of(store, DAYS)
    store.commit(number, days(0, 900), of_days(0, 900))
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "2"], cwd=Path(__file__).parents[2], timeout=120
    )
    assert process.returncode == -signal.SIGKILL
    assert not (published.folder / "_manifest.json").exists() and len(published.files()) == 1
    done = published.round()
    assert done.failed == {} and published.found() == kept(store)


def test_a_file_that_is_named_no_more_stays_for_whoever_has_read_the_older_manifest(
    published: Publication, store: SqliteHistory, clock: HandClock
) -> None:
    number = number_of(store, DAYS)
    store.commit(number, days(0, 10), of_days(0, 10))
    published.round()
    (old,) = published.files()
    for n in range(4):
        store.commit(number, days(0, 10, 110 + n), of_days(0, 10))
        assert published.round().removed == 0 and old in published.files()
        clock.now += KEPT_MS // 4
    assert published.round().removed == 1 and old not in published.files()


class Overtaken(Directory):
    """A directory without a lock, as a bucket is, where another publishes before this one's manifest."""

    meanwhile: Callable[[], object] | None = None

    def write(self, path: str, content: Any) -> None:
        if self.meanwhile:
            then, self.meanwhile = self.meanwhile, None
            then()
        super().write(path, content)

    def alone(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()


def test_of_two_that_publish_one_wins_and_nothing_is_mixed(
    published: Publication, store: SqliteHistory, tmp_path: Path
) -> None:
    number = number_of(store, DAYS)
    store.commit(number, days(0, 800), of_days(0, 800))
    with published.target.alone(), pytest.raises(HistoryError, match="another livecache publishes"):
        published.round()

    def meanwhile() -> None:
        store.commit(number, days(0, 800, 120), of_days(0, 800))
        published.round()

    slower = Overtaken(published.folder)
    slower.meanwhile = meanwhile
    with pytest.raises(HistoryError, match=r"has published to .* meanwhile"):
        published.round(target=slower)
    assert published.found() == kept(store)
    assert published.round().written == 0


# --- what goes wrong


def test_a_full_disk_is_told_and_what_was_published_stands(
    published: Publication, store: SqliteHistory
) -> None:
    number = number_of(store)
    put(store, number, 0, 100)
    published.round()
    was = published.found()
    put(store, number, 100, 4_000)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(StoreUnusable, match=r"cannot be written to: File too large \(make room"):
            published.round()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert published.found() == was and len(published.files()) == 1
    published.round()
    assert published.found() == kept(store)


def test_a_damaged_block_costs_its_own_series_alone(
    published: Publication, store: SqliteHistory, tmp_path: Path
) -> None:
    import sqlite3

    good, bad = (number_of(store, DAYS._replace(symbol=name)) for name in ("A", "B"))
    for number in (good, bad):
        store.commit(number, days(0, 10), of_days(0, 10))
    published.round()
    was = published.found()["venue:B 1d"]
    for number in (good, bad):
        store.commit(number, days(10, 20), of_days(10, 20))
    with sqlite3.connect(tmp_path / "history.db") as db:
        db.execute("UPDATE blocks SET data = zeroblob(90) WHERE series = ?", (bad,))
    db.close()
    done = published.round()
    assert list(done.failed) == ["venue:B:1d"] and "verify --heal" in done.failed["venue:B:1d"]
    there = published.found()
    assert there["venue:B 1d"] == was and len(there["venue:A 1d"][0]) == 20


@pytest.mark.parametrize(
    ("content", "says"),
    [(b'{"format": 2, "shards": 4}', "newer livecache"), (b"{}", "no manifest"), (b"\xff", "no manifest")],
)
def test_what_is_not_ours_is_left_alone(
    published: Publication, store: SqliteHistory, content: bytes, says: str
) -> None:
    published.folder.mkdir()
    place = published.folder / "_manifest.json"
    place.write_bytes(content)
    with pytest.raises(StoreUnusable, match=says):
        published.round()
    assert place.read_bytes() == content


# --- the command


def test_the_command_tells_what_it_did(run: Run, store: SqliteHistory, series: int, tmp_path: Path) -> None:
    put(store, series, 0, 2_000)
    number = number_of(store, DAYS)
    store.commit(number, days(0, 400), of_days(0, 400))
    code, out, err = run("publish", "out")
    assert code == 0 and err.splitlines() == ["venue:BTC-USD 1m: 1 file", "venue:BTC/USD 1d: 2 files"]
    assert out.startswith(
        f"{tmp_path / 'out'}: {len(market(0, 2_000)) + 400:,} candles in 3 files; 2 of 2 series"
    )
    assert found(tmp_path / "out") == kept(store)
    put(store, series, 2_000, 2_100)
    done = told(run("publish", "out", "--symbols", "BTC-USD", "--json"))
    assert (done["series"], done["changed"], done["written"], done["failed"]) == (1, 1, 1, {})
    assert found(tmp_path / "out") == kept(store)
    assert told(run("publish", "out", "--all", "--json"))["written"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("out", "--every", "soon"), 2, "such as"),
        (("ftp://host/x",), 2, "name a directory, or s3://bucket/prefix"),
        (("s3://key:secret@bucket/x",), 2, "AWS_ACCESS_KEY_ID"),
        (("s3://bucket/x?acl=all",), 2, "acl is no option"),
        (("history.db",), 8, "cannot be written to"),
        (("out", "--symbols", "ETH-USD"), 1, "no history of it is stored"),
    ],
)
def test_what_it_cannot_do_is_told(
    run: Run, store: SqliteHistory, series: int, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ended, out, err = run("publish", *arguments)
    assert (ended, out) == (code, "") and says in err and "secret" not in err


def test_it_goes_on_and_a_round_that_fails_ends_nothing(
    store: SqliteHistory, series: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(store, series, 0, 100)
    rounds = 0
    folder, aside = tmp_path / "out", tmp_path / "aside"

    def wait(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        assert 0 <= seconds <= 60
        if rounds == 1:
            put(store, series, 100, 200)
        elif rounds == 2:
            assert found(folder) == kept(store)
            folder.rename(aside)
            folder.write_bytes(b"no directory")
        elif rounds == 3:
            folder.unlink()
            aside.rename(folder)
            put(store, series, 200, 300)
        else:
            os.kill(
                os.getpid(), signal.SIGTERM
            )  # as Ctrl-C, also where it is the first process of a container

    with pytest.raises(KeyboardInterrupt):
        publish_command(
            *(Place(tmp_path / "history.db"), str(folder), None, None),
            every="1m",
            everything=False,
            as_json=True,
            wait=wait,
        )
    assert found(folder) == kept(store)
    out, err = capsys.readouterr()
    assert [json.loads(line)["written"] for line in out.splitlines()] == [1, 1, 1]
    assert err.count("cannot be written to: File exists") + err.count("Not a directory") == 1
    assert err.endswith("stopped: what is published stands, and the next run goes on\n")
