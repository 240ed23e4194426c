"""What the consumer makes of a feed's events, and who has dead channels subscribed to anew."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from livecache.engine.consumer import Consumer, Feeds, renew_dead
from livecache.engine.limiter import Limiter
from livecache.engine.listing import Listing
from livecache.engine.live import Live
from livecache.engine.venue_time import VenueTime
from livecache.ledger.timeline import Timeline
from livecache.model.candle import ExactCandle
from livecache.model.policy import Policy
from livecache.model.series import SeriesState
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import PageFacts
from livecache.proof.feeding import Link
from livecache.simulator import SeededMarket
from livecache.venues.coinbase.traits import TRAITS
from livecache.venues.venue import Broken, Event, Feed, FeedCandles, Heard, Product, Subscribed
from tests.simulation.model import ModelVenue

from .hand_clock import HandClock

BTC, ETH = "BTC-USD", "ETH-USD"
M5 = Timeframe.M5
OPEN = 1784086800000  # of a 5m bucket
NOW = OPEN + 60_000
YEAR_2100 = 4102444800000


class StillFeed:
    """A feed at the venue's seam that tells nothing, and remembers what it was asked to renew."""

    def __init__(self, *products: str) -> None:
        self.products = products
        self.renewed: list[list[str]] = []
        self.asked = asyncio.Event()

    async def events(self) -> AsyncIterator[Event]:
        return
        yield

    def carry(self, products: Sequence[str], aliases: object, *, trades: bool) -> None:
        pass

    def leave_out(self, products: Sequence[str]) -> None:
        pass

    async def renew(self, products: Sequence[str]) -> None:
        self.renewed.append(list(products))
        self.asked.set()


class Scene:
    """A timeline of two symbols, fed by one consumer; the venue's clock stands at NOW."""

    def __init__(self) -> None:
        self.clock = HandClock(wall_s=NOW / 1000)
        self.timeline = Timeline("coinbase", [BTC, ETH], [M5], Policy(), TRAITS)
        self.live = Live(self.timeline, VenueTime(self.clock), "test", "http://venue", serving=True)
        self.live.time.confirm(NOW)
        self.consumer = Consumer(self.live, StillFeed(BTC, ETH), 0)

    def take(self, *events: Event) -> None:
        for event in events:
            self.consumer.take(event)

    def pass_until(self, stamp: int) -> None:
        """The host's clock goes on until the venue's would show `stamp`."""
        self.clock.time += (stamp - self.live.now()) / 1000

    def state(self, symbol: str = BTC) -> SeriesState:
        """What readers are told of a symbol's 5m series."""
        self.live.take()
        state = self.timeline.symbols[symbol].tracks[M5].state
        assert state is not None
        return state

    def forming(self, symbol: str = BTC) -> int:
        """The bucket in progress that readers may have; 0 if nobody vouches for it."""
        return self.state(symbol).forming


def candle(time: int = OPEN, volume: str = "5") -> ExactCandle:
    return ExactCandle(time, "10", "12", "9", "11", volume)


def update(stamp: int, *symbols: str) -> FeedCandles:
    return FeedCandles(stamp, False, tuple((symbol, M5, candle(), False) for symbol in symbols))


def test_a_frame_of_the_year_2100_moves_no_clock_and_vouches_for_nothing() -> None:
    scene = Scene()
    scene.take(Subscribed((BTC, ETH), OPEN), update(NOW, BTC, ETH))
    assert scene.forming() == OPEN

    scene.take(Heard(YEAR_2100))
    assert scene.live.now() == NOW
    assert scene.forming() == 0, "what else that frame should have said, nobody knows"
    assert not scene.timeline.feed_up(BTC)
    assert scene.live.feed.rejections == 1
    assert scene.live.feed.last_message == NOW

    scene.take(Heard(NOW + 1_000))
    assert scene.timeline.feed_up(BTC), "a frame that can be believed vouches from its own stamp on"
    assert scene.forming() == 0, "but not for what came before"
    scene.take(update(NOW + 2_000, BTC))
    assert scene.forming() == OPEN, "which the product's next update tells"
    assert scene.forming(ETH) == 0


def test_a_stamp_that_is_reckoned_from_our_clock_sets_no_clock_back() -> None:
    scene = Scene()
    for _ in range(20):
        scene.clock.time += 4
        scene.take(Heard(scene.live.now() - 3_000, reckoned=True))
    assert scene.live.now() == NOW + 80_000
    assert scene.live.time.answered_s() == scene.clock.monotonic(), "but it tells that the venue lives"


def test_what_a_frame_of_the_year_2100_shows_is_laid_but_not_vouched_for() -> None:
    scene = Scene()
    scene.take(Subscribed((BTC,), OPEN), update(YEAR_2100, BTC))
    assert scene.timeline.symbols[BTC].tracks[M5].candle(OPEN) == candle()
    assert scene.forming() == 0


@pytest.mark.parametrize("frame", ["ack", "snapshot", "heartbeat"])
def test_the_first_frames_after_a_long_sleep_do_not_vouch_for_the_time_slept(frame: str) -> None:
    """The host's clock stood still: stamps are an hour ahead of it until the venue has told its time."""
    scene = Scene()
    scene.take(Subscribed((BTC,), OPEN), update(NOW, BTC))
    scene.take(Broken((BTC, ETH), "the connection was cut", lost_connection=True))
    awake = NOW + 3_600_000
    snapshot = FeedCandles(awake, True, ((BTC, M5, candle(M5.floor(NOW - 600_000)), False),))
    firsts: dict[str, Event] = {
        "ack": Subscribed((BTC,), awake),
        "snapshot": snapshot,
        "heartbeat": Heard(awake),
    }
    scene.take(firsts[frame])
    scene.live.time.confirm(awake)
    scene.take(Heard(awake + 1_000), update(awake + 1_000, BTC))
    channel = scene.timeline.symbols[BTC].channel
    assert not channel.unbroken_over(OPEN, OPEN + M5.ms)
    assert channel.since >= awake


def test_a_dead_channel_is_broken_from_its_last_update_on_whatever_heartbeats_said_since() -> None:
    """A bucket that closed meanwhile looked complete, since the connection was heard beyond its end."""
    scene = Scene()
    end = OPEN + M5.ms
    scene.take(Subscribed((BTC, ETH), OPEN))
    scene.pass_until(end + 5_000)
    scene.take(update(end - 5_000, BTC, ETH), Heard(end + 5_000))
    assert scene.state().known_through == end
    reason = "no candles for 30 s, which is unusual"
    scene.take(Broken((BTC, ETH), reason, lost_connection=True, since=end - 5_000))
    assert scene.state().known_through < end
    assert scene.state(ETH).known_through < end
    assert scene.live.feed.reconnects == 1


@pytest.mark.parametrize("times", [1, 2])
def test_after_a_lost_frame_a_heartbeat_vouches_only_for_what_was_carried_before(times: int) -> None:
    """The subscription of the other one is not answered yet: it may be asked for later, or refused."""
    scene = Scene()
    scene.take(Subscribed((BTC,), OPEN), update(NOW, BTC))
    jump = Broken((BTC, ETH), "sequence jump: 1 messages lost", lost_connection=False)
    scene.take(*[jump] * times, Heard(NOW + 1_000))
    assert scene.timeline.feed_up(BTC)
    assert not scene.timeline.feed_up(ETH)
    scene.take(Subscribed((ETH,), NOW + 2_000))
    assert scene.timeline.feed_up(ETH)


def test_a_single_mute_product_is_no_sequence_gap_and_leaves_the_others_alone() -> None:
    scene = Scene()
    scene.take(Subscribed((BTC, ETH), OPEN), update(NOW, BTC, ETH))
    scene.take(Broken((BTC,), "no candles of BTC-USD", lost_connection=False, since=NOW, mute=True))
    assert scene.live.feed.sequence_gaps == 0
    assert scene.forming(BTC) == 0
    assert scene.forming(ETH) == OPEN
    scene.take(Broken((BTC, ETH), "sequence jump: 1 messages lost", lost_connection=False))
    assert scene.live.feed.sequence_gaps == 1


@pytest.mark.parametrize("lost_connection", [False, True])
def test_a_dead_channel_is_vouched_for_again_by_a_candle_of_each_product_and_by_nothing_else(
    lost_connection: bool,
) -> None:
    scene = Scene()
    scene.take(Subscribed((BTC, ETH), OPEN), update(NOW, BTC, ETH))
    scene.take(Broken((BTC,), "no candles", lost_connection=lost_connection, since=NOW, mute=True))
    older = candle(OPEN - M5.ms)
    for event in (
        Heard(NOW + 1_000),
        Subscribed((BTC, ETH), NOW + 2_000),
        Broken((BTC, ETH), "sequence jump: 1 messages lost", lost_connection=False),
        update(NOW + 3_000, ETH),
        FeedCandles(NOW + 4_000, True, ((BTC, M5, older, False),)),
        Heard(NOW + 5_000),
    ):
        scene.take(event)
        assert not scene.timeline.feed_up(BTC), event
        assert scene.forming(BTC) == 0, event
    assert scene.timeline.feed_up(ETH)
    scene.take(update(NOW + 6_000, BTC))
    assert scene.timeline.feed_up(BTC)
    assert scene.forming(BTC) == OPEN


def test_a_snapshot_in_mid_stream_replaces_nothing_richer_and_vouches_again() -> None:
    scene = Scene()
    scene.take(Subscribed((BTC,), OPEN), update(NOW, BTC))
    scene.take(Broken((BTC,), "subscribing anew", lost_connection=False))
    poorer = candle(volume="1")
    scene.take(FeedCandles(NOW + 1_000, True, ((BTC, M5, poorer, False),)))
    assert scene.timeline.symbols[BTC].tracks[M5].candle(OPEN) == candle()
    assert scene.forming() == 0, "an old snapshot proves nothing of what came since"
    scene.take(FeedCandles(NOW + 2_000, True, ((BTC, M5, candle(), False),)))
    assert scene.forming() == OPEN


def test_a_product_that_trades_though_the_feed_shows_nothing_is_subscribed_to_anew_by_its_feed() -> None:
    async def scenario() -> tuple[list[list[str]], list[list[str]]]:
        scene = Scene()
        carrying, other = StillFeed(BTC, ETH), StillFeed("SOL-USD")
        end = OPEN + M5.ms
        async with asyncio.timeout(30):
            renewing = asyncio.create_task(renew_dead(scene.live, [other, carrying]), name="renewing")
            scene.take(Subscribed((BTC, ETH), OPEN), update(NOW, ETH))
            scene.pass_until(end + 15_000)
            scene.take(Heard(end + 15_000))
            rows = {OPEN: candle(), end: candle(end)}
            page = PageFacts(OPEN, end, rows, end + 15_000)
            for symbol in (BTC, ETH):
                scene.timeline.apply_page(symbol, M5, page, scene.live.now())
            scene.live.take()
            await carrying.asked.wait()
            renewing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await renewing
        return carrying.renewed, other.renewed

    assert asyncio.run(scenario()) == ([[BTC]], [])


def test_that_the_feed_broke_is_said_though_the_venue_was_not_heard_since() -> None:
    scene = Scene()
    scene.take(Subscribed((BTC, ETH), NOW))
    alive = scene.live.alive()
    assert alive is not None
    assert alive.renews
    assert alive.feed[BTC] == "up"
    scene.take(Broken((BTC, ETH), "cut", lost_connection=True))
    told = scene.live.alive()
    assert told is not None
    assert told.feed[BTC] == "down"
    assert not told.renews, "nobody vouches for longer by it"


def test_a_feed_that_never_pauses_leaves_the_others_their_turns() -> None:
    """A backlog is read without waiting for anything: the writer has to get its turns all the same."""

    class Backlog(StillFeed):
        async def events(self) -> AsyncIterator[Event]:
            while True:
                yield update(NOW, BTC)

    async def scenario() -> int:
        live = Scene().live
        reading = asyncio.create_task(Consumer(live, Backlog(BTC), 0).run(), name="reading")
        for _ in range(10):
            await asyncio.sleep(0)
        taken = live.feed.frames
        reading.cancel()
        await asyncio.wait([reading])
        return taken

    assert 0 < asyncio.run(scenario()) < 1_000


class Spoken(StillFeed):
    """A feed that tells what it is handed."""

    def __init__(self, *products: str) -> None:
        super().__init__(*products)
        self._said = asyncio.Queue[Event]()

    async def events(self) -> AsyncIterator[Event]:
        while True:
            yield await self._said.get()
            self._said.task_done()

    async def say(self, *events: Event) -> None:
        """Have them told, and taken."""
        for event in events:
            self._said.put_nowait(event)
        await self._said.join()


class Shared(ModelVenue):
    """A venue whose products are on these connections, and called so on its feed."""

    def __init__(self, clock: HandClock, *feeds: Feed) -> None:
        super().__init__(SeededMarket(1), clock, NOW, clock.monotonic())
        self.shared = feeds
        self.called: dict[str, str] = {}
        self.asked = asyncio.Semaphore(0)

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product]:
        return {name: Product(self.called.get(name, name)) for name in only}

    def feeds(
        self, products: Sequence[str], aliases: Mapping[str, str], *, trades: bool, among: Sequence[Feed] = ()
    ) -> Sequence[Feed]:
        self.asked.release()
        return self.shared


def test_of_connections_that_are_gone_nothing_is_kept() -> None:
    def links() -> int:
        gc.collect()
        return sum(type(each) is Link for each in gc.get_objects())

    async def scenario() -> None:
        scene = Scene()
        scene.timeline.arrange([ETH], [M5], Policy())
        venue = Shared(scene.clock)
        feeds = Feeds(
            scene.live, venue, Listing(scene.live, venue, Limiter((), scene.live.time, lambda: 0.5))
        )
        running = asyncio.create_task(feeds.run(), name="feeds")
        before = links()
        for _ in range(20):
            feed = Spoken(ETH)
            venue.shared = (feed,)
            feeds.changed.set()
            await venue.asked.acquire()
            await feed.say(Subscribed((ETH,), OPEN), update(NOW, ETH))
            assert scene.forming(ETH) == OPEN
        assert links() <= before + 2
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(scenario())


def test_what_moves_to_another_connection_or_id_is_down_until_it_is_told_of_there() -> None:
    usdc = "BTC-USDC"

    async def scenario() -> None:
        scene = Scene()
        scene.timeline.arrange([ETH, usdc], [M5], Policy())
        first, second = Spoken(ETH), Spoken(usdc)
        venue = Shared(scene.clock, first, second)
        listing = Listing(scene.live, venue, Limiter((), scene.live.time, lambda: 0.5))
        feeds = Feeds(scene.live, venue, listing)
        running = asyncio.create_task(feeds.run(), name="feeds")

        async def shared_anew() -> None:
            feeds.changed.set()
            await venue.asked.acquire()

        async def changes() -> AsyncIterator[str]:
            await venue.asked.acquire()
            await first.say(Subscribed((ETH,), OPEN), update(NOW, ETH))
            await second.say(Subscribed((usdc,), OPEN), update(NOW, usdc))
            assert scene.forming(ETH) == scene.forming(usdc) == OPEN
            await shared_anew()
            assert scene.forming(ETH) == scene.forming(usdc) == OPEN, "nothing has changed"

            venue.shared, first.products = (first,), (ETH, usdc)
            await shared_anew()
            yield "another connection"
            await first.say(Broken((ETH, usdc), "sequence jump", lost_connection=False))
            venue.called[usdc] = BTC
            await shared_anew()
            await first.say(Heard(NOW + 2_000), update(NOW + 2_000, ETH))
            yield "another id, while a loss was to be made good"
            venue.called.clear()
            await shared_anew()
            yield "and the first one again"

        async with asyncio.timeout(30):
            async for change in changes():
                assert not scene.timeline.feed_up(usdc), change
                assert scene.forming(usdc) == 0, change
                await first.say(Heard(NOW + 3_000))
                assert not scene.timeline.feed_up(usdc), f"{change}: a heartbeat says nothing of it"
                assert scene.forming(ETH) == OPEN, "what stays is not interrupted"
                await first.say(Subscribed((usdc,), NOW + 4_000), update(NOW + 4_000, usdc))
                assert scene.forming(usdc) == OPEN, change
            running.cancel()
            await asyncio.wait([running])
        assert scene.forming(ETH) == scene.forming(usdc) == OPEN, "a service that stops tells of no break"

    asyncio.run(scenario())
