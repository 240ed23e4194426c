"""What every store has in common: its tables, in SQL that SQLite and PostgreSQL both understand."""
