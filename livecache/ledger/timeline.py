"""The timeline: told what the venue said and what time it is, it knows what every bucket is.

Pure. REST pages settle buckets; the feed lays provisional candles over the end; roll-ups follow. What
readers must be told gathers per series and is taken once per flush.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ..model.candle import FeedCandle
from ..model.clock import IMPLAUSIBLE_MS
from ..model.policy import CROWD, Policy
from ..model.rollup import children_of
from ..model.series import Change, Changes, Close, SeriesId, Stored
from ..model.timeframe import Timeframe
from ..model.traits import MINUTE, Traits
from ..proof.evidence import PageFacts
from ..proof.feeding import Link
from ..proof.history import note_ends, searched
from ..proof.joining import bear_witness
from ..proof.kin import Kindred
from ..proof.settling import settle_page
from ..proof.track import Track
from .adopting import adopt
from .counters import Counters, Note, fields_of, note_of, notes_of
from .symbol import SymbolTimeline
from .watermarks import runs_out

__all__ = ["Counters", "Note", "Timeline"]

_CLOSE_GRACE_MS = 1_000  # A bucket is announced as closed so long after its end, if no newer one came first.
_CLOSE_WITHIN_MS = 60_000  # One that is not known so long after its end is not, but as settled.
_TAKEN_AT_ONCE = 100  # symbols: what they need takes some 50 ms, in which nothing else is done
_SNAPSHOT_BUCKETS = 60  # Older minutes, as the snapshot of a quiet product's trades holds, are left to REST.


class Timeline:
    """Everything livecache knows of one venue."""

    def __init__(
        self,
        venue: str,
        symbols: Sequence[str],
        timeframes: Sequence[Timeframe],
        policy: Policy,
        traits: Traits,
    ) -> None:
        self.venue, self.policy, self.traits = venue, policy, traits
        self.timeframes = tuple(timeframes)  # configured, in priority order
        policy.check(traits)
        self.children = children_of(timeframes, traits)
        how = self.timeframes, policy, self.children, traits
        self.symbols = {s: SymbolTimeline(venue, s, *how) for s in symbols}
        self.counters = Counters()
        self._links: dict[int, Link] = {}
        self._fed = traits.grid(traits.smallest_fed(self.children))  # whose ends matter to what it carries
        self._due: dict[Timeframe, int] = dict.fromkeys(self.children, 0)  # when the next bucket closes
        self._closing: set[tuple[str, Timeframe]] = set()
        self._stirred: set[str] = set(symbols)  # symbols of which something may have to be told
        self.turns: list[str] = []  # those of them that `take` comes to next time, before any other
        self._sweeps: list[int] = []  # when to look at all that is still to be announced as closed
        self._minute = 0
        self._notes: list[Note] = []
        self._dead: set[str] = set()

    def arrange(self, symbols: Sequence[str], timeframes: Sequence[Timeframe], policy: Policy) -> None:
        """Have these from now on: what is held of those that stay is kept, and what is gone is forgotten."""
        venue, traits = self.venue, self.traits
        policy.check(traits)
        self.children = children_of(timeframes, traits)
        self.timeframes, self.policy = tuple(timeframes), policy
        before, self.symbols = self.symbols, {}
        for symbol in symbols:
            self.symbols[symbol] = before.get(symbol) or SymbolTimeline(venue, symbol, (), policy, {}, traits)
            self.symbols[symbol].arrange(venue, self.timeframes, policy, self.children)
        self._fed = traits.grid(traits.smallest_fed(self.children))
        self._due = {t: self._due.get(t, 0) for t in self.children}
        self._closing = {(s, t) for s, t in self._closing if s in self.symbols and t in self.children}
        self._stirred, self.turns = set(symbols), []
        for names in (self._dead, *(link.resuming for link in self._links.values())):
            names.intersection_update(symbols)

    def learn(self, traits: Traits) -> None:
        """The venue has taught what it is like."""
        self.traits = traits
        for timeline in self.symbols.values():
            timeline.learn(traits)

    # --- what comes in ----------------------------------------------------------------------------

    def adopt(self, stored: Sequence[Stored], now: int) -> None:
        """Take over what an earlier run left: what is settled, and what readers were told is known.

        Other provisional ones are not believed: the earlier feed stood behind them, and it has broken off.
        Without any, what all series hold is rolled up where it was not.
        """
        for one in stored:
            adopt(self.symbols[one.series.symbol].tracks[one.series.timeframe], one, now)
            if one.standing:
                self.symbols[one.series.symbol].stand(one.standing, now)
        for symbol in {one.series.symbol: None for one in stored} or self.symbols:
            self.symbols[symbol].touch_uncovered()
            self._derive(self.symbols[symbol], now)

    def apply_page(self, symbol: str, timeframe: Timeframe, page: PageFacts, now: int) -> None:
        """Take a REST page: settle what it proves, lay the rest as provisional."""
        page = page.without_flat() if self.traits.empty == "flat" else page
        timeline = self.symbols[symbol]
        self._stirred.add(symbol)
        track = timeline.tracks[timeframe]
        outcome = settle_page(
            track,
            page,
            timeline.channel,
            feed=timeframe in self.traits.carried,
            kin=Kindred(timeline.tracks, timeframe, page.heard, page),
            halted=timeline.standing.startswith("halted"),
            searched=searched(track, page.heard),
        )
        self.counters.count(outcome)
        self._notes += notes_of(track, outcome)
        if outcome.strange:
            return  # It tells nothing of this product: nobody hears of it, and what was asked for still is.
        track.let_go(page.start, page.end)
        if track.open:
            timeline.stir()  # That buckets only wait for proof now counts for readiness, the parents' too.
        timeline.took(timeframe, page.heard, outcome)
        if outcome.channel_dead and timeline.channel.since:
            self.counters.dead_channels += 1
            self._dead.add(symbol)
            timeline.channel.mute = True
            self._interrupt(timeline, outcome.channel_dead, now)
            text = f"the feed shows nothing of {symbol}, but it trades"
            self._notes.append(Note("channel_dead", text, fields_of(track)))
        if timeline.standing:
            timeline.traded(max(page.rows, default=0))
        self._derive(timeline, now)
        timeline.pass_on(timeframe, page)
        for each in timeline.tracks.values():
            if each.coverage and not each.announce_from:
                each.announce_from = each.grid.closed(now)
        note_ends(timeline.tracks, page.heard)
        timeline.trim(now)

    def apply_witness(
        self, symbol: str, timeframe: Timeframe, other: Timeframe, page: PageFacts, now: int
    ) -> None:
        """Take another timeframe's page, asked for because rows cannot be believed, or are absent."""
        timeline = self.symbols[symbol]
        track = timeline.tracks[timeframe]
        found = bear_witness(timeline.tracks, timeframe, other, page)
        added = [bucket for bucket in found if bucket in track.settled]
        self.counters.rebuilt += len(added)
        self._notes += [note_of("rebuilt", f"was added up from candles of {other}", track, t) for t in added]
        for bucket in found:
            timeline.touch(timeframe, bucket)
        self._stirred.add(symbol)
        self._derive(timeline, now)
        timeline.trim(now)

    def subscribe(self, link_id: int, stamp: int, symbols: Iterable[str], now: int) -> None:
        """From `stamp` on, the feed is known to carry these symbols."""
        link = self._hear(link_id, stamp, now)
        for symbol in self.symbols.keys() & symbols:
            self._vouch(self.symbols[symbol], link, stamp, now)

    def feed_candles(
        self, link_id: int, stamp: int, candles: Iterable[FeedCandle], now: int, *, through: int = 0
    ) -> None:
        """Lay candles, each all that traded until `stamp`; until `through`, or then, all the link carries."""
        link = self._hear(link_id, through or stamp, now)
        for symbol, timeframe, candle, last in candles:
            timeline = self.symbols.get(symbol)
            if timeline is None:
                continue  # It was on its way when the symbol was taken out.
            track, channel = timeline.tracks.get(timeframe), timeline.channel
            if channel.mute and (track is None or candle.time >= track.newest()):
                channel.mute = False  # What is older than what is known proves nothing: an old snapshot.
            if channel.since == 0 or channel.link is not link:
                self._vouch(timeline, link, stamp, now)
            channel.newest = max(channel.newest, candle.time)
            if timeline.standing:
                timeline.traded(self.traits.grid(timeframe).end(candle.time))
            if track is not None and timeline.show(track, candle, stamp, now, last=last):
                self._stirred.add(symbol)

    def feed_trades(
        self, link_id: int, stamp: int, trades: Iterable[tuple[str, int, str, str, int]], now: int
    ) -> None:
        """Build minutes from trades `(symbol, trade_id, price, size, time)`, ascending in id."""
        self._hear(link_id, stamp, now)
        oldest = MINUTE.floor(now) - _SNAPSHOT_BUCKETS * MINUTE.ms
        for symbol, trade_id, price, size, time in trades:
            timeline = self.symbols.get(symbol)
            if timeline is None:
                continue
            candle, track = timeline.minutes.add(trade_id, price, size, time), timeline.tracks.get(MINUTE)
            if candle is None or track is None or candle.time < oldest:
                continue
            if track.lay(candle, vouched=True, replace=True):
                timeline.touch(MINUTE, candle.time)
                self._stirred.add(symbol)

    def heard(self, link_id: int, stamp: int, now: int) -> None:
        """The connection lives: a frame without news, stamped so."""
        self._hear(link_id, stamp, now)

    def broken(
        self,
        link_id: int,
        symbols: Iterable[str],
        *,
        resumes: bool,
        now: int,
        since: int | None = None,
        mute: bool = False,
    ) -> None:
        """The feed of these symbols was interrupted after `since`, or else after the link's last stamp.

        `resumes`: frames go on over the same subscription, so the next stamp vouches again for those that
        it carried. `mute`: it is they that say nothing of a symbol, so only a candle of it vouches again.
        """
        link = self._links.setdefault(link_id, Link())
        since = link.through if since is None else min(since, link.through)
        link.up = resumes
        for symbol in [s for s in symbols if s in self.symbols]:
            self.symbols[symbol].channel.mute |= mute
            if resumes and self.symbols[symbol].channel.since:
                link.resuming.add(symbol)
            self._interrupt(self.symbols[symbol], since, now)

    def moved(self, symbols: Collection[str], now: int, *, gone: Iterable[int] = ()) -> None:
        """Nothing carries these any more, nor do the links that are gone: what tells of them next vouches."""
        self._links = {n: link for n, link in self._links.items() if n not in gone}
        for link in self._links.values():
            link.resuming.difference_update(symbols)
        for timeline in [self.symbols[s] for s in symbols if s in self.symbols]:
            self._interrupt(timeline, timeline.channel.through, now)

    def advance(self, now: int) -> None:
        """Time has passed: buckets close. Cheap where no boundary was crossed."""
        for timeframe, due in self._due.items():
            if now < due:
                continue
            grid = self.traits.grid(timeframe)
            closed = grid.closed(now)
            self._due[timeframe] = grid.due(closed)
            for timeline in self.symbols.values():
                track = timeline.tracks[timeframe]
                track.state_dirty = True
                if len(track.provisional) > CROWD:  # REST has been away for long.
                    timeline.trim(now)
                timeline.touch(timeframe, closed)
                timeline.touch(timeframe, grid.back(closed))
                if due:
                    self._closing.add((timeline.symbol, timeframe))
            edge = closed + grid.late
            self._sweeps = sorted({*self._sweeps, edge + _CLOSE_GRACE_MS, edge + _CLOSE_WITHIN_MS})
            self._stirred.update(self.symbols)
        if now - self._minute >= 60_000:  # Readiness may have run out though nothing happened.
            self._minute = now
            for timeline in self.symbols.values():
                for track in timeline.tracks.values():
                    if runs_out(track, now):
                        track.state_dirty = True
                        self._stirred.add(timeline.symbol)

    def fail(self, symbol: str, timeframe: Timeframe, message: str) -> None:
        """The series' requests keep failing ("" once one has succeeded)."""
        track = self.symbols[symbol].tracks[timeframe]
        if track.failure != message:
            track.failure = message
            track.state_dirty = True
            self._stirred.add(symbol)

    def stand(self, symbol: str, standing: str, now: int) -> None:
        """How the venue stands to the product: "unknown: …", "halted: …", or "" while it trades."""
        timeline = self.symbols[symbol]
        if not timeline.stand(standing, now):
            return
        self._stirred.add(symbol)
        if standing.startswith("unknown"):  # Heartbeats do not speak for what the venue does not know.
            timeline.channel.mute = True
            self._interrupt(timeline, timeline.channel.through, now)

    def read_again(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> None:
        """Somebody doubts, or misses, the buckets of `[start, end)`, or what Redis holds of the series."""
        track = self.symbols[symbol].tracks[timeframe]
        track.contest(start, end)
        track.whole = True
        self._stirred.add(symbol)

    # --- what goes out ----------------------------------------------------------------------------

    def take(self, now: int) -> Changes:
        """What changed, of so many symbols: one entry a series, and the closes to announce before them."""
        self.advance(now)
        changes: list[Change] = []
        closes: list[Close] = []
        if self._sweeps and now >= self._sweeps[0]:
            self._sweeps = [at for at in self._sweeps if at > now]
            self._stirred |= {symbol for symbol, _ in self._closing}
        if not self.turns:
            every = len(self._stirred) == len(self.symbols)
            self.turns, self._stirred = list(self.symbols) if every else sorted(self._stirred), set()
        turn, self.turns = self.turns[:_TAKEN_AT_ONCE], self.turns[_TAKEN_AT_ONCE:]
        for symbol in turn:
            timeline = self.symbols[symbol]
            if timeline.bear_out(now):
                self._stirred.add(symbol)
            self._derive(timeline, now)
            for track in timeline.tracks.values():
                self._close(timeline, track, now)
                if track.working or not (track.dirty or track.state_dirty or track.whole or track.updates):
                    continue
                closes += track.closes
                before = track.state
                change = timeline.take_change(track, now, whole=track.whole)
                if change.whole or change.members or change.updates or track.state != before:
                    changes.append(change)
        return Changes(tuple(changes), tuple(closes))

    def whole(self, series: Iterable[SeriesId], now: int) -> Changes:
        """All of these series, to be written again from scratch."""
        found = ((self.symbols[each.symbol], each.timeframe) for each in series)
        return Changes(tuple(one.take_change(one.tracks[t], now, whole=True) for one, t in found))

    def notes(self) -> list[Note]:
        """What an operator should read about, since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def dead_channels(self) -> set[str]:
        """Symbols that trade though the feed shows nothing of them, found since the last call."""
        dead, self._dead = self._dead, set()
        return dead

    def feed_up(self, symbol: str) -> bool:
        """Whether the feed stands behind this symbol now."""
        return symbol in self.symbols and self.symbols[symbol].feed_up

    # --- inside -----------------------------------------------------------------------------------

    def _close(self, timeline: SymbolTimeline, track: Track, now: int) -> None:
        """Announce the bucket that closed last, once it is known and surely over."""
        key = (timeline.symbol, track.series.timeframe)
        if key not in self._closing:
            return
        edge = track.grid.closed(now)
        bucket = track.grid.back(edge)
        over = timeline.channel.newest >= edge or bucket in track.flagged
        if over or now >= edge + _CLOSE_GRACE_MS:
            if track.known(bucket, timeline.channel.through):
                track.announce_closed(bucket)
                self._closing.discard(key)
            elif now >= edge + track.grid.late + _CLOSE_WITHIN_MS:
                self._closing.discard(key)

    def _hear(self, link_id: int, stamp: int, now: int) -> Link:
        link = self._links.get(link_id) or self._links.setdefault(link_id, Link())
        link.up = True
        if link.resuming:
            resuming, link.resuming = link.resuming, set()
            for symbol in resuming:
                self._vouch(self.symbols[symbol], link, stamp, now)
        if stamp > link.through:
            crossed = not link.through or self._fed.closed(stamp) > self._fed.closed(link.through)
            link.through = stamp
            if crossed:
                for timeline in self.symbols.values():
                    if timeline.channel.link is link:
                        timeline.complete()
                        self._stirred.add(timeline.symbol)
        return link

    def _vouch(self, timeline: SymbolTimeline, link: Link, stamp: int, now: int) -> None:
        if timeline.channel.mute:
            return  # A heartbeat, an ack or another product's candle says nothing of this one's channel.
        # A frame that comes late or twice is stamped before the break that it would mend.
        since = max(stamp if stamp >= link.through else now, now - IMPLAUSIBLE_MS)
        if timeline.vouch(link, since):
            self.counters.feed_changes += 1
            self._stirred.add(timeline.symbol)

    def _interrupt(self, timeline: SymbolTimeline, since: int, now: int) -> None:
        timeline.interrupt(since, now)
        self._stirred.add(timeline.symbol)
        self.counters.feed_changes += 1

    def _derive(self, timeline: SymbolTimeline, now: int) -> None:
        for track, outcome in timeline.derive(now):
            self.counters.rollup_mismatches += len(outcome.mismatched)
            self.counters.revisions += len(outcome.revised)
            if outcome.mismatched:
                self._notes += notes_of(track, outcome)
            for bucket in outcome.doubtful:
                timeline.doubt_emptiness(track.series.timeframe, bucket)
