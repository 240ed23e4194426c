"""Coinbase Advanced Trade: `venue.CoinbaseVenue`.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/overview

Nothing is imported here, so that whoever needs one module does not pay for aiohttp.
"""
