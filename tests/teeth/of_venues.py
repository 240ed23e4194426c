"""Breakages of what all venues share: the loop of their feeds, the websocket, the HTTP source."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_VENUES"]

_SESSION, _WEBSOCKET = "livecache/venues/feed/session.py", "livecache/venues/net/websocket.py"
_HTTP, _SUBSCRIPTIONS = "livecache/venues/net/http.py", "livecache/venues/feed/subscriptions.py"

OF_VENUES = (
    Breakage(
        "a connection that is known to end is left before the next one tells of everything",
        (Edit(_SESSION, "former.over is not None or followed", "True"),),
        ("tests/venues/test_feed.py",),
    ),
    Breakage(
        "an acknowledgement is enough to leave the former connection",
        (
            Edit(
                _SESSION,
                "or followed or",
                "or not self._subscriptions.busy or",
            ),
        ),
        ("tests/venues/test_feed.py",),
    ),
    Breakage(
        "the former connection is left before what was told when the next one began has come on it",
        (
            Edit(
                _SESSION,
                "former.through >= self._subscriptions.complete",
                "self._subscriptions.complete < inf",
            ),
        ),
        ("tests/venues/test_feed.py",),
    ),
    Breakage(
        "what the next connection began to tell of too late is not missed",
        (Edit(_SUBSCRIPTIONS, "self._first[i] > stamp if", "False if"),),
        ("tests/venues/test_feed.py",),
    ),
    Breakage(
        "what the next connection has not told is not missed",
        (Edit(_SESSION, "return [broken] if missing else []", "return []"),),
        ("tests/venues/test_feed.py",),
    ),
    Breakage(
        "more is sent in a second than the venue takes",
        (Edit(_SESSION, "room = terms.frames_per_s - len(line.sent_s)", "room = len(line.outbox)"),),
        ("tests/venues/test_feed.py",),
    ),
    Breakage(
        "a message in many frames may be longer than one in one",
        (Edit(_WEBSOCKET, "if len(self._part) > self._message_bytes:", "if False:"),),
        ("tests/venues/test_websocket.py",),
    ),
    Breakage(
        "a packed message may be as long as it likes",
        (
            Edit(_WEBSOCKET, "data + _FLUSHED, self._message_bytes + 1)", "data + _FLUSHED)"),
            Edit(_WEBSOCKET, "if len(message) > self._message_bytes:", "if False:"),
        ),
        ("tests/venues/test_websocket.py",),
    ),
    Breakage(
        "a row that is no candle is compared with one",
        (
            Edit(
                "livecache/venues/rows.py",
                "            candle = None  # What are no numbers",
                "            pass  #",
            ),
        ),
        ("tests/venues/test_binance_pages.py",),
    ),
    Breakage(
        "rows that cannot be believed are looked at one by one",
        (Edit("livecache/venues/rows.py", "        anew = span not in free\n", "        anew = True\n"),),
        ("tests/venues/test_binance_pages.py",),
    ),
    Breakage(
        "a venue's answer leads the request elsewhere",
        (Edit(_HTTP, "allow_redirects=False", "allow_redirects=True"),),
        ("tests/venues/test_http.py",),
    ),
    Breakage(
        "a ban is a refusal like any other",
        (Edit("livecache/venues/venue.py", "        if status == 418:\n", "        if False:\n"),),
        ("tests/venues/test_http.py",),
    ),
    Breakage(
        "the next connection vouches for what the former one carries",
        (Edit(_SESSION, "        if self._former and line is self._line:", "        if False:"),),
        ("tests/venues/test_feed.py",),
    ),
    Breakage(
        "a ban lasts by timers, which stop while the host sleeps",
        (
            Edit(
                "livecache/engine/limiter.py",
                "left_s = min(self._banned_until / 1000 - self._clock.wall(), self._ban_ends_s - now)",
                "left_s = self._meter.banned_until - now",
            ),
        ),
        ("tests/service/test_limiter.py",),
    ),
    Breakage(
        "what lies on another grid than the venue's is taken over",
        (
            Edit(
                "livecache/writer/adoption.py",
                '        return "its buckets do not lie where the venue\'s do"',
                "        pass",
            ),
        ),
        ("tests/cache/test_adoption.py",),
    ),
    Breakage(
        "days that open at eight are looked for where days of UTC open",
        (
            Edit(
                "livecache/http/api/candles.py",
                "    start = read.grid.ceil(since)",
                "    start = candles.series.timeframe.ceil(since)",
            ),
        ),
        ("tests/http/test_candles.py",),
    ),
    Breakage(
        "a venue that tells no time is asked for it",
        (
            Edit(
                "livecache/engine/timekeeper.py",
                "        if not self._live.timeline.traits.clock:",
                "        if False:",
            ),
        ),
        ("tests/service/test_host_clock.py",),
    ),
    Breakage(
        "a reader leaves the venue that was named for another that has the symbol",
        (
            Edit(
                "livecache/read/questions.py",
                "guessed=self.asked_venue is None and split_venue(symbol, self.venues or ())[0] is None,",
                "guessed=True,",
            ),
        ),
        ("tests/cache/test_venues.py",),
    ),
    Breakage(
        "of several venues a stream goes on in all where it was in one",
        (Edit("livecache/http/api/events.py", "if len(venues) == 1:", "if entries:"),),
        ("tests/http/test_side_by_side.py",),
    ),
)
