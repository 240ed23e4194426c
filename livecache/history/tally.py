"""What a fill has done so far, and how long the rest will take: for people, logs and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from ..model.coverage import Coverage, Span
from ..model.timeframe import iso
from ..quiet import logger
from .planner import requests_left
from .store import Commit, Job, JobState, SeriesInfo

__all__ = ["Line", "Tally"]

_EVERY_ROWS = 10_000
_EVERY_S = 10.0
_EVERY_SERIES = 10
_OVER = (JobState.SUCCEEDED, JobState.FAILED, "there already")
_FIRST = 8  # requests: of days that are asked for alone, and of what was in flight before anything came
_PAUSE_S = 20.0  # without a page, or as many times as long as one takes: no pace, but a budget or a ban


@dataclass(slots=True)
class Line:
    """One series of a report; it is its row in a table as well."""

    venue: str
    symbol: str
    timeframe: str
    state: str = "pending"
    inserted: int = 0
    skipped: int = 0
    """Buckets that were known before: they are asked for only where it is forced."""
    same: int = 0
    revised: int = 0
    rejected: int = 0
    provisional: int = 0
    """Candles that are not final yet."""
    rescaled: int = 0
    """Candles that are the same but for a split."""
    requests: int = 0
    completeness: float = 0.0
    """Per cent of what was wanted that is known now."""
    seconds: float = 0.0
    error: str = ""
    began: int = 0
    """When it was wanted, Unix ms by the host's clock."""
    ended: int = 0
    """When the last of it was stored, or given up."""

    @property
    def name(self) -> str:
        """As it is told."""
        return f"{self.symbol} {self.timeframe}"


@dataclass(slots=True)
class _Under:
    """A series under way."""

    line: Line
    wanted: Span
    missing: Coverage
    page: int
    began_s: float
    ends: dict[int, tuple[str, str]] = field(default_factory=dict)  # by job: its state, and why
    pages_left: int = 0
    told: int = 0  # rows
    under_way: bool = False


@dataclass(slots=True)
class Tally:
    """Looks on at workers (`work.watch.Watch`). `now_s` tells monotonic seconds, `page` the longest page.

    `changed` is called after each page, with nothing to tell. `least_s` tells how long so many requests take
    at least: a venue may let through more at first than later.
    """

    now_s: Callable[[], float]
    page: Callable[[SeriesInfo], int]
    changed: Callable[[], None] = lambda: None
    least_s: Callable[[float], float] = lambda requests: 0.0
    wall_s: Callable[[], float] = lambda: 0.0
    """Seconds since 1970, by the host's clock."""
    lines: dict[int, Line] = field(default_factory=dict)
    """By the store's number of the series."""
    _under: dict[int, _Under] = field(default_factory=dict)
    _began_s: float = -1.0
    _told_s: float = 0.0
    _asked: int = 0
    _answered: int = 0
    _done: int = 0  # of the pages that were left
    _since: tuple[float, int, int] = (0.0, 0, 0)  # when the pace begins to count; asked and done by then
    _pace_s: float = 0.0  # for a page
    _last_s: float = 0.0  # when one was stored
    _worth: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By timeframe, pages that were missing where work has begun, and those of them worth asking for."""

    def wanted(self, series: SeriesInfo, span: Span, missing: Coverage) -> None:
        """So much of a series is wanted, of which so much is missing."""
        line = Line(series.key.venue, series.key.symbol, series.key.timeframe.value)
        under = _Under(line, span, missing, self.page(series), self.now_s())
        under.pages_left = requests_left(missing, series.grid, under.page)
        self.lines[series.id], self._under[series.id] = line, under
        self._lacks(under, series, span, missing)
        count = series.grid.count
        line.began = line.ended = self._wall()
        line.skipped = count(*span) - sum(count(*each) for each in missing)
        if not missing:
            line.state = "there already"

    def began(self, job: Job, series: SeriesInfo, missing: Coverage, left: Coverage) -> None:
        """Work on a job begins."""
        under = self._of(series, job)
        if self._began_s < 0:
            self._began_s = self._told_s = self.now_s()
            self._since, self._last_s = (self._began_s, 0, 0), self._began_s
        under.line.state = "filling"
        under.pages_left = requests_left(left, series.grid, under.page)
        if not under.under_way:
            under.under_way = True
            all_pages, worth = self._worth.get(under.line.timeframe, (0, 0))
            all_pages += requests_left(missing, series.grid, under.page)
            self._worth[under.line.timeframe] = all_pages, worth + under.pages_left
        self._lacks(under, series, Span(job.want.start, job.want.end), left)
        buckets = series.grid.count(job.want.start, job.want.end)
        if missing and series.grid.count(*missing.spans[0]) < buckets:
            longest = max(missing, key=lambda span: span.end - span.start)
            there = 100 * (1 - sum(series.grid.count(*span) for span in missing) / max(1, buckets))
            self._log(
                "history_resumed",
                f"Resuming {series.key.symbol} from {iso(longest.end)[:10]}: "
                f"{series.key.timeframe} is {there:.1f} % there",
                series,
                job,
            )

    def committed(self, job: Job, series: SeriesInfo, asked: Span, commit: Commit, left: Coverage) -> None:
        """A page is stored."""
        under = self._of(series, job)
        line = under.line
        line.requests, self._answered = line.requests + 1, self._answered + 1
        self._asked += 1
        line.inserted += commit.inserted
        line.same += commit.same
        line.revised += commit.revised
        line.rejected += commit.rejected
        line.provisional += commit.provisional
        line.rescaled += commit.rescaled
        for event, text in commit.news:
            self._log(event, text, series, job, level="WARNING")
        before = under.pages_left
        under.pages_left = requests_left(left, series.grid, under.page)
        self._done += min(1, before - under.pages_left)  # one page may show that many are not needed
        self._keep_pace()
        self._lacks(under, series, Span(job.want.start, job.want.end), left)
        rows = line.inserted + line.same + line.revised
        now_s = self.now_s()
        line.seconds, line.ended = now_s - under.began_s, self._wall()
        if rows // _EVERY_ROWS > under.told or now_s - self._told_s >= _EVERY_S:
            under.told, self._told_s = rows // _EVERY_ROWS, now_s
            self._log(
                "history_progress",
                f"{line.name}: {rows:,} candles, {line.completeness:.1f} %; in all {self.summary()}",
                series,
                job,
            )
        self.changed()

    def failed(self, job: Job, series: SeriesInfo, asked: Span, error: str) -> None:
        """A request brought nothing."""
        self._of(series, job).line.requests += 1
        self._asked += 1
        self._log("history_request_failed", f"{series.key}: {error}", series, job, level="DEBUG")

    def ended(self, job: Job, series: SeriesInfo, state: JobState, error: str, missing: Coverage) -> None:
        """The job was left in that state, and so much of it is missing."""
        under = self._of(series, job)
        line = under.line
        under.ends[job.id] = state.value, error
        # An earlier run may have left a job of the same series: neither hides what became of the other.
        line.state, line.error = next((end for end in under.ends.values() if end[1]), under.ends[job.id])
        line.seconds, line.ended = self.now_s() - under.began_s, self._wall()
        self._lacks(under, series, Span(job.want.start, job.want.end), missing)
        if state in (JobState.FAILED, JobState.SUCCEEDED):
            under.pages_left = 0
        event, level = {
            JobState.SUCCEEDED: ("history_filled", "INFO"),
            JobState.FAILED: ("history_failed", "ERROR"),
            JobState.WAITING: ("history_waits", "WARNING"),
        }.get(state, ("history_left", "INFO"))
        told = f"{line.inserted:,} candles new, {line.completeness:.1f} % there"
        self._log(event, f"{line.name}: {error or told}", series, job, level=level)
        over = sum(each.state in _OVER for each in self.lines.values())
        if state in _OVER and over % _EVERY_SERIES == 0:
            told = f"{over} of {len(self.lines)} series are over; in all {self.summary()}"
            self._log("history_progress", told, series, job)
        self.changed()

    @property
    def failures(self) -> list[Line]:
        """Those that were not filled."""
        return [line for line in self.lines.values() if line.state == JobState.FAILED]

    @property
    def eta_s(self) -> float | None:
        """Seconds that the rest will take at the pace so far; None before there is one."""
        left, now_s = sum(map(self._left, self._under.values())), self.now_s()
        if self._done <= 0:
            return None
        least_s = self.least_s(self._asked + left * self._asked / self._done) - (now_s - self._began_s)
        return max(0.0, least_s, left * self._pace_s)

    def summary(self) -> str:
        """All of it in a few words."""
        rows = sum(line.inserted + line.same + line.revised for line in self.lines.values())
        passed_s = max(1e-9, self.now_s() - self._began_s)
        left = round(sum(map(self._left, self._under.values())))
        eta_s = self.eta_s
        eta = "" if eta_s is None else f", {_duration(eta_s)} to go"
        return f"{rows:,} candles, {rows / passed_s:,.0f}/s, {self._answered:,} pages, {left:,} left{eta}"

    def _wall(self) -> int:
        return int(self.wall_s() * 1000)

    def _keep_pace(self) -> None:
        now_s, (since_s, asked, done) = self.now_s(), self._since
        paused = self._pace_s and now_s - self._last_s > _PAUSE_S * max(1.0, self._pace_s)
        if paused or self._asked == _FIRST:
            self._since = now_s, self._asked, self._done
        elif self._done > done and (not asked or self._asked >= asked + _FIRST):
            self._pace_s = (now_s - since_s) / (self._done - done)
        self._last_s = now_s

    def _left(self, under: _Under) -> float:
        """The pages left of a series; before it is begun, as many in proportion as of those that are."""
        if under.under_way:
            return under.pages_left
        all_pages, worth = self._worth.get(under.line.timeframe, (0, 0))
        return under.pages_left * worth / all_pages if all_pages else under.pages_left

    def report(self) -> list[dict[str, object]]:
        """A row a series, as `Line` has it."""
        return [asdict(line) for line in self.lines.values()]

    def _of(self, series: SeriesInfo, job: Job) -> _Under:
        """Also of a job that an earlier run left."""
        if series.id not in self._under:
            self.wanted(series, Span(job.want.start, job.want.end), Coverage())
        return self._under[series.id]

    def _lacks(self, under: _Under, series: SeriesInfo, span: Span, missing: Coverage) -> None:
        """Of that stretch so much is missing."""
        under.missing = (under.missing.without(Coverage([span])) | missing).clip(*under.wanted)
        lacks = sum(series.grid.count(*each) for each in under.missing)
        under.line.completeness = 100 * (1 - lacks / max(1, series.grid.count(*under.wanted)))

    def _log(self, event: str, text: str, series: SeriesInfo, job: Job, *, level: str = "INFO") -> None:
        _, symbol, timeframe = series.key
        bound = logger.bind(event=event, symbol=symbol, timeframe=timeframe.value, job=job.id)
        bound.log(level, "{}", text)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    )
