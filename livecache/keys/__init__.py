"""What lies in Redis, and how it is written down: docs/keyspace.md."""
