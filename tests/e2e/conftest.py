"""A history on a server, for whole services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..history.pg import Postgres


@pytest.fixture
def history(postgres: Postgres) -> Iterator[Postgres]:
    """A database with nothing in it. The server runs again afterwards, whatever has become of it."""
    postgres.emptied()
    yield postgres
    if postgres.process is None:
        postgres.start()
