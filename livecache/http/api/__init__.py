"""The candles API: what it answers and what it streams."""
