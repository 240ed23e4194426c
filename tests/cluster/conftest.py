"""One cluster for all tests of this folder; each finds it whole and empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .nodes import Nodes, cluster


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three masters, each with a replica."""
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def clean_nodes(nodes: Nodes) -> Nodes:
    """… with all of them alive, and nothing in them."""
    nodes.revive()
    for node in nodes.nodes:
        if node.info("replication")["role"] == "master":
            node.ask("FLUSHALL")
    return nodes
