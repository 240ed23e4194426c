"""The thread of a store: whoever goes leaves nothing behind that anybody would have to look at."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

from livecache.errors import LeaseLost
from livecache.history.thread import StoreThread


def test_what_nobody_waits_for_any_more_fails_without_a_word() -> None:
    told: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        begun, go_on = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            go_on.wait(20)
            raise LeaseLost("job 1 is another worker's by now", "")

        async with StoreThread() as thread:
            waits = asyncio.create_task(thread(work))
            await asyncio.to_thread(begun.wait, 20)
            waits.cancel()
            await asyncio.sleep(0)
            go_on.set()
            await asyncio.wait([waits])
            assert waits.cancelled()
        del waits
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    assert told == []
