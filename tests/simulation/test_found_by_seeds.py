"""What random faults brought to light, each as small as it can be told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import redis

from livecache.engine.live import Live
from livecache.engine.venue_time import VenueTime
from livecache.keys.keyspace import Keyspace
from livecache.ledger.timeline import Timeline
from livecache.model.candle import ExactCandle
from livecache.model.clock import VenueClock
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import PageFacts
from livecache.venues.coinbase.traits import TRAITS
from livecache.venues.venue import FetchFailure, Page, PageRequest
from tests.simulation.faulty_store import Store
from tests.simulation.service import service
from tests.simulation.test_trouble import START, WIDTH, venue_at
from tests.simulation.virtual import run_virtually

M5 = Timeframe.M5
SYMBOL = "BTC-USD"


def test_what_an_earlier_run_settled_and_the_venue_then_changes_is_announced(clean_valkey: str) -> None:
    async def first() -> None:
        async with service(venue_at(), clean_valkey, [SYMBOL], [M5]) as running:
            await running.warm()

    async def again() -> None:
        venue = venue_at(START + 320_000)
        revised = M5.floor(START) - 2 * WIDTH
        fetch = venue.fetch

        async def fetch_revised(request: PageRequest) -> Page | FetchFailure:
            page = await fetch(request)
            assert isinstance(page, Page)
            rows = tuple(
                msgspec.structs.replace(r, volume="123456.5") if r.time == revised else r for r in page.rows
            )
            return replace(page, rows=rows)

        venue.fetch = fetch_revised  # type: ignore[method-assign]
        async with service(venue, clean_valkey, [SYMBOL], [M5]):
            await asyncio.sleep(60)
        with redis.Redis.from_url(clean_valkey) as client:
            entries = client.xrange("sim:{coinbase}:closes")
        told = [e for _, e in entries if e[b"kind"] == b"revised" and int(e[b"time"]) == revised]
        assert told
        assert b"123456.5" in told[0][b"candle"]

    run_virtually(first())
    run_virtually(again())


def test_the_first_answer_of_the_venue_counts_only_if_the_host_or_a_second_one_agrees() -> None:
    clock = VenueClock()
    clock.confirm(START + 7_200_000, 100.0, wall_ms=START)
    assert not clock.known, "two hours ahead of the host: one of them is wrong"
    clock.confirm(START, 100.1, wall_ms=START)
    assert clock.heard == START


def test_a_host_whose_clock_is_wrong_costs_a_second_question_and_no_more() -> None:
    clock = VenueClock()
    clock.confirm(START, 100.0, wall_ms=START - 3_600_000)
    assert not clock.known
    clock.confirm(START + 80, 100.1, wall_ms=START - 3_600_000)
    assert clock.known
    assert clock.now(100.1) in range(START, START + 100)


class SleepyClock:
    """A host that can be put to sleep."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.slept = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return START / 1000 - 1_000.0 + self.seconds + self.slept

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


def live_on(clock: SleepyClock) -> Live:
    live = Live(
        Timeline("coinbase", [SYMBOL], [M5], Policy(), TRAITS), VenueTime(clock), "one", "http://model"
    )
    live.serving = True
    live.time.confirm(START)
    assert live.alive() is not None
    return live


def test_frames_from_before_the_host_slept_do_not_let_it_vouch() -> None:
    clock = SleepyClock()
    live = live_on(clock)
    clock.slept += 30
    clock.seconds += 4
    live.time.hear(START + 1_000)  # was waiting in the socket
    live.time.answered()  # so was a page
    assert live.alive() is None
    assert live.time.wants_asking()
    live.time.hear(START + 34_000)
    assert live.alive() is not None, "a fresh frame is as good as an answer"


def test_an_answer_that_was_asked_for_before_the_host_slept_does_not_count() -> None:
    clock = SleepyClock()
    live = live_on(clock)
    sleeps = live.time.sleeps()
    clock.slept += 3_600
    clock.seconds += 1
    live.time.confirm(START + 500, sleeps)
    assert live.alive() is None
    live.time.confirm(START + 3_601_000, live.time.sleeps())
    assert live.alive() is None, "a leap of an hour counts once a second answer agrees"
    live.time.confirm(START + 3_602_000, live.time.sleeps())
    assert live.alive() is not None


def test_a_wall_clock_that_is_set_ahead_silences_it_only_until_the_venue_tells_its_time() -> None:
    clock = SleepyClock()
    live = live_on(clock)
    clock.slept += 7_200  # the wall clock alone
    clock.seconds += 4
    live.time.hear(START + 4_000)
    assert live.alive() is None
    live.time.confirm(START + 4_100, live.time.sleeps())
    assert live.alive() is None, "it contradicts the wall clock, and one answer may be wrong"
    live.time.confirm(START + 5_100, live.time.sleeps())
    assert live.alive() is not None


def test_one_wrong_answer_after_a_sleep_does_not_make_old_candles_look_fresh() -> None:
    clock = SleepyClock()
    live = live_on(clock)
    clock.slept += 1_300
    clock.seconds += 1
    live.time.confirm(START - 1_200_000, live.time.sleeps())  # it is 20 minutes behind, just this once
    assert live.alive() is None
    assert live.time.wants_asking()
    live.time.confirm(START + 1_302_000, live.time.sleeps())  # far ahead of what was heard last
    assert live.alive() is None, "what time it is, is not known"
    live.time.confirm(START + 1_303_000, live.time.sleeps())
    alive = live.alive()
    assert alive is not None
    assert alive.time >= START + 1_302_000


def test_a_late_frame_does_not_vouch_for_the_time_before_the_break_that_it_mends() -> None:
    timeline = Timeline("coinbase", [SYMBOL], [M5], Policy(), TRAITS)
    bucket = M5.floor(START)
    timeline.subscribe(0, START, [SYMBOL], START)
    timeline.broken(0, [SYMBOL], resumes=True, now=START)
    timeline.heard(0, bucket - 1, START + 1_000)  # from before the bucket's open, once more
    channel = timeline.symbols[SYMBOL].channel
    assert not channel.unbroken_over(bucket, bucket + 1)


def test_a_bucket_that_was_too_old_for_redis_comes_into_it_when_there_is_room_again() -> None:
    timeline = Timeline("coinbase", [SYMBOL], [M5], Policy(), TRAITS)
    series = timeline.symbols[SYMBOL].tracks[M5].series
    bucket = M5.floor(START)

    def candle(time: int) -> ExactCandle:
        return ExactCandle(time, "1", "1", "1", "1", "1")

    def page() -> None:
        rows = {t: candle(t) for t in (bucket - 2 * WIDTH, bucket - WIDTH, bucket)}
        facts = PageFacts(bucket - 2 * WIDTH, bucket + WIDTH, rows, START)
        timeline.apply_page(SYMBOL, M5, facts, START)

    held: dict[int, ExactCandle | None] = {}

    def flush() -> None:
        for change in timeline.take(START).series:
            before = {} if change.whole else held.copy()
            held.clear()
            held.update({t: c for t, c in {**before, **change.members}.items() if t >= change.keep_from})

    page()
    flush()
    timeline.feed_candles(0, START, [(SYMBOL, M5, candle(bucket - 3 * WIDTH), False)], START)
    flush()
    page()
    flush()
    (whole,) = timeline.whole([series], START).series
    assert {t for t, c in held.items() if c} == set(whole.members)


def test_a_key_that_is_written_onto_nothing_stays_though_it_was_to_expire_before(clean_valkey: str) -> None:
    """Seed 20: the simulation's own EXPIRE held for a key that was not there, and took the next one away."""
    clock = SleepyClock()
    with redis.Redis.from_url(clean_valkey) as client:
        store = Store(client, Keyspace("sim"), clock.monotonic)
        client.set("there", "1")
        store.let_expire("there", 20.0)
        store.let_expire("gone", 20.0)
        client.set("gone", "1")
        clock.seconds += 21
        store.expire()
        store.close()
        assert client.keys() == [b"gone"]
