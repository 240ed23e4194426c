"""One Chromium for the session, and a new tab in it for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .chromium import Tab, chromium, tab_of


@pytest.fixture(scope="session")
def devtools() -> Iterator[str]:
    """The address of a Chromium's DevTools; skips where there is none."""
    with chromium() as address:
        yield address


@pytest.fixture
def tab(devtools: str) -> Iterator[Tab]:
    """A new tab, as wide as a laptop's screen."""
    with tab_of(devtools) as opened:
        yield opened
