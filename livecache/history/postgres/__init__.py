"""History on a PostgreSQL: rows that every tool reads, and the same promises. Needs psycopg 3."""
