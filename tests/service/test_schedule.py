"""The schedule: which page is asked for next. Pure, so that time here is only a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from livecache.engine.schedule import FAILING_AFTER, Pick, Schedule
from livecache.ledger.timeline import Timeline
from livecache.model.policy import Policy
from livecache.model.timeframe import TIMEFRAME_PRIORITY, Timeframe
from livecache.proof.evidence import PageFacts
from livecache.simulator import Product, SeededMarket
from livecache.venues.coinbase.traits import TRAITS

NOON = 1_790_856_060_000  # 2026-10-01T12:01:00Z
M5, M15, H1, H4, D1 = TIMEFRAME_PRIORITY
Asked = tuple[str, Timeframe]


@dataclass
class Desk:
    """A schedule with everything around it, and an exchange that answers when told to."""

    symbols: Sequence[str]
    timeframes: Sequence[Timeframe] = TIMEFRAME_PRIORITY
    now: int = NOON
    at_s: float = 0.0
    timeline: Timeline = field(init=False)
    schedule: Schedule = field(init=False)

    def __post_init__(self) -> None:
        self.market = SeededMarket(1, [Product.parse(symbol) for symbol in self.symbols])
        self.timeline = Timeline("coinbase", self.symbols, self.timeframes, Policy(), TRAITS)
        self.schedule = Schedule(self.timeline, jitter=lambda: 0.0)

    def ask(self) -> Pick | None:
        """Send the most urgent request."""
        pick = self.schedule.pick(self.now, self.at_s)
        if pick is not None:
            self.schedule.started(pick)
        return pick

    def ask_all(self) -> list[Asked]:
        """Send requests as long as there are any to send, without an answer to one."""
        asked = []
        while pick := self.ask():
            asked.append((pick.request.symbol, pick.request.timeframe))
        return asked

    def answer(self, pick: Pick) -> Asked:
        """Let a request be answered with the market's candles."""
        request = pick.request
        rows = self.market.candles(request.symbol, request.timeframe, request.start, request.end, self.now)
        page = PageFacts(request.start, request.end, {row.time: row for row in rows}, self.now)
        self.schedule.ended(request)
        self.schedule.succeeded(request)
        self.timeline.apply_page(request.symbol, request.timeframe, page, self.now)
        self.timeline.take(self.now)
        self.schedule.replan(request.symbol)
        return request.symbol, request.timeframe

    def serve(self) -> list[Asked]:
        """Answer each request before the next is sent, until nothing is wanted."""
        served = []
        while pick := self.ask():
            served.append(self.answer(pick))
        return served


def test_of_more_symbols_than_are_planned_for_in_one_go_each_has_its_turn() -> None:
    desk = Desk([f"C{n:03}-USD" for n in range(250)], [M5])
    asked = [(symbol, M5) for symbol in desk.symbols]
    for _ in range(2):
        assert desk.ask_all() == asked
        assert desk.schedule.next_due() > desk.now, "nothing is left to plan"
        desk.schedule.replan_all()
        desk.schedule.in_flight.clear()
        assert desk.schedule.next_due() <= desk.now


def test_timeframes_are_outer_symbols_inner_and_three_pages_a_symbol_are_enough() -> None:
    desk = Desk(["BTC-USD", "ETH-USD", "SOL-USD"])
    assert desk.ask_all() == [(s, t) for t in (M5, H1, D1) for s in desk.symbols]


def test_what_is_wanted_does_not_depend_on_how_quickly_answers_come() -> None:
    desk = Desk(["BTC-USD", "ETH-USD"])
    assert desk.serve() == [(s, t) for t in (M5, H1, D1, H4) for s in desk.symbols], "4h only to deepen it"
    assert desk.ask() is None


def test_a_configured_order_holds_although_a_parent_that_came_first_is_filled() -> None:
    """The 1h page would serve the 1d too, if that were still waiting."""
    desk = Desk(["BTC-USD"], [D1, M5, H1])
    assert desk.serve() == [("BTC-USD", t) for t in (D1, M5, H1)]


def test_settling_gets_every_third_request_while_a_warm_up_goes_on() -> None:
    symbols = [f"COIN{i}-USD" for i in range(8)]
    desk = Desk(symbols)
    for _ in symbols[:4]:
        pick = desk.ask()
        assert pick is not None
        desk.answer(pick)
    desk.now += M5.ms  # A bucket has closed in the four that have their 5m.
    kinds = []
    while pick := desk.ask():
        kinds.append(pick.want.priority.name)
    assert kinds.count("SETTLE") == 4
    last_settled = max(i for i, kind in enumerate(kinds) if kind == "SETTLE")
    assert last_settled <= 3 * 4, "not only when the warm-up is over"
    assert all(kinds[i : i + 3].count("SETTLE") >= 1 for i in range(last_settled - 2))


def test_a_failed_page_waits_longer_each_time_and_holds_nobody_up() -> None:
    desk = Desk(["BTC-USD", "ETH-USD"])
    waits = []
    for _ in range(FAILING_AFTER):
        pick = desk.ask()
        assert pick is not None
        assert (pick.request.symbol, pick.request.timeframe) == ("BTC-USD", M5), "the most urgent again"
        desk.schedule.ended(pick.request)
        desk.schedule.failed("BTC-USD", M5, "HTTP 503", desk.at_s)
        following = desk.schedule.pick(desk.now, desk.at_s)
        assert following is not None
        assert following.request.symbol == "ETH-USD", "meanwhile the next"
        wait_s = desk.schedule.next_retry_s(desk.at_s)
        assert wait_s is not None
        waits.append(wait_s)
        desk.at_s += wait_s
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0], "half of it is jitter, and that is nothing here"
    desk.at_s -= 1.0
    assert ("BTC-USD", M15) in desk.ask_all(), "15m no longer waits to be rolled up from a failing 5m"


def test_a_page_that_is_asked_for_again_is_asked_for_past_the_edge_cache() -> None:
    desk = Desk(["BTC-USD"])
    first = desk.ask()
    assert first is not None
    desk.schedule.ended(first.request)
    second = desk.ask()
    assert second is not None
    assert (first.request.fresh, second.request.fresh) == (False, True)
    assert second.request.start == first.request.start


def test_a_page_that_brings_nothing_waits_longer_whatever_pages_of_other_times_bring() -> None:
    """The newest page brings news each minute, and an older one with a hole never does."""
    desk = Desk(["BTC-USD"], [M5])
    older = desk.ask()
    assert older is not None
    desk.schedule.ended(older.request)
    waits = []
    for minute in range(12):
        desk.schedule.brought(older.request, desk.at_s, news=False)
        began_s = desk.at_s
        assert desk.schedule.pick(desk.now, desk.at_s) is None
        newest = older.request._replace(start=older.request.end + minute * 60_000, end=older.request.end * 2)
        desk.schedule.brought(newest, desk.at_s, news=minute % 2 == 0)
        while (again := desk.schedule.pick(desk.now, desk.at_s)) is None:
            desk.at_s += 0.25
        assert again.request.start == older.request.start
        waits.append(desk.at_s - began_s)
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 150.0, 150.0]
    desk.schedule.brought(older.request, desk.at_s, news=True)
    assert desk.schedule.pick(desk.now, desk.at_s) is not None, "its own news ends that"


def test_however_many_pages_bring_nothing_few_are_remembered() -> None:
    desk = Desk(["BTC-USD"], [M5])
    pick = desk.ask()
    assert pick is not None
    desk.schedule.ended(pick.request)
    for hour in range(100):
        desk.schedule.brought(pick.request._replace(start=hour * H1.ms), 0.0, news=False)
    desk.schedule.brought(pick.request, 0.0, news=False)
    assert desk.schedule.pick(desk.now, 0.0) is None, "and the newest of them are"
    assert sum(map(len, desk.schedule._barren.values())) <= 8


def test_what_came_late_is_warmed_up_once_what_is_served_is_settled() -> None:
    """At a start it is the other way round: then nobody is served yet."""
    served = [f"COIN{i}-USD" for i in range(4)]
    desk = Desk([*served, *(f"LATE{i}-USD" for i in range(3))])
    desk.timeline.arrange(served, TIMEFRAME_PRIORITY, Policy())
    desk.schedule.arranged()
    desk.serve()
    desk.now += M5.ms  # A bucket has closed in those.
    desk.timeline.arrange(desk.symbols, (*TIMEFRAME_PRIORITY, Timeframe.M30), Policy())
    desk.schedule.arranged()
    kinds = []
    while pick := desk.ask():
        kinds.append((pick.want.priority.name, pick.request.symbol[:4]))
        desk.answer(pick)
    settled = [i for i, (kind, _) in enumerate(kinds) if kind == "SETTLE"]
    assert settled == list(range(4)), f"the four that are served go first: {kinds}"
    assert ("WARM", "LATE") in kinds
    assert all(
        track.state is not None and track.state.ready
        for symbol in desk.timeline.symbols.values()
        for track in symbol.tracks.values()
        if not track.working
    )
    assert not any(symbol.late for symbol in desk.timeline.symbols.values()), "then they are as all others"


def test_what_was_remembered_of_what_is_gone_is_forgotten() -> None:
    desk = Desk(["BTC-USD", "ETH-USD"])
    for symbol in desk.symbols:
        desk.schedule.failed(symbol, M5, "HTTP 503", 0.0)
        desk.schedule.failed(symbol, H1, "HTTP 503", 0.0)
    desk.timeline.arrange(["BTC-USD"], [M5, M15], Policy())
    desk.schedule.arranged()
    assert set(desk.schedule.attempts) == {("BTC-USD", M5)}
    desk.at_s = 100.0
    assert {symbol for symbol, _ in desk.ask_all()} == {"BTC-USD"}
