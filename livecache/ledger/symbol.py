"""One symbol: its timeframes, how the feed stands behind them, and how each is rolled up into the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..model.candle import ExactCandle
from ..model.policy import Policy
from ..model.rollup import source_of
from ..model.series import Change, Kind, SeriesId, Update
from ..model.timeframe import Timeframe
from ..model.traits import Traits
from ..proof.derive import Derived, derive
from ..proof.evidence import DISPUTE_MS, PageFacts, PageOutcome
from ..proof.feeding import EARLY_MS, Channel, Link, believe
from ..proof.history import waits_for_retry
from ..proof.joining import pass_on, review
from ..proof.kin import Kindred
from ..proof.track import Track
from .firsts import first_pages
from .trades import MinuteBuilder
from .watermarks import compute_state

__all__ = ["SymbolTimeline"]

_CARRIED_BUCKETS = 12
"""What the feed tells of older ones is no news."""

_SNAPSHOT_MS = 1_000
"""So soon after it carries a product the feed has shown, by its snapshot, what was traded last."""


class SymbolTimeline:
    """All timeframes of one symbol, smallest first: the configured ones, and those that work unseen."""

    __slots__ = (
        "channel",
        "children",
        "hurried",
        "late",
        "listed",
        "minutes",
        "parents",
        "pending",
        "rescaled",
        "sources",
        "standing",
        "stands_since",
        "symbol",
        "tracks",
        "traits",
    )

    def __init__(
        self,
        venue: str,
        symbol: str,
        configured: Sequence[Timeframe],
        policy: Policy,
        children: Mapping[Timeframe, Timeframe | None],
        traits: Traits,
    ) -> None:
        self.symbol = symbol
        self.tracks = {
            t: Track(SeriesId(venue, symbol, t), policy, traits, working=t not in configured)
            for t in children
        }
        self.channel = Channel()
        self.standing = ""  # "unknown: …" or "halted: …" where the venue does not know or trade the product
        self.stands_since = 0
        self.listed = 0  # since when there are candles of it, Unix ms; 0: nobody has told
        self.hurried = False  # something is worth a page that was not when its pages were planned
        self.late: set[Timeframe] = set()  # those that came while others were served: these go before them
        self.rescaled = 0  # when (heard) it turned out to be told in other units than before
        self.minutes = MinuteBuilder()
        # Parent buckets to be rolled up again, per parent.
        self.pending: dict[Timeframe, set[int]] = {}
        self.sources: dict[Timeframe, Timeframe] = {}  # whose pages bring each
        self._relate(children)
        self.learn(traits)

    def arrange(
        self,
        venue: str,
        configured: Sequence[Timeframe],
        policy: Policy,
        children: Mapping[Timeframe, Timeframe | None],
    ) -> None:
        """Have these timeframes, under this policy: what is held of those that stay is kept."""
        before, self.tracks = self.tracks, {}
        for timeframe in children:
            track = before.get(timeframe)
            working = timeframe not in configured
            if track is None:
                track = Track(SeriesId(venue, self.symbol, timeframe), policy, self.traits, working=working)
                self.late.add(timeframe)
            if working != track.working:
                track.working, track.whole, track.updates, track.closes = working, True, [], []
            if policy.widen_pages > track.policy.widen_pages and not track.exhausted:
                track.history_from = 0  # The search may go on from where it stopped.
            track.policy = policy
            self.tracks[timeframe] = track
        self._relate(children)
        self.learn(self.traits)
        self.stir()

    def _relate(self, children: Mapping[Timeframe, Timeframe | None]) -> None:
        self.children = children
        self.pending = {t: self.pending.get(t, set()) for t, c in children.items() if c is not None}
        # The same sets, by the child whose news they wait for.
        self.parents = {
            t: [(self.tracks[p].grid.floor, self.pending[p]) for p, c in children.items() if c is t]
            for t in children
        }

    def learn(self, traits: Traits) -> None:
        """The venue is like this: what it does not serve is brought by pages of what it is rolled up from."""
        self.traits = traits
        self.sources = {t: source_of(t, self.children, traits) for t in self.tracks}
        for timeframe, source in self.sources.items():
            track, page = self.tracks[timeframe], traits.page(source)
            track.traits, track.page, track.source, track.listed = traits, page, source, self.listed
            if source is not timeframe:
                track.page = max(2, page // (timeframe.ms // source.ms))
        for timeframe, first in first_pages(self.tracks, self.children).items():
            self.tracks[timeframe].first = first

    # --- the venue's list -------------------------------------------------------------------------

    def stand(self, standing: str, now: int) -> bool:
        """Take how the venue stands to the product. Whether that is news."""
        if standing == self.standing:
            return False
        self.standing, self.stands_since = standing, now
        self.stir()
        return True

    def begins(self, listed: int) -> None:
        """Take when the venue says that the product's history begins; 0: it does not."""
        if listed != self.listed:
            self.listed, self.hurried = listed, True
            self.learn(self.traits)

    def traded(self, until: int) -> None:
        """Something was traded no earlier than five minutes before `until`: whatever the venue lists, if that
        is news, it is not halted.
        """
        if self.standing.startswith("halted") and until > self.stands_since:
            self.stand("", until)

    def newest(self) -> int:
        """Open time of the newest candle of any timeframe; 0 without one."""
        return max(track.newest() for track in self.tracks.values())

    # --- the feed ---------------------------------------------------------------------------------

    @property
    def feed_up(self) -> bool:
        """Whether the feed stands behind this symbol now."""
        channel = self.channel
        return channel.since > 0 and channel.link is not None and channel.link.up

    @property
    def carried(self) -> Iterator[Track]:
        """The tracks whose provisional candles come from the feed itself."""
        return (self.tracks[t] for t in self.traits.fed if t in self.tracks)

    def vouch(self, link: Link, stamp: int) -> bool:
        """The feed carries this symbol from `stamp` on. False if it already did."""
        channel = self.channel
        if channel.since and channel.link is link:
            return False
        channel.since, channel.link = stamp, link
        self.stir()
        return True

    def show(self, track: Track, candle: ExactCandle, stamp: int, now: int, *, last: bool) -> bool:
        """The feed shows a candle, which may say that it is the last of its bucket. Whether that is news."""
        bucket, channel, traits, grid = candle.time, self.channel, self.traits, track.grid
        last = last and stamp >= grid.end(bucket) - EARLY_MS
        stamp = stamp if traits.order == "stamp" else 0
        if bucket < grid.after(now, -_CARRIED_BUCKETS):
            track.refute(candle, stamp)
            return False
        traded = traits.empty == "absent" or not candle.flat
        vouched = grid.end(bucket) > channel.since
        changed = traded and track.lay(candle, vouched=vouched, stamp=stamp)
        if last or (changed and bucket in track.flagged):
            told = candle if traded else None
            self.hurried |= believe(track, bucket, told, channel, changed=changed, last=last)
        if changed or last:
            self.touch(track.series.timeframe, bucket)
        return changed or last

    def interrupt(self, since: int, now: int) -> None:
        """The feed broke after `since`: what it had not finished by then, nobody vouches for."""
        self.channel.since = 0
        for track in self.carried:
            self.hurried |= bool(track.flagged)
            track.flagged = dict.fromkeys(track.flagged, 0)  # Who knows what else was lost?
            for bucket in list(track.provisional):
                if track.grid.end(bucket) > since and bucket not in track.flagged:
                    track.doubt(bucket)
                    self.touch(track.series.timeframe, bucket)
        self.stir()
        for timeframe, track in self.tracks.items():
            self.touch(timeframe, track.grid.floor(now))

    def complete(self) -> None:
        """The link was heard beyond a bucket's end: what it carried of that bucket is complete."""
        for track in self.carried:
            track.state_dirty = True
            for bucket in track.provisional:
                self.touch(track.series.timeframe, bucket)

    def forming(self, track: Track, now: int) -> int:
        """Open time of the bucket in progress if all of it since its open is vouched for, else 0."""
        timeframe, bucket = track.series.timeframe, track.grid.floor(now)
        if not self.feed_up or track.grid.end(bucket) <= now:
            return 0
        shown = track.provisional.get(bucket)
        if shown is not None:
            return bucket if shown.vouched else 0
        if timeframe in self.traits.carried:
            return bucket if self.channel.since <= bucket else 0
        child = self.children[timeframe]
        if child is None or timeframe in self.traits.built:
            return 0
        # Nothing has traded in it yet, as far as is known: is all of it known?
        smaller = self.tracks[child]
        edge = smaller.grid.closed(now)
        if any(smaller.candle(t) for t in smaller.grid.opens(bucket, now + 1)):
            return 0
        if all(smaller.known(t, self.channel.through) for t in smaller.grid.opens(bucket, edge)):
            closed = edge > smaller.grid.floor(now)  # nothing is in progress at night
            return bucket if closed or self.forming(smaller, now) else 0
        return 0

    def awaits_proof(self, track: Track, now: int) -> bool:
        """Whether the newest buckets, or children of them, were read and only wait for proof."""
        child = self.children[track.series.timeframe]
        smaller = child is not None and self.awaits_proof(self.tracks[child], now)
        return smaller or waits_for_retry(track, now)

    def bear_out(self, now: int) -> bool:
        """The feed carries the product: nothing that its snapshot showed speaks against what is likely since
        the last candle.

        Whether that is still to come.
        """
        likely = [(t, track) for t, track in self.tracks.items() if track.likely]
        if not likely or not self.feed_up:
            return False
        waits = now < self.channel.since + _SNAPSHOT_MS
        for timeframe, track in likely if not waits else ():
            if now < track.behind_at + DISPUTE_MS:
                continue
            kin = Kindred(self.tracks, timeframe, now)
            # It shows what was traded last, and nothing of what lies before that.
            newest = max(track.settled, default=now)
            for bucket in [t for t in track.likely if t not in track.derived]:
                if kin.holds_more(bucket):
                    told = track.take_back(bucket)
                else:
                    told = bucket >= newest and track.prove(bucket)
                if told:
                    self.touch(timeframe, bucket)
        return waits

    # --- roll-ups ---------------------------------------------------------------------------------

    def stir(self) -> None:
        """What vouches for any of the tracks may have changed."""
        for track in self.tracks.values():
            track.state_dirty = True

    def touch(self, child: Timeframe, bucket: int) -> None:
        """What is known of a child's bucket has changed: its parents must be looked at again."""
        for floor, buckets in self.parents[child]:
            buckets.add(floor(bucket))

    def touch_uncovered(self) -> None:
        """Have all parents looked at that may be rolled up from settled children, but are not settled."""
        for parent, child in self.children.items():
            if child is None:
                continue
            grid = self.tracks[parent].grid
            for start, end in self.tracks[child].coverage.without(self.tracks[parent].coverage):
                self.pending[parent].update(grid.opens(grid.floor(start), end))

    def derive(self, now: int) -> list[tuple[Track, Derived]]:
        """Roll up what was touched, smallest parent first; what became of each parent."""
        outcomes: list[tuple[Track, Derived]] = []
        for parent, buckets in self.pending.items():
            child = self.children[parent]
            if not buckets or child is None:
                continue
            outcome = derive(
                self.tracks[parent],
                self.tracks[child],
                buckets,
                now=now,
                heard_through=self.channel.through,
                forming=self.forming(self.tracks[child], now),
                settled_only=parent in self.traits.carried,
            )
            buckets.clear()
            for bucket in outcome.touched:
                self.touch(parent, bucket)
            outcomes.append((self.tracks[parent], outcome))
        return outcomes

    def took(self, timeframe: Timeframe, heard: int, outcome: PageOutcome) -> None:
        """A page of this timeframe has come: its parents are looked at again, and what smaller ones left open
        may be confirmed by it.
        """
        for floor, buckets in self.parents[timeframe]:
            buckets.update(map(floor, outcome.touched))
        for bucket in outcome.revised:
            self.revise_parents(timeframe, bucket)
        for bucket in outcome.doubtful:
            self.doubt_emptiness(timeframe, bucket)
        for smaller, track in self.tracks.items():
            if track.open and smaller.ms < timeframe.ms:
                for bucket in review(track, Kindred(self.tracks, smaller, heard)):
                    self.touch(smaller, bucket)

    def revise_parents(self, child: Timeframe, bucket: int) -> None:
        """A child was revised: its parents are recomputed, or read again where children are gone."""
        for parent, source in self.children.items():
            if source is not child:
                continue
            track = self.tracks[parent]
            time = track.grid.floor(bucket)
            if time in track.coverage:
                if self.tracks[child].coverage.covers(time, track.grid.end(time)):
                    track.derived.add(time)  # From now on the roll-up is the better source.
                elif not track.working:
                    track.suspect.add(time)
            self.revise_parents(parent, time)

    def pass_on(self, timeframe: Timeframe, page: PageFacts) -> None:
        """A page has come: it was one of those that the venue does not serve, too."""
        for parent, source in self.sources.items():
            if source is timeframe and parent is not timeframe:
                pass_on(self.tracks[parent], self.tracks[source], page)

    def doubt_emptiness(self, parent: Timeframe, time: int) -> None:
        """The parent as it was fetched holds more than its children: those without a candle are read again.

        A page that lacks rows looks like one of a market that slept; here its parent gives it away.
        """
        child = self.children[parent]
        if child is None or self.tracks[child].working:
            return
        for bucket in self.tracks[child].grid.opens(time, self.tracks[parent].grid.end(time)):
            if self.tracks[child].reopen(bucket):
                self.touch(child, bucket)
                self.doubt_emptiness(child, bucket)

    def trim(self, now: int) -> None:
        """Drop what neither Redis nor a parent needs any more."""
        for timeframe, track in self.tracks.items():
            hold_from = track.grid.back(track.grid.floor(now))
            for parent, child in self.children.items():
                if child is timeframe:
                    grid = self.tracks[parent].grid
                    hold_from = min(hold_from, grid.back(grid.floor(now)))
            track.trim(hold_from)

    # --- what Redis needs now ---------------------------------------------------------------------

    def take_change(self, track: Track, now: int, *, whole: bool) -> Change:
        """Take what has gathered in a track; with `whole`, all that it holds."""
        if whole:
            members: dict[int, ExactCandle | None] = {c.time: c for c in track.members()}
        else:
            members = {t: track.candle(t) for t in track.dirty if t >= track.keep_from}
        forming = self.forming(track, now)
        if forming and forming in track.dirty:
            shown = track.provisional.get(forming)
            if shown is not None and shown.vouched:
                track.updates.append(Update(Kind.FORMING, shown.candle))
        before = state = track.state
        if state is None or track.state_dirty or whole or state.forming != forming:
            state = compute_state(
                track,
                now,
                self.channel.through,
                forming,
                awaits_proof=self.awaits_proof(track, now),
                standing=self.standing,
            )
            if track.sound:
                self.late.discard(track.series.timeframe)
        told = None if state == before and not whole else state
        updates = tuple(track.updates)
        track.dirty, track.updates, track.closes = set(), [], []
        track.whole = track.state_dirty = False
        return Change(track.series, whole, members, track.keep_from, told, updates)
