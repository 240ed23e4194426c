"""`/openapi.json` is what the server does, and docs/api.md is what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from livecache.http import shapes
from livecache.http.openapi import document
from livecache.http.shapes import CandlesAnswer, ErrorAnswer, SeriesAnswer, ServiceAnswer

from ..cache.support import ETH, state
from ..cache.test_reader import KEYS, put
from .api import Served, served
from .support import ask

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.fixture
def server(clean_valkey: str) -> Iterator[Served]:
    with redis.Redis.from_url(clean_valkey) as store:
        put(store, state(0, 99, 100, forming=100), range(101))
        put(store, state(0, 5, 5, ready=False, reason="warming up: 5 of 60"), range(5), series=ETH)
        for symbol in ("BTC-USD", "ETH-USD"):
            store.persist(KEYS.alive(symbol))
    with served(clean_valkey) as running:
        yield running


def names_in(page: str) -> set[str]:
    """The words that the page sets as code."""
    return {word for code in re.findall(r"`([^`\n]+)`", page) for word in re.findall(r"[\w-]+", code)}


def test_the_document_is_served_and_refers_to_nothing_that_is_missing(server: Served) -> None:
    answer = ask(server.url, "/openapi.json")
    assert (answer.status, answer.content) == (200, document())
    references = re.findall(r'"#/components/schemas/(\w+)"', msgspec.json.encode(document()).decode())
    assert set(references) <= set(document()["components"]["schemas"])


def test_the_page_tells_every_path_parameter_and_field() -> None:
    told = names_in(PAGE)
    told_of = document()
    for path, methods in told_of["paths"].items():
        assert f"## {path}" in PAGE
        for parameter in methods["get"]["parameters"]:
            assert parameter["name"] in told, parameter["name"]
        for status in methods["get"]["responses"]:
            assert re.search(rf"\b{status}\b", PAGE), status
    for name, schema in told_of["components"]["schemas"].items():
        for field in schema.get("properties", {}):
            assert field in told, f"{name}.{field}"
    for kind in (*typing.get_args(shapes.ErrorKind), "state", "forming", "closed", "settled", "revised"):
        assert kind in told, kind


def test_the_examples_on_the_page_are_such_answers() -> None:
    examples = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    kinds: tuple[Any, ...] = (CandlesAnswer, SeriesAnswer, ServiceAnswer, ErrorAnswer)
    assert len(examples) == len(kinds)
    for example, kind in zip(examples, kinds, strict=True):
        told = msgspec.json.decode(example, type=kind)
        assert msgspec.to_builtins(told) == msgspec.json.decode(example), "with every field, and no other"


def test_schemathesis_finds_nothing_that_the_document_does_not_say(server: Served, tmp_path: Path) -> None:
    """Streams are left out, for they do not end. A 503 is told in the document, a 500 is not."""
    command = shutil.which("schemathesis")
    if command is None:
        pytest.skip("schemathesis is not on the PATH; .ci/run installs it in an environment of its own")
    checks = (
        *("status_code_conformance", "content_type_conformance", "response_schema_conformance"),
        *("negative_data_rejection", "unsupported_method"),
    )
    options = ("--exclude-path", "/api/v1/stream", "--max-examples", "60", "--seed", "6", "--no-color")
    ran = subprocess.run(
        [command, "run", f"{server.url}/openapi.json", "--checks", ",".join(checks), *options],
        cwd=tmp_path,  # it keeps notes
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
