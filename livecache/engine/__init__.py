"""One venue running: back-filler, feed, clock, limiter."""

__all__: list[str] = []
