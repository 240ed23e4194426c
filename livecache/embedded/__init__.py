"""A Redis server of our own, for whoever has none."""
