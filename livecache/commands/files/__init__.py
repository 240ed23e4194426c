"""The commands on files of candles: `livecache import` and `livecache export --history`."""
