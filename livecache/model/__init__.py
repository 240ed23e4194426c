"""Values: timeframes, candles, coverage, time. Pure, like `proof` and `ledger`: they are told the time."""
