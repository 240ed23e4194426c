"""Following many series at once: over two connections, and one that cannot be read ends nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import fakeredis
import pytest

from livecache import AsyncReader, Candles, Reader, RedisUnavailable, Stale, UnknownSeries
from livecache.keys.keyspace import Keyspace
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.read.orders import AGAIN_MOST_S, REREAD_S, Listen, Patience, Pause, Subscribe, follow_many
from livecache.read.reading import Core

from ..e2e.support import until
from .either import either
from .support import BTC, ETH, STEP, T0, state
from .test_follow import Hands, hint, listeners
from .test_reader import ALIVE, KEYS, put

WANTED = [("BTC-USD", "5m", 4), ("ETH-USD", "5m", 3)]
SERIES = [SeriesId("coinbase", f"S{number:03}-USD", Timeframe.M5) for number in range(500)]
SYMBOLS = [series.symbol for series in SERIES]


def connections(store: Any) -> int:
    """How many others are connected."""
    return len(store.client_list()) - 1


def put_both(client: Any, known: int) -> None:
    for series in (BTC, ETH):
        put(client, state(0, known, known), range(known), series=series)


def put_all(client: Any, known: int) -> None:
    for series in SERIES:
        put(client, state(known - 3, known, known), range(known - 3, known), series=series)


def first(answers: Iterator[Any], count: int) -> dict[SeriesId, Any]:
    return dict(next(answers) for _ in range(count))


def test_each_series_comes_at_once_and_again_when_it_has_changed(
    kind: str, clean_valkey: str, store: Any
) -> None:
    put_both(store, 10)
    with either(kind, clean_valkey) as reader, closing(reader.follow_many(WANTED)) as answers:
        given = first(answers, 2)
        assert {series: len(candles) for series, candles in given.items()} == {BTC: 4, ETH: 3}
        put(store, state(0, 11, 11), range(11), series=ETH)
        hint(store, 10, series=ETH)
        began = time.monotonic()
        series, candles = next(answers)
        assert (series, candles[-1].time) == (ETH, T0 + 10 * STEP)
        assert time.monotonic() - began < REREAD_S, "by the hint, not by chance"


def test_one_that_cannot_be_read_is_told_and_ends_nothing(kind: str, clean_valkey: str, store: Any) -> None:
    put_both(store, 10)
    asked = [*WANTED, ("SOL-USD", "5m", 2)]
    with either(kind, clean_valkey) as reader, closing(reader.follow_many(asked, patience=0)) as answers:
        given = first(answers, 3)
        sol = SeriesId("coinbase", "SOL-USD", Timeframe.M5)
        assert isinstance(given[sol], UnknownSeries)
        store.delete(ALIVE)
        hint(store, 9)
        series, error = next(answers)
        assert series == BTC and isinstance(error, Stale)
        put(store, state(0, 10, 10), range(10), series=BTC)
        hint(store, 9)
        series, candles = next(answers)
        assert series == BTC and len(candles) == 4, "what was given before the trouble is given after it"


def test_a_hint_is_a_reason_to_read_and_nothing_else(kind: str, clean_valkey: str, store: Any) -> None:
    put_both(store, 10)
    with either(kind, clean_valkey) as reader, closing(reader.follow_many(WANTED)) as answers:
        first(answers, 2)
        hint(store, 99)  # of a candle that is nowhere
        store.publish(KEYS.updates(*BTC[1:]), b"\xff\x00 what somebody else says")
        put(store, state(0, 11, 11), range(11), series=BTC)
        hint(store, 10)
        _, candles = next(answers)
        assert [candle.time for candle in candles] == [T0 + n * STEP for n in range(7, 11)]


def test_what_changed_while_the_subscription_was_broken_is_read(
    kind: str, clean_valkey: str, store: Any
) -> None:
    put_both(store, 10)
    with either(kind, clean_valkey) as reader, closing(reader.follow_many(WANTED)) as answers:
        first(answers, 2)
        put_both(store, 11)  # and nobody says so
        store.client_kill_filter(_type="pubsub")
        began = time.monotonic()
        given = first(answers, 2)
        assert {candles[-1].time for candles in given.values()} == {T0 + 10 * STEP}
        assert time.monotonic() - began < REREAD_S, "by the renewed subscription, not by chance"


def test_five_hundred_series_are_followed_over_two_connections(
    kind: str, clean_valkey: str, store: Any
) -> None:
    put_all(store, 10)
    before = connections(store)
    with (
        either(kind, clean_valkey) as reader,
        closing(reader.follow_many(SYMBOLS, "5m", 3)) as answers,
    ):
        assert set(first(answers, 500)) == set(SERIES)
        assert connections(store) - before <= 2
        put_all(store, 11)
        for series in SERIES:
            hint(store, 10, series=series)
        assert {c[-1].time for c in first(answers, 500).values()} == {T0 + 10 * STEP}
        assert connections(store) - before <= 2


def test_five_hundred_who_follow_one_each_share_them(clean_valkey: str, store: Any) -> None:
    put_all(store, 10)
    before = connections(store)
    newest: dict[SeriesId, int] = {}
    most = 0

    async def follow_on(reader: AsyncReader, series: SeriesId) -> None:
        async for candles in reader.follow(series.symbol, series.timeframe, 3):
            newest[series] = candles[-1].time

    async def all_have(known: int) -> None:
        nonlocal most
        async with asyncio.timeout(60):
            while len(newest) < 500 or set(newest.values()) != {T0 + (known - 1) * STEP}:
                most = max(most, connections(store) - before)
                await asyncio.sleep(0.02)

    async def main() -> None:
        async with AsyncReader(clean_valkey) as reader, asyncio.TaskGroup() as tasks:
            followers = [tasks.create_task(follow_on(reader, one), name=one.symbol) for one in SERIES]
            await all_have(10)
            put_all(store, 11)
            for series in SERIES:
                hint(store, 10, series=series)
            await all_have(11)
            for follower in followers[1:]:
                follower.cancel()
            until("one listens on", lambda: listeners(store) == 0)
            put(store, state(9, 12, 12), range(9, 12), series=SERIES[0])
            hint(store, 11, series=SERIES[0])
            async with asyncio.timeout(60):
                while newest[SERIES[0]] != T0 + 11 * STEP:
                    await asyncio.sleep(0.02)
            followers[0].cancel()

    asyncio.run(main())
    assert most <= 2
    until("nobody is connected any more", lambda: connections(store) == before)


def test_threads_that_follow_share_one_connection_and_none_waits_for_another(
    clean_valkey: str, store: Any
) -> None:
    """The first of them is given an answer, and does not come back for a long time."""
    followed = SERIES[:20]

    def all_have(known: int) -> None:
        for series in followed:
            put(store, state(0, known, known), range(known), series=series)

    def through(answers: Any) -> int:
        return int(next(answers).known_through - T0) // STEP

    all_have(10)
    with Reader(clean_valkey) as reader, ThreadPoolExecutor(20) as threads:
        slow, *others = (reader.follow(series.symbol, series.timeframe, 3) for series in followed)
        assert through(slow) == 10 and {*threads.map(through, others)} == {10}
        for known in (11, 12):
            coming = [threads.submit(through, answers) for answers in others]
            all_have(known)
            for series in followed:
                hint(store, known - 1, series=series)
            assert {one.result(60) for one in coming} == {known}
            assert len(store.client_list(_type="pubsub")) == 1
        store.client_kill_filter(_type="pubsub")
        all_have(13)
        began = time.monotonic()
        assert {*threads.map(through, others)} == {13}
        assert time.monotonic() - began < REREAD_S, "by the renewed subscription, not by chance"
        for answers in others:
            answers.close()
        assert through(slow) == 13
        until("nobody else is subscribed", lambda: len(store.pubsub_channels()) == 1)
        slow.close()
        until("nobody is", lambda: not store.client_list(_type="pubsub"))


def test_each_who_follows_is_given_its_own_candles(clean_valkey: str, store: Any) -> None:
    followed = SERIES[:60]
    for n, series in enumerate(followed):
        put(store, state(n, n + 5, n + 5), range(n, n + 5), series=series)
    given: dict[SeriesId, Candles] = {}

    async def follow_on(reader: AsyncReader, series: SeriesId) -> None:
        answers = reader.follow(series.symbol, series.timeframe, 3)
        given[series] = await anext(answers)
        await answers.aclose()

    async def main() -> None:
        async with AsyncReader(clean_valkey) as reader, asyncio.TaskGroup() as tasks:
            for series in followed:
                tasks.create_task(follow_on(reader, series), name=series.symbol)

    asyncio.run(main())
    assert {series: candles.series for series, candles in given.items()} == {s: s for s in followed}
    assert {series: candles[-1].time for series, candles in given.items()} == {
        series: T0 + (n + 4) * STEP for n, series in enumerate(followed)
    }


def test_who_comes_and_goes_takes_no_hint_from_the_others(clean_valkey: str, store: Any) -> None:
    put_both(store, 10)

    async def main() -> None:
        async with AsyncReader(clean_valkey) as reader:
            answers = reader.follow("BTC-USD", "5m", 4)
            await anext(answers)
            for known in (11, 12, 13):
                passing = reader.follow_many(WANTED)
                await anext(passing)
                await passing.aclose()
                put(store, state(0, known, known), range(known), series=BTC)
                hint(store, known - 1)
                async with asyncio.timeout(REREAD_S - 1):
                    assert (await anext(answers)).known_through == T0 + known * STEP
            await answers.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "no series is asked for"),
        (("BTC-USD", "5m", 4), "a list of series or of symbols"),
        ((["BTC-USD"],), r"\(symbol, timeframe, count\) is asked for"),
        (([("BTC-USD", "5m")],), r"\(symbol, timeframe, count\) is asked for"),
        (([("BTC-USD", "5m", 4)], "5m", 4), "a list of symbols is asked for"),
        ((["BTC-USD"], None, 4), r"\(symbol, timeframe\) is asked for"),
        ((["BTC-USD"], "5m", 0), "count is a number from 1"),
        ((None,), "a list of series"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(arguments: Any, message: str) -> None:
    with fakeredis.FakeRedis() as client, pytest.raises(ValueError, match=message):
        Reader(client=client).follow_many(*arguments)


# --- what is decided, without a socket and without waiting


class ManyHands(Hands):
    """The same of several series."""

    def begin(self, patience: float) -> None:
        core = Core(Keyspace(), 600)
        requests = core.requests(WANTED, None, None, None, {})
        waits = Patience(patience, now=lambda: self.now, jitter=lambda: 1.0)
        self.orders = follow_many(core, requests, waits)


@pytest.fixture
def hands() -> Iterator[ManyHands]:
    with fakeredis.FakeRedis() as client:
        put_both(client, 10)
        hands = ManyHands(client)
        hands.begin(10)
        yield hands


def given(hands: ManyHands) -> list[tuple[SeriesId, object]]:
    """What is given before the next time that it listens."""
    told = []
    while not isinstance(order := hands.step(), Listen):
        if hasattr(order, "value"):
            told.append(order.value)
    return told


def test_only_what_had_a_hint_is_read_again(hands: ManyHands) -> None:
    assert [series for series, _ in given(hands)] == [BTC, ETH]
    hands.noted.clear()
    hands.answer = {KEYS.updates(*ETH[1:])}
    put_both(hands.client, 11)
    assert [series for series, _ in given(hands)] == [ETH]
    assert sum(len(order) for order in hands.noted if isinstance(order, list)) == 1
    hands.now += REREAD_S
    assert [series for series, _ in given(hands)] == [BTC], "and what had none, in the end"


def test_an_error_is_told_once_it_has_lasted_and_only_once(hands: ManyHands) -> None:
    given(hands)
    hands.client.delete(ALIVE)
    told = []
    for _ in range(40):
        hands.now += AGAIN_MOST_S
        told += [(series, type(outcome), hands.now) for series, outcome in given(hands)]
    (one,) = told
    assert one[:2] == (BTC, Stale) and 10 <= one[2] <= 10 + 5 + 3 * AGAIN_MOST_S


def away(hands: ManyHands) -> None:
    """Redis cannot be reached; after a pause it is tried again."""
    assert isinstance(hands.step(RedisUnavailable("gone")), Pause)
    assert isinstance(hands.step(), Subscribe)


def test_redis_may_be_away_for_the_patience_and_that_counts_for_every_series(hands: ManyHands) -> None:
    given(hands)
    for _ in range(10):
        away(hands)
        hands.now += 1
    hands.client.delete(ALIVE)
    (told,) = given(hands)
    assert told[0] == BTC and isinstance(told[1], Stale), "no answer for ten seconds, for whichever reason"
    for _ in range(10):
        away(hands)
        hands.now += 1
    with pytest.raises(RedisUnavailable):
        away(hands)


def test_candles_are_given_as_a_read_gives_them(hands: ManyHands) -> None:
    (_, candles), _ = given(hands)
    assert isinstance(candles, Candles) and [c.time for c in candles] == [T0 + n * STEP for n in range(6, 10)]
