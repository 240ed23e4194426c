"""docs/http.md: its table is what is exported, and it names every endpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest

from livecache.http.route import Requests
from livecache.http.routes import routes
from livecache.http.watch.catalogue import OF_ENGINE, OF_PROCESS, STATES
from livecache.http.watch.metrics import Metrics
from livecache.model.histogram import Histogram
from livecache.venues.stats import REQUEST_KINDS
from livecache.venues.venue import FailureKind

from ..service.hand_clock import HandClock
from .support import families
from .test_health import engine_without_redis

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")


class Told(NamedTuple):
    """A line of the table."""

    kind: str
    labels: tuple[str, ...]
    meaning: str


TABLE = {
    name: Told(kind, tuple(re.findall(r"`(\w+)`", labels)), meaning)
    for name, kind, labels, meaning in re.findall(
        r"^\| `(livecache_\w+)` \| (\w+) \| (.*?)\| (.+) \|$", PAGE, re.MULTILINE
    )
}


def exported() -> str:
    """What a scrape finds of a service that has not begun."""
    engine, instance, _ = engine_without_redis(HandClock())
    assert instance.engine is engine
    stats = Requests()
    stats["/healthz", "200"] += 1
    registry = CollectorRegistry()
    registry.register(Metrics(instance, stats))
    return generate_latest(registry).decode()


def test_the_table_has_every_metric_with_its_type_and_no_other() -> None:
    found = {
        f"{family.name}_total" if family.type == "counter" else family.name: family.type
        for family in families(exported())
    }
    assert len(found) > 35
    assert {name: told.kind for name, told in TABLE.items()} == found


def test_the_table_has_every_label() -> None:
    named = {
        f"livecache_{m.name}{'_total' * (m.kind == 'counter')}": m.labels for m in (*OF_PROCESS, *OF_ENGINE)
    }
    named["livecache_http_requests_total"] = ("route", "code")
    assert {name: told.labels for name, told in TABLE.items()} == named


def test_the_table_names_what_a_label_can_say() -> None:
    outcomes = [kind.replace(" ", "_") for kind in ("ok", *FailureKind)]
    values = {
        "livecache_series": STATES,
        "livecache_venue_requests_total": (*REQUEST_KINDS, *outcomes),
        "livecache_rejections_total": ("feed", "rest", "frame", "candle", "trade", "time"),
        "livecache_redis_damage_total": ("series", "time_limit", "announcement", "closes"),
        "livecache_feed_symbols": ("up", "down"),
    }
    for name, known in values.items():
        for value in known:
            assert f"`{value}`" in TABLE[name].meaning, f"{name}: {value}"


def test_names_are_as_prometheus_wants_them() -> None:
    for name, told in TABLE.items():
        assert name.endswith("_total") == (told.kind == "counter")
        assert not re.search(r"_(ms|millis|minutes|age)(_|$)", name)
        if told.kind == "histogram":
            assert name.endswith("_seconds")


def test_every_endpoint_is_on_the_page() -> None:
    clock = HandClock()
    _, instance, _ = engine_without_redis(clock)
    for route in routes(instance, Requests(), clock):
        shown = "/page/…" if route.path.startswith("/page/") else route.path
        assert f"`{shown}`" in PAGE


def test_a_histogram_counts_each_value_once() -> None:
    seconds = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        seconds.observe(value)
    assert list(seconds.cumulative()) == [(0.1, 2), (1.0, 4), (float("inf"), 5)]
    assert seconds.total == 8.65
