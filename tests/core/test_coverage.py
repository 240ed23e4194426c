"""Coverage is a set of buckets: its algebra is checked against Python's own sets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.model.coverage import Coverage, Span

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6)
edge = st.integers(-5, 65)


def points(coverage: Coverage) -> set[int]:
    return {t for start, end in coverage for t in range(start, end)}


def model(raw: list[tuple[int, int]]) -> set[int]:
    return {t for start, end in raw for t in range(start, end)}


@settings(deadline=None)
@given(spans)
def test_spans_are_disjoint_sorted_and_never_empty_or_adjacent(raw: list[tuple[int, int]]) -> None:
    coverage = Coverage(raw)
    assert points(coverage) == model(raw)
    assert all(s.start < s.end for s in coverage)
    assert all(a.end < b.start for a, b in zip(coverage.spans, coverage.spans[1:], strict=False))


@settings(deadline=None)
@given(spans, edge, edge)
def test_adding_removing_and_clipping_are_set_operations(
    raw: list[tuple[int, int]], start: int, end: int
) -> None:
    coverage, span = Coverage(raw), set(range(start, end))
    assert points(coverage.add(start, end)) == model(raw) | span
    assert points(coverage.remove(start, end)) == (model(raw) - span if start < end else model(raw))
    assert points(coverage.clip(start, end)) == model(raw) & span


@settings(deadline=None)
@given(spans, spans)
def test_union_and_difference_are_set_operations(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    assert points(Coverage(a) | Coverage(b)) == model(a) | model(b)
    assert points(Coverage(a).without(Coverage(b))) == model(a) - model(b)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 9)), max_size=60),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 9)), max_size=60),
)
def test_the_difference_of_many_spans_is_what_removing_each_of_them_leaves(
    a: list[tuple[int, int]], b: list[tuple[int, int]]
) -> None:
    held, less = (Coverage((start, start + length) for start, length in each) for each in (a, b))
    one_by_one = held
    for start, end in less:
        one_by_one = one_by_one.remove(start, end)
    assert held.without(less) == one_by_one
    assert less.missing(20, 280) == Coverage([(20, 280)]).without(less)


@settings(deadline=None)
@given(spans, edge, edge)
def test_what_is_missing_and_what_is_covered_complete_each_other(
    raw: list[tuple[int, int]], start: int, end: int
) -> None:
    coverage = Coverage(raw)
    missing = coverage.missing(start, end)
    assert points(missing) == set(range(start, end)) - model(raw)
    assert coverage.covers(start, end) == (not missing)


@settings(deadline=None)
@given(spans, edge)
def test_a_time_lies_in_a_span_exactly_if_it_is_covered(raw: list[tuple[int, int]], time: int) -> None:
    coverage = Coverage(raw)
    span = coverage.span_of(time)
    assert (time in coverage) == (span is not None) == (time in model(raw))
    if span is not None:
        assert span.start <= time < span.end


def test_equal_coverage_is_equal_however_it_came_about() -> None:
    assert Coverage([(0, 5), (5, 9)]) == Coverage([(0, 9)]) == Coverage().add(4, 9).add(0, 5)
    assert Coverage([(0, 5)]).spans == (Span(0, 5),)


operation = st.tuples(st.sampled_from(["add", "remove", "clip", "without", "union"]), edge, edge)


@settings(deadline=None)
@given(spans, st.lists(operation, max_size=12), edge)
def test_any_chain_of_operations_is_a_chain_of_set_operations(
    raw: list[tuple[int, int]], chain: list[tuple[str, int, int]], time: int
) -> None:
    """The fast path of `add` included: what it grows must stay what the slow path would have made."""
    coverage, held = Coverage(raw), model(raw)
    for name, start, end in chain:
        span = set(range(start, end))
        match name:
            case "add":
                coverage, held = coverage.add(start, end), held | span
            case "remove":
                coverage, held = coverage.remove(start, end), held - span
            case "clip":
                coverage, held = coverage.clip(start, end), held & span
            case "without":
                coverage, held = coverage.without(Coverage([(start, end)])), held - span
            case _:
                coverage, held = coverage | Coverage([(start, end)]), held | span
        assert points(coverage) == held
        assert coverage == Coverage([(t, t + 1) for t in held]), "not as few spans as can be"
    found = coverage.span_of(time)
    assert (found is not None) == (time in held)
    if found is not None:
        assert set(range(*found)) <= held and found.start - 1 not in held and found.end not in held
