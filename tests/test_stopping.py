"""What becomes of errors that end the service."""

from __future__ import annotations

import asyncio

import pytest

from livecache.stopping import until_stopped


def test_a_connection_that_ends_unexpectedly_is_a_bug_and_not_the_end_of_what_a_user_types() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hang_up(), name="hang up")

    async def hang_up() -> None:
        raise EOFError

    with pytest.raises(RuntimeError, match="a connection has ended") as caught:
        asyncio.run(until_stopped(main))
    assert isinstance(caught.value.__cause__, EOFError)
