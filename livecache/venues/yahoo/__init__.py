"""Yahoo Finance: shares, indices and funds of the world's exchanges, in their sessions. It has no feed.

What it is like is nowhere promised; docs/venues.md says what is gone by.
"""
