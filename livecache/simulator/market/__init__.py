"""Where a simulated venue's candles and trades come from."""

__all__: list[str] = []
