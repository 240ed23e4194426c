"""What is told of a process that serves several venues, of which one is in trouble."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import fakeredis
from prometheus_client import CollectorRegistry, generate_latest

from livecache.app import assemble
from livecache.config.schema import Config
from livecache.engine.engine import Engine
from livecache.engine.fleet import Place
from livecache.http.route import Requests
from livecache.http.source import Source
from livecache.http.watch.health import STIRS_WITHIN_S, Health
from livecache.http.watch.instance import Instance
from livecache.http.watch.lookout import Lookout
from livecache.http.watch.metrics import Metrics
from livecache.keys.keyspace import Keyspace

from ..service.hand_clock import HandClock

ASKED: Any = None  # The handlers look at nothing of a request.
TROUBLE = "the key {x}:lease holds a list that is not livecache's"


class Scene:
    """A process with two venues, `first` and `second`; nobody runs their engines."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.store = fakeredis.FakeAsyncRedis()
        self.instance = Instance(Config(), self.clock)
        engines = {name: assemble(Config(), self.store, self.clock)[0] for name in ("first", "second")}
        self.places = {name: Place(engine) for name, engine in engines.items()}
        self.instance.places = self.places
        self.health = Health(self.instance, Lookout(self.instance, self.clock))

    def end(self, venue: str) -> Engine:
        """Its engine ends by an error."""
        place = self.places[venue]
        engine, place.engine, place.trouble = place.engine, None, TROUBLE
        assert engine is not None
        return engine


async def said(answer: Any) -> tuple[int, dict[str, Any]]:
    response = await answer
    return response.status, json.loads(response.body)


def test_a_venue_in_trouble_is_told_and_is_no_reason_for_a_restart() -> None:
    async def main() -> None:
        scene = Scene()
        await scene.end("second").close(for_good=False)
        status, alive = await said(scene.health.alive(ASKED))
        assert (status, alive["role"]) == (200, "starting")
        assert alive["venues"] == {
            "first": {"role": "starting", "trouble": ""},
            "second": {"role": "starting", "trouble": TROUBLE},
        }
        status, ready = await said(scene.health.ready(ASKED))
        assert (status, ready["venues"]["second"]["ready"]) == (503, False)
        assert ready["reasons"] == [
            "first: no series under the prefix 'livecache' yet",
            f"second: {TROUBLE}",
        ]
        engine = scene.places["first"].engine
        assert engine is not None
        engine.live.warm_s = 1.0
        assert (await said(scene.health.started(ASKED)))[0] == 200
        scene.clock.time += STIRS_WITHIN_S + 1
        status, dead = await said(scene.health.alive(ASKED))
        assert status == 503
        assert dead["reasons"] == ["first: the writer has neither written, waited nor tried for 61 s"]
        await engine.close(for_good=False)

    asyncio.run(main())


def test_where_every_venue_is_in_trouble_nothing_has_started() -> None:
    async def main() -> None:
        scene = Scene()
        for venue in scene.places:
            await scene.end(venue).close(for_good=False)
        status, told = await said(scene.health.started(ASKED))
        assert (status, len(told["reasons"])) == (503, 2)

    asyncio.run(main())


def test_the_metrics_of_several_venues_have_them_for_a_label() -> None:
    async def main() -> None:
        scene = Scene()
        registry = CollectorRegistry()
        registry.register(Metrics(scene.instance, Requests()))
        told = generate_latest(registry).decode()
        for venue, engine in scene.instance.engines.items():
            assert f'livecache_series{{state="waiting",venue="{venue}"}} {len(engine.series)}.0' in told
        assert "livecache_lease_held 0.0" in told
        await scene.end("second").close(for_good=False)
        told = generate_latest(registry).decode()
        assert 'venue="first"' in told and 'venue="second"' not in told
        await scene.end("first").close(for_good=False)
        assert "livecache_series" not in generate_latest(registry).decode()

    asyncio.run(main())


def test_the_way_to_one_venues_candles_outlives_the_end_of_anothers_engine() -> None:
    clock = HandClock()
    instance = Instance(Config(), clock)
    engines = {
        name: cast(Engine, SimpleNamespace(store=None, keys=Keyspace(venue=name)))
        for name in ("first", "second")
    }
    instance.places = {name: Place(engine) for name, engine in engines.items()}
    source = Source(instance, clock)
    way = source.way()
    assert way.venues == ("first", "second")
    instance.places["first"].engine = None
    assert not source.left(way) and source.way() is way
    instance.places["second"].engine = None
    assert source.left(way)
