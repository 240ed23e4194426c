"""Breakages of what readers have filled: at once, once for all who ask, and within bounds."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_READS"]

OF_READS = (
    Breakage(
        "what a reader waits for is left to whoever fills years",
        (
            Edit(
                "livecache/history/tables/jobs.py",
                "          AND coalesce(CAST(:urgent AS integer), {_URGENT}) = {_URGENT}\n",
                "",
            ),
        ),
        ("tests/history/test_reads.py",),
    ),
    Breakage(
        "a reader waits for the days of its symbol",
        (
            Edit(
                "livecache/history/working/outlook.py",
                "if job.want.priority > PRIORITY_READ and database.busy",
                "if database.busy",
            ),
        ),
        ("tests/history/test_reads.py",),
    ),
    Breakage(
        "a reader of shares waits for years that are to hear of a split first",
        (
            Edit(
                "livecache/history/tables/jobs.py",
                "      AND (jobs.priority > {PRIORITY_READ} OR other.priority <= {PRIORITY_READ})\n",
                "",
            ),
        ),
        ("tests/history/test_reads.py",),
    ),
    Breakage(
        "a chart is given the bars on both sides of a hole",
        (
            Edit(
                "livecache/http/udf/bars.py",
                "since = holes.spans[-1].end if holes else window.span.start",
                "since = window.span.start",
            ),
        ),
        ("tests/http/test_udf_years.py",),
    ),
    Breakage(
        "the history's end looks like the newest bar while nobody vouches for what comes after it",
        (
            Edit(
                "livecache/http/udf/bars.py",
                "if trouble and not isinstance(trouble, UnknownSeries) and window.span.end + step < edge:",
                "if False:",
            ),
        ),
        ("tests/http/test_udf_years.py",),
    ),
    Breakage(
        "a chart that asks for what is before a day is given that day again",
        (
            Edit(
                "livecache/http/udf/terms.py",
                "bisect_left(self.calendar.days, day + _EPOCH)",
                "bisect_left(self.calendar.days, day + _EPOCH + 1)",
            ),
        ),
        ("tests/http/test_udf_terms.py", "tests/http/test_udf.py"),
    ),
    Breakage(
        "each who asks for what is missing has it fetched for itself",
        (
            Edit(
                "livecache/http/past/filling.py", "        if key not in self._under:\n", "        if True:\n"
            ),
            Edit("livecache/http/past/filling.py", "del self._under[key]", "self._under.pop(key, None)"),
            Edit(
                "livecache/http/past/filling.py",
                "Want(series, *cell, False, PRIORITY_READ) for cell in plan.cells",
                "Want(series, *plan.missing.spans[0], False, PRIORITY_READ) for cell in plan.cells",
            ),
        ),
        ("tests/simulation/test_reads.py",),
    ),
    Breakage(
        "what is not settled is fetched for a reader",
        (
            Edit(
                "livecache/http/past/filling.py",
                "grid.closed(min(settled, hot))",
                "grid.ceil(now + 86_400_000)",
            ),
        ),
        ("tests/simulation/test_reads.py",),
    ),
    Breakage(
        "what a read may cause has no bound",
        (Edit("livecache/http/past/cells.py", " > most:", " > 1 << 40:"),),
        ("tests/simulation/test_reads.py",),
    ),
    Breakage(
        "what a reader waits for is worked on by the worker of years alone",
        (
            Edit(
                "livecache/history/service/session.py",
                "            urgent=True,\n",
                "            urgent=False,\n",
            ),
            Edit("livecache/history/service/session.py", "urgent=False)", "urgent=None)"),
        ),
        ("tests/simulation/test_reads.py",),
    ),
    Breakage(
        "all pages of years that were passed over have their turn at once",
        (
            Edit(
                "livecache/engine/limiter.py",
                "had_its_turn = waiting.urgency if waiting.starves else None",
                "had_its_turn = None",
            ),
        ),
        ("tests/service/test_limiter.py",),
    ),
    Breakage(
        "a web page of another site that may read may have work done, too",
        (
            Edit(
                "livecache/http/guard.py",
                "shared = self._origins.admits(origin) and not orders",
                "shared = self._origins.admits(origin)",
            ),
        ),
        ("tests/http/test_origins.py",),
    ),
    Breakage(
        "older shares are read though nobody has heard whether they were split",
        (
            Edit(
                "livecache/history/ordering.py",
                "    if traits.finals is None:\n        return []\n",
                "    return []\n",
            ),
        ),
        ("tests/history/test_reads.py",),
    ),
    Breakage(
        "the newest that is known of years stands for the newest there is",
        (
            Edit(
                "livecache/http/past/bounds.py",
                "newest = final if final > now and final - grid.due(now) > MAX_LAG_S * 1000 else now",
                "newest = now",
            ),
        ),
        ("tests/http/test_past_edges.py",),
    ),
    Breakage(
        "hours-old candles are told as the newest while nobody vouches",
        (Edit("livecache/http/api/candles.py", "query.to is None and isinstance(error, Stale)", "False"),),
        ("tests/http/test_past_edges.py",),
    ),
    Breakage(
        "years end where those end that they are added up from",
        (
            Edit(
                "livecache/http/past/window.py",
                "                timeframes.add(bigger)  # nothing of it may be stored yet\n",
                "                pass\n",
            ),
        ),
        ("tests/http/test_past_edges.py",),
    ),
    Breakage(
        "years of another venue stand for those of the one that is served",
        (
            Edit(
                "livecache/http/past/window.py",
                "Reading(years, store, self._ours(ask.symbol), timeframe, wish)",
                "Reading(years, store, ask.symbol, timeframe, wish)",
            ),
        ),
        ("tests/http/test_past_edges.py",),
    ),
    Breakage(
        "what an older timeframe knows is cut off by the silence before the candles of another one",
        (
            Edit(
                "livecache/reader/years.py",
                "own = {key for key in (*self._infos, *self._filled) if key[:2] == self.series[:2]}",
                "own = {self.series}",
            ),
        ),
        ("tests/http/test_past_silence.py",),
    ),
    Breakage(
        "what only Redis has is cut off by the silence before what the history has",
        (
            Edit(
                "livecache/reader/years.py",
                "            first = min([first, *older.rows.time[:1].tolist()])\n",
                "            pass\n",
            ),
        ),
        ("tests/http/test_past_silence.py",),
    ),
    Breakage(
        "a silence that nobody has looked at ends years",
        (
            Edit(
                "livecache/http/past/window.py",
                "        if unproven:  # of most",
                "        if unproven.spans[1:]:  # of most",
            ),
        ),
        ("tests/http/test_past_silence.py",),
    ),
    Breakage(
        "a pause of two years and a half ends years",
        (Edit("livecache/reader/years.py", "SILENCE_MS = 1_000", "SILENCE_MS = 300"),),
        ("tests/simulation/test_silence.py",),
    ),
)
