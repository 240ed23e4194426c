"""The whole check over what was read: every rule, in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from ..errors import OutsideCalendar
from ..keys.keyspace import Keyspace
from ..model.grid import DAY_MS
from ..model.series import SeriesId
from ..model.timeframe import Timeframe, iso
from ..wire.advice import advice_on
from .findings import RENEW, Finding, Flaw, Options, repair_command
from .inspection import Inspected, Shared
from .keys import judge_shared, sort_keys
from .report import Report, largest, line_of
from .rollups import compare_rollups
from .spans import Gap, Tally, judge_spans
from .stored import Examined, examine
from .venue import Compared

__all__ = ["Check", "Rules"]

_TOLD_BEFORE_MS = 60 * DAY_MS


@dataclass(frozen=True, slots=True)
class Rules:
    """What is tolerated, and expected."""

    patience_ms: int = 600_000  # how long a closed bucket may be missing or provisional, venue time
    gap_buckets: int = 1  # shorter gaps are no findings
    origin: str = ""  # where the candles should come from; "" to accept any
    options: Options = field(default_factory=Options)


@dataclass(slots=True)
class Check:
    """Gathers what is told to it, series by series, and makes the report of it."""

    keys: Keyspace
    rules: Rules = field(default_factory=Rules)
    stored: dict[SeriesId, Examined] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)  # about no series that is configured
    _writes: bool = True  # whether anybody holds the lease
    _calendar: tuple[str, int] | None = None  # its name, and until when (Unix ms) it is sure
    _sums_below: Timeframe | None = None  # from here on candles are no sums of smaller ones
    _rollups: dict[str, int] = field(default_factory=dict)  # compared, by symbol
    _spans: dict[SeriesId, tuple[Tally, list[Gap]]] = field(default_factory=dict)

    def take_shared(self, shared: Shared) -> list[SeriesId]:
        """Judge the shared keys; the announced series, by symbol."""
        announced, findings = judge_shared(shared, self.keys)
        self._writes = shared.lease is not None
        self._calendar, self._sums_below = shared.calendar, shared.sums_below
        self.findings += findings
        return announced

    def take_names(
        self, names: Iterable[str], announced: Sequence[SeriesId], *, complete: bool = True
    ) -> None:
        """Judge which keys there are."""
        self.findings += sort_keys(names, self.keys, announced).findings()
        if not complete:
            self.findings.append(
                Finding(Flaw.UNFINISHED, "this server has so many keys that not all were looked at")
            )

    def take_settings(self, settings: Mapping[str, str | None]) -> None:
        """Judge the server's settings."""
        self.findings += [
            Finding(Flaw.SERVER, problem, f"livecache redis {remedy}")
            for problem, remedy in advice_on(settings)
        ]

    def take_symbol(self, found: Sequence[Inspected]) -> bool:
        """Judge all series of one symbol, read at one moment. Whether their roll-ups agree."""
        symbol = [examine(one) for one in found]
        for stored in symbol:
            self._spans[stored.series] = self._judged(stored)
        if symbol:
            self._rollups[symbol[0].series.symbol] = compare_rollups(symbol, self._sums_below)
        self.stored.update({stored.series: stored for stored in symbol})
        return not any(finding.kind is Flaw.ROLLUP for stored in symbol for finding in stored.findings)

    def _judged(self, stored: Examined) -> tuple[Tally, list[Gap]]:
        rules = self.rules
        try:
            return judge_spans(
                stored,
                patience_ms=rules.patience_ms,
                gap_buckets=rules.gap_buckets,
                sure_until=self._calendar[1] if self._calendar else None,
            )
        except OutsideCalendar as error:
            stored.outside(error)
            return Tally(), []

    def report(self, *, checked_at: str, venue: Compared | None = None) -> Report:
        """All that was found."""
        spans = self._spans
        found = [
            structs.replace(finding, remedy=self.rules.options.put_into(finding.remedy))
            for finding in [*self._all(), *self._whose()]
        ]
        against = [finding for finding in found if not finding.is_advice]
        gaps = [gap for stored in self.stored.values() for gap in spans[stored.series][1]]
        return Report(
            clean=not against,
            checked_at=checked_at,
            prefix=self.keys.prefix,
            series=[line_of(stored, *spans[stored.series]) for stored in self.stored.values()],
            findings=against,
            advice=[finding for finding in found if finding.is_advice],
            gaps=largest(gaps),
            gaps_in_all=len(gaps),
            remedies=self._remedies(),
            rollups_compared=sum(self._rollups.values()),
            venue=venue,
        )

    def _all(self) -> list[Finding]:
        """About no series, and about each."""
        return [*self.findings, *(finding for one in self.stored.values() for finding in one.findings)]

    def _remedies(self) -> list[str]:
        """The commands that would mend what was found: one repair a series, and what else there is."""
        repairs = [
            repair_command(series, *stored.doubted, stored.grid)
            for series, stored in self.stored.items()
            if stored.doubted is not None
        ]
        others = [f.remedy for f in self._all() if not f.is_advice and "livecache repair" not in f.remedy]
        # Who orders a repair needs somebody who takes it. A lease may lapse for a moment under one who lives.
        lives = self._writes or any(stored.alive is not None for stored in self.stored.values())
        first = ["livecache run"] if repairs and not lives else []
        remedies = dict.fromkeys(filter(None, [*first, *repairs, *others]))
        return [self.rules.options.put_into(remedy) for remedy in remedies]

    def _whose(self) -> Iterator[Finding]:
        """Who vouches for the candles, and where they came from: no fault, but worth a note."""
        found = [stored for stored in self.stored.values() if stored.record is not None]
        if unvouched := [stored for stored in found if stored.alive is None]:
            yield Finding(
                Flaw.UNVOUCHED,
                f"nobody vouches for {len(unvouched)} of {len(self.stored)} series now",
                "is `livecache run` running?",
            )
        name, through = self._calendar or ("", 0)
        if through and any(stored.now > through - _TOLD_BEFORE_MS for stored in found):
            yield Finding(
                Flaw.CALENDAR,
                f"the calendar {name[:100]} is sure of sessions until {iso(through)} only",
                RENEW,
            )
        others = {stored.record.origin for stored in found if stored.record} - {self.rules.origin}
        for origin in sorted(others) if self.rules.origin else ():
            yield Finding(
                Flaw.ORIGIN,
                f"history came from {origin[:200]!r}, and {self.rules.origin} is configured",
                "livecache config",
            )
