"""A log stays readable whatever a feed sends, however fast: one kind of trouble is a line in ten seconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from loguru import logger

from livecache.repeats import Repeats
from livecache.venues.coinbase.messages import FrameDecoder
from livecache.venues.venue import Broken, Event, FeedFailure

from ..venues.loopback import payload
from .hand_clock import HandClock
from .test_consumer import BTC, NOW, Scene

FRAMES = 1_000  # in ten seconds


@contextmanager
def warnings() -> Iterator[list[Any]]:
    told: list[Any] = []
    handler = logger.add(lambda message: told.append(message.record), level="WARNING")
    try:
        yield told
    finally:
        logger.remove(handler)


def in_the_future(number: int) -> bytes:
    """A candle that has not begun, by a clock that stands elsewhere at each frame."""
    frame = msgspec.json.decode(payload("candles_update"))
    frame["events"][0]["candles"][0]["start"] = str((NOW + 3_600_000) // 300_000 * 300 + 300 * (number % 97))
    return msgspec.json.encode(frame)


def unreadable(number: int) -> bytes:
    """A frame that breaks off, or is no text, somewhere else each time."""
    whole = payload("candles_update")
    spoiled = random.Random(number).randrange(1, len(whole))
    return whole[:spoiled] if number % 2 else whole[:spoiled] + bytes([128 + number % 128]) + whole[spoiled:]


def of_no_trade(number: int) -> bytes:
    frame = msgspec.json.decode(payload("candles_update"))
    frame["events"][0]["candles"][0]["low"] = f"-{number}.5"
    return msgspec.json.encode(frame)


def complaining(number: int) -> bytes:
    return msgspec.json.encode({"type": "error", "message": f"rate limited until 12:00:{number:06}"})


@pytest.mark.parametrize(
    ("frame", "kinds"), [(in_the_future, 1), (unreadable, 4), (of_no_trade, 1), (complaining, 1)]
)
def test_what_varies_in_a_rejection_makes_no_other_kind_of_it(
    frame: Callable[[int], bytes], kinds: int
) -> None:
    scene = Scene()
    decoder = FrameDecoder({BTC: (BTC,)}, lambda: scene.live.now())
    with warnings() as told:
        for number in range(FRAMES):
            scene.clock.time += 10 / FRAMES
            scene.take(*decoder.decode(frame(number)).events)
    assert 1 <= len(told) <= 2 * kinds, [record["message"] for record in told]


@pytest.mark.parametrize(
    "event",
    [
        lambda n: Broken((BTC,), f"a frame was lost: number {n} after {n - 2}", lost_connection=False),
        lambda n: FeedFailure(f"{random.Random(n).randbytes(8).hex()} refused"),
    ],
    ids=["lost frames", "words of no kind"],
)
def test_no_trouble_of_the_feed_is_told_at_its_own_speed(event: Callable[[int], Event]) -> None:
    scene = Scene()
    with warnings() as told:
        for number in range(FRAMES):
            scene.clock.time += 10 / FRAMES
            scene.take(event(number))
    assert 1 <= len(told) <= 7


def test_what_was_held_back_is_counted_whatever_it_was() -> None:
    clock = HandClock()
    repeats = Repeats(clock)
    with warnings() as told:
        for number in range(100):
            repeats.log("feed_failure", f"refused: {chr(97 + number % 26)}", "refused")
        clock.time += 10.0
        repeats.log("feed_failure", "refused: z", "refused")
    assert len(told) == 7, "five kinds, all others as one, and the next after ten seconds"
