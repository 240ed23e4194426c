"""The rules of a check: nothing is found in a sound cache, and whatever is planted is found."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.commands.reading import moment_of
from livecache.keys.keyspace import Keyspace, encode_state
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.grid import SessionGrid
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe, iso
from livecache.quality.check import Check, Rules
from livecache.quality.findings import FINDINGS_A_KIND_MAX, Flaw
from livecache.quality.inspection import Inspected, Shared
from livecache.quality.report import TABLES, Report, as_csv, as_json, as_text
from tests.sizes import examples

from .stored import DEFECTS, ORIGIN, START, Defect, Line, sound_line, sound_symbols

KEYS = Keyspace()
M5 = Timeframe.M5
W = M5.ms
FIELDS = ("count", *encode_state(sound_line(1).state, origin="", fence=1, revision=1, updated_at=1)[::2])
QUICK = settings(max_examples=examples(60), deadline=None, derandomize=True, database=None)


def checked(lines: list[Line], **rules: Any) -> Report:
    check = Check(KEYS, Rules(origin=ORIGIN, **rules))
    check.take_symbol([line.found() for line in lines])
    return check.report(checked_at="2026-02-20T12:00:00Z")


def kinds(report: Report) -> set[Flaw]:
    return {finding.kind for finding in report.findings}


@QUICK
@given(sound_symbols())
def test_a_sound_cache_has_no_finding_and_every_bucket_is_something(lines: list[Line]) -> None:
    report = checked(lines)
    assert (report.findings, report.advice, report.gaps) == ([], [], [])
    assert report.clean
    for line, told in zip(lines, report.series, strict=True):
        state = line.state
        assert told.missing == 0
        assert told.settled == len(line.settled)
        settled_buckets = (state.settled_through - state.contiguous_from) // line.width
        assert told.settled + told.empty == settled_buckets
        assert told.provisional == (state.known_through - state.settled_through) // line.width
        assert told.pending == (state.closed_through - state.known_through) // line.width


@pytest.mark.parametrize("kept", range(0, 60, 7))
def test_a_grid_that_does_not_hold_the_times_is_a_finding_and_ends_no_check(kept: int) -> None:
    """Of the sessions some were lost, or the calendar was another one."""
    line, other = sound_line(60), sound_line(60, Timeframe.M15)
    opens = range(line.state.contiguous_from, line.state.closed_through, W)[kept : kept + 20]
    grid = SessionGrid((opens[0],), (opens[-1] + W,), W)
    line.state = replace(line.state, grid=grid.text(opens[0], opens[-1] + W))
    report = checked([line, other])
    (found,) = [f for f in report.findings if "not all of its times lie on its grid" in f.message]
    assert (found.kind, found.timeframe) == (Flaw.STATE, "5m") and "livecache repair" in found.remedy
    assert {f.timeframe for f in report.findings} == {"5m"}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(lines=sound_symbols(), which=st.integers(0, 2), data=st.data())
def test_whatever_is_planted_is_found_and_what_would_mend_it_is_named(
    defect: Defect, lines: list[Line], which: int, data: st.DataObject
) -> None:
    line = lines[which]
    expected = defect(line, data)
    if expected is None:
        return
    report = checked(lines)
    assert expected in kinds(report), report.findings
    assert not report.clean
    finding = next(finding for finding in report.findings if finding.kind is expected)
    assert (finding.symbol, finding.timeframe) == (line.series.symbol, line.series.timeframe.value)
    assert finding.remedy and report.remedies
    others = {f.timeframe for f in report.findings if f.kind not in (Flaw.ROLLUP, expected)}
    assert others <= {line.series.timeframe.value}, "nothing is said against the others"


@QUICK
@given(sound_symbols(), st.data())
def test_a_parent_that_is_not_the_sum_of_its_children_is_found(
    lines: list[Line], data: st.DataObject
) -> None:
    """By one digit of the volume, whichever of the two was changed; both repairs are named."""
    child, parent = data.draw(st.sampled_from([(lines[0], lines[1]), (lines[1], lines[2])]))
    time = data.draw(st.sampled_from(parent.settled or [0]))
    changed = data.draw(st.sampled_from([child, parent]))
    times = [t for t in changed.settled if time <= t < time + parent.width]
    if not times or not child.state.coverage.covers(time, time + parent.width):
        return
    candle = changed.candles[times[0]]
    changed.candles[times[0]] = msgspec.structs.replace(candle, volume="123456.5")
    report = checked(lines)
    found = [f for f in report.findings if f.timeframe == parent.series.timeframe.value]
    assert (found[0].kind, found[0].start) == (Flaw.ROLLUP, time)
    assert found[0].remedy.count("livecache repair BTC-USD") == 2


@settings(max_examples=examples(300), deadline=None, derandomize=True, database=None)
@given(
    st.dictionaries(
        st.sampled_from([str(name) for name in FIELDS]),
        st.text(max_size=20) | st.integers(-2, 1 << 60).map(str) | st.just("1"),
    ),
    st.lists(
        st.tuples(
            st.binary(max_size=40) | st.integers().map(lambda n: b"[%d,1,1,1,1,1]" % n),
            st.floats(allow_nan=False),
        ),
        max_size=5,
    ),
    st.binary(max_size=30) | st.none(),
)
def test_nothing_that_lies_in_redis_makes_it_fail(
    fields: dict[str, str], members: list[tuple[bytes, float]], alive: bytes | None
) -> None:
    series = SeriesId("coinbase", "BTC-USD", M5)
    found = Inspected(series, "zset", "hash", fields, members, len(members), alive, "string")
    check = Check(KEYS)
    check.take_symbol([found, replace(found, series=SeriesId("coinbase", "BTC-USD", Timeframe.H1))])
    report = check.report(checked_at="now")
    assert "\n".join(as_text(report))
    assert msgspec.json.decode(as_json(report), type=Report) == report
    for table in TABLES:
        as_csv(report, table)


def gapped(buckets: int, *, claimed: bool = False) -> Line:
    """Twenty settled buckets, a gap of so many, and twenty more up to the last that closed."""
    line = sound_line(40 + buckets)
    gap = START + 20 * W, START + (20 + buckets) * W
    line.candles = {t: c for t, c in line.candles.items() if not gap[0] <= t < gap[1]}
    line.state = replace(
        line.state,
        coverage=line.state.coverage.remove(*gap),
        contiguous_from=START if claimed else gap[1],
        settled_through=gap[0] if claimed else line.state.settled_through,
    )
    if claimed:
        line.extra["count"] = str(len(line.candles) + buckets)
    return line


@pytest.mark.parametrize(("buckets", "threshold", "found"), [(1, 1, True), (3, 3, True), (3, 4, False)])
def test_a_gap_as_long_as_the_threshold_is_reported(buckets: int, threshold: int, found: bool) -> None:
    report = checked([gapped(buckets)], gap_buckets=threshold)
    assert [(gap.start, gap.end, gap.buckets) for gap in report.gaps] == found * [
        (START + 20 * W, START + (20 + buckets) * W, buckets)
    ]
    assert report.clean is not found
    (line,) = report.series
    assert (line.settled, line.missing, line.gaps) == (40, buckets, int(found)), "counted in any case"
    assert line.coverage_percent == round(100 * 40 / (40 + buckets), 2)


def test_a_gap_that_the_state_calls_known_is_said_to_be_so() -> None:
    (gap,) = checked([gapped(2, claimed=True)]).gaps
    assert gap.claimed
    assert not checked([gapped(2)]).gaps[0].claimed


def test_the_hundred_largest_gaps_are_listed_and_all_are_counted() -> None:
    line = sound_line(2_000)
    for n in range(150):
        start = START + (10 * n + 5) * W
        end = start + (1 + n % 3) * W
        line.state = replace(line.state, coverage=line.state.coverage.remove(start, end))
        line.candles = {t: c for t, c in line.candles.items() if not start <= t < end}
    line.state = replace(line.state, contiguous_from=START + 1_900 * W)
    report = checked([line])
    assert (len(report.gaps), report.gaps_in_all) == (100, 150)
    rows = list(csv.DictReader(io.StringIO(as_csv(report, "gaps"))))
    assert [row["buckets"] for row in rows] == 50 * ["3"] + 50 * ["2"]
    assert moment_of("--from", rows[0]["from"]) == int(rows[0]["start"])


def test_a_bucket_that_closed_just_now_is_pending_and_later_it_is_a_gap() -> None:
    line = sound_line(20)
    last = START + 19 * W
    del line.candles[last]
    line.state = replace(
        line.state, known_through=last, settled_through=last, coverage=Coverage([(START, last)])
    )
    assert checked([line]).clean and checked([line]).series[0].pending == 1
    line.now += 600_000
    report = checked([line])
    assert kinds(report) == {Flaw.GAP} and report.series[0].pending == 0


def test_a_proven_empty_bucket_is_no_gap() -> None:
    line = sound_line(20)
    for n in (3, 4, 9):
        del line.candles[START + n * W]
    report = checked([line])
    assert report.clean
    assert (report.series[0].empty, report.series[0].coverage_percent) == (3, 100.0)


def test_a_thousand_findings_of_a_kind_are_told_in_bounds() -> None:
    line = sound_line(1_000)
    line.members = [(b"rubbish", score) for _, score in line.stored()]
    found = checked([line]).findings
    assert len(found) == FINDINGS_A_KIND_MAX + 1
    assert found[-1].message == f"and {1_000 - FINDINGS_A_KIND_MAX} more of this kind"


def test_the_remedies_name_one_repair_a_series_over_all_that_is_damaged() -> None:
    lines = [sound_line(100), sound_line(30, Timeframe.D1)]
    for n in (7, 20):
        lines[0].candles[START + n * W] = ExactCandle(START + n * W, "1", "1", "1", "2", "1")
    lines[1].extra["count"] = "3"
    assert checked(lines).remedies == [
        f"livecache repair BTC-USD 5m --from {iso(START + 7 * W)} --to {iso(START + 21 * W)}",
        "livecache repair BTC-USD 1d --all",
    ]


def test_nobody_vouching_and_another_origin_are_notes_that_leave_it_clean() -> None:
    line = sound_line(20)
    line.other["alive"] = None
    check = Check(KEYS, Rules(origin="http://elsewhere"))
    check.take_symbol([line.found()])
    report = check.report(checked_at="now")
    assert report.clean
    assert [note.kind for note in report.advice] == [Flaw.UNVOUCHED, Flaw.ORIGIN]
    assert ORIGIN in report.advice[1].message


# --- keys


def shared(*members: str, **types: str) -> Shared:
    expected = {KEYS.series: "set", KEYS.feed: "hash", KEYS.closes: "stream", KEYS.lease: "string"}
    return Shared({**expected, **types}, expected, members, None)


def test_keys_that_are_nobodys_are_told_apart_from_those_left_over() -> None:
    check = Check(KEYS)
    announced = check.take_shared(shared("BTC-USD:5m", "BTC-USD:1h", "rubbish", ":", "A{B:5m"))
    assert announced == [SeriesId("coinbase", "BTC-USD", t) for t in (M5, Timeframe.H1)]
    assert [f.kind for f in check.findings] == 3 * [Flaw.STATE]
    names = [
        *(KEYS.series, KEYS.feed, KEYS.closes, KEYS.lease),
        *(KEYS.candles("BTC-USD", M5), KEYS.state("BTC-USD", M5), KEYS.alive("BTC-USD")),
        *(KEYS.candles("OLD-USD", M5), KEYS.state("OLD-USD", M5), KEYS.alive("OLD-USD")),
        "livecache:{kraken:BTC-USD}:5m",  # another venue's
        "livecache:{coinbase:BTC-USD}:9m",
        "livecache:\x1b[31mmine",
    ]
    check.findings.clear()
    check.take_names(names, announced)
    assert [(f.kind, f.symbol, f.timeframe) for f in check.findings] == [
        (Flaw.LEFTOVER, "OLD-USD", "5m"),
        (Flaw.UNKNOWN_KEY, "", ""),
        (Flaw.UNKNOWN_KEY, "", ""),
    ]
    assert "\x1b" not in "".join(f.message for f in check.findings), "a name cannot command a terminal"
    assert check.report(checked_at="now").clean, "others may keep what they like beside ours"


def test_a_shared_key_of_another_type_is_a_finding() -> None:
    check = Check(KEYS)
    check.take_shared(shared(**{KEYS.closes: "string"}))
    (finding,) = check.findings
    assert finding.kind is Flaw.FOREIGN and KEYS.closes in finding.message


def test_a_servers_settings_are_advice_with_the_command_that_mends_them() -> None:
    check = Check(KEYS)
    check.take_settings(
        {"zset-max-listpack-value": "64", "maxmemory-policy": "allkeys-lru", "maxmemory": "1000"}
    )
    report = check.report(checked_at="now")
    assert report.clean
    assert [note.remedy for note in report.advice] == [
        "livecache redis CONFIG SET zset-max-listpack-value 128",
        "livecache redis CONFIG SET maxmemory-policy noeviction",
    ]
    check = Check(KEYS)
    check.take_settings(dict.fromkeys(("zset-max-listpack-value", "maxmemory-policy"), None))
    assert check.findings == []


# --- how it is told


def test_the_text_names_what_was_found_and_ends_with_a_verdict() -> None:
    lines = list(as_text(checked([gapped(2)])))
    assert lines[0].split()[:2] == ["SERIES", "CANDLES"]
    assert lines[1].startswith("BTC-USD 5m ")
    span = f"--from {iso(START + 20 * W)} --to {iso(START + 22 * W)}"
    assert f"  livecache repair BTC-USD 5m {span}" in lines
    assert lines[-1].endswith("1 gap")
    assert list(as_text(checked([sound_line(5)])))[-1].endswith("clean")


def test_many_findings_of_a_series_are_one_line_and_each_by_itself_on_request() -> None:
    line = sound_line(400)
    for n in range(110):
        start = START + (3 * n + 5) * W
        line.state = replace(line.state, coverage=line.state.coverage.remove(start, start + (1 + n % 2) * W))
        line.candles = {t: c for t, c in line.candles.items() if t in line.state.coverage}
    line.state = replace(line.state, contiguous_from=START + 398 * W)
    report = checked([line])
    largest = next(gap for gap in report.gaps if gap.buckets == 2)
    told = [text for text in as_text(report) if text.startswith("gap: ")]
    assert told[0].startswith("gap: BTC-USD 5m: ")
    assert "165 buckets, the largest from" not in told[0], "the hundred largest are told one by one"
    assert f"the largest from {iso(largest.start)} to {iso(largest.end)}" in told[0]
    assert len(told) == 1
    every = [text for text in as_text(report, verbose=True) if text.startswith("gap: ")]
    assert len(every) == len(report.findings) > 100


def test_json_and_csv_hold_every_finding() -> None:
    line = sound_line(200)
    line.members = [(b"rubbish", score) for _, score in line.stored()]
    report = checked([line])
    told = json.loads(as_json(report))
    rows = list(csv.DictReader(io.StringIO(as_csv(report, "findings"))))
    assert len(told["findings"]) == len(rows) == FINDINGS_A_KIND_MAX + 1
    assert told["clean"] is False
    assert [row["message"] for row in rows] == [finding["message"] for finding in told["findings"]]


@given(st.integers(0, 253_402_300_799_999))
def test_a_moment_that_is_told_is_a_moment_that_a_command_takes(time: int) -> None:
    assert moment_of("--from", iso(time)) == time


def test_the_page_on_checking_explains_every_kind_of_finding() -> None:
    page = (Path(__file__).parents[2] / "docs" / "checking.md").read_text(encoding="utf-8")
    assert [kind.value for kind in Flaw if f"`{kind.value}`" not in page] == []
