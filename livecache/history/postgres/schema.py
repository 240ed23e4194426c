"""The tables of a PostgreSQL store.

Candles are plain rows, with times that PostgreSQL knows as such. All else has times in Unix ms, and is asked
in the same SQL as the embedded store; the views tell times as times.
"""

from __future__ import annotations

__all__ = ["LAYOUTS", "MIGRATIONS", "SCHEMA"]

_FIRST = (
    """CREATE TABLE series (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, venue text COLLATE "C" NOT NULL,
        symbol text COLLATE "C" NOT NULL, timeframe text COLLATE "C" NOT NULL, grid text NOT NULL DEFAULT '',
        step bigint NOT NULL, listed bigint, rev bigint NOT NULL DEFAULT 0, rows bigint NOT NULL DEFAULT 0,
        UNIQUE (venue, symbol, timeframe))""",
    # Without a precision: no digit of a venue's is cut. The key has what TimescaleDB would cut it by.
    """CREATE TABLE candles (
        series int NOT NULL, time timestamptz NOT NULL, open numeric NOT NULL, high numeric NOT NULL,
        low numeric NOT NULL, close numeric NOT NULL, volume numeric NOT NULL, PRIMARY KEY (series, time))""",
    # How many candles lie in each block of 1,440 bucket lengths, and which revision changed them last.
    """CREATE TABLE blocks (
        series int NOT NULL REFERENCES series, block bigint NOT NULL, rows int NOT NULL,
        first bigint NOT NULL, last bigint NOT NULL, rev bigint NOT NULL, PRIMARY KEY (series, block))""",
    """CREATE TABLE coverage (
        series int NOT NULL REFERENCES series, start bigint NOT NULL,
        "end" bigint NOT NULL CHECK (start < "end"), PRIMARY KEY (series, start))""",
    """CREATE TABLE revisions (
        series int NOT NULL REFERENCES series, time bigint NOT NULL, rev bigint NOT NULL, at bigint NOT NULL,
        source text NOT NULL, old text, PRIMARY KEY (series, time, rev))""",
    "CREATE INDEX revisions_by_age ON revisions (at)",
    """CREATE TABLE arrivals (
        series int NOT NULL REFERENCES series, rev bigint NOT NULL, began bigint NOT NULL,
        at bigint NOT NULL, lag bigint NOT NULL, source text NOT NULL, start bigint NOT NULL,
        "end" bigint NOT NULL, spans text NOT NULL, PRIMARY KEY (series, rev))""",
    """CREATE TABLE damaged (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, series int NOT NULL, block bigint NOT NULL,
        at bigint NOT NULL, reason text NOT NULL, data bytea)""",
    """CREATE TABLE orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text COLLATE "C" UNIQUE, jobs text NOT NULL,
        created bigint NOT NULL)""",
    """CREATE TABLE jobs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL,
        series int NOT NULL REFERENCES series, start bigint NOT NULL, "end" bigint NOT NULL,
        force int NOT NULL, priority int NOT NULL,
        state text NOT NULL DEFAULT 'pending'
            CHECK (state IN ('pending', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
        attempts int NOT NULL DEFAULT 0, not_before bigint NOT NULL DEFAULT 0,
        token bigint NOT NULL DEFAULT 0, worker text NOT NULL DEFAULT '',
        lease_until bigint NOT NULL DEFAULT 0, done text NOT NULL DEFAULT '[]',
        error text NOT NULL DEFAULT '', inserted bigint NOT NULL DEFAULT 0,
        revised bigint NOT NULL DEFAULT 0, same bigint NOT NULL DEFAULT 0,
        rejected bigint NOT NULL DEFAULT 0, pages bigint NOT NULL DEFAULT 0,
        created bigint NOT NULL, finished bigint, final bigint)""",
    "CREATE UNIQUE INDEX jobs_active ON jobs (key) WHERE state IN ('pending', 'running', 'waiting')",
    """CREATE TABLE log (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at bigint NOT NULL, level text NOT NULL,
        event text NOT NULL, message text NOT NULL, job bigint, series int, detail text NOT NULL)""",
    """CREATE TABLE provisional (
        series int NOT NULL REFERENCES series, time bigint NOT NULL, candle text, heard bigint NOT NULL,
        PRIMARY KEY (series, time))""",
    """CREATE TABLE assets (
        venue text COLLATE "C" NOT NULL, symbol text COLLATE "C" NOT NULL, first_seen bigint NOT NULL,
        last_update bigint NOT NULL, listed bigint NOT NULL, exchange text NOT NULL, currency text NOT NULL,
        calendar text NOT NULL, name text NOT NULL, PRIMARY KEY (venue, symbol))""",
    """CREATE TABLE actions (
        venue text COLLATE "C" NOT NULL, symbol text COLLATE "C" NOT NULL, time bigint NOT NULL,
        kind text COLLATE "C" NOT NULL, value text NOT NULL, asked bigint NOT NULL,
        PRIMARY KEY (venue, symbol, time, kind))""",
    """CREATE TABLE stale (
        series int NOT NULL REFERENCES series, start bigint NOT NULL, "end" bigint NOT NULL,
        ratio text NOT NULL, PRIMARY KEY (series, start))""",
    """CREATE VIEW ohlcv AS
        SELECT time, venue, symbol, timeframe, open, high, low, close, volume
        FROM candles JOIN series ON series.id = candles.series""",
    """CREATE VIEW gaps AS
        SELECT venue, symbol, timeframe, to_timestamp("end" / 1000.0) AS gap_start,
            to_timestamp(lead(start) OVER w / 1000.0) AS gap_end
        FROM coverage JOIN series ON series.id = coverage.series
        WINDOW w AS (PARTITION BY series.id ORDER BY start)""",
)

_PACKED = (
    # Of the layout "packed" the rows themselves, as postgres/packed.py has them.
    """ALTER TABLE blocks ADD COLUMN unit numeric, ADD COLUMN lot numeric, ADD COLUMN times bigint[],
        ADD COLUMN gaps int[], ADD COLUMN bodies int[], ADD COLUMN ups int[], ADD COLUMN downs int[],
        ADD COLUMN volumes bigint[], ADD COLUMN opens numeric[], ADD COLUMN highs numeric[],
        ADD COLUMN lows numeric[], ADD COLUMN closes numeric[], ADD COLUMN amounts numeric[]""",
)

# Block by block: of what is asked for of one symbol only its own are unpacked, and nothing is sorted.
_UNPACKED = """SELECT time, venue, symbol, timeframe, open, high, low, close, volume
    FROM series JOIN blocks ON blocks.series = series.id, LATERAL (
        SELECT to_timestamp(ms / 1000.0) AS time, (close - body) * unit AS open,
            (greatest(close, close - body) + up) * unit AS high,
            (least(close, close - body) - down) * unit AS low, close * unit AS close, volume * lot AS volume
        FROM (SELECT body, up, down, volume,
                sum(step) OVER its AS ms, sum(gap::bigint + body) OVER its AS close
            FROM unnest(times, gaps, bodies, ups, downs, volumes) WITH ORDINALITY
                AS each (step, gap, body, up, down, volume, n)
            WHERE opens IS NULL WINDOW its AS (ORDER BY n)) AS sums
        UNION ALL
        SELECT to_timestamp(sum(step) OVER its / 1000.0), open, high, low, close, volume
        FROM unnest(times, opens, highs, lows, closes, amounts) WITH ORDINALITY
            AS each (step, open, high, low, close, volume, n)
        WHERE opens IS NOT NULL WINDOW its AS (ORDER BY n)) AS candles"""

_OF = """CREATE FUNCTION ohlcv_of(text, text, since timestamptz, until timestamptz) RETURNS SETOF ohlcv
        LANGUAGE sql STABLE AS"""

LAYOUTS = {
    "rows": f"""{_OF} $$ SELECT * FROM ohlcv WHERE symbol = $1 AND timeframe = $2
            AND time >= since AND time < until ORDER BY time $$""",
    "packed": f"""CREATE OR REPLACE VIEW ohlcv AS {_UNPACKED};
        {_OF} $$ {_UNPACKED} WHERE symbol = $1 AND timeframe = $2
            AND last >= extract(epoch FROM since) * 1000 AND first < extract(epoch FROM until) * 1000
            AND time >= since AND time < until ORDER BY time $$""",
}
"""What is made for each layout: how SQL finds rows, all of them or those of a stretch."""

MIGRATIONS = {1: _FIRST, 2: _PACKED}
"""What makes each schema out of the one before; the first, out of nothing."""

SCHEMA = max(MIGRATIONS)
"""Grows with each change that an older livecache would not understand."""
