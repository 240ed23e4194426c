"""The whole service on a REST API that fails: nothing wrong is settled, nothing is asked for without end."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from livecache import Candles, Stale, Timeframe
from livecache.keys.keyspace import decode_member
from livecache.simulator import FaultScript
from livecache.simulator.trouble.script import (
    ANSWER_FORMS,
    EdgeLag,
    Fault,
    Hang,
    HttpError,
    NewestAbsent,
    OddAnswer,
    Outage,
    Reset,
    Revision,
    ShortPage,
)

from .faulty import M5, SYMBOLS, TIMEFRAMES, Scene, faulty
from .support import until
from .truth import KEYS

LONG = 86_400.0
BTC, ETH = SYMBOLS
# Requests for candles only: what a start asks before them has retries of its own.
EACH: tuple[Timeframe, ...] = tuple(Timeframe(name) for name in TIMEFRAMES)
FAILURES: tuple[Fault, ...] = (
    HttpError(status=400, timeframes=EACH),
    HttpError(status=401, timeframes=EACH),
    HttpError(status=429, timeframes=EACH),
    HttpError(status=429, retry_after=1, timeframes=EACH),
    HttpError(status=500, timeframes=EACH),
    HttpError(status=502, timeframes=EACH),
    Hang(timeframes=EACH),
    Reset(timeframes=EACH),
    *(OddAnswer(forms=(form,), timeframes=EACH) for form in ANSWER_FORMS),
)


def test_requests_that_fail_in_every_way_are_made_again(clean_valkey: str) -> None:
    """Once at the start, where they delay it, and once more while it runs."""
    script = FaultScript(faults=FAILURES)
    with faulty(clean_valkey, script=script, settings={"VENUES_COINBASE_REQUEST_TIMEOUT": 1}) as scene:
        assert scene.faults.counts.total() == len(FAILURES)
        with scene.few_requests(spare=2 * len(FAILURES)):
            for fault in FAILURES:
                scene.faults.begin(fault)
            until("each has happened", lambda: scene.faults.counts.total() == 2 * len(FAILURES), 60.0)
            scene.heals()
        scene.ends_well()
        assert {r["error"] for r in scene.service.events("backfill_task_failed")} >= {"HTTP 502: 502"}


@pytest.mark.long
def test_while_rest_is_down_the_feed_is_served_and_settling_waits(clean_valkey: str) -> None:
    with faulty(clean_valkey) as scene:
        served = None
        while served is None:  # Where a busy host breaks the feed too, nobody knows: once more.
            asked = len(scene.venue.candle_requests)
            breaks = len(scene.service.events("feed_broken"))
            scene.faults.begin(Outage(lasts=LONG))
            through = M5.floor(scene.now()) + 2 * M5.ms
            served = known_or_broken(scene, through, breaks)
            if served is None:
                scene.heals()
        assert served.settled_through < through
        until("the feed is up and the bucket in progress is served", scene.in_sync)
        with pytest.raises(Stale):
            scene.reader.candles(BTC, "5m", 60, settled=True, max_lag=200)
        assert len(scene.venue.candle_requests) - asked <= 24, "tried again with back-off"
        scene.heals()
        scene.ends_well()


def known_or_broken(scene: Scene, through: int, breaks: int) -> Candles | None:
    """The candles of BTC once they are known up to that time; None if the feed breaks before."""

    def seen() -> bool:
        return bool(scene.known(BTC, through)) or len(scene.service.events("feed_broken")) > breaks

    until("two more buckets are known", seen)
    return scene.known(BTC, through)


@pytest.mark.long
def test_pages_that_are_late_or_short_settle_nothing_wrong(clean_valkey: str) -> None:
    with faulty(clean_valkey) as scene, scene.few_requests(spare=40):
        for fault in (
            EdgeLag(lasts=LONG, seconds=30, products=(BTC,)),
            NewestAbsent(lasts=LONG, products=(ETH,)),
            ShortPage(lasts=LONG, keep=0.5),
        ):
            scene.faults.begin(fault)
        through = M5.floor(scene.now()) + M5.ms
        until("the next bucket is settled all the same", lambda: scene.settled(through), 60.0)
        assert scene.faults.counts["short_page"] >= 1
        scene.heals()
        scene.ends_well()


def test_a_candle_that_is_revised_is_announced_and_its_parents_follow(clean_valkey: str) -> None:
    with faulty(clean_valkey) as scene, scene.few_requests(spare=4):
        through = M5.floor(scene.now())
        until("the newest buckets are settled", lambda: scene.settled(through))
        revised = M5.floor(scene.now()) - 4 * M5.ms
        before = {name: held(scene, name, revised) for name in TIMEFRAMES}
        scene.faults.begin(Revision(products=(BTC,), back=3))
        until("it is announced", lambda: any(kind == "revised" for kind, *_ in closes(scene)), 60.0)
        until("it is held", lambda: held(scene, "5m", revised) != before["5m"])
        for name in TIMEFRAMES:
            timeframe = Timeframe(name)
            bucket = timeframe.floor(revised)
            if bucket + timeframe.ms > scene.now():
                continue  # It is still in progress.
            until(f"{name} follows", partial(holds_what_was_traded, scene, name, revised))
            assert held(scene, name, revised) != before[name]
        assert ("revised", f"{BTC}:5m", revised) in closes(scene)
        assert not [entry for entry in closes(scene) if entry[0] == "revised" and ETH in entry[1]]
        assert scene.watcher.went_back == []


def held(scene: Scene, name: str, time: int) -> tuple[Decimal, ...]:
    """The candle of BTC that holds that time, as the store has it."""
    timeframe = Timeframe(name)
    key, bucket = KEYS.candles(BTC, timeframe), timeframe.floor(time)
    members: Any = scene.store.zrange(key, bucket, bucket, byscore=True)
    (member,) = members
    return tuple(Decimal(number) for number in decode_member(member, timeframe).numbers)


def traded(scene: Scene, name: str, time: int) -> tuple[Decimal, ...]:
    """The same, as the exchange has it now."""
    timeframe = Timeframe(name)
    bucket = timeframe.floor(time)
    (row,) = scene.venue.simulator.market.candles(BTC, timeframe, bucket, bucket + 1, scene.now())
    return tuple(Decimal(number) for number in row.numbers)


def holds_what_was_traded(scene: Scene, name: str, time: int) -> bool:
    return held(scene, name, time) == traded(scene, name, time)


def closes(scene: Scene) -> list[tuple[str, str, int]]:
    """Kind, series and time of everything announced."""
    entries: Any = scene.store.xrange(KEYS.closes)
    return [(e[b"kind"].decode(), e[b"series"].decode(), int(e[b"time"])) for _, e in entries]
