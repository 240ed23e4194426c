"""The venue's clock hears, advances and doubts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.model.clock import VenueClock

T = 1_770_000_000_000


def clock() -> VenueClock:
    made = VenueClock()
    made.confirm(T, 100.0)
    return made


def test_nothing_is_known_before_the_venue_was_heard() -> None:
    made = VenueClock()
    assert made.now(100.0) == 0
    assert not made.hear(T, 100.0), "a frame's stamp alone is not believed"
    assert made.doubted


def test_now_runs_on_while_heard_stands() -> None:
    made = clock()
    assert made.now(107.5) == T + 7_500
    assert made.heard == T


def test_an_older_stamp_never_turns_the_clock_back() -> None:
    made = clock()
    assert made.hear(T - 5_000, 101.0)
    assert (made.heard, made.now(102.0)) == (T, T + 2_000)


def test_an_implausible_stamp_counts_only_once_the_venue_confirms_it() -> None:
    made = clock()
    assert not made.hear(T + 61_001, 101.0 - 1)
    assert (made.heard, made.doubted) == (T, True)
    made.confirm(T + 61_001, 101.0)
    assert (made.heard, made.doubted) == (T + 61_001, False)


def test_one_wrong_answer_of_the_venue_does_not_move_the_clock() -> None:
    made = clock()
    made.confirm(T + 3_600_000, 101.0)
    assert (made.heard, made.doubted) == (T, True)
    made.confirm(T + 2_000, 102.0)
    assert (made.heard, made.doubted) == (T + 2_000, False)


def test_two_answers_in_a_row_move_it_however_far() -> None:
    made = clock()
    made.confirm(T + 3_600_000, 101.0)
    made.confirm(T + 3_601_000, 102.0)
    assert (made.heard, made.doubted) == (T + 3_600_000, False)


def test_a_market_that_runs_faster_is_followed_stamp_by_stamp() -> None:
    made = clock()
    for second in range(1, 60):
        assert made.hear(T + second * 59_000, 100.0 + second)
    assert made.heard == T + 59 * 59_000


heard = st.tuples(st.sampled_from(["hear", "confirm"]), st.integers(-120_000, 200_000), st.floats(0, 30))


@settings(deadline=None)
@given(st.lists(heard, max_size=20))
def test_whatever_is_heard_the_clock_never_goes_back_and_never_runs_ahead_of_two_sources(
    stamps: list[tuple[str, int, float]],
) -> None:
    """A stamp far ahead moves it only if another source agrees; `now` never lies before `heard`."""
    made, at_s, real = clock(), 100.0, T
    told = [T]
    for how, off, passed_s in stamps:
        at_s += passed_s
        real += int(passed_s * 1000)
        before, now = made.heard, made.now(at_s)
        (made.hear if how == "hear" else made.confirm)(real + off, at_s)
        assert before <= made.heard <= made.now(at_s)
        if made.heard > now + 60_000:
            assert how == "confirm" and made.heard <= max(told), "one source alone has moved the clock"
        told.append(real + off)
