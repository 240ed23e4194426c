"""What to copy for a new venue: see docs/adding-a-venue.md. It works, against the tests' toy venue."""

from __future__ import annotations

__all__: list[str] = []
