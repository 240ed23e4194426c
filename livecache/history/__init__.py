"""Deep history: years of candles beside the warm cache, exact, and filled once."""
