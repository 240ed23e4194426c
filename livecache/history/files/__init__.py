"""Candles in other people's files, and ours in theirs."""
