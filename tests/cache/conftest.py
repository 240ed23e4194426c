"""A Redis that a test writes to by hand, and which of the two readers then reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from .either import KINDS


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """What `either` opens."""
    value: str = request.param
    return value


@pytest.fixture
def store(clean_valkey: str) -> Iterator[Any]:
    """A client of the emptied server."""
    with redis.Redis.from_url(clean_valkey) as client:
        yield client
