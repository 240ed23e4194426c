"""One venue running: back-filler, feed, clock, limiter."""
