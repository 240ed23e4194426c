"""Any exchange that ccxt knows: candles by its `fetch_ohlcv`, polled, and no feed.

What each is like is taken from ccxt's own tables; docs/venues.md says what that is worth.
"""
