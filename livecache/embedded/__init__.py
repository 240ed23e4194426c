"""A Redis server of our own, for whoever has none."""

__all__: list[str] = []
