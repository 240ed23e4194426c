"""Following a series: every change is given, once, and trouble is told, or sat out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis

from livecache import AsyncReader, NotReady, OutOfSync, RedisUnavailable, Stale, UnknownSeries
from livecache.embedded.server import EmbeddedServer
from livecache.keys.keyspace import Keyspace, encode_update
from livecache.model.series import Kind, SeriesId, Update
from livecache.read.orders import REREAD_S, Give, InTurn, Listen, Order, Patience, Pause, Subscribe, follow
from livecache.read.reading import Core

from ..e2e.store import store_in
from ..e2e.support import until
from .either import either
from .support import BTC, STEP, T0, candle, state
from .test_reader import ALIVE, KEYS, put

CHANNEL = KEYS.updates(*BTC[1:])


def hint(client: Any, n: int, kind: Kind = Kind.CLOSED, *, series: SeriesId = BTC) -> None:
    client.publish(KEYS.updates(*series[1:]), encode_update(Update(kind, candle(n))))


@contextmanager
def later(work: Any, when: Any) -> Iterator[None]:
    """Meanwhile, in a thread: `work` as soon as `when` is so."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            until("the moment has come", when)
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
    assert failed == []


def listeners(client: Any) -> int:
    return int(client.pubsub_numsub(CHANNEL)[0][1])


def time_passes(client: Any) -> Callable[[], bool]:
    """A condition that becomes true after a few hints that have nothing new behind them were answered."""
    before = reads(client)

    def passed() -> bool:
        hint(client, 9)
        return reads(client) > before + 3

    return passed


def reads(client: Any) -> int:
    """How often the script of a read has run."""
    return int(client.info("commandstats")["cmdstat_evalsha_ro"]["calls"])


# --- what is given


def test_the_candles_come_at_once_and_again_when_a_bucket_has_closed(
    kind: str, clean_valkey: str, store: Any
) -> None:
    put(store, state(0, 10, 10), range(10))
    with either(kind, clean_valkey) as reader, closing(reader.follow("BTC-USD", "5m", 4)) as answers:
        assert [c.time for c in next(answers)] == [T0 + n * STEP for n in range(6, 10)]
        put(store, state(0, 10, 11), range(11))
        hint(store, 10)
        began = time.monotonic()
        assert next(answers)[-1].time == T0 + 10 * STEP
        assert time.monotonic() - began < REREAD_S, "by the hint, not by chance"


def test_it_listens_before_it_reads(kind: str, clean_valkey: str, store: Any) -> None:
    put(store, state(0, 10, 10), range(10))
    with either(kind, clean_valkey) as reader, closing(reader.follow("BTC-USD", "5m", 4)) as answers:
        next(answers)
        assert listeners(store) == 1
    until("nobody listens any more", lambda: listeners(store) == 0)


def test_what_has_not_changed_is_not_given_again(kind: str, clean_valkey: str, store: Any) -> None:
    put(store, state(0, 10, 10), range(10))
    with (
        either(kind, clean_valkey) as reader,
        # NaN equals nothing, and yet an answer that holds it is the same.
        closing(reader.follow("BTC-USD", "5m", 4, empty="null")) as answers,
    ):
        put(store, state(0, 10, 10), [0, 1, 2, 3, 4, 5, 6, 9])
        assert len(next(answers).synthetic) == 2

        def change() -> None:
            put(store, state(0, 10, 11), [0, 1, 2, 3, 4, 5, 6, 9, 10])
            hint(store, 10)

        with later(change, time_passes(store)):
            assert next(answers).known_through == T0 + 11 * STEP


@pytest.mark.parametrize("change", ["settled", "feed", "candle", "standing"])
def test_whatever_a_reader_may_notice_is_a_change(
    kind: str, change: str, clean_valkey: str, store: Any
) -> None:
    put(store, state(0, 8, 10), range(10))
    with either(kind, clean_valkey) as reader, closing(reader.follow("BTC-USD", "5m", 4)) as answers:
        before = next(answers)
        if change == "settled":
            put(store, state(0, 10, 10), range(10))
        elif change == "feed":
            put(store, state(0, 8, 10), range(10), feed="down")
        elif change == "standing":
            put(store, state(0, 8, 10, reason="halted: it does not trade"), range(10))
        else:
            store.zremrangebyscore(KEYS.candles(*BTC[1:]), T0 + 9 * STEP, T0 + 9 * STEP)
            store.zadd(KEYS.candles(*BTC[1:]), {candle(9, close="95").member(): T0 + 9 * STEP})
        hint(store, 9, Kind.SETTLED)
        after = next(answers)
    seen = (after.settled_through != before.settled_through, after.feed == "down", after.close[-1] == 95)
    assert seen == (change == "settled", change == "feed", change == "candle")
    assert after.standing == ("halted" if change == "standing" else "")


def test_the_bucket_in_progress_is_followed_by_those_who_ask_for_it(
    kind: str, clean_valkey: str, store: Any
) -> None:
    put(store, state(0, 10, 10, forming=10), range(11))
    with (
        either(kind, clean_valkey) as reader,
        closing(reader.follow("BTC-USD", "5m", 4, forming=True)) as answers,
    ):
        assert next(answers).close[-1] == 101.5
        store.zremrangebyscore(KEYS.candles(*BTC[1:]), T0 + 10 * STEP, T0 + 10 * STEP)
        store.zadd(KEYS.candles(*BTC[1:]), {candle(10, close="99").member(): T0 + 10 * STEP})
        hint(store, 10, Kind.FORMING)
        assert next(answers).close[-1] == 99


def test_who_was_busy_while_much_happened_is_given_the_newest_once(
    kind: str, clean_valkey: str, store: Any
) -> None:
    put(store, state(0, 10, 10), range(10))
    with either(kind, clean_valkey) as reader, closing(reader.follow("BTC-USD", "5m", 4)) as answers:
        next(answers)
        for _ in range(2_000):
            hint(store, 10)
        put(store, state(0, 30, 30), range(30))
        assert next(answers).known_through == T0 + 30 * STEP
        before = reads(store)
        put(store, state(0, 31, 31), range(31))
        hint(store, 30)
        assert next(answers).known_through == T0 + 31 * STEP
        assert reads(store) - before < 10


# --- trouble


def test_without_patience_trouble_ends_it_by_the_error_that_a_read_has(
    kind: str, clean_valkey: str, store: Any
) -> None:
    put(store, state(0, 10, 10), range(10))
    with either(kind, clean_valkey) as reader:
        answers = reader.follow("BTC-USD", "5m", 4, patience=0)
        next(answers)
        store.delete(ALIVE)
        hint(store, 9)
        with pytest.raises(Stale, match="nobody vouches"):
            next(answers)
        with pytest.raises(StopIteration):
            next(answers)
        put(store, state(0, 10, 10), range(10))
        with pytest.raises(OutOfSync):
            next(reader.follow("BTC-USD", "5m", 4, patience=0, forming=True))
        with pytest.raises(UnknownSeries):
            next(reader.follow("ETH-USD", "5m", 4, patience=0))


def test_trouble_that_ends_within_the_patience_is_sat_out(kind: str, clean_valkey: str, store: Any) -> None:
    with (
        either(kind, clean_valkey) as reader,
        closing(reader.follow("BTC-USD", "5m", 4, patience=20)) as answers,
        later(lambda: put(store, state(0, 10, 10), range(10)), lambda: listeners(store)),
    ):
        assert len(next(answers)) == 4


def test_trouble_that_outlasts_the_patience_is_raised(kind: str, clean_valkey: str, store: Any) -> None:
    put(store, state(0, 3, 3), range(3))
    with either(kind, clean_valkey) as reader:
        with pytest.raises(NotReady, match="3 of 4") as caught:
            next(reader.follow("BTC-USD", "5m", 4, patience=0.3))
        assert (caught.value.have, caught.value.want) == (3, 4)


def test_a_server_that_is_killed_and_comes_back_is_followed_on(kind: str, tmp_path: Path) -> None:
    with store_in(tmp_path / "store") as server, either(kind, server.url) as reader:
        with redis.Redis.from_url(server.url) as client:
            put(client, state(0, 10, 10), range(10))
        with closing(reader.follow("BTC-USD", "5m", 4)) as answers:
            next(answers)
            server.kill()
            server.start(empty=True)
            with redis.Redis.from_url(server.url) as client:
                put(client, state(0, 12, 12), range(12))
                assert next(answers).known_through == T0 + 12 * STEP
                # And it listens there: this one comes by a hint again.
                until("it listens", lambda: listeners(client))
                put(client, state(0, 13, 13), range(13))
                hint(client, 12)
                assert next(answers).known_through == T0 + 13 * STEP


def test_the_embedded_server_is_followed_to_its_new_port(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIVECACHE_REDIS_URL", raising=False)
    monkeypatch.setenv("LIVECACHE_REDIS_DATA_DIR", str(tmp_path))
    with EmbeddedServer(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        first = server.url
        put(client, state(0, 10, 10), range(10))
        reading = either(kind, None)
        reader = reading.__enter__()
        answers = reader.follow("BTC-USD", "5m", 4)
        next(answers)
    with EmbeddedServer(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert server.url != first
        put(client, state(0, 11, 11), range(11))
        assert next(answers).known_through == T0 + 11 * STEP
        answers.close()
        reading.__exit__(None, None, None)


def test_a_server_that_stays_away_is_told(kind: str, tmp_path: Path) -> None:
    with store_in(tmp_path / "store") as server, either(kind, server.url) as reader:
        with redis.Redis.from_url(server.url) as client:
            put(client, state(0, 10, 10), range(10))
        answers = reader.follow("BTC-USD", "5m", 4, patience=0.5)
        next(answers)
        server.kill()
        with pytest.raises(RedisUnavailable):
            next(answers)


def test_many_follow_at_once_and_leave_nothing_behind_when_they_are_cancelled(
    clean_valkey: str, store: Any
) -> None:
    put(store, state(0, 10, 10), range(10))
    given = [0] * 150

    async def follow_on(reader: AsyncReader, number: int) -> None:
        async for _ in reader.follow("BTC-USD", "5m", 4):
            given[number] += 1

    async def all_given(times: int) -> None:
        async with asyncio.timeout(30):
            while given != [times] * len(given):
                await asyncio.sleep(0.02)

    async def main() -> None:
        async with AsyncReader(clean_valkey) as reader, asyncio.TaskGroup() as tasks:
            followers = [
                tasks.create_task(follow_on(reader, number), name=f"follower {number}")
                for number in range(len(given))
            ]
            await all_given(1)
            put(store, state(0, 10, 11), range(11))
            hint(store, 10)
            await all_given(2)
            for follower in followers:
                follower.cancel()

    asyncio.run(main())
    until("nobody listens any more", lambda: listeners(store) == 0)


# --- what is decided, without a socket and without waiting


SUBSCRIBE = Subscribe((CHANNEL,), b'{"kind":"forming"')


class Hands:
    """Carries orders out by hand, over a fakeredis: `until_given` up to the next answer, noting the rest."""

    def __init__(self, client: Any, count: int = 4, patience: float | None = None) -> None:
        core = Core(Keyspace(), 600)
        self.now = 0.0
        waits = Patience(patience, now=lambda: self.now, jitter=lambda: 1.0)
        self.orders = follow(core, core.request("BTC-USD", "5m", count), waits)
        self.client = client
        self.noted: list[Order] = []
        self.answer: Any = None

    def step(self, problem: RedisUnavailable | None = None) -> Order:
        order = self.orders.throw(problem) if problem else self.orders.send(self.answer)
        self.answer = None
        while not isinstance(order, Give | Subscribe | Listen | InTurn | Pause):
            self.noted.append(order)
            self.answer = [self._reply(command) for command in order]
            order = self.orders.send(self.answer)
        self.noted.append(order)
        self.answer = set() if isinstance(order, Listen) else None
        return order

    def _reply(self, command: tuple[Any, ...]) -> Any:
        try:
            return self.client.execute_command(*command)
        except redis.ResponseError as error:
            return error


@pytest.fixture
def hands() -> Iterator[Hands]:
    with fakeredis.FakeRedis() as client:
        put(client, state(0, 10, 10), range(10))
        yield Hands(client, patience=10)


def test_the_subscription_comes_before_the_first_read(hands: Hands) -> None:
    hands.step()
    assert hands.noted == [SUBSCRIBE]
    assert isinstance(hands.step(), Give)


def test_a_hint_that_was_lost_is_made_up_for_by_reading_again(hands: Hands) -> None:
    assert [type(hands.step()) for _ in range(3)] == [Subscribe, Give, Listen]
    assert hands.noted[-1] == Listen(REREAD_S)
    put(hands.client, state(0, 11, 11), range(11))  # and nobody says so
    hands.now += REREAD_S
    given = hands.step()
    assert isinstance(given, Give) and given.value.known_through == T0 + 11 * STEP


def test_after_trouble_with_redis_it_subscribes_anew_before_it_reads(hands: Hands) -> None:
    assert [type(hands.step()) for _ in range(3)] == [Subscribe, Give, Listen]
    assert isinstance(hands.step(RedisUnavailable("gone")), Pause)
    assert hands.step() == SUBSCRIBE
    assert isinstance(hands.step(), Listen), "nothing has changed"


def test_patience_is_counted_from_the_first_failure_and_renewed_by_an_answer(hands: Hands) -> None:
    assert [type(hands.step()) for _ in range(3)] == [Subscribe, Give, Listen]
    hands.now += 1_000  # a long computation is no trouble
    hands.client.delete(ALIVE)
    waits = []
    for _ in range(5):
        order = hands.step()
        assert isinstance(order, Listen)
        waits.append(order.within_s)
        hands.now += 1
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0]), "it looks again soon, then less often"
    put(hands.client, state(0, 10, 10), range(10))
    order = hands.step()
    assert isinstance(order, Listen) and order.within_s == pytest.approx(REREAD_S)
    hands.client.delete(ALIVE)
    hands.now += 100
    assert isinstance(hands.step(), Listen)
    hands.now += 9.95
    order = hands.step()
    assert isinstance(order, Listen) and order.within_s == pytest.approx(0.05), "no longer than is left"
    hands.now += 0.05
    with pytest.raises(Stale):
        hands.step()
