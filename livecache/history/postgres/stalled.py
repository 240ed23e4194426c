"""Who was stopped in the middle of a COPY keeps its locks: no time-out of the server's ends it there.

So those do who are held up by it. What is of another user is left alone.
"""

from __future__ import annotations

import psycopg

__all__ = ["STALLED_S", "end_stalled"]

STALLED_S = 30.0
"""A COPY that has lasted so long is ended if no byte of it comes for a second. A page takes milliseconds."""

_COPIES = """SELECT pid, query_start, bytes_processed
    FROM pg_stat_progress_copy JOIN pg_stat_activity USING (pid)
    WHERE command = 'COPY FROM' AND pg_stat_activity.datname = current_database() AND usename = current_user
        AND application_name = current_setting('application_name')
        AND query_start < statement_timestamp() - make_interval(secs => %s)"""


def end_stalled(raw: psycopg.Connection) -> None:
    """End them. Their transactions are undone; when they wake up they find that, and begin again."""
    if copies := set(raw.execute(_COPIES, (STALLED_S,)).fetchall()):
        raw.execute("SELECT pg_sleep(1)")
        still = copies.intersection(raw.execute(_COPIES, (STALLED_S,)).fetchall())
        for pid, *_ in still:
            raw.execute("SELECT pg_terminate_backend(%s)", (pid,))
