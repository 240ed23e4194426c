"""Every remedy that a check prints is accepted, and makes the finding go away; without one it says why.

The service is the timeline itself, and Redis what it told to be written; a defect is planted between the two,
or in what the timeline has got from the venue.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.commands.reading import moment_of
from livecache.keys.keyspace import Keyspace
from livecache.ledger.repair import order_repair, pages_waiting
from livecache.model.policy import Policy
from livecache.model.series import Change, SeriesId
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import Open, PageFacts
from livecache.proof.plan import Priority
from livecache.quality.check import Check, Rules
from livecache.quality.findings import ADVICE, Finding, Flaw, Options
from livecache.quality.inspection import Shared
from livecache.quality.report import Report, as_text
from livecache.quality.venue import Compared, PageWanted, compare_page

from ..core.driver import SYMBOL, Driver, candle
from .stored import DEFECTS, ORIGIN, Defect, Line

TIMEFRAMES = (Timeframe.M5, Timeframe.M15, Timeframe.H1)
M5 = Timeframe.M5
W = M5.ms
NOW = 1_770_000_000_000 // Timeframe.H1.ms * Timeframe.H1.ms + 21 * 60_000

BY_REPAIR = {
    *(Flaw.STATE, Flaw.COUNT, Flaw.EXPIRES, Flaw.UNREADABLE, Flaw.DUPLICATE, Flaw.MISPLACED),
    *(Flaw.MISALIGNED, Flaw.OHLCV, Flaw.FUTURE, Flaw.WATERMARKS, Flaw.COVERAGE, Flaw.GAP, Flaw.OVERDUE),
    *(Flaw.ROLLUP, Flaw.VENUE),
}
BY_ANOTHER_COMMAND = {Flaw.LEFTOVER, Flaw.SERVER}  # run for real in tests/e2e/test_check_and_repair.py
BY_WORDS = {Flaw.FOREIGN, Flaw.ABSENT, Flaw.NOT_COMPARED, Flaw.UNVOUCHED, Flaw.ORIGIN, Flaw.CALENDAR}
BY_NOTHING = {Flaw.UNKNOWN_KEY, Flaw.UNFINISHED, Flaw.UNSEARCHED, Flaw.UNSERVED}


class House:
    """A service, and the Redis that it has filled."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.lines: dict[SeriesId, Line] = {}
        driver.fill()
        self.flush()

    def flush(self) -> None:
        """What the service has to say is written; what it writes whole is as it says, whatever lay there."""
        for change in self.driver.timeline.take(self.driver.now).series:
            self._write(change)

    def rewrite(self) -> None:
        """All of it is written again from memory."""
        for change in self.driver.timeline.whole(list(self.lines), self.driver.now).series:
            self._write(change)

    def _write(self, change: Change) -> None:
        before = self.lines.get(change.series)
        if change.whole or before is None:
            assert change.state is not None
            candles = {t: c for t, c in change.members.items() if c is not None}
            self.lines[change.series] = Line(change.series, change.state, candles, self.driver.now)
            return
        for time, held in change.members.items():
            if held is None:
                before.candles.pop(time, None)
            else:
                before.candles[time] = held
        before.candles = {t: c for t, c in before.candles.items() if t >= change.keep_from}
        before.state = change.state or before.state
        before.now = self.driver.now

    def check(self, **rules: object) -> Check:
        check = Check(Keyspace(), Rules(origin=ORIGIN, **rules))  # type: ignore[arg-type]
        check.take_symbol([line.found() for line in self.lines.values()])
        return check

    def report(self, **rules: object) -> Report:
        return self.check(**rules).report(checked_at="now")

    def mend(self, remedies: list[str]) -> None:
        """Carry out every repair that is named, as the command line and the service would."""
        for remedy in remedies:
            for command in remedy.split("; "):
                if command.startswith("livecache repair"):
                    self._order(shlex.split(command)[2:])
        self.flush()
        self.driver.fill(Priority.REPAIR)  # and nothing that would have been asked for anyhow
        self.flush()
        assert pages_waiting(self.driver.timeline) == 0

    def _order(self, words: list[str]) -> None:
        symbol, timeframe, *rest = words
        given = dict(zip(rest[::2], rest[1::2], strict=False)) if rest != ["--all"] else {}
        start, end = (moment_of(name, given[name]) if name in given else None for name in ("--from", "--to"))
        order_repair(
            self.driver.timeline,
            symbol,
            Timeframe.parse(timeframe),
            start,
            end,
            now=self.driver.now,
        )


def house(trades: Callable[[Timeframe, int], bool] = lambda timeframe, time: True) -> House:
    policy = Policy(candles=40, min_candles=10)
    return House(Driver(TIMEFRAMES, NOW, policy=policy, trades=trades))


def told(report: Report) -> Iterator[Finding]:
    yield from (*report.findings, *report.advice)


def test_each_kind_of_finding_has_its_kind_of_remedy() -> None:
    groups = [BY_REPAIR, BY_ANOTHER_COMMAND, BY_WORDS, BY_NOTHING]
    assert set().union(*groups) == set(Flaw)
    assert sum(map(len, groups)) == len(Flaw), "each is in one of them"
    assert BY_NOTHING <= ADVICE, "what nothing mends is no reproach"


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(which=st.integers(0, 2), thin=st.booleans(), data=st.data())
def test_whatever_others_did_to_redis_is_gone_once_the_named_repairs_are_done(
    defect: Defect, which: int, thin: bool, data: st.DataObject
) -> None:
    here = house((lambda _, time: time // W % 3 == 0) if thin else (lambda _, time: True))
    assert here.report().clean
    expected = defect(list(here.lines.values())[which], data)
    if expected is None:
        return
    report = here.report()
    assert expected in {finding.kind for finding in report.findings}
    here.mend(report.remedies)
    left = here.report().findings
    assert {finding.kind for finding in left} <= BY_WORDS, left
    assert all(finding.remedy for finding in left)


def test_a_hole_that_waits_to_be_tried_again_is_filled_by_the_repair_that_is_named() -> None:
    here = house()
    track = here.driver.symbol.tracks[M5]
    hole = M5.floor(NOW) - 20 * W
    track.coverage = track.coverage.remove(hole, hole + 3 * W)
    for bucket in range(hole, hole + 3 * W, W):
        del track.settled[bucket]
    track.open = {t: Open(None, NOW, NOW, again=NOW + 300_000) for t in range(hole, hole + 3 * W, W)}
    here.rewrite()
    report = here.report()
    assert {finding.kind for finding in report.findings} == {Flaw.GAP}
    here.mend(report.remedies)
    assert here.report().findings == []


def test_a_candle_that_never_settled_is_settled_by_the_repair_that_is_named() -> None:
    here = house()
    track = here.driver.symbol.tracks[M5]
    late = M5.floor(NOW) - 20 * W
    track.coverage = track.coverage.remove(late, late + W)
    track.lay(track.settled.pop(late), vouched=True)
    track.open = {late: Open(None, NOW, NOW, again=NOW + 300_000)}
    here.rewrite()
    report = here.report()
    assert {finding.kind for finding in report.findings} == {Flaw.OVERDUE}
    here.mend(report.remedies)
    assert here.report().findings == []


def test_a_bucket_whose_row_cannot_be_believed_has_no_remedy_and_says_why_until_the_venue_mends_it() -> None:
    """Of the smallest timeframe, since any other is added up from smaller candles meanwhile."""
    m1, w = Timeframe.M1, Timeframe.M1.ms
    here = House(Driver([m1], NOW, policy=Policy(candles=40, min_candles=10)))
    driver, track = here.driver, here.driver.symbol.tracks[m1]
    bad = m1.floor(NOW) - 15 * w
    track.coverage = track.coverage.remove(bad, bad + w)
    del track.settled[bad]
    for _ in range(8):
        driver.now += 130_000
        start, end = bad - 20 * w, m1.floor(driver.now)
        rows = {t: candle(t) for t in range(start, end, w) if t != bad}
        why = {bad: "open below low"}
        page = PageFacts(start, end, rows, driver.now, rejected=frozenset(why), reasons=why)
        driver.timeline.apply_page(SYMBOL, m1, page, driver.now)
    here.rewrite()
    report = here.report()
    assert report.remedies == []
    (finding,) = report.findings
    assert (finding.kind, finding.remedy, finding.start) == (Flaw.GAP, "", bad)
    assert "cannot be believed" in finding.message and "open below low" in finding.message
    here.mend([f"livecache repair {SYMBOL} 1m --all"])
    assert here.report().findings == [], "whoever orders it all the same need not wait for that"


def test_what_the_venue_says_otherwise_is_taken_by_the_repair_that_is_named() -> None:
    here = house()
    bucket = M5.floor(NOW) - 25 * W
    here.driver.revised[M5, bucket] = 7
    check = here.check()
    series = SeriesId("coinbase", SYMBOL, M5)
    page = PageWanted(series, bucket, bucket + W)
    rows = {bucket: candle(bucket, "7"), bucket + W: candle(bucket + W)}
    compare_page(check.stored[series], page, rows, (), Compared())
    report = check.report(checked_at="now")
    assert {finding.kind for finding in report.findings} == {Flaw.VENUE}
    here.mend(report.remedies)
    assert here.lines[series].candles[bucket].volume == "7"
    assert here.report().findings == []


def test_candles_of_a_quiet_product_from_before_all_that_was_searched_are_no_gap() -> None:
    """Its feed's first snapshot reaches back for weeks. Nobody misses the buckets between, and no repair
    brings them: so it is told, without a remedy, and the cache is clean."""
    here = house()
    line = here.lines[SeriesId("coinbase", SYMBOL, M5)]
    first = line.state.coverage.spans[0].start
    line.state = replace(line.state, history_from=first)
    for back in (4_000, 4_001, 900):
        line.candles[first - back * W] = candle(first - back * W)
    report = here.report()
    assert report.clean and report.gaps == []
    (note,) = report.advice
    assert (note.kind, note.remedy) == (Flaw.UNSEARCHED, "")
    assert "3 candles from before" in note.message and "search for history ended" in note.message
    assert report.series[0].missing == 0


def test_of_a_series_of_which_nothing_is_settled_yet_no_remedy_is_printed_and_why() -> None:
    """The venue has not answered: a repair would read nothing, for there is nothing that is kept."""
    driver = Driver([M5], NOW)
    driver.timeline.fail(SYMBOL, M5, "HTTP 503")
    driver.symbol.tracks[M5].lay(candle(M5.floor(NOW) - 30 * W), vouched=True)
    here = House.__new__(House)
    here.driver, here.lines = driver, {}
    here.flush()
    report = here.report()
    assert {finding.kind for finding in report.findings} == {Flaw.OVERDUE, Flaw.GAP}
    assert report.remedies == [] and {finding.remedy for finding in report.findings} == {""}
    assert all("as soon as the venue answers" in finding.message for finding in report.findings)
    assert all("HTTP 503" in finding.message for finding in report.findings)
    text = "\n".join(as_text(report))
    assert "What would mend it" not in text
    assert "No command mends 2 of these: each says why." in text


@pytest.mark.parametrize(
    "standing", ["unknown: 'BTC-USD' at coinbase", "halted: coinbase lists it as halted"]
)
def test_nothing_new_is_missed_of_a_symbol_that_the_venue_does_not_know_or_trade(standing: str) -> None:
    """Its last candles stay as they are, and no repair would bring others: so it is clean, days later."""
    here = house()
    for line in here.lines.values():
        line.now = line.series.timeframe.ceil(NOW + 3 * 86_400_000)
        line.state = replace(
            line.state, reason=standing, closed_through=line.series.timeframe.floor(line.now), forming=0
        )
    report = here.report()
    assert report.clean, report.findings
    assert report.remedies == [] and all(line.pending for line in report.series)
    for line in here.lines.values():
        line.state = replace(line.state, reason="lagging: nothing is known since x", ready=False)
    assert {finding.kind for finding in here.report().findings} == {Flaw.GAP}


def test_a_hole_of_a_symbol_that_the_venue_does_not_know_any_more_has_no_remedy_and_says_so() -> None:
    here = house()
    line = here.lines[SeriesId("coinbase", SYMBOL, M5)]
    hole = M5.floor(NOW) - 20 * W
    line.candles.pop(hole)
    line.state = replace(
        line.state,
        coverage=line.state.coverage.remove(hole, hole + W),
        contiguous_from=hole + W,
        reason="unknown: 'BTC-USD' at coinbase",
    )
    report = here.report()
    (finding,) = [one for one in report.findings if one.kind is Flaw.GAP]
    assert finding.remedy == "" and "the venue does not answer for it (unknown: 'BTC-USD'" in finding.message
    assert not any("5m" in remedy for remedy in report.remedies)


def test_without_a_service_the_first_remedy_is_to_start_one() -> None:
    here = house()
    line = here.lines[SeriesId("coinbase", SYMBOL, M5)]
    line.size = 99
    repair = f"livecache repair {SYMBOL} 5m --all"
    nobody = Shared({}, {}, [], None)

    def remedies() -> list[str]:
        check = Check(Keyspace(), Rules(origin=ORIGIN))
        check.take_shared(nobody)
        check.take_symbol([one.found() for one in here.lines.values()])
        return check.report(checked_at="now").remedies

    assert remedies() == [repair], "a lease may lapse for a moment under one who lives"
    for one in here.lines.values():
        one.other["alive"] = None
    assert remedies() == ["livecache run", repair]


def test_a_remedy_takes_along_what_the_check_was_told() -> None:
    options = Options("--config '/etc/live cache.toml'", "--prefix mine")
    assert options.put_into("livecache repair A-B 5m --all; livecache repair A-B 1h --all") == (
        "livecache repair --config '/etc/live cache.toml' A-B 5m --all; "
        "livecache repair --config '/etc/live cache.toml' A-B 1h --all"
    )
    assert options.put_into("livecache prune --yes") == (
        "livecache prune --config '/etc/live cache.toml' --prefix mine --yes"
    )
    assert options.put_into("see the log of `livecache run`") == "see the log of `livecache run`"
    assert Options().put_into("livecache prune --yes") == "livecache prune --yes"
