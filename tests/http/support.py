"""What tests of the HTTP server share: asking it, and reading its metrics as Prometheus would."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from prometheus_client import parser

__all__ = ["Answer", "Samples", "ask", "metrics"]


class Answer(NamedTuple):
    """An answer; `content` is its JSON, or its text where it is none."""

    status: int
    content: Any
    headers: Mapping[str, str]


def ask(
    url: str,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    within_s: float = 60.0,
    **headers: str,
) -> Answer:
    """One request, over a connection of its own; underscores in a header's name stand for hyphens."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=within_s)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        text = response.read().decode()
        is_json = text and response.headers.get_content_type().endswith("json")
        content = json.loads(text) if is_json else text
        return Answer(response.status, content, dict(response.headers))
    finally:
        connection.close()


class Samples(dict[str, dict[tuple[str, ...], float]]):
    """Values by name and label values, in the order of the labels' names."""

    def one(self, name: str, *labels: str) -> float:
        """The value of that sample."""
        return self[f"livecache_{name}"][labels]

    def has(self, name: str) -> bool:
        """Whether there is any such sample."""
        return f"livecache_{name}" in self


def metrics(url: str) -> Samples:
    """What a scrape finds."""
    answer = ask(url, "/metrics")
    assert answer.status == 200, answer
    samples = Samples()
    for family in families(answer.content):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


def families(text: str) -> Iterable[Any]:
    """The families in an exposition."""
    return parser.text_string_to_metric_families(text)
