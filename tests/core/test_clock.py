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


def test_answers_that_nobody_bears_out_move_it_after_a_minute_of_them() -> None:
    made = clock()
    for second in range(60):
        made.confirm(T + 3_600_000 + second * 1000, 101.0 + second, wall_ms=T + second * 1000)
        assert (made.heard, made.doubted) == (T, True), "the host's clock says otherwise"
    made.confirm(T + 3_660_000, 161.0, wall_ms=T + 60_000)
    assert not made.doubted and made.now(161.0) >= T + 3_659_000


def test_two_answers_move_it_however_far_if_the_host_slept_so_long() -> None:
    made = clock()
    made.confirm(T + 3_600_000, 101.0, wall_ms=T + 3_599_000)
    made.confirm(T + 3_601_000, 102.0, wall_ms=T + 3_600_000)
    assert (made.heard, made.doubted) == (T + 3_600_000, False)


def test_two_answers_move_it_if_frames_say_so_as_well() -> None:
    made = clock()
    made.confirm(T + 3_600_000, 101.0)
    assert not made.hear(T + 3_600_500, 101.5)
    made.confirm(T + 3_601_000, 102.0)
    assert made.heard >= T + 3_600_000 and not made.doubted


def test_frames_that_go_on_from_where_they_were_refute_whatever_said_otherwise() -> None:
    made = clock()
    for second in range(1, 120, 2):
        made.confirm(T + 3_600_000 + second * 1000, 100.0 + second)
        assert made.hear(T + second * 1000 + 500, 100.5 + second) and not made.doubted
    assert made.now(220.0) < T + 130_000


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
