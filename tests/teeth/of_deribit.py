"""Breakages of what is peculiar to Deribit."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_DERIBIT"]

_ROOM = "livecache/venues/deribit"
_ANSWERS, _DIALECT, _TRAITS = (f"{_ROOM}/{name}.py" for name in ("answers", "dialect", "traits"))
_TROUBLE = "tests/simulation/test_deribit.py::test_what_is_final_is_what_was_traded_whatever_went_wrong"
_WATCHDOG = "livecache/venues/feed/watchdog.py"
_PAGE = "tests/conformance/test_history.py::test_a_page_is_what_was_traded_in_its_half_open_span[deribit]"

OF_DERIBIT = (
    Breakage(
        "the start of a page is taken for inclusive",
        (Edit(f"{_ROOM}/venue.py", "str(request.start - 1)", "str(request.start)"),),
        (_PAGE,),
    ),
    Breakage(
        "digits pass through a float",
        (
            Edit(
                _ANSWERS,
                'return "".join(inside.split()).split(",") if inside else []',
                'return [str(float(each)) for each in inside.split(",")] if inside else []',
            ),
        ),
        ("tests/venues/test_deribit_answers.py",),
    ),
    Breakage(
        "flat rows are stored as if something had been traded",
        (Edit(_TRAITS, 'empty="flat"', 'empty="absent"'),),
        (_TROUBLE,),
    ),
    Breakage(
        "days open at midnight",
        (Edit(_TRAITS, "EpochGrid(Timeframe.D1.ms, 8 * Timeframe.H1.ms)", "EpochGrid(Timeframe.D1.ms)"),),
        (_PAGE,),
    ),
    Breakage(
        "an answer of another kind is a page without candles",
        (Edit(_ANSWERS, 'ticks: msgspec.Raw = msgspec.Raw(b"null")', "ticks: msgspec.Raw = _NONE"),),
        ("tests/venues/test_deribit_answers.py",),
    ),
    Breakage(
        "too many requests are an error like any other, and asked again",
        (Edit(_ANSWERS, "    10028: FailureKind.REFUSED,  # too_many_requests\n", ""),),
        ("tests/venues/test_deribit_answers.py",),
    ),
    Breakage(
        "a feed that was cut for too many requests asks at once in parts",
        (
            Edit(
                "livecache/venues/feed/subscriptions.py",
                "too_fast = self._passing or _TOO_FAST in self._complaint.lower()",
                "too_fast = False",
            ),
        ),
        ("tests/venues/test_feed.py",),
    ),
    Breakage(
        "whoever asks whether we are there is not answered",
        (Edit(_DIALECT, 'asks = message.params.type == "test_request"', "asks = False"),),
        ("tests/venues/test_deribit_dialect.py",),
    ),
    Breakage(
        "a frame without a stamp is as new as our own clock",
        (
            Edit(
                _DIALECT,
                "stamp, through = max(self._stamp, wire.tick),",
                "stamp, through = self._now() or 0,",
            ),
        ),
        ("tests/venues/test_deribit_dialect.py",),
    ),
    Breakage(
        "what one instrument tells vouches for all of them",
        (Edit(_DIALECT, "max(1, self._stamp - BEHIND_MS)", "0"),),
        ("tests/venues/test_deribit_dialect.py",),
    ),
    Breakage(
        "what the venue leaves out of its answer is taken for subscribed to",
        (Edit(_DIALECT, "if _channel(id_) in listed)", "if id_)"),),
        ("tests/venues/test_deribit_dialect.py",),
    ),
    Breakage(
        "the silence of a locked platform is a dead feed",
        (Edit(_WATCHDOG, "                if product in still:\n", "                if product in ():\n"),),
        ("tests/venues/test_watchdog.py::test_of_what_is_still_nothing_is_suspected_nor_learned",),
    ),
    Breakage(
        "an index that is locked is no other instrument's than bitcoin's",
        (Edit(_DIALECT, 'return base if "_" in base else f"{base}_usd"', 'return "btc_usd"'),),
        ("tests/venues/test_deribit_dialect.py",),
    ),
    Breakage(
        "the last digits of floats are a difference",
        (
            Edit(
                "livecache/model/rollup.py",
                "    if one.equals(other):\n        return True\n",
                "    return one.equals(other)\n",
            ),
        ),
        ("tests/core/test_rollup.py",),
    ),
)
