"""Where a simulated venue's candles and trades come from."""
