"""Who may do what in a database of years: what its owner runs once, by psql."""

from __future__ import annotations

__all__ = ["ROLES"]

ROLES = """\
-- Run it as the user who makes the tables: the one whose `livecache run` or `history fill` begins first.
-- Tables in a schema of their own: write its name for `public`, and SET search_path TO it first.
-- Then give each program a user of its own: CREATE ROLE charts LOGIN PASSWORD '...' IN ROLE livecache_reader;
DO $$ BEGIN CREATE ROLE livecache_reader NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE livecache_writer NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT livecache_reader TO livecache_writer;

-- Reads: readers, Grafana, psql.
GRANT USAGE ON SCHEMA public TO livecache_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO livecache_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO livecache_reader;

-- Fills: services, workers, imports, copies. It makes, alters and drops no table.
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO livecache_writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT, UPDATE, DELETE ON TABLES TO livecache_writer;
REVOKE INSERT, UPDATE, DELETE ON meta FROM livecache_writer;
"""
