"""What tests of the candles API share: a store to fill, and a server over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from .api import Served, served


@pytest.fixture
def store(clean_valkey: str) -> Iterator[Any]:
    with redis.Redis.from_url(clean_valkey) as client:
        yield client


@pytest.fixture
def server(clean_valkey: str) -> Iterator[Served]:
    with served(clean_valkey) as running:
        yield running
