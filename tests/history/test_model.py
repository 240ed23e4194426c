"""The store against a dict: whatever is committed, distrusted and dropped, it answers what the dict does."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from livecache.history.columns import Columns, concat
from livecache.history.store import Commit, HistoryDatabase
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from .drawing import any_number, candle, short_number
from .engines import Engine, InFile
from .support import MINUTE

BASE = 1_440 * 20_000 - 40  # so that the edge of a block is among the buckets
BUCKETS = 90
KEY = SeriesId("venue", "BTC-USD", Timeframe.M1)

bucket = st.integers(0, BUCKETS)
seed = st.integers(0, 1 << 32)


def at(number: int) -> int:
    return (BASE + number) * MINUTE


def spans(numbers: Iterable[int]) -> Coverage:
    return Coverage((at(number), at(number + 1)) for number in numbers)


class Stored(RuleBasedStateMachine):
    """What was stored, as a dict of candles and a set of known buckets."""

    engine: Engine

    @initialize()
    def begin(self) -> None:
        self.engine.empty()
        self.now = 1
        self.open()
        made = self.store.series(KEY, create=True)
        other = self.store.series(KEY._replace(symbol="ETH-USD"), create=True)
        assert made and other and made.id != other.id
        self.series, self.other = made.id, other.id
        self.rows: dict[int, ExactCandle] = {}
        self.known: set[int] = set()
        self.was: dict[int, list[tuple[str, ...] | None]] = {}
        self.rev = 0
        self.doubted: set[int] = set()
        self.then: list[tuple[int, dict[int, ExactCandle], set[int]]] = []
        self.last: tuple[Columns, Coverage, Coverage] | None = None

    def open(self) -> None:
        self.store: HistoryDatabase = self.engine.open(lambda: self.now)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert self.store.coverage(self.other) == Coverage()
            self.store.close()

    @rule(start=bucket, length=st.integers(0, 50), seed=seed, replaces=st.booleans(), gap=st.booleans())
    def commit(self, start: int, length: int, seed: int, replaces: bool, gap: bool) -> None:
        random = Random(seed)
        self.now += random.choice([1_000, 60_000, 4_000_000])
        covered = set(range(start, min(start + length, BUCKETS)))
        if gap:
            covered -= set(range(start + length // 3, start + length // 2))
        number = random.choice([short_number, short_number, any_number])
        page = {n: candle(random, at(n), number) for n in covered if random.random() < 0.8}
        # Mostly a venue says what it said before.
        page |= {n: self.rows[n] for n in page if n in self.rows and random.random() < 0.7}
        replace = covered if replaces else set()
        self.last = Columns.of(page.values()), spans(covered), spans(replace)
        commit = self.store.commit(self.series, self.last[0], self.last[1], replace=self.last[2])

        decided = (covered - self.known) | replace
        gone = {n for n in self.rows if n in decided and n not in page}
        changed = {n for n in page if n in self.rows and not self.rows[n].equals(page[n])}
        inserted = page.keys() - self.rows.keys()
        for n in gone | changed:
            self.was.setdefault(n, []).append(Columns.of([self.rows[n]]).candles()[0].numbers)
        for n in inserted & self.known:
            self.was.setdefault(n, []).append(None)
        if gone or changed or inserted or covered - self.known:
            self.rev += 1
        assert commit == Commit(
            self.rev, len(inserted), len(changed | gone), len(page) - len(inserted) - len(changed)
        )
        self.rows = {n: row for n, row in self.rows.items() if n not in gone} | page
        self.known |= covered
        self.then.append((self.now, dict(self.rows), set(self.known)))

    @rule(pick=st.integers(0, 50))
    def read_as_of(self, pick: int) -> None:
        """Never more than was known then, and as it was then.

        Nearly all of it, but for the last hour's, and what was taken back since.
        """
        if not self.then:
            return
        now, rows, known = self.then[pick % len(self.then)]
        answer = self.store.read(self.series, at(0), at(BUCKETS), as_of=now)
        was = {n for n in range(BUCKETS) if at(n) in answer.coverage}
        assert was <= known
        long_known = [known for then, _, known in self.then if then <= now - 3_600_000]
        assert not long_known or long_known[-1] & self.known - self.doubted <= was
        got = {row.time: row for row in answer.rows.candles()}
        for n in was:
            row, expected = got.get(at(n)), rows.get(n)
            assert (row is None) == (expected is None)
            assert row is None or (expected and row.equals(expected))

    @rule()
    def commit_the_same_again(self) -> None:
        """A page that is asked for twice changes nothing, not even the revision."""
        if self.last is None:
            return
        rows, covered, replace = self.last
        again = self.store.commit(self.series, rows, covered, replace=replace)
        assert again == Commit(self.rev, 0, 0, len(rows))

    @rule(start=bucket, length=st.integers(1, 40))
    def uncover(self, start: int, length: int) -> None:
        doubted = set(range(start, min(start + length, BUCKETS)))
        self.store.uncover(self.series, spans(doubted))
        self.rev += bool(doubted & self.known)
        self.known -= doubted
        self.doubted |= doubted
        self.last = None

    @rule(before=st.integers(0, BUCKETS // 3))
    def drop(self, before: int) -> None:
        gone = {n for n in self.rows if n < before}
        assert self.store.drop(self.series, at(before)) == len(gone)
        self.rows = {n: row for n, row in self.rows.items() if n >= before}
        self.known = {n for n in self.known if n >= before}
        self.doubted |= set(range(before))
        self.rev += 1
        self.last = None

    @rule()
    def start_again(self) -> None:
        self.store.close()
        self.open()

    @rule(start=bucket, end=bucket, most=st.integers(1, 60))
    def read(self, start: int, end: int, most: int) -> None:
        inside = [n for n in sorted(self.known) if start <= n < end]
        expected = [self.rows[n] for n in inside if n in self.rows]
        answer = self.store.read(self.series, at(start), at(end))
        assert (answer.coverage, answer.rev) == (spans(inside), self.rev)
        batches = list(self.store.batches(self.series, at(start), at(end), most))
        assert Coverage(span for each in batches for span in each.coverage) == answer.coverage
        for rows in (answer.rows, concat(each.rows for each in batches)):
            got = rows.candles()
            assert [row.time for row in got] == [row.time for row in expected]
            assert all(map(ExactCandle.equals, got, expected))

    @invariant()
    def the_tables_agree(self) -> None:
        if not hasattr(self, "store"):
            return
        (stats,) = self.store.stats(self.series)
        assert stats.rows == stats.series.rows == len(self.rows)
        assert stats.coverage == spans(self.known)
        assert stats.series.rev == self.rev
        assert (stats.first, stats.last) == (
            (at(min(self.rows)), at(max(self.rows))) if self.rows else (None, None)
        )
        assert list(self.store.verify()) == []
        kept = {(r.time, r.rev): r.old for r in self.store.revisions(self.series, at(0), at(BUCKETS))}
        by_time: dict[int, list[tuple[str, ...] | None]] = {}
        for (time, _), old in sorted(kept.items()):
            by_time.setdefault(time, []).append(old)
        assert by_time == {at(n): olds for n, olds in self.was.items()}


def tried(engine: Engine, examples: int, steps: int) -> None:
    class Here(Stored):
        pass

    Here.engine = engine
    run_state_machine_as_test(
        Here, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )


def test_it_answers_what_a_dict_does(engine: Engine) -> None:
    tried(engine, 8 if isinstance(engine, InFile) else 4, 12)


def test_it_answers_what_a_dict_does_where_candles_are_packed(packed: Engine) -> None:
    tried(packed, 4, 12)


@pytest.mark.long
def test_it_answers_what_a_dict_does_for_longer(engine: Engine) -> None:
    tried(engine, 1_000 if isinstance(engine, InFile) else 300, 40)
