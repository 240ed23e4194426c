"""/metrics: the catalogue as Prometheus reads it."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ...model.histogram import Histogram
from ..route import Requests
from .catalogue import OF_ENGINE, OF_LIMITER, OF_PROCESS, Metric, Value, Values
from .instance import Instance

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric as Family

__all__ = ["Metrics"]

_OF_REQUESTS = Metric(
    "counter",
    "http_requests",
    "Requests to this server; paths that it does not serve are other.",
    lambda requests: requests,
    ("route", "code"),
)


class Metrics:
    """The handler, and the collector behind it."""

    def __init__(self, instance: Instance, requests: Requests) -> None:
        self._instance = instance
        self._requests = requests
        self._registry: CollectorRegistry | None = None

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """Everything, in the format that is asked for: Prometheus's text, or OpenMetrics."""
        if self._registry is None:
            # Only now, and beside the loop: it takes 20 ms, and many will never ask.
            await asyncio.to_thread(importlib.import_module, "prometheus_client")
        from prometheus_client import CollectorRegistry, ProcessCollector
        from prometheus_client.exposition import choose_encoder

        if self._registry is None:
            self._registry = CollectorRegistry(auto_describe=False)
            self._registry.register(self)
            ProcessCollector(registry=self._registry)
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    def collect(self) -> Iterator[Family]:
        """All metrics as they are now, for the registry."""
        for metric in OF_PROCESS:
            yield _family(metric, metric.read(self._instance))
        yield _family(_OF_REQUESTS, _OF_REQUESTS.read(self._requests))
        places = self._instance.places
        several, split = len(places) > 1, any(place.sharer for place in places.values())
        names = ("venue",) * several + ("shard",) * split
        engines = {
            (venue,) * several + (str(engine.keys.shard or 0),) * split: engine
            for venue, place in places.items()
            for engine in place.engines
        }
        for metric in OF_ENGINE if engines else ():
            less = split and metric.name in OF_LIMITER  # by a label: any shard tells it for all
            told = {
                (*(own[:-1] if less else own), *labels): value
                for own, engine in engines.items()
                for labels, value in _labelled(metric.read(engine)).items()
            }
            labels = (*(names[:-1] if less else names), *metric.labels)
            yield _family(metric._replace(labels=labels), told)


def _labelled(values: Values) -> Mapping[tuple[str, ...], Value]:
    """By the values of the labels."""
    return values if isinstance(values, Mapping) else {} if values is None else {(): values}


def _family(metric: Metric, values: Values) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
    family: Any = kinds[metric.kind](f"livecache_{metric.name}", metric.help, labels=metric.labels)
    for labels, value in _labelled(values).items():
        if isinstance(value, Histogram):
            bounds = [("+Inf" if b == float("inf") else str(b), count) for b, count in value.cumulative()]
            family.add_metric(labels, bounds, value.total)
        else:
            family.add_metric(labels, value)
    result: Family = family
    return result
