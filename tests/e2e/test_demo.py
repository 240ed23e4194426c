"""`livecache demo`, as somebody who has just installed it meets it."""

from __future__ import annotations

import re
import time

import pytest

from .support import livecache


@pytest.mark.takes(27)
def test_the_demo_warms_up_goes_live_and_sums_up() -> None:
    # Where more runs than there are cores for, as with pytest -n 4, everything takes longer: how much?
    with livecache("config") as small:
        assert small.ended() == 0
        slowness = max(1.0, (time.monotonic() - small.began_s) / 0.4)
    with livecache("demo", "--seconds", "25") as demo:
        demo.line("livecache demo: 25 symbols × 5 timeframes", 10.0)
        first_s = time.monotonic() - demo.began_s
        url = re.search(r"redis://127\.0\.0\.1:\d+/0", demo.line("redis://"))
        assert url is not None
        assert demo.ended(45.0) == 0, demo.story()
    assert first_s < 2.0 * slowness, "nobody should wonder whether it started"
    summary = demo.output[-1]
    match = re.fullmatch(
        r"125 of 125 series ready, warm after (\d+\.\d) s; "
        r"(\d+) candle requests, (\d+) refused; (\d+) candles closed live",
        summary,
    )
    assert match, demo.story()
    warm_s, requests, refused, closed = (float(number) for number in match.groups())
    assert warm_s < 20.0
    assert requests >= 75
    # All of it runs in one process here, so where the machine is busy requests may bunch; never for long.
    assert refused <= 3
    # Every five seconds 25 candles of 5m close, and there are longer ones; the first are closed by history.
    assert closed >= 50
    assert demo.errors == [], demo.story()


def test_the_demo_touches_nothing_that_is_configured(clean_valkey: str) -> None:
    import redis

    env = {"LIVECACHE_REDIS_URL": clean_valkey, "LIVECACHE_CACHE_CANDLES": "1000"}
    with livecache("demo", "--symbols", "2", env=env) as demo:
        demo.event("warm")
        demo.stop()
        assert demo.output[-1].startswith("10 of 10 series ready")
    with redis.Redis.from_url(clean_valkey) as client:
        assert client.dbsize() == 0
