"""One venue running: back-filler, feed, clock, pace."""

__all__: list[str] = []
