"""The whole service on a feed that fails: readers are told at once, and afterwards nothing is missing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from livecache import OutOfSync
from livecache.simulator.trouble.script import (
    CloseFeed,
    Delisted,
    Drop,
    Duplicate,
    Garbage,
    Mute,
    NoFinalUpdate,
    Reorder,
    ReplayedSnapshot,
    SilentFeed,
    StampAhead,
    Unreachable,
)

from .faulty import M5, SYMBOLS, Scene, faulty
from .support import until

LONG = 86_400.0
BTC, ETH = SYMBOLS


def check_that_readers_are_told(scene: Scene, symbol: str) -> None:
    """Closed candles are served, as from a feed that is down; the bucket in progress is not."""
    until(f"the feed of {symbol} is down", lambda: scene.feed(symbol) == "down")
    with pytest.raises(OutOfSync):
        scene.reader.candles(symbol, "5m", 60, forming=True)


def test_connections_that_are_closed_or_cut_are_told_and_made_again(clean_valkey: str) -> None:
    with faulty(clean_valkey) as scene, scene.few_requests():
        closes: list[tuple[Any, bool]] = [(1000, True), (1001, False), (1011, True), ("abort", False)]
        for code, once in closes:
            # One that goes on closes each new connection, too, so that nobody can miss that it is down.
            scene.faults.begin(CloseFeed(code=code, behind=once, lasts=0 if once else LONG))
            until("it was closed", partial(has_happened, scene, f"close {code}"))
            if not once:
                check_that_readers_are_told(scene, BTC)
            scene.faults.end_all()
            until("the feed is back", lambda: scene.feed(BTC) == "up", 60.0)
        # At this speed half a second is half a minute: on a busy host a channel may look dead meanwhile.
        until(
            f"each connection has its reason: {reasons(scene)}",
            lambda: connections(scene) == 1 + scene.faults.counts.total() + given_up(scene),
        )
        for said in ("(1000)", "(1001)", "(1011)", "was cut"):
            scene.told(said)
        scene.heals()
        scene.ends_well()


def test_frames_of_every_wrong_sort_are_counted_and_harm_nothing(clean_valkey: str) -> None:
    with faulty(clean_valkey) as scene, scene.few_requests():
        for fault in (
            Garbage(lasts=LONG, share=0.3),
            Duplicate(lasts=LONG, share=0.1),
            Reorder(lasts=LONG, share=0.05),
            ReplayedSnapshot(lasts=LONG, share=0.1),
            Drop(lasts=LONG, share=0.05),
            NoFinalUpdate(lasts=LONG),
            StampAhead(lasts=60, seconds=3 * 86_400.0),
        ):
            scene.faults.begin(fault)
        closed = M5.floor(scene.now()) + M5.ms
        until(
            "each has happened, and a bucket was settled",
            lambda: each_has_happened(scene) and scene.settled(closed),
            60.0,
        )
        until("they are counted", lambda: are_counted(scene.feed_counts()))
        # On a busy machine a connection may seem silent, and is then made anew.
        silences = sum(why.startswith(("no candles for", "silent for")) for why in reasons(scene))
        assert scene.feed_counts()["reconnects"] <= silences, "no bytes end a connection"
        scene.heals()
        scene.ends_well()


def reasons(scene: Scene) -> list[str]:
    """Why the feed was interrupted, each time."""
    return [r["reason"] for r in scene.service.records if r.get("event") == "feed_broken"]


def given_up(scene: Scene) -> int:
    """How many connections the service ended by itself, since no candles came on them."""
    return sum(reason.startswith("no candles for") for reason in reasons(scene))


def are_counted(counts: Mapping[str, int]) -> bool:
    return counts["rejections"] > 0 and counts["sequence_gaps"] > 0


def has_happened(scene: Scene, what: str) -> bool:
    return scene.faults.counts[what] > 0


def each_has_happened(scene: Scene) -> bool:
    kinds = {name.split()[0] for name in scene.faults.counts}
    forms = {name for name in scene.faults.counts if name.startswith("garbage ")}
    return len(kinds) == 7 and len(forms) == 9


@pytest.mark.long
def test_a_product_that_the_channel_is_mute_of_is_found_told_and_subscribed_to_anew(
    clean_valkey: str,
) -> None:
    with faulty(clean_valkey) as scene, scene.few_requests():
        scene.faults.begin(Mute(lasts=LONG, products=(BTC,)))
        until("readers are told", lambda: (scene.feed(BTC), scene.feed(ETH)) == ("down", "up"), 60.0)
        scene.service.event("feed_renewed", products=[BTC])
        assert scene.feed_counts()["reconnects"] == 0, "the other products are not disturbed"
        scene.heals()
        scene.ends_well()


def test_a_data_channel_that_is_dead_under_heartbeats_is_told_and_connected_anew(clean_valkey: str) -> None:
    with faulty(clean_valkey) as scene, scene.few_requests():
        until("it is known what is usual", lambda: scene.venue.simulator.exchange.counts.frames > 200, 60.0)
        scene.faults.begin(Mute(lasts=LONG))
        scene.told("no candles for")
        until("the connection is made anew", lambda: connections(scene) >= 2, 60.0)
        scene.heals()
        scene.ends_well()


def test_a_connection_on_which_nothing_comes_is_told_and_made_again(clean_valkey: str) -> None:
    with faulty(clean_valkey, settings={"VENUES_COINBASE_SILENCE_TIMEOUT": 2}) as scene, scene.few_requests():
        scene.faults.begin(SilentFeed(lasts=LONG, cured=True))
        scene.told("silent for 2 s")
        # It says so just before readers are told: for one more look they may be in sync with the old one.
        until("it is made again", lambda: connections(scene) >= 2, 60.0)
        until("it is heard again", scene.in_sync, 60.0)
        scene.heals()
        scene.ends_well()


def connections(scene: Scene) -> int:
    return scene.venue.simulator.exchange.counts.connections


@pytest.mark.long
def test_an_exchange_that_is_gone_for_minutes_is_told_and_followed_again(clean_valkey: str) -> None:
    with faulty(clean_valkey) as scene:
        asked, began = len(scene.venue.requests), scene.now()
        scene.faults.begin(Unreachable(lasts=240))
        for symbol in SYMBOLS:
            check_that_readers_are_told(scene, symbol)
        until("it is back", scene.in_sync, 60.0)
        # Its feed is waited for between 1 and some 12 s, in which buckets close that REST has to settle.
        closes = (M5.floor(scene.now()) - M5.floor(began)) // M5.ms + 1
        assert len(scene.venue.requests) - asked <= 6 + 4 * closes, "nobody storms an exchange that is back"
        scene.heals()
        scene.ends_well()


@pytest.mark.long
def test_a_product_that_is_delisted_is_said_once_and_the_other_goes_on(clean_valkey: str) -> None:
    with faulty(clean_valkey) as scene, scene.few_requests(spare=5):
        scene.faults.begin(Delisted(products=(ETH,)))
        told = scene.service.event("unknown_symbol", 60.0)
        assert told["symbol"] == ETH
        until("readers are told", lambda: scene.feed(ETH) != "up", 60.0)
        through = M5.floor(scene.now()) + M5.ms
        until("the other one settles on", lambda: scene.settled(through, (BTC,)), 60.0)
        assert scene.forms(BTC)
        assert len(scene.service.events("unknown_symbol")) == 1
        assert scene.watcher.wrong == []
