"""The writer over a cluster: tests that it has over one server, and what only a cluster does."""

from __future__ import annotations

import pytest

from ..cache.test_audit import test_damage_is_found_told_and_mended_though_nothing_changes  # noqa: F401
from ..cache.test_fencing import (
    test_a_lease_that_another_has_taken_is_told_with_its_name,  # noqa: F401
    test_one_that_gives_way_ends_where_another_has_written_meanwhile,  # noqa: F401
    test_what_another_has_written_meanwhile_is_written_anew_and_the_rest_is_not,  # noqa: F401
)
from ..cache.test_writer import (
    test_a_key_of_somebody_elses_is_told_left_alone_and_written_when_it_is_gone,  # noqa: F401
    test_a_lost_key_alone_is_rewritten_with_the_next_change,  # noqa: F401
    test_a_writer_that_lost_the_lease_stops_and_takes_over_again_when_it_may,  # noqa: F401
    test_what_the_source_holds_is_in_redis_with_all_that_belongs_to_it,  # noqa: F401
)
from .nodes import Nodes


@pytest.fixture
def clean_valkey(clean_nodes: Nodes) -> str:
    """The cluster in the place of the one server."""
    return clean_nodes.url
