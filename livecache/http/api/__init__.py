"""The candles API: what it answers and what it streams."""

__all__: list[str] = []
