"""Binance's face, of its spot market, USD-M futures or binance.us: `face.FACES`."""
