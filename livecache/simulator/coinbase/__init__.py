"""Coinbase's face: its REST, its feed, its keys."""
