"""What gives out the slots: as its model says, and never more than the budgets allow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.clock import SystemClock
from livecache.keys.keyspace import Keyspace
from livecache.model.budget import Budget, Pool, Rolling, Spacing, Window
from livecache.pacing.kept import Terms
from livecache.pacing.meter import Meter
from livecache.quota.quota import REACH_S, SCRIPT, Answer, Quota, Shared, arguments, decode
from tests.cache.support import SyncAdapter
from tests.cache.writing import said

from .model import Model

BEGAN = 1_700_000_000_000_000
KEY, BAN = "t:{v}:budget:address", "t:{v}:ban"
PACED = Spacing("requests", 9.5)


@pytest.fixture
def store(clean_valkey: str) -> Iterator[Any]:
    with redis.Redis.from_url(clean_valkey) as client:
        yield client


@dataclass
class Server:
    """The script at a real server, on a clock that is set by hand."""

    client: Any
    now: float = 1_000.0  # seconds
    sha: str = ""
    starts: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sha = self.client.script_load(SCRIPT.text)

    @property
    def us(self) -> int:
        return BEGAN + round(self.now * 1e6)

    def ask(self, member: str, shared: Shared, **options: Any) -> Answer:
        given = {"reach_s": REACH_S, "suits_s": 0.0, "pause_s": 0.0, "knew": False, **options}
        args = arguments(member, shared, now=self.us, **given)
        answer = decode(self.client.evalsha(self.sha, 2, KEY, BAN, *args), shared)
        if given["reach_s"] >= 0 and answer.wait_s >= 0:
            self.starts.append(self.now + answer.wait_s)
        return answer

    def beat(self, member: str, shared: Shared, **options: Any) -> Answer:
        return self.ask(member, shared, reach_s=-1, **options)

    def most_in(self, length_s: float) -> int:
        """The most that start within any time so long."""
        starts = sorted(self.starts)
        return max(sum(first <= each < first + length_s - 1e-5 for each in starts) for first in starts)


def meter_of(*budgets: Budget) -> Meter:
    return Meter(budgets, venue_ahead_s=lambda: 0.0, jitter=lambda: 0.5)


def shared_by(*budgets: Budget, costs: dict[str, int] | None = None, now: float = 1_000.0) -> Shared:
    """As one that has used nothing by itself has them."""
    return meter_of(*budgets).terms(costs or {}, now)


def terms_of(costs: Any, *parts: Any) -> Any:
    """A cost, and terms of one of each of these."""
    return st.tuples(costs, st.tuples(*map(st.sampled_from, parts)).map(lambda its: Terms(*its)))


TERMS = st.fixed_dictionaries(
    {},
    optional={
        "requests": terms_of(st.just(1), (0.1, 0.25), (0.0, 0.3), (0.0,)),
        "pool": terms_of(st.integers(0, 5), (0.05, 0.5), (0.0, 4.0), (9.5,)),
        "hour": terms_of(st.integers(0, 3), (0.0,), (0, 1, 2), (20.0,), (8.0,)),
        "minute": terms_of(
            st.integers(0, 5),
            (0.0,),
            (0, 5, 12),
            (30.0,),
            (60.0,),
            (28_333_333, 28_333_334),
            (0.25, 1.5, 40.0),
        ),
    },
)
ASKS = st.tuples(
    st.sampled_from("abc"),
    TERMS,
    st.sampled_from((0.0, 0.003, 0.1, 0.9, 1.6, 11.0)),  # seconds that pass before
    st.sampled_from((-1.0, -1.0, 0.12, 0.5, 2.0)),
    st.sampled_from((0.0, 0.0, 0.05, 1.0)),
    st.sampled_from((0.0, 0.0, 0.0, 0.7)),
    st.booleans(),
)


@settings(max_examples=60)
@given(st.lists(ASKS, max_size=25))
def test_it_does_as_its_model_says(valkey_url: str, asks: list[Any]) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        client.delete(KEY)
        server, model = Server(client), Model()
        for member, shared, passes_s, reach_s, suits_s, pause_s, knew in asks:
            server.now += passes_s
            told = server.ask(member, shared, reach_s=reach_s, suits_s=suits_s, pause_s=pause_s, knew=knew)
            reach = -1 if reach_s < 0 else round(reach_s * 1e6)
            wait, members, before, alone, levels = model.ask(
                member, shared, server.us,
                reach=reach, suits=round(suits_s * 1e6), pause=round(pause_s * 1e6), knew=knew,
            )  # fmt: skip
            assert (told.members, told.before, told.alone_s) == (members, before, alone / 1e6)
            assert told.wait_s == pytest.approx(wait / 1e6, abs=2e-6)
            its = [told.levels[name] * (1e6 if shared[name][1].unit_s else 1) for name in shared]
            assert its == pytest.approx(levels, abs=2)


# --- what it is for


def together(server: Server, *members: str) -> None:
    """These are there, and know of each other."""
    for member in (*members, *members):
        server.beat(member, shared_by(PACED))
    server.now += 1.0


def test_slots_never_bunch_whoever_asks(store: Any) -> None:
    server, random = Server(store), Random(7)
    together(server, "a", "b", "c", "d")
    beaten = server.now
    while server.now < 1_060:
        if server.now - beaten > 0.5:
            beaten = server.now
            for member in "abcd":
                server.beat(member, shared_by(PACED))
        server.ask(random.choice("abcd"), shared_by(PACED), reach_s=random.choice((0.12, 0.5, 2.0)))
        server.now += random.expovariate(25)
    apart = [b - a for a, b in pairwise(server.starts)]
    assert min(apart) >= 1 / 9.5 - 2e-6
    assert server.most_in(1.0) <= 10.5
    assert len(server.starts) / (server.starts[-1] - server.starts[0]) >= 0.98 * 9.5


def test_those_who_are_as_urgent_are_served_in_the_order_in_which_they_ask(store: Any) -> None:
    server = Server(store)
    together(server, "a", "b")
    for member in "abba":
        server.ask(member, shared_by(PACED))
        server.now += 0.001
    assert server.starts == sorted(server.starts)


def test_while_urgent_ones_queue_others_find_no_slot_and_have_taken_none(store: Any) -> None:
    server = Server(store)
    together(server, "a", "b")
    for _ in range(5):
        assert server.ask("a", shared_by(PACED)).wait_s >= 0
    refused = server.ask("b", shared_by(PACED), reach_s=0.12)
    assert refused.wait_s == pytest.approx(-(5 / 9.5 - 0.12), abs=1e-4)
    assert server.ask("a", shared_by(PACED)).wait_s == pytest.approx(5 / 9.5, abs=1e-4)
    # One that has waited for long reaches as far as the urgent ones do.
    assert server.ask("b", shared_by(PACED), reach_s=REACH_S).wait_s == pytest.approx(6 / 9.5, abs=1e-4)


def test_what_the_venue_has_told_one_to_wait_all_wait(store: Any) -> None:
    server = Server(store)
    together(server, "a", "b")
    server.beat("a", shared_by(PACED), pause_s=1.5)
    assert server.ask("b", shared_by(PACED)).wait_s == pytest.approx(1.5)


def test_the_rate_that_the_slowest_has_learned_holds_for_all_and_for_half_a_minute(store: Any) -> None:
    server = Server(store)
    together(server, "a", "b", "c")
    server.beat("a", shared_by(Spacing("requests", 2.0)))

    def apart() -> float:
        first, second = (server.ask("b", shared_by(PACED)).wait_s for _ in range(2))
        return second - first

    assert apart() == pytest.approx(0.5)
    for second in range(32):
        server.now += 1
        server.beat("b", shared_by(PACED))
        server.beat("c", shared_by(PACED))
        if second % 10 == 8:
            assert apart() == pytest.approx(0.5)
    assert apart() == pytest.approx(1 / 9.5, abs=1e-5)


def test_a_request_takes_of_all_its_budgets_or_of_none(store: Any) -> None:
    server = Server(store)
    together(server, "a", "b")
    both = PACED, Rolling("batch", 3, 1.0)
    waits = [server.ask("a", shared_by(*both), reach_s=0.5).wait_s for _ in range(6)]
    assert sum(wait >= 0 for wait in waits) == 3
    assert server.ask("b", shared_by(PACED)).wait_s == pytest.approx(3 / 9.5, abs=1e-4)


def test_what_costs_more_takes_more(store: Any) -> None:
    server = Server(store)
    together(server, "a", "b")
    pool = Pool("credits", 100, 20.0)
    server.ask("a", shared_by(pool, costs={"credits": 90}))
    assert server.ask("b", shared_by(pool, costs={"credits": 10})).wait_s == 0
    assert server.ask("b", shared_by(pool, costs={"credits": 10})).wait_s == pytest.approx(0.5)
    assert server.ask("a", shared_by(pool, costs={"credits": 0})).wait_s == 0


@pytest.mark.parametrize("length_s", [1.0, 10.0])
def test_what_is_bound_by_a_time_that_may_begin_at_any_moment_never_is_above_it(
    store: Any, length_s: float
) -> None:
    server, random = Server(store), Random(11)
    budget = Rolling("batch", 12, length_s)
    together(server, "a", "b")
    end = server.now + 4 * length_s
    while server.now < end:
        server.ask(random.choice("ab"), shared_by(budget))
        server.now += random.expovariate(40 / length_s)
    assert server.most_in(length_s) <= 12
    assert len(server.starts) >= 0.9 * 4 * 12


def test_a_window_counts_what_all_have_used_until_it_turns(store: Any) -> None:
    server = Server(store, now=1_020.0)
    window = Window("weight", 100, usage="X-USED", share=0.8)
    together(server, "a", "b")
    costs = {"weight": 30}
    mine = meter_of(window)
    terms = mine.terms(costs, server.now)
    assert server.ask("a", terms).wait_s == 0
    assert server.ask("b", terms).wait_s == 0
    assert server.ask("b", terms).wait_s == pytest.approx(1.5)  # The minute turns, and the clock may be off.
    server.now += 0.8
    server.beat("a", terms)
    server.now += 0.8
    terms = meter_of(window).terms(costs, server.now)
    assert server.ask("b", terms).wait_s == 0
    # What the venue has told one of them of others at their address holds for all.
    heard = meter_of(window)
    heard.hear({"weight": 79.0}, server.now)
    server.beat("a", heard.terms({}, server.now))
    assert server.ask("b", meter_of(window).terms(costs, server.now)).wait_s < 0


# --- one, several, none


def test_one_alone_need_not_ask_and_one_that_comes_waits_until_it_does(store: Any) -> None:
    server = Server(store)
    alone = server.beat("a", shared_by(PACED))
    assert (alone.members, alone.alone_s) == (1, 2.0)
    server.now += 0.5
    assert server.beat("b", shared_by(PACED)).alone_s == 0
    assert server.ask("b", shared_by(PACED)).wait_s == pytest.approx(-1.5, abs=1e-4)
    server.now += 0.5
    meter = meter_of(PACED)
    meter.start({}, server.now, server.now)
    assert server.beat("a", meter.terms({}, server.now)).members == 2
    # And what it has done alone counts.
    assert server.ask("b", shared_by(PACED)).wait_s == pytest.approx(1 / 9.5, abs=1e-4)


def test_what_one_has_used_alone_is_known_once_others_come(store: Any) -> None:
    server = Server(store)
    pool, batch = Pool("pool", 10, 1.0), Rolling("batch", 10, 60.0)
    meter = meter_of(pool, batch)
    server.beat("a", meter.terms({}, server.now))
    for _ in range(7):
        meter.start({}, server.now, server.now)
    server.beat("b", shared_by(pool, batch))
    terms = meter.terms({}, server.now)
    server.beat("a", terms)
    meter.told(terms)
    server.beat("a", meter.terms({}, server.now))
    heard = server.beat("b", shared_by(pool, batch))
    assert heard.levels == pytest.approx({"pool": 7.0, "batch": 7})


def test_who_has_left_or_is_silent_for_ten_seconds_is_no_member(store: Any) -> None:
    server = Server(store)
    together(server, "a", "b", "c")
    server.ask("c", {}, reach_s=-2)
    for second in range(11):
        assert server.beat("a", shared_by(PACED)).members == (2 if second < 10 else 1)
        server.now += 1
    assert server.beat("a", shared_by(PACED)).alone_s == 2.0


def test_after_an_outage_nothing_is_given_out_until_all_have_been_back(store: Any) -> None:
    server = Server(store)
    together(server, "a", "b")
    server.beat("a", shared_by(PACED))
    server.beat("b", shared_by(PACED))
    server.now += 5
    assert server.ask("b", shared_by(PACED), knew=True, reach_s=0.5).wait_s == pytest.approx(-2.0, abs=1e-4)
    server.now += 1
    server.beat("a", shared_by(PACED), knew=True)
    assert server.ask("b", shared_by(PACED)).wait_s == pytest.approx(1.5)
    # The same where Redis comes back with nothing in it.
    store.delete(KEY)
    assert server.beat("a", shared_by(PACED), knew=True).alone_s == 0
    assert server.ask("a", shared_by(PACED), reach_s=0.5).wait_s == pytest.approx(-2.0, abs=1e-4)


def test_one_that_is_killed_holds_nobody_up(store: Any) -> None:
    server = Server(store)
    together(server, "a", "b")
    for _ in range(4):
        server.beat("a", shared_by(PACED))
        assert 0 <= server.ask("a", shared_by(PACED)).wait_s < 0.2
        server.now += 1


def test_a_clock_that_is_set_back_holds_nobody_up_for_long(store: Any) -> None:
    server = Server(store)
    together(server, "a", "b")
    server.ask("a", shared_by(PACED, Rolling("hour", 1, 3_600.0)))
    server.now -= 3_000
    server.beat("b", shared_by(PACED), knew=True)
    server.beat("a", shared_by(PACED), knew=True)
    server.now += 1.0
    assert 0 <= server.ask("a", shared_by(PACED)).wait_s <= 1.6


def test_a_ban_that_one_was_told_of_all_hear_of(store: Any) -> None:
    server = Server(store)
    store.set(BAN, "1700000000123")
    assert server.beat("a", shared_by(PACED)).ban == 1_700_000_000_123
    store.delete(BAN)
    store.rpush(BAN, "somebody else's")
    assert server.beat("a", shared_by(PACED)).ban == 0


def test_a_budget_that_redis_refuses_is_told_and_nobodys_to_mend(store: Any) -> None:
    """Else nobody would know why those who share it ask too often."""
    store.set(KEY, "somebody else's")
    quota = Quota(SyncAdapter(store), Keyspace("t", "v"), "address", "a", SystemClock())

    async def ask() -> list[Answer | None]:
        return [await quota.beat({}, 0.0) for _ in range(3)]

    with said() as events:
        assert asyncio.run(ask()) == [None] * 3
    assert events == ["budget_refused"]
    assert store.get(KEY) == b"somebody else's"


def test_it_leaves_nothing_behind_for_long(store: Any) -> None:
    server = Server(store)
    server.beat("a", shared_by(PACED))
    assert 0 < store.pttl(KEY) <= 60_000
