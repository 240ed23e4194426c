"""A reader that never stops looking: what must hold of the cache at every moment, whatever goes wrong.

It looks at the raw keys as redis-cli would, and reads through livecache's own `Reader`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import msgspec

from livecache.errors import LivecacheError, ReadError
from livecache.keys.keyspace import StateRecord, decode_lease, decode_state
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.rollup import children_of
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.reader.reader import Reader
from livecache.venues.coinbase.traits import TRAITS

from .announcements import Announcements
from .faults import Kind
from .world import World

__all__ = ["Auditor", "Violation"]

SETTLE_DELAY_MS = 10_000
MEMBERS_MORE = 24 + 8  # than is wanted: what gathers while REST is away, and what is in progress
HEALS_S = 60.0  # within which damage done to a single key is mended, while somebody can write
TOUCHED_S = 30.0  # so long after a key was tampered with, more may happen to it
MAX_LAG_MS = 600_000
VOUCHED_MS = 14_000  # an alive key that was renewed on the strength of the last thing heard is gone by then

_member = msgspec.json.Decoder(list[msgspec.Raw])


class Violation(AssertionError):
    """Something that must always hold did not."""


@dataclass(slots=True)
class _Seen:
    """One series as it was at the last look."""

    members: list[bytes] = field(default_factory=list)
    fields: dict[bytes, bytes] = field(default_factory=dict)
    rows: dict[int, bytes] = field(default_factory=dict)
    record: StateRecord | None = None
    first_covered: int = 0  # when this tenure first held something settled of it
    was_foreign: bool = False  # whether something else lay in the place of a key since then
    volumes: dict[int, Decimal] = field(default_factory=dict)
    verified: dict[int, tuple[bytes | None, int]] = field(default_factory=dict)  # with how many revisions


class Auditor:
    """Looks at everything, and raises `Violation`."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.compared = 0
        self.looks = 0
        self.reads = 0
        self._random = Random(world.scenario.seed + 3)
        self._reader = Reader(url, prefix=world.keys.prefix)
        self._seen = {series: _Seen() for series in world.series}
        self._children = children_of(world.scenario.timeframes, TRAITS)
        self._closes = Announcements(world.client, world.keys)
        self._damaged: dict[SeriesId, float] = {}  # when on the host's clock
        self._gone: set[SeriesId] = set()  # those of them that have vanished altogether
        self._lease = b""
        self._writer = ""
        self._refused: Counter[str] = Counter()

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()

    def disturbed(self, *, tenure: bool = False, lost: bool = False, damaged: SeriesId | None = None) -> None:
        """The world did something that explains what would else be a violation."""
        if tenure or lost:
            for series in self._seen:
                self._seen[series] = _Seen()
        if lost:
            self._closes.restart()
            self._lease = b""
            self._gone.clear()
        if damaged is not None:
            self._damaged[damaged] = self.world.host.monotonic()
            self._gone.discard(damaged)

    # --- looking

    def look(self) -> None:
        """Check everything once."""
        self.looks += 1
        world = self.world
        world.store.expire()
        with world.client.pipeline(transaction=False) as pipeline:
            for series in self._seen:
                pipeline.zrange(world.keys.candles(series.symbol, series.timeframe), 0, -1)
                pipeline.hgetall(world.keys.state(series.symbol, series.timeframe))
            pipeline.get(world.keys.lease)
            for symbol in world.scenario.symbols:
                pipeline.get(world.keys.alive(symbol))
            replies = pipeline.execute(raise_on_error=False)
        self._closes.read()
        lease, *alive = replies[2 * len(self._seen) :]
        same_lease = lease is not None and lease == self._lease
        self._lease = lease
        if lease is not None and (writer := decode_lease(lease).instance) != self._writer:
            self._writer = writer
            self.disturbed(tenure=True)
        for n, series in enumerate(self._seen):
            members, fields = replies[2 * n : 2 * n + 2]
            if series in self._damaged and not members and not fields:
                self._gone.add(series)
            elif fields and series in self._gone:  # What is written onto nothing must be whole at once.
                self._gone.discard(series)
                self._damaged.pop(series, None)
            try:
                if isinstance(members, Exception) or isinstance(fields, Exception):
                    self._seen[series].was_foreign = True
                    raise Violation(f"{series}: a key holds another type")
                self._look_at(series, members, fields, decode_lease(lease).token if same_lease else None)
            except (Violation, ValueError, KeyError, IndexError, msgspec.DecodeError, LivecacheError):
                if not self._excused(series):
                    raise
            else:
                now_s = world.host.monotonic()
                if now_s - self._damaged.get(series, now_s) > TOUCHED_S:
                    del self._damaged[series]
        self._who_is_alive(alive)
        if self.looks % 3 == 0:
            self._read(self._random.choice(world.series))

    def _excused(self, series: SeriesId) -> bool:
        """Whether a key of the series was tampered with, and it is not yet time that it is mended."""
        if series not in self._damaged:
            return False
        world, now = self.world, self.world.host.monotonic()
        in_the_way = (Kind.REDIS_AWAY, Kind.REDIS_CUT, Kind.REDIS_REFUSES, Kind.FOREIGN)
        writers = any(p.is_writer and p.runs.is_set() for p in world.processes)
        if not writers or any(world.venue.is_on(kind) for kind in in_the_way):
            self._damaged[series] = now
        return now - self._damaged[series] < HEALS_S

    def _look_at(
        self, series: SeriesId, members: list[bytes], fields: dict[bytes, bytes], token: int | None
    ) -> None:
        seen = self._seen[series]
        if members == seen.members and fields == seen.fields and not self.world.truth.revisions:
            return
        if not fields:
            self._expect(seen.record is None, series, "its state has vanished")
            return
        record = decode_state({k.decode(): v.decode() for k, v in fields.items()})
        if seen.record is None and record.origin != self.world.venue.origin:
            return  # What another configuration has left, and says so, until this one has written.
        rows = {int(m[1 : m.index(b",")]): m for m in members}
        self._expect(len(rows) == len(members), series, "two members in one bucket")
        self._expect(record.count == len(members), series, f"count {record.count} of {len(members)}")
        most = self.world.scenario.candles + MEMBERS_MORE
        self._expect(len(members) <= most, series, f"{len(members)} members")
        self._fenced(series, seen, record, token)
        self._watermarks(series, record)
        self._settled(series, seen, record, rows)
        self._known(series, record, rows)
        self._richer(series, seen, record, rows)
        self._announced(series, seen, record)
        seen.members, seen.fields, seen.record, seen.rows = members, fields, record, rows

    def _fenced(self, series: SeriesId, seen: _Seen, record: StateRecord, token: int | None) -> None:
        """Only the holder of the lease writes; `token` is its, if it was so at the last look too."""
        if seen.record is None:
            return
        fence, before = record.fence, seen.record.fence
        self._expect(fence >= before, series, f"the fence went back from {before} to {fence}")
        if token is not None and record != seen.record:
            self._expect(fence == token, series, f"written by {fence}, while {token} holds the lease")

    def _watermarks(self, series: SeriesId, record: StateRecord) -> None:
        state, now, width = record.state, self.world.now(), series.timeframe.ms
        ordered = (
            state.contiguous_from <= state.settled_through <= state.known_through <= state.closed_through
        )
        self._expect(ordered, series, f"watermarks out of order: {state}")
        self._expect(state.closed_through <= now, series, "a bucket closed that is in progress")
        if state.known_through:
            covered = state.coverage.covers(state.contiguous_from, state.settled_through)
            self._expect(covered, series, "not all before settled_through is settled")
        if state.coverage:
            early = state.coverage.spans[-1].end + SETTLE_DELAY_MS - now
            self._expect(early <= 0, series, f"settled {early} ms before the settling delay was over")
        if state.forming:
            self._expect(state.forming <= now, series, "the bucket in progress lies ahead")
        if state.ready:
            lag = state.closed_through - state.known_through - width
            self._expect(lag <= MAX_LAG_MS + 90_000, series, f"ready, but {lag} ms behind")
        if record.origin != self.world.venue.origin:
            writes = any(p.is_writer for p in self.world.processes) and state.ready
            self._expect(not writes, series, f"ready with candles from {record.origin}")

    def _settled(self, series: SeriesId, seen: _Seen, record: StateRecord, rows: dict[int, bytes]) -> None:
        """What coverage claims was told by a page, and is what the venue says, or once said."""
        if record.origin != self.world.venue.origin:
            return
        _, symbol, timeframe = series
        coverage = record.state.coverage
        now, truth = self.world.now(), self.world.truth
        if seen.record is None or coverage != seen.record.state.coverage:
            claimed = coverage.without(self._told(symbol, timeframe))
            self._expect(not claimed, series, f"covers {claimed}, which no page showed")
        version = len(truth.revisions)
        for start, end in coverage:
            for time in range(start, end, timeframe.ms):
                member = rows.get(time)
                if seen.verified.get(time) == (member, version):
                    continue
                allowed = truth.versions(symbol, timeframe, time, now)
                fits = any(_same(member, candle) for candle in allowed)
                self._expect(fits, series, f"settled {time} is {member!r}, the venue said {allowed}")
                before = seen.rows.get(time)
                was_settled = seen.record is not None and time in seen.record.state.coverage
                if was_settled and before != member:
                    announced = self._closes.has(series, time, "revised") or _same_text(before, member)
                    self._expect(announced, series, f"settled {time} changed and nobody was told")
                seen.verified[time] = (member, version)
                self.compared += 1

    def _known(self, series: SeriesId, record: StateRecord, rows: dict[int, bytes]) -> None:
        """Provisional candles that are vouched for are the final ones."""
        _, symbol, timeframe = series
        state, now = record.state, self.world.now()
        hidden = self.world.venue.hides(symbol)
        for time in range(state.settled_through, state.known_through, timeframe.ms):
            if time in state.coverage:
                continue
            member = rows.get(time)
            if not hidden:
                allowed = self.world.truth.versions(symbol, timeframe, time, now)
                fits = any(_same(member, candle) for candle in allowed)
                self._expect(fits, series, f"{time} is known as {member!r}, but is {allowed}")
            self.compared += 1

    def _richer(self, series: SeriesId, seen: _Seen, record: StateRecord, rows: dict[int, bytes]) -> None:
        """Nothing that was shown becomes poorer; only settling may correct it."""
        newest = sorted(rows)[-4:]
        volumes = {t: Decimal(bytes(_member.decode(rows[t])[5]).decode()) for t in newest}
        for time, volume in volumes.items():
            before = seen.volumes.get(time)
            poorer = before is not None and volume < before and time not in record.state.coverage
            self._expect(not poorer, series, f"{time} fell from {before} to {volume}")
        seen.volumes = volumes

    def _announced(self, series: SeriesId, seen: _Seen, record: StateRecord) -> None:
        """What has settled was told in the stream before."""
        coverage, before = record.state.coverage, seen.record
        if seen.was_foreign:  # One that started meanwhile has found nothing here: its first fill is no news.
            before, seen.was_foreign = None, False
        if before is None or not before.state.coverage:
            seen.first_covered = self.world.now() if coverage else 0
            return
        if record.origin != self.world.venue.origin:
            return
        seen.first_covered = seen.first_covered or self.world.now()
        width = series.timeframe.ms
        for start, end in coverage.without(before.state.coverage):
            for time in range(start, end, width):
                news = time >= before.state.coverage.spans[-1].end and time + width > seen.first_covered
                told = not news or self._closes.has(series, time, "settled")
                self._expect(told, series, f"{time} has settled and nobody was told")

    def _told(self, symbol: str, timeframe: Timeframe) -> Coverage:
        """Which buckets pages have shown, of themselves or of all their children."""
        told = self.world.venue.told.get((symbol, timeframe), Coverage())
        child, width = self._children[timeframe], timeframe.ms
        if child is not None:
            spans = self._told(symbol, child).spans
            told = told | Coverage((s.start + -s.start % width, s.end - s.end % width) for s in spans)
        return told

    # --- who vouches

    def _who_is_alive(self, replies: Iterable[Any]) -> None:
        world = self.world
        if not any(isinstance(reply, bytes) for reply in replies):
            return
        silent = world.now() - world.venue.last_answer
        self._expect(silent <= VOUCHED_MS, None, f"alive, though the venue was silent for {silent} ms")

    # --- through the reader

    def _read(self, series: SeriesId) -> None:
        """Whatever a reader is given is true, fresh and as many as it asked for."""
        world, random = self.world, self._random
        count = random.choice((1, 20, 60))
        settled, forming = random.choice(((False, False), (True, False), (False, True)))
        _, symbol, timeframe = series
        if series in self._damaged:
            return
        self.reads += 1
        try:
            candles = self._reader.candles(symbol, timeframe, count, settled=settled, forming=forming)
        except ReadError as error:
            self._refused[type(error).__name__] += 1
            return
        now = world.now()
        rows = list(candles)
        if forming and rows and rows[-1].time >= candles.known_through:
            self._in_progress(series, rows.pop())
        through = candles.known_through
        self._expect(now - through - timeframe.ms <= MAX_LAG_MS + 90_000, series, f"read up to {through}")
        self._expect(len(rows) >= count - forming, series, f"{len(rows)} of {count}")
        if not rows or world.venue.hides(symbol):
            return
        held = {row.time: row for row in rows}
        for time in range(rows[0].time, rows[-1].time + 1, timeframe.ms):
            allowed = world.truth.versions(symbol, timeframe, time, now)
            row = held.get(time)
            fits = any(_as_floats(c) == ((*_columns(row),) if row else None) for c in allowed)
            self._expect(fits, series, f"a reader was given {row} for {time}: {allowed}")

    def _in_progress(self, series: SeriesId, row: Any) -> None:
        """It never holds more than was traded."""
        truth = self.world.truth.candle(series.symbol, series.timeframe, row.time, self.world.now())
        volume = float(truth.volume) if truth else 0.0
        self._expect(row.volume <= volume, series, f"in progress {row} holds more than {truth}")

    def _expect(self, holds: bool, series: SeriesId | None, problem: str) -> None:
        if not holds:
            raise Violation(f"{series or 'all'} at {self.world.now()}: {problem}")


def _columns(row: Any) -> tuple[float, ...]:
    return (row.open, row.high, row.low, row.close, row.volume)


def _as_floats(candle: ExactCandle | None) -> tuple[float, ...] | None:
    return tuple(map(float, candle.numbers)) if candle is not None else None


def _same(member: bytes | None, candle: ExactCandle | None) -> bool:
    if member is None or candle is None:
        return member is None and candle is None
    if member == candle.member().encode():
        return True
    numbers = [Decimal(bytes(raw).decode()) for raw in _member.decode(member)[1:]]
    return numbers == [Decimal(text) for text in candle.numbers]


def _same_text(one: bytes | None, other: bytes | None) -> bool:
    """Whether two members say the same in other digits."""
    if one is None or other is None:
        return one is other
    decimals = [[Decimal(bytes(raw).decode()) for raw in _member.decode(m)] for m in (one, other)]
    return decimals[0] == decimals[1]
