"""Breakages of what is peculiar to Binance."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_BINANCE"]

_PAGES, _MARKETS = "livecache/venues/binance/pages.py", "livecache/venues/binance/markets.py"
_FEED_TESTS = "tests/venues/test_binance_feed.py"
_DIALECT = "livecache/venues/binance/dialect.py"
_REST_TESTS = ("tests/venues/test_binance_rest.py",)

OF_BINANCE = (
    Breakage(
        "a closing flag alone settles",
        (
            Edit(
                "livecache/proof/feeding.py",
                "        take_word(track, bucket)\n    return False\n",
                "        take_word(track, bucket)\n"
                "        track.coverage = track.coverage.add(bucket, track.grid.end(bucket))\n"
                "    return False\n",
            ),
        ),
        ("tests/core/test_word.py",),
    ),
    Breakage(
        "weeks open on Thursday",
        (Edit("livecache/model/timeframe.py", "    Timeframe.W1: WEEKS,\n", ""),),
        ("tests/venues/test_binance_pages.py::test_a_week_opens_on_monday",),
    ),
    Breakage(
        "a page is believed to be as long as was asked for",
        (
            Edit(
                _MARKETS,
                "page=1000,\n        weight=2,\n        list_weight=20,",
                "page=1500,\n        weight=2,\n        list_weight=20,",
            ),
        ),
        _REST_TESTS,
    ),
    Breakage(
        "USD-M's feed is looked for where it was",
        (Edit(_MARKETS, '"/market/stream"', '"/stream"'),),
        (f"{_FEED_TESTS}::test_pings_are_answered_so_that_the_connection_goes_on",),
    ),
    Breakage(
        "an acknowledgement is life enough",
        (
            Edit(
                "livecache/venues/feed/session.py",
                "        if not line.told and line.over is None and",
                "        if False and not line.told and line.over is None and",
            ),
        ),
        (f"{_FEED_TESTS}::test_silence_behind_an_acknowledgement_is_a_dead_channel",),
    ),
    Breakage(
        "the weight that the venue counts is not heeded",
        (
            Edit(
                "livecache/venues/binance/venue.py",
                "replace(page, usage=usage_of(self.traits.budgets, answer.headers))",
                "page",
            ),
        ),
        _REST_TESTS,
    ),
    Breakage(
        "flat rows are candles",
        (Edit("livecache/venues/binance/traits.py", '        empty="flat",\n', ""),),
        _REST_TESTS,
    ),
    Breakage(
        "a wait of hours is no ban where the status is that of a refusal",
        (Edit(_PAGES, "_LIMITS_S = 300.0", "_LIMITS_S = 3e9"),),
        ("tests/venues/test_binance_pages.py",),
    ),
    Breakage(
        "a ban is a passing fault",
        (
            Edit(
                _PAGES,
                "    return FetchFailure(kind, ",
                "    return FetchFailure(FailureKind.SERVER if status == 418 else kind, ",
            ),
        ),
        ("tests/simulation/test_binance.py::test_a_ban_is_kept_to_the_second_and_over_a_restart",),
    ),
    Breakage(
        "a ban that does not say how long is over at once",
        (
            Edit(
                "livecache/pacing/meter.py",
                "retry_after_s or self._bans.again(ticket.started, now)",
                "retry_after_s or 0.0",
            ),
        ),
        ("tests/pacing/test_meter.py::test_a_ban_of_no_length_is_waited_for_ever_longer",),
    ),
    Breakage(
        "a server that shuts down is held on to until it does",
        (Edit(_DIALECT, "(_heard(told.E),), leaving=True)", "(_heard(told.E),))"),),
        (f"{_FEED_TESTS}::test_the_next_connection_is_there_before_the_announced_end_of_this_one",),
    ),
    Breakage(
        "connections that are all to end are opened one after the other without a pause",
        (
            Edit(
                "livecache/venues/feed/feed.py",
                "            self._again_s = now_s + self._session.wait_s()\n            try",
                "            try",
            ),
        ),
        (
            f"{_FEED_TESTS}::test_where_every_connection_is_said_to_end_soon_the_next_one_is_not_opened_at_once",
        ),
    ),
    Breakage(
        "pings are not answered",
        (
            Edit(
                "livecache/venues/net/websocket.py",
                "        for data in self._protocol.data_to_send():\n",
                "        for data in (d for d in self._protocol.data_to_send() if d[:1] != b'\\x8a'):\n",
            ),
        ),
        (f"{_FEED_TESTS}::test_pings_are_answered_so_that_the_connection_goes_on",),
    ),
    Breakage(
        "an acknowledgement vouches for what was asked for",
        (
            Edit(
                _DIALECT,
                "        events = (Heard(max(1, said - BEHIND_MS), reckoned=True),) if said else ()\n",
                "        events = (_heard(said), Subscribed(ids, said)) if said and ids else ()\n",
            ),
            Edit(
                _DIALECT,
                "FeedCandles, FeedFailure, Heard, Rejected",
                "FeedCandles, FeedFailure, Heard, Rejected, Subscribed",
            ),
        ),
        (f"{_FEED_TESTS}::test_an_acknowledgement_is_of_what_was_asked_for_and_vouches_for_nothing",),
    ),
    Breakage(
        "the last frame of one symbol closes the minute of another",
        (
            Edit(
                _DIALECT,
                "FeedCandles(told.E, False, carried, max(1, told.E - BEHIND_MS))",
                "FeedCandles(told.E, False, carried)",
            ),
        ),
        (f"{_FEED_TESTS}::test_the_last_frame_of_one_symbol_does_not_vouch_for_the_minute_of_another",),
    ),
    Breakage(
        "the stamp of a frame of Binance's is believed, whatever it says",
        (Edit(_DIALECT, "told.E if now < told.E <= now + IMPLAUSIBLE_MS else now", "max(now, told.E)"),),
        (f"{_FEED_TESTS}::test_a_candle_of_a_time_that_cannot_be_is_rejected_whatever_its_stamp",),
    ),
    Breakage(
        "an acknowledgement tells the time that we take it for",
        (
            Edit(
                "livecache/engine/consumer.py",
                "if isinstance(event, Heard) and event.reckoned:",
                "if isinstance(event, Heard) and event.reckoned and not event.stamp:",
            ),
        ),
        ("tests/service/test_consumer.py::test_a_stamp_that_is_reckoned_from_our_clock_sets_no_clock_back",),
    ),
)
