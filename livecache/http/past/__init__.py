"""Years of candles for whoever asks over HTTP, read off the event loop."""
