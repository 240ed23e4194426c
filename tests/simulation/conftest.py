"""The server that these tests ask for more than all others do, by a quicker way."""

from __future__ import annotations

import pytest


@pytest.fixture
def clean_valkey(clean_valkey: str, valkey_socket: str) -> str:
    """The same server by its socket: under virtual time, nothing is waited for but its answers."""
    return f"unix://{valkey_socket}"
