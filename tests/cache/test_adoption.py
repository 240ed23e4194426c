"""Adoption: what of an earlier run is believed, and why the rest is not."""

from __future__ import annotations

import asyncio
from typing import Any

import fakeredis
import pytest

from livecache.keys.keyspace import Keyspace, encode_state
from livecache.model.grid import EpochGrid, SessionGrid
from livecache.model.series import Stored
from livecache.writer.adoption import Adopted, LoadedSeries, judge, load

from .support import BTC, ETH, ORIGIN, STEP, T0, SyncAdapter, candle, state

KEYS = Keyspace()
SET, STATE = KEYS.candles(*BTC[1:]), KEYS.state(*BTC[1:])
NOW = T0 + 20 * STEP


def found(**other: Any) -> LoadedSeries:
    flat = encode_state(state(0, 9, 10, history_from=T0), origin=ORIGIN, fence=7, revision=3, updated_at=9)
    texts = [str(value) for value in flat]
    fields = dict(zip(texts[::2], texts[1::2], strict=True)) | {"count": "10"} | other
    return LoadedSeries(fields, [(candle(n).member().encode(), float(candle(n).time)) for n in range(10)])


def test_what_an_earlier_run_left_is_believed_with_its_digits_and_its_coverage() -> None:
    stored = judge(BTC, found(), origin=ORIGIN, now=NOW)
    assert isinstance(stored, Stored)
    assert stored.candles == tuple(candle(n) for n in range(10))
    assert stored.coverage.spans == ((T0, T0 + 9 * STEP),)
    assert stored.history_from == T0


@pytest.mark.parametrize(
    ("behind_ms", "known"), [(-STEP, 10), (0, 10), (1, 10), (4_999, 10), (5_001, 9), (STEP - 1, 9)]
)
def test_a_clock_that_is_a_little_behind_takes_nothing_back(behind_ms: int, known: int) -> None:
    """Just after a close the one that comes may not have it yet: what is in progress is no lie for that."""
    closed = T0 + 10 * STEP
    stored = judge(BTC, found(), origin=ORIGIN, now=closed - behind_ms)
    assert isinstance(stored, Stored)
    assert stored.known == (T0, T0 + known * STEP)
    more = found(count="11")
    more = LoadedSeries(more.fields, [*more.members, (candle(10).member().encode(), float(candle(10).time))])
    with_the_next = judge(BTC, more, origin=ORIGIN, now=closed - behind_ms)
    assert isinstance(with_the_next, Stored) is (behind_ms <= 5_000), "the one in progress may be ahead too"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"schema": "2"}, "schema"),
        ({"origin": "http://127.0.0.1:9000"}, "127.0.0.1"),
        ({"origin": ""}, "nowhere"),
        ({"coverage": f"[[{T0},{NOW + STEP}]]"}, "ahead of the venue's clock"),
        ({"coverage": "oops"}, "coverage"),
        ({"count": "11"}, "10 members and its state says 11"),
    ],
)
def test_a_state_that_does_not_hold_is_refused_with_its_reason(other: dict[str, str], reason: str) -> None:
    verdict = judge(BTC, found(**other), origin=ORIGIN, now=NOW)
    assert isinstance(verdict, str) and reason in verdict


@pytest.mark.parametrize(
    ("member", "time", "reason"),
    [
        (b"[1]", T0, "damaged"),
        (candle(0).member().encode(), T0 + STEP, "lies at"),
        (candle(1, close="91").member().encode(), T0 + STEP, "two members"),
        (candle(21).member().encode(), T0 + 21 * STEP, "ahead of the venue's clock"),
    ],
)
def test_one_unbelievable_member_refuses_the_series(member: bytes, time: int, reason: str) -> None:
    good = found(count="11")
    members = sorted([*good.members, (member, float(time))], key=lambda pair: pair[1])
    verdict = judge(BTC, LoadedSeries(good.fields, members), origin=ORIGIN, now=NOW)
    assert isinstance(verdict, str) and reason in verdict


def loaded(fake: Any) -> Adopted:
    return asyncio.run(load(SyncAdapter(fake), KEYS, [BTC, ETH], origin=ORIGIN, now=NOW))


def put(fake: Any, what: LoadedSeries) -> None:
    fake.hset(STATE, mapping=dict(what.fields))
    fake.zadd(SET, dict(what.members))


def test_an_empty_redis_has_nothing_to_adopt_and_nothing_to_refuse() -> None:
    with fakeredis.FakeRedis() as fake:
        assert loaded(fake) == Adopted((), {}, 0)


def test_a_series_is_loaded_from_redis() -> None:
    with fakeredis.FakeRedis() as fake:
        put(fake, found())
        adopted = loaded(fake)
        assert [s.series for s in adopted.stored] == [BTC]
        assert adopted.stored[0].candles[-1] == candle(9)


def test_damaged_members_are_counted_and_the_series_starts_empty() -> None:
    with fakeredis.FakeRedis() as fake:
        put(fake, found(count="12"))
        fake.zadd(SET, {"junk": T0 - STEP, "[1,2]": T0 - 2 * STEP})
        adopted = loaded(fake)
        assert adopted.stored == () and adopted.rejected == 2
        assert "damaged" in adopted.refused[BTC]


def test_members_are_counted_as_damaged_by_the_grid_of_the_venue() -> None:
    half = EpochGrid(STEP, STEP // 2)
    with fakeredis.FakeRedis() as fake:
        put(fake, found(count="12"))
        reading = load(SyncAdapter(fake), KEYS, [BTC], origin=ORIGIN, now=NOW, grid=lambda _: half)
        assert asyncio.run(reading).rejected == 10, "none of them opens there"


def test_a_set_without_its_state_and_a_key_of_another_type_are_refused() -> None:
    with fakeredis.FakeRedis() as fake:
        put(fake, found())
        fake.delete(STATE)
        fake.set(KEYS.candles(*ETH[1:]), "precious")
        adopted = loaded(fake)
        assert "schema" in adopted.refused[BTC] and "string" in adopted.refused[ETH]


def test_times_that_lie_outside_of_their_sessions_are_a_reason_and_no_end() -> None:
    sessions = SessionGrid((T0 + STEP,), (T0 + 8 * STEP,), STEP)
    damaged = found(grid=sessions.text(T0 + STEP, T0 + 8 * STEP))
    for verdict in (
        judge(BTC, damaged, origin=ORIGIN, now=NOW),
        judge(BTC, found(), origin=ORIGIN, now=NOW, grid=sessions),
    ):
        assert isinstance(verdict, str) and "not all of its times lie on its grid" in verdict


def test_what_lies_on_another_grid_than_the_venues_is_not_taken_over() -> None:
    verdict = judge(BTC, found(), origin=ORIGIN, now=NOW, grid=EpochGrid(STEP, STEP // 2))
    assert verdict == "its buckets do not lie where the venue's do"


@pytest.mark.parametrize("more", [True, False], ids=["a session more", "a session less"])
def test_a_session_that_an_earlier_runs_calendar_did_not_know_is_not_taken_for_empty(more: bool) -> None:
    short = SessionGrid((T0, T0 + 12 * STEP), (T0 + 10 * STEP, T0 + 20 * STEP), STEP)
    long = SessionGrid(
        (T0, T0 + 10 * STEP, T0 + 12 * STEP), (T0 + 10 * STEP, T0 + 11 * STEP, T0 + 20 * STEP), STEP
    )
    before, now = (short, long) if more else (long, short)
    coverage = f"[[{T0},{T0 + 14 * STEP}]]"
    left = found(coverage=coverage, known_through=str(T0 + 14 * STEP), grid=before.text(T0, NOW))
    assert isinstance(judge(BTC, left, origin=ORIGIN, now=NOW, grid=before), Stored)
    assert judge(BTC, left, origin=ORIGIN, now=NOW, grid=now) == "its buckets do not lie where the venue's do"
