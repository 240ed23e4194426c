"""Coinbase's face: its REST, its feed, its keys."""

__all__: list[str] = []
