"""Breakages of who may order work, of what becomes of an order, and of what one client may take."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_ORDERS"]

OF_ORDERS = (
    Breakage(
        "a token that reads may order",
        (Edit("livecache/http/guard.py", "            if orders:\n", "            if False:\n"),),
        ("tests/http/test_guard.py", "tests/http/test_who_may.py"),
    ),
    Breakage(
        "a route that orders work forgets to say so",
        (
            Edit(
                "livecache/http/api/routes.py",
                "asked(source, jobs.cancel), orders=True)",
                "asked(source, jobs.cancel))",
            ),
        ),
        ("tests/http/test_who_may.py",),
    ),
    Breakage(
        "a key makes a second order",
        (
            Edit(
                "livecache/http/ordering/orders.py",
                '        return store.submit(wants, key=key.text if key else "")',
                "        return store.submit(wants)",
            ),
        ),
        ("tests/http/test_jobs.py",),
    ),
    Breakage(
        "a key that was for another order is taken for this one",
        (Edit("livecache/http/ordering/orders.py", "order.key != key.text", "order.key is None"),),
        ("tests/http/test_jobs.py",),
    ),
    Breakage(
        "a job that is cancelled goes on",
        (
            Edit(
                "livecache/history/tables/jobs.py",
                "\"UPDATE jobs SET state = 'cancelled', worker = '', finished = ?\"",
                '"UPDATE jobs SET state = state, finished = ?"',
            ),
        ),
        ("tests/http/test_jobs.py", "tests/history/test_jobs.py"),
    ),
    Breakage(
        "whoever asks too often takes everybody's share",
        (
            Edit(
                "livecache/http/source.py",
                "self._addresses.take(address, now_s)",
                'self._addresses.take("", now_s)',
            ),
        ),
        ("tests/http/test_limits.py",),
    ),
    Breakage(
        "one address may hold all connections",
        (
            Edit(
                "livecache/http/server.py",
                "if len(connections) > most:",
                "if len(connections) > CLIENTS_MOST:",
            ),
        ),
        ("tests/http/test_limits.py",),
    ),
    Breakage(
        "a stream forgets to tell how a job ended",
        (
            Edit(
                "livecache/http/api/hub.py",
                "self._board.under_way(told)",
                "self._board.under_way(())",
            ),
        ),
        ("tests/http/test_jobs.py",),
    ),
    Breakage(
        "a worker waits for whoever is just claiming a job",
        (Edit("livecache/history/postgres/database.py", "OF jobs SKIP LOCKED", "OF jobs"),),
        ("tests/history/test_workers.py",),
    ),
    Breakage(
        "two workers claim the same job",
        (Edit("livecache/history/postgres/database.py", " FOR UPDATE OF jobs SKIP LOCKED", ""),),
        ("tests/history/test_workers.py",),
    ),
    Breakage(
        "a worker that is stopped in a COPY keeps a series to itself",
        (
            Edit(
                "livecache/history/postgres/database.py",
                "                        end_stalled(self._raw)\n",
                "                        pass\n",
            ),
        ),
        ("tests/history/test_workers.py",),
    ),
    Breakage(
        "whoever takes long over a COPY is ended",
        (Edit("livecache/history/postgres/stalled.py", "copies.intersection(", "copies.union("),),
        ("tests/history/test_workers.py",),
    ),
    Breakage(
        "a page is stored without a look at the lease",
        (
            Edit(
                "livecache/history/tables/writing.py",
                "                hold(db, lease, now)\n",
                "                pass\n",
            ),
        ),
        ("tests/history/test_workers.py",),
    ),
)
