"""Binance: spot, USD-M futures, and binance.us: `venue.BinanceVenue`.

https://developers.binance.com/docs/binance-spot-api-docs

Nothing is imported here, so that whoever needs one module does not pay for aiohttp.
"""
