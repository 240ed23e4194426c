"""Services that share a server, each in a database of its own: none hears of another's candles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import redis.asyncio

from livecache import Reader
from livecache.app import open_engine
from livecache.commands.look.following import BucketNews, Following
from livecache.commands.prune import plan
from livecache.config.schema import Config, RedisConfig
from livecache.keys.keyspace import Keyspace, encode_update
from livecache.model.candle import ExactCandle
from livecache.model.series import Kind, SeriesId, Update
from livecache.model.timeframe import Timeframe
from livecache.quality.inspection import Inspector
from livecache.quality.keys import sort_keys
from livecache.read.reading import SeriesView
from livecache.read.standing import forming_in
from livecache.venues.coinbase.settings import CoinbaseSettings
from livecache.wire.connecting import client_for, database_of

from .either import either
from .support import BTC, STEP, T0, Source, candle, state, until
from .test_reader import KEYS, put
from .writing import on_valkey, running, writer_of

OTHER = replace(KEYS, database=3)
CHANNEL = OTHER.updates(*BTC[1:])


@pytest.fixture
def other(clean_valkey: str) -> Iterator[Any]:
    """A client of another database than the first."""
    with redis.Redis.from_url(clean_valkey, db=OTHER.database) as client:
        yield client


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("redis://h:6379", 0),
        ("redis://h:6379/0", 0),
        ("redis://user:secret@h:6379/7", 7),
        ("redis://h:6379/7?db=2", 2),
        ("unix:///run/redis.sock?db=4", 4),
        ("redis+sentinel://h:26379/master/5", 5),
        ("redis+sentinel://h:26379/master", 0),
    ],
)
@pytest.mark.parametrize("library", [redis, redis.asyncio], ids=["sync", "async"])
def test_a_client_knows_its_database_however_the_url_says_it(library: Any, url: str, number: int) -> None:
    assert database_of(client_for(library, url)) == number


def test_a_client_that_has_no_databases_works_in_the_first() -> None:
    assert database_of(SimpleNamespace()) == database_of(SimpleNamespace(connection_pool=object())) == 0


def test_a_writer_is_heard_by_who_reads_its_database_and_by_nobody_else(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source, keys=OTHER)
        async with running(writer), client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await until(lambda: writer.stats.upserts == 2)
            await pubsub.psubscribe("*")
            await pubsub.get_message(timeout=10)
            update = Update(Kind.FORMING, candle(10))
            source.change(BTC, {T0 + 10 * STEP: candle(10)}, state(0, 10, 10), updates=(update,))
            message = None
            while message is None:
                message = await pubsub.get_message(timeout=10)
            assert message["channel"] == CHANNEL.encode()

    on_valkey(clean_valkey, test)


async def _service_of(url: str) -> str:
    coinbase = CoinbaseSettings(
        symbols=("BTC-USD",), rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9"
    )
    config = Config(redis=RedisConfig(url=url), venues={"coinbase": coinbase})
    async with open_engine(config) as engine:
        return engine.keys.updates(*BTC[1:])


PREFIXES = [
    "live",
    "live:cache",
    "live:cache:2",
    "livecache",
    "live*",
    "l?ve",
    "[l]ive",
    "live\\",
    "^live",
    "l-i",
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_is_its_own_whatever_others_begin_with_or_match(
    prefix: str, clean_valkey: str, store: Any
) -> None:
    """Neither what is read, nor what `check` and `prune` find, is of another prefix."""
    every = [Keyspace(one) for one in PREFIXES]
    for number, keys in enumerate(every):
        store.zadd(keys.candles(*BTC[1:]), {"[0,1,1,1,1,1]": 0})
        store.sadd(keys.series, keys.series_member(BTC))
        store.zadd(keys.candles(f"OLD{number}-USD", Timeframe.M5), {"[0,1,1,1,1,1]": 0})
    mine = Keyspace(prefix)
    left_over = SeriesId("coinbase", f"OLD{PREFIXES.index(prefix)}-USD", Timeframe.M5)
    found = sort_keys(Inspector(store, mine).names(), mine, [BTC])
    assert (found.leftovers, found.unknown) == ({left_over}, [])
    config = Config(venues={"coinbase": CoinbaseSettings(symbols=("BTC-USD",))})
    assert plan(store, mine, config).remove == (left_over,)
    with Reader(clean_valkey, prefix=prefix) as reader:
        assert reader.series() == [BTC]
    store.set(f"{prefix}:mine", "a note")
    assert sort_keys(Inspector(store, mine).names(), mine, [BTC]).unknown == [f"{prefix}:mine"]


def test_a_service_takes_the_number_from_its_url(clean_valkey: str) -> None:
    assert asyncio.run(_service_of(f"{clean_valkey}/3")) == CHANNEL
    assert asyncio.run(_service_of(clean_valkey)) == KEYS.updates(*BTC[1:])


def test_a_follower_hears_the_hints_of_its_database(kind: str, clean_valkey: str, other: Any) -> None:
    put(other, state(0, 10, 10), range(10))
    with (
        either(kind, f"{clean_valkey}/{OTHER.database}") as reader,
        closing(reader.follow("BTC-USD", "5m", 4)) as answers,
    ):
        assert next(answers).known_through == T0 + 10 * STEP
        listening = dict(other.pubsub_numsub(CHANNEL, KEYS.updates(*BTC[1:])))
        assert listening == {CHANNEL.encode(): 1, KEYS.updates(*BTC[1:]).encode(): 0}
        put(other, state(0, 10, 11), range(11))
        other.publish(CHANNEL, encode_update(Update(Kind.CLOSED, candle(10))))
        assert next(answers).known_through == T0 + 11 * STEP


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({}, candle(10)),
        ({"forming": 9}, None),
        ({"forming": None}, None),
        ({"alive": False}, None),
        ({"member": "damaged"}, None),
    ],
    ids=["vouched for", "of another bucket", "of none", "by nobody", "damaged"],
)
def test_a_bucket_in_progress_is_shown_if_somebody_vouches_for_it(
    change: dict[str, Any], shown: ExactCandle | None, clean_valkey: str, other: Any
) -> None:
    put(other, state(0, 10, 10, forming=change.get("forming", 10)), range(11))
    if "member" in change:
        other.zadd(KEYS.candles(*BTC[1:]), {change["member"]: T0 + 11 * STEP})
    if not change.get("alive", True):
        other.delete(KEYS.alive("BTC-USD"))
    with Reader(f"{clean_valkey}/{OTHER.database}") as reader:
        assert forming_in(reader.state("BTC-USD", "5m")) == shown


def test_what_is_watched_comes_from_the_database_and_not_from_a_message(other: Any) -> None:
    put(other, state(0, 10, 10, forming=10), range(11))
    forming = Update(Kind.FORMING, candle(10, close="900.25"))
    with closing(Following(KEYS, BTC).happenings(other)) as news:
        view = next(news)
        assert isinstance(view, SeriesView)
        assert not other.publish(KEYS.updates(*BTC[1:]), encode_update(forming)), (
            "as the first database's writer"
        )
        assert other.publish(CHANNEL, encode_update(forming))
        told = next(one for one in news if isinstance(one, BucketNews))
        assert (told.kind, told.candle) == (Kind.FORMING, candle(10))
