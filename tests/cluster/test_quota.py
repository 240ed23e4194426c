"""A budget is shared over a cluster as over one server: its key and the ban are of one slot."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from livecache.engine.limiter import Urgency
from tests.quota.members import PER_S, Sent, ask, limiter_of, most_in, store_of

from .nodes import Nodes


def test_members_over_a_cluster_ask_as_one_may(clean_nodes: Nodes) -> None:
    async def run() -> list[Sent]:
        async with AsyncExitStack() as stack:
            limiters = []
            for name in "abc":
                store = store_of(clean_nodes.url)
                stack.push_async_callback(store.aclose)
                limiters.append(limiter_of(store, name))
            both = {Urgency.LIVE: 1.0, Urgency.HISTORY: 100.0}
            sent = await asyncio.gather(*(ask(limiter, 4, both) for limiter in limiters))
            assert all(limiter.quota and limiter.quota.asks for limiter in limiters)
            assert not any(limiter.quota and limiter.quota.fallbacks for limiter in limiters)
            return sorted(each for one in sent for each in one)

    starts = [each.at for each in asyncio.run(run())]
    assert most_in(starts) <= PER_S + 1
    assert sum(at > starts[0] + 2 for at in starts) >= 0.8 * PER_S * 1.9
