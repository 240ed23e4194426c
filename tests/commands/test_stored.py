"""What each bucket is worth, as people are shown it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livecache.commands.look.stored import BucketKind, buckets_of
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesState
from livecache.model.timeframe import Timeframe

STEP = Timeframe.M5.ms
FIRST = 1_760_000_100_000 // STEP * STEP
K = BucketKind


def at(position: int) -> int:
    return FIRST + position * STEP


def member(position: int) -> tuple[bytes, float]:
    return f"[{at(position)},1,2,1,2,5]".encode(), at(position)


def state(*spans: tuple[int, int], known: int, closed: int, forming: int = 0) -> SeriesState:
    """Positions, not times."""
    return SeriesState(
        ready=True,
        reason="",
        contiguous_from=at(spans[-1][0]),
        settled_through=at(spans[-1][1]),
        known_through=at(known),
        closed_through=at(closed),
        coverage=Coverage([(at(a), at(b)) for a, b in spans]),
        history_from=0,
        forming=at(forming) if forming else 0,
    )


def kinds(
    state: SeriesState | None, members: list[tuple[bytes, float]], count: int = 100
) -> list[BucketKind]:
    return [bucket.kind for bucket in buckets_of(state, members, Timeframe.M5, count)]


def test_each_bucket_is_called_what_it_is() -> None:
    stored = state((0, 2), (3, 6), known=8, closed=9, forming=9)
    members = [member(i) for i in (0, 3, 5, 6, 8, 9)]
    assert kinds(stored, members) == [
        K.SETTLED,
        K.EMPTY,
        K.MISSING,  # between the spans
        K.SETTLED,
        K.EMPTY,
        K.SETTLED,
        K.PROVISIONAL,
        K.PROVISIONAL,  # the feed was unbroken, and nothing came
        K.UNVOUCHED,
        K.FORMING,
    ]


def test_what_has_closed_and_is_not_known_is_missing() -> None:
    assert kinds(state((0, 1), known=1, closed=3), [member(0)]) == [K.SETTLED, K.MISSING, K.MISSING]


def test_a_member_that_is_no_candle_is_damage() -> None:
    stored = state((0, 2), known=2, closed=2)
    assert kinds(stored, [member(0), (b"[1,2]", at(1))]) == [K.SETTLED, K.DAMAGED]


def test_without_a_state_nobody_answers_for_anything() -> None:
    assert kinds(None, [member(0), member(2)]) == [K.UNVOUCHED, K.MISSING, K.UNVOUCHED]
    assert kinds(None, []) == []


@given(
    st.sets(st.integers(-5, 40)),
    st.integers(1, 30),
    st.integers(0, 20),
    st.integers(0, 5),
    st.integers(1, 50),
)
def test_the_buckets_are_the_newest_without_a_gap(
    positions: set[int], settled: int, provisional: int, unknown: int, count: int
) -> None:
    known = settled + provisional
    stored = state((0, settled), known=known, closed=known + unknown)
    buckets = buckets_of(stored, [member(i) for i in sorted(positions)], Timeframe.M5, count)
    times = [bucket.time for bucket in buckets]
    assert len(times) <= count
    assert times == list(range(times[0], times[0] + len(times) * STEP, STEP))
    assert times[-1] in (at(known + unknown - 1), at(known + unknown)), (
        "the last closed, or the one in progress"
    )
    for bucket in buckets:
        there = (bucket.time - FIRST) // STEP in positions
        assert (bucket.candle is not None) == there
        assert (bucket.kind is K.SETTLED) == (there and at(0) <= bucket.time < at(settled))
        if bucket.kind in (K.EMPTY, K.MISSING):
            assert not there
