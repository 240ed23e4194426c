"""Breakages of the rules of evidence: what a page proves, and what it does not."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_EVIDENCE"]

OF_EVIDENCE = (
    Breakage(
        "rows that pass over what is settled fit",
        (Edit("livecache/proof/recognition.py", "if start <= t < end and", "if False and"),),
        tests=("tests/core/test_recognition.py",),
    ),
    Breakage(
        "flat rows are of whatever product was asked for",
        (
            Edit(
                "livecache/proof/recognition.py",
                "rows = page.rows.keys() | page.flat",
                "rows = page.rows.keys()",
            ),
        ),
        tests=("tests/core/test_flat.py",),
    ),
    Breakage(
        "pages that do not fit count together though they say different things",
        (
            Edit(
                "livecache/proof/recognition.py",
                "told is None or not all(",
                "told is None or False and not all(",
            ),
        ),
        tests=("tests/core/test_recognition.py",),
    ),
    Breakage(
        "rows of smaller candles are added up whatever they are of",
        (Edit("livecache/proof/rebuilding.py", "    return strange <= fits\n", "    return True\n"),),
        tests=("tests/core/test_settling.py",),
    ),
    Breakage(
        "two answers of the venue's time are enough whatever speaks against them",
        (Edit("livecache/model/clock.py", "stamp < claimed + _APART_MS", "False"),),
        tests=("tests/core/test_clock.py",),
    ),
    Breakage(
        "what the host's clock says of the venue's stands against its stamps",
        (Edit("livecache/model/clock.py", "        if self.by_host:\n", "        if False:\n"),),
        tests=("tests/service/test_host_clock.py",),
    ),
    Breakage(
        "frames that go on do not refute what the venue says its time is",
        (
            Edit(
                "livecache/model/clock.py",
                "        if stamp > self.heard and self._claimed:  # Frames go on from where they were.\n"
                "            self._forget_claim()\n",
                "",
            ),
        ),
        tests=("tests/core/test_clock.py",),
    ),
    Breakage(
        "an empty page ends the history",
        (
            Edit(
                "livecache/proof/history.py",
                "    agreed = bucket < first or (told.pages >= 3 and told.last - told.first >= ENDS_MS)\n"
                "    return End.EXHAUSTED if agreed and not denied else End.OPEN",
                "    return End.EXHAUSTED",
            ),
            Edit(
                "livecache/proof/history.py",
                "    run = asked_run(track, now)\n"
                "    if run is None or run[1] >= track.policy.candles:\n"
                "        return False\n",
                "    run = asked_run(track, now)\n"
                "    if run is None or run[1] >= track.policy.candles:\n"
                "        return False\n"
                "    if track.coverage and run[0].start < track.coverage.spans[-1].start:\n"
                "        return True\n",
            ),
        ),
        tests=("tests/simulation/test_liars.py",),
    ),
    Breakage(
        "an empty page is proof after a minute",
        (
            Edit(
                "livecache/proof/evidence.py",
                "    if w.older and told.pages >= 3 and w._agreed_ms >= ENDS_MS and w.quiet:",
                "    if True:",
            ),
        ),
        tests=("tests/core/test_evidence.py",),
    ),
    Breakage(
        "between known candles a second page without a row is proof",
        (
            Edit(
                "livecache/proof/evidence.py",
                "    if w.older and told.pages >= 2 and not told.empty and w.quiet:",
                "    if told.pages >= 2 and (told.alone or not told.empty):",
            ),
        ),
        tests=("tests/core/test_settling.py", "tests/core/test_asked_witness.py"),
    ),
    Breakage(
        "rows of two pages prove what lies between them",
        (
            Edit(
                "livecache/proof/joining.py",
                "        elif _agree(told, said):\n            track.settle",
                "        elif _agree(told, said) or not told.empty:\n            track.settle",
            ),
        ),
        tests=("tests/core/test_settling.py",),
    ),
    Breakage(
        "a page of a bigger timeframe bears witness whatever it lacks",
        (
            Edit(
                "livecache/proof/kin.py",
                "    if page.rows and within and within <= shown:\n",
                "    if page.rows:\n",
            ),
        ),
        tests=("tests/core/test_asked_witness.py",),
    ),
    Breakage(
        "what one witness alone says is told as settled",
        (Edit("livecache/proof/track.py", "        if not self.likely:\n", "        if True:\n"),),
        tests=("tests/core/test_likely.py",),
    ),
    Breakage(
        "what the feed shows does not take back what was likely",
        (
            Edit(
                "livecache/proof/track.py",
                "        if self.take_back(candle.time):\n            return True\n",
                "",
            ),
        ),
        tests=("tests/core/test_likely.py",),
    ),
    Breakage(
        "a poorer page wins after a minute",
        (
            Edit(
                "livecache/proof/settling.py",
                "        elif fresh or not poorer:\n",
                "        else:\n",
            ),
            Edit(
                "livecache/proof/evidence.py",
                "    if against and seen and told.fresh >= 3 and w._agreed_ms >= DISPUTE_MS:",
                "    if against and told.pages >= 2:",
            ),
        ),
        tests=("tests/core/test_settling.py",),
    ),
    Breakage(
        "a page that lacks what was settled proves absence",
        (
            Edit(
                "livecache/proof/evidence.py",
                "    if not w.whole:\n        return Verdict.OPEN\n",
                "",
            ),
        ),
        tests=("tests/core/test_evidence.py",),
    ),
    Breakage(
        "a poison row takes the page",
        (
            Edit(
                "livecache/proof/settling.py",
                "        if bucket in page.rejected:\n            self._reject(bucket)\n",
                "        if page.rejected:\n            self._reject(bucket)\n",
            ),
            Edit("livecache/proof/settling.py", "or bucket in page.rejected:", "or page.rejected:"),
        ),
        tests=("tests/core/test_settling.py",),
    ),
    Breakage(
        "rows are settled together whatever the feed had shown",
        (
            Edit(
                "livecache/proof/settling.py",
                "        if bucket in track.provisional or bucket in track.open or",
                "        if bucket in track.open or",
            ),
        ),
        tests=("tests/core/test_settling.py",),
    ),
    Breakage(
        "rows are settled together whatever pages had left open",
        (
            Edit(
                "livecache/proof/settling.py",
                "bucket in track.provisional or bucket in track.open or",
                "bucket in track.provisional or",
            ),
        ),
        tests=("tests/core/test_settling.py",),
    ),
    Breakage(
        "a feed that shows nothing of what a page has is alive",
        (
            Edit(
                "livecache/proof/settling.py",
                "        return None if fed or bucket in track.coverage else row",
                "        return None if bucket in track.coverage else row",
            ),
        ),
        tests=("tests/core/test_settling.py",),
    ),
    Breakage(
        "where a history ends that smaller pages bring is asked for without end",
        (Edit("livecache/proof/joining.py", "        parent.end_asked = page.heard\n", ""),),
        tests=("tests/core/test_reach.py",),
    ),
    Breakage(
        "smaller pages always bring the newest part of what is wanted",
        (
            Edit(
                "livecache/proof/plan.py",
                "    until = lacks.spans[-1].end if lacks else want.end\n",
                "    until = want.end\n",
            ),
        ),
        tests=("tests/core/test_reach.py",),
    ),
    Breakage(
        "a page is taken whatever series it is of",
        (
            Edit(
                "livecache/proof/settling.py",
                "    if not recognise(track, page):\n",
                "    if not recognise(track, page) and not page.rows:\n",
            ),
        ),
        tests=("tests/core/test_recognition.py",),
    ),
    Breakage(
        "a silent feed bears out what empty pages say of days ago",
        (
            Edit(
                "livecache/ledger/symbol.py",
                "told = bucket >= newest and track.prove(bucket)",
                "told = track.prove(bucket)",
            ),
        ),
        tests=("tests/core/test_likely.py",),
    ),
    Breakage(
        "an old page takes back what was settled",
        (
            Edit(
                "livecache/proof/settling.py",
                "        elif held is not None and (row is None or held.richer_than(row)):",
                "        elif held is not None and row is None:",
            ),
        ),
        tests=("tests/core/test_settling.py",),
    ),
    Breakage(
        "what other timeframes hold is not asked",
        (
            Edit(
                "livecache/proof/kin.py",
                "        if any(smaller.candle(t) for smaller in self._smaller for t in "
                "self._within(smaller, bucket)):\n",
                "        if bucket:\n"
                "            return Kin.SILENT\n"
                "        if any(smaller.candle(t) for smaller in self._smaller for t in "
                "self._within(smaller, bucket)):\n",
            ),
        ),
        tests=("tests/simulation/test_liars.py",),
    ),
    Breakage(
        "an unfresh page settles",
        (
            Edit(
                "livecache/proof/evidence.py",
                "    if w.behind:\n        return Verdict.OPEN\n",
                "",
            ),
        ),
        tests=("tests/core/test_evidence.py",),
    ),
    Breakage(
        "that the venue keeps no more proves that there was no more",
        (
            Edit(
                "livecache/proof/history.py",
                "        return End.SEARCHED\n    bucket =",
                "        return End.EXHAUSTED\n    bucket =",
            ),
        ),
        ("tests/core/test_reach.py",),
    ),
    Breakage(
        "what the venue keeps no more is asked for",
        (
            Edit(
                "livecache/proof/plan.py",
                "    return want._replace(start=max(want.start, oldest))",
                "    return want",
            ),
        ),
        ("tests/core/test_reach.py",),
    ),
)
