"""`livecache demo`, as somebody who has just installed it meets it."""

from __future__ import annotations

import re

import pytest

from ..http.support import metrics
from .support import livecache, until


@pytest.mark.takes(20)
def test_the_demo_warms_up_goes_live_and_sums_up() -> None:
    with livecache("demo") as demo:
        demo.line("livecache demo: 25 symbols × 5 timeframes")
        assert len(demo.output) == 1 or demo.output[0].startswith("livecache demo: "), "said before all else"
        assert re.search(r"redis://127\.0\.0\.1:\d+/0", demo.line("redis://"))
        page = re.search(r"http://127\.0\.0\.1:\d+", demo.line("see it in a browser"))
        assert page is not None
        demo.event("warm")
        # Every five seconds 25 candles of 5m close; the first are closed by history.
        until(
            "all symbols have closed a bucket live",
            lambda: metrics(page[0]).one("closes_written_total") >= 50,
            every_s=0.5,
        )
        demo.stop()
    match = re.fullmatch(
        r"125 of 125 series ready, warm after (\d+\.\d) s; "
        r"(\d+) candle requests, (\d+) refused; (\d+) candles closed live",
        demo.output[-1],
    )
    assert match, demo.story()
    warm_s, requests, refused, closed = (float(number) for number in match.groups())
    assert requests >= 75
    assert warm_s >= 75 / 10, "as fast as the exchange allows"
    # All of it runs in one process here, so where the machine is busy requests may bunch; never for long.
    assert refused <= requests / 5
    assert closed >= 25
    assert demo.errors == [], demo.story()


def test_the_demo_ends_by_itself_when_it_is_told_after_how_many_seconds() -> None:
    with livecache("demo", "--symbols", "1", "--seconds", "1") as demo:
        assert demo.ended() in (0, 1), demo.story()
        assert "candle requests" in demo.output[-1]


def test_the_demo_touches_nothing_that_is_configured(clean_valkey: str) -> None:
    import redis

    env = {"LIVECACHE_REDIS_URL": clean_valkey, "LIVECACHE_CACHE_CANDLES": "1000"}
    with livecache("demo", "--symbols", "2", env=env) as demo:
        demo.event("warm")
        demo.stop()
        assert demo.output[-1].startswith("10 of 10 series ready")
    with redis.Redis.from_url(clean_valkey) as client:
        assert client.dbsize() == 0
