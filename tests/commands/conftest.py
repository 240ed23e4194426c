"""A Redis that the environment points at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from livecache.embedded.server import EmbeddedServer

from .support import KEYS


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(temporary=True) as running:
        yield running


@pytest.fixture
def store(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[redis.Redis]:
    """An empty Redis that the environment points at."""
    for name in [name for name in os.environ if name.startswith("LIVECACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIVECACHE_REDIS_URL", server.url)
    monkeypatch.setenv("LIVECACHE_REDIS_PREFIX", KEYS.prefix)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client
