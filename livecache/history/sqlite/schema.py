"""The tables of the embedded store."""

from __future__ import annotations

__all__ = ["APPLICATION", "LATER", "SCHEMA", "STAND_INS", "STATEMENTS"]

SCHEMA = 2
"""Grows with each change that an older livecache would not understand."""

APPLICATION = 0x6C636831  # "lch1"
"""Tells such a file from other people's."""

_FIRST = (
    """CREATE TABLE series (
        id INTEGER PRIMARY KEY, venue TEXT NOT NULL, symbol TEXT NOT NULL, timeframe TEXT NOT NULL,
        grid TEXT NOT NULL DEFAULT '', step INTEGER NOT NULL, listed INTEGER,
        rev INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0,
        UNIQUE (venue, symbol, timeframe))""",
    """CREATE TABLE blocks (
        series INTEGER NOT NULL REFERENCES series, block INTEGER NOT NULL, rows INTEGER NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, rev INTEGER NOT NULL,
        data BLOB NOT NULL CHECK (typeof(data) = 'blob'),
        PRIMARY KEY (series, block))""",
    # Disjoint, and none begins where another ends.
    """CREATE TABLE coverage (
        series INTEGER NOT NULL REFERENCES series, start INTEGER NOT NULL,
        "end" INTEGER NOT NULL CHECK (start < "end"), PRIMARY KEY (series, start)) WITHOUT ROWID""",
    # What was stored at a time until then; NULL: the bucket was known to be empty.
    """CREATE TABLE revisions (
        series INTEGER NOT NULL REFERENCES series, time INTEGER NOT NULL, rev INTEGER NOT NULL,
        at INTEGER NOT NULL, source TEXT NOT NULL, old TEXT,
        PRIMARY KEY (series, time, rev)) WITHOUT ROWID""",
    # When which spans became known: bucket b at `at` or at b + lag, whichever is earlier.
    """CREATE TABLE arrivals (
        series INTEGER NOT NULL REFERENCES series, rev INTEGER NOT NULL, began INTEGER NOT NULL,
        at INTEGER NOT NULL, lag INTEGER NOT NULL, source TEXT NOT NULL, start INTEGER NOT NULL,
        "end" INTEGER NOT NULL, spans TEXT NOT NULL, PRIMARY KEY (series, rev)) WITHOUT ROWID""",
    "CREATE INDEX revisions_by_age ON revisions (at)",
    # Blocks that could not be believed.
    """CREATE TABLE damaged (
        id INTEGER PRIMARY KEY, series INTEGER NOT NULL, block INTEGER NOT NULL, at INTEGER NOT NULL,
        reason TEXT NOT NULL, data BLOB)""",
    """CREATE TABLE orders (
        id INTEGER PRIMARY KEY, key TEXT UNIQUE, jobs TEXT NOT NULL, created INTEGER NOT NULL)""",
    """CREATE TABLE jobs (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL, series INTEGER NOT NULL REFERENCES series,
        start INTEGER NOT NULL, "end" INTEGER NOT NULL, force INTEGER NOT NULL, priority INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending'
            CHECK (state IN ('pending', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
        attempts INTEGER NOT NULL DEFAULT 0, not_before INTEGER NOT NULL DEFAULT 0,
        token INTEGER NOT NULL DEFAULT 0, worker TEXT NOT NULL DEFAULT '',
        lease_until INTEGER NOT NULL DEFAULT 0, done TEXT NOT NULL DEFAULT '[]',
        error TEXT NOT NULL DEFAULT '', inserted INTEGER NOT NULL DEFAULT 0,
        revised INTEGER NOT NULL DEFAULT 0, same INTEGER NOT NULL DEFAULT 0,
        rejected INTEGER NOT NULL DEFAULT 0, pages INTEGER NOT NULL DEFAULT 0,
        created INTEGER NOT NULL, finished INTEGER)""",
    """CREATE UNIQUE INDEX jobs_active ON jobs (key) WHERE state IN ('pending', 'running', 'waiting')""",
    """CREATE TABLE log (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, level TEXT NOT NULL, event TEXT NOT NULL,
        message TEXT NOT NULL, job INTEGER, series INTEGER, detail TEXT NOT NULL)""",
)

_PROVISIONAL = """TABLE provisional (
    series INTEGER NOT NULL, time INTEGER NOT NULL, candle TEXT, heard INTEGER NOT NULL,
    PRIMARY KEY (series, time)) WITHOUT ROWID"""

_ASSETS = """TABLE assets (
    venue TEXT NOT NULL, symbol TEXT NOT NULL, first_seen INTEGER NOT NULL, last_update INTEGER NOT NULL,
    listed INTEGER NOT NULL, exchange TEXT NOT NULL, currency TEXT NOT NULL, calendar TEXT NOT NULL,
    name TEXT NOT NULL, PRIMARY KEY (venue, symbol)) WITHOUT ROWID"""

_ACTIONS = """TABLE actions (
    venue TEXT NOT NULL, symbol TEXT NOT NULL, time INTEGER NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
    asked INTEGER NOT NULL, PRIMARY KEY (venue, symbol, time, kind)) WITHOUT ROWID"""

_STALE = """TABLE stale (
    series INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, ratio TEXT NOT NULL,
    PRIMARY KEY (series, start)) WITHOUT ROWID"""

LATER = {
    2: (
        # Buckets that a page has shown before they were final, and are not covered yet. NULL: it had none.
        f"CREATE {_PROVISIONAL}",
        f"CREATE {_ASSETS}",
        f"CREATE {_ACTIONS}",
        # Spans of the coverage that were read before a split, and in which shares: "4": four of today's are
        # one of those. They are read again.
        f"CREATE {_STALE}",
        # From there on a bucket that is not final is as good as known.
        "ALTER TABLE jobs ADD COLUMN final INTEGER",
    ),
}
"""What makes a file of each schema out of one of the schema before."""

STATEMENTS = (*_FIRST, *(statement for each in LATER.values() for statement in each))
"""What makes a new file."""

STAND_INS = {
    2: (
        *(f"CREATE TEMP {table}" for table in (_PROVISIONAL, _ASSETS, _ACTIONS, _STALE)),
        "CREATE TEMP VIEW jobs AS SELECT *, NULL AS final FROM main.jobs",
    ),
}
"""What a reader takes for what a file of an older schema lacks."""
