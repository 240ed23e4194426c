"""`livecache check --against-venue`: asks the witness, slowly enough, and says what it does."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from ..model.budget import Spacing
from ..process.progress import ProgressBar
from ..quality.check import Check
from ..quality.findings import Finding, Flaw
from ..quality.venue import Compared, PageWanted, compare_page, pages_wanted
from ..venues.configured import Witness, WitnessPage
from ..venues.registry import build_witness
from ..venues.settings import VenueSettings
from ..venues.venue import FailureKind, FetchFailure

__all__ = ["compare_with_venue"]

_PAGE_LIMIT = 300
"""Buckets a page: what every version of the venue has accepted."""

_SHARE = 0.5
"""Of the configured rate, while a service lives that needs the rest."""

_ATTEMPTS = 4
_FAILURES_MOST = 3
"""Attempts at one page, and pages in a row that fail before the rest is given up."""

_REFUSED_S = 1.0  # the first wait after a refusal that names none; it doubles
_WAIT_MOST_S = 60.0
_TOLD_EVERY_S = 10.0


def compare_with_venue(
    venue: str, settings: VenueSettings, environ: Mapping[str, str], gathered: Check, *, requests_most: int
) -> Compared:
    """Compare the settled candles that were gathered with the venue's witness; to stderr, how far.

    What differs, and what could not be compared, becomes a finding.
    """
    witness = build_witness(venue, settings, environ)
    alive = any(stored.alive is not None for stored in gathered.stored.values())
    own = (each.per_s for each in settings.bounds if isinstance(each, Spacing))
    rate = min((witness.requests_per_s * (_SHARE if alive else 1.0), *own))
    stored = gathered.stored
    unserved = {series.timeframe for series in stored} - set(witness.timeframes)
    served = [one for series, one in stored.items() if series.timeframe not in unserved]
    pages = pages_wanted(served, _PAGE_LIMIT)
    compared = Compared(requests_wanted=len(pages))
    if len(pages) > requests_most:
        message = f"{len(pages) - requests_most} of {len(pages)} requests were left out: the older pages"
        gathered.findings.append(Finding(Flaw.UNFINISHED, message, "--requests sets the limit"))
        pages = pages[:requests_most]
    _say(
        f"asking {settings.rest_url}, by its own SDK: {len(pages)} requests, at most {rate:.2g} a second"
        f"{' beside the running service' if alive else ''}: {len(pages) / rate:.0f} s or more"
    )
    asking = _Asking(witness, rate)
    bar = ProgressBar("comparing")
    bar.start(len(pages))
    told_s = time.monotonic()
    failed_in_a_row = 0
    try:
        for done, page in enumerate(pages):
            timeframe = page.series.timeframe
            if timeframe in unserved:
                continue
            grid = stored[page.series].grid
            answer = asking.ask(page, grid.end(grid.ceil(page.end)), compared)
            if isinstance(answer, FetchFailure) and answer.kind is FailureKind.UNSUPPORTED_TIMEFRAME:
                unserved.add(timeframe)
            elif isinstance(answer, FetchFailure):
                compared.failures += 1
                failed_in_a_row += answer.kind is not FailureKind.UNKNOWN_SYMBOL
                unknown = answer.kind is FailureKind.UNKNOWN_SYMBOL
                stored[page.series].report(
                    Flaw.NOT_COMPARED,
                    f"the venue was asked in vain: {answer.message}",
                    remedy=f"correct venues.{venue}.symbols" if unknown else "check again later",
                )
                if failed_in_a_row >= _FAILURES_MOST:
                    message = f"{len(pages) - done - 1} more requests were given up"
                    gathered.findings.append(Finding(Flaw.NOT_COMPARED, message, "check again later"))
                    break
            else:
                failed_in_a_row = 0
                compare_page(stored[page.series], page, answer.rows, answer.rejected, compared)
            bar.advance(done + 1, compared.failures)
            if not sys.stderr.isatty() and time.monotonic() - told_s >= _TOLD_EVERY_S:
                told_s = time.monotonic()
                _say(f"{done + 1} of {len(pages)} requests, {compared.differ} buckets differ")
    finally:
        bar.stop()
        asking.witness.close()
    if unserved:
        names = sorted(unserved, key=lambda timeframe: timeframe.ms)
        message = (
            f"{venue} does not serve {', '.join(names)}: not compared, since they are sums of smaller candles"
        )
        gathered.findings.append(Finding(Flaw.UNSERVED, message))
    return compared


class _Asking:
    """Asks the witness, evenly, and again where it was refused for being too fast."""

    def __init__(self, witness: Witness, rate_per_s: float) -> None:
        self.witness = witness
        self._interval_s = 1 / rate_per_s
        self._next_s = time.monotonic()

    def ask(self, page: PageWanted, until: int, compared: Compared) -> WitnessPage | FetchFailure:
        """One page, and the bucket after it, `until` its end: that row proves how fresh the answer is."""
        _, symbol, timeframe = page.series
        wait_s = _REFUSED_S
        for attempt in range(1, _ATTEMPTS + 1):
            self._keep_pace()
            compared.requests += 1
            answer = self.witness.fetch(symbol, timeframe, page.start, until)
            refused = isinstance(answer, FetchFailure) and answer.kind.too_fast
            if not refused or attempt == _ATTEMPTS:
                break
            told_s = answer.retry_after_s if isinstance(answer, FetchFailure) else None
            time.sleep(min(_WAIT_MOST_S, told_s or wait_s))
            self._interval_s *= 2  # Somebody else asks from this address too.
            wait_s *= 2
        return answer

    def _keep_pace(self) -> None:
        now_s = time.monotonic()
        if self._next_s > now_s:
            time.sleep(self._next_s - now_s)
        self._next_s = max(now_s, self._next_s) + self._interval_s


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
