"""How a refused list is narrowed down to the product that it is about, at venues of all sorts. Pure."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.venues.feed.subscriptions import Ask, Refusal, Subscriptions
from tests.sizes import examples

CANDLES, TRADES = "candles", "market_trades"


def names_of(count: int) -> dict[str, list[str]]:
    return {f"P{n}-USD": [f"P{n}-USD"] for n in range(count)}


@dataclass
class Venue:
    """Answers what it is asked as it was told to, and remembers it. Time is a number of seconds."""

    refuses: frozenset[str] = frozenset()
    names: bool = True  # the errors do
    whole: bool = True  # a list that holds one is refused as a whole
    speaks: bool = True  # errors come at all
    late_s: float = 0.0  # so long after the question
    acks: bool = True
    snapshots: bool = True
    quiet: frozenset[str] = frozenset()  # nothing of them comes, but acks
    hangs_up: bool = False  # after an error
    closes_at: int | None = None  # more than so many at once end the connection as too long
    asked: list[tuple[float, Ask]] = field(default_factory=list)
    connections: int = 1
    says: str = ""  # in an error, if anything else than by `names`
    now_s: float = 0.0

    def answers(self, ask: Ask) -> list[tuple[float, str, object]]:
        self.asked.append((self.now_s, ask))
        bad = [i for i in ask.ids if i in self.refuses]
        good = [i for i in ask.ids if i not in self.refuses]
        told: list[tuple[float, str, object]] = []
        if self.closes_at is not None and len(ask.ids) > self.closes_at:
            return [(self.now_s + 0.1, "too long", None)]
        if bad:
            if self.whole:
                good = []
            if self.speaks:
                named = f"failed to subscribe: {', '.join(bad)} not valid."
                said = self.says or (named if self.names else "bad subscription")
                told.append((self.now_s + self.late_s, "error", said))
            if self.hangs_up:
                return [*told, (self.now_s + self.late_s + 0.01, "closed", None)]
        for channel in ask.channels:
            if self.snapshots:
                told.append((self.now_s + 0.1, "heard", (channel, [i for i in good if i not in self.quiet])))
            if self.acks:
                told.append((self.now_s + 0.2, "ack", (channel, good)))
        return told


def run(
    venue: Venue,
    names: dict[str, list[str]],
    *,
    until_s: float = 200.0,
    channels: Sequence[str] = (CANDLES, TRADES),
    each: Callable[[Subscriptions], None] = lambda one: None,
) -> tuple[set[str], list[str]]:
    """Let time pass, with a heartbeat a second. Whom the venue carries in the end, and whom it refused."""
    one = Subscriptions(channels, names)
    waiting: list[tuple[float, int, str, object]] = []
    carried: set[str] = set()
    refused: list[str] = []
    count = 0

    def ask() -> None:
        nonlocal count
        while (what := one.next(venue.now_s)) is not None:
            for at, kind, about in venue.answers(what):
                count += 1
                heapq.heappush(waiting, (at, count, kind, about))

    one.begin()
    ask()
    beat = 1.0
    while venue.now_s < until_s:
        if waiting and waiting[0][0] <= beat:
            venue.now_s, _, kind, about = heapq.heappop(waiting)
        else:
            venue.now_s, kind, about = beat, "beat", None
            beat += 1.0
        refusals: list[Refusal | None] = []
        if kind in ("too long", "closed"):
            refusals.append(one.ended(venue.now_s, too_long=kind == "too long").refusal)
            venue.connections += 1
            venue.now_s += 0.5
            beat = max(beat, venue.now_s)
            carried, waiting = set(), []
            one.begin()
        elif kind == "error":
            assert isinstance(about, str)
            refusals.append(one.complained(about, venue.now_s))
        elif kind in ("ack", "heard"):
            channel, ids = about  # type: ignore[misc]
            if kind == "heard":
                one.heard(channel, ids, 1)
            else:
                one.acknowledged(channel, ids)
            carried |= set(ids) if channel == CANDLES else set()
        refusals.append(one.due(venue.now_s))
        now_refused = [id_ for refusal in refusals if refusal for id_ in refusal.ids]
        refused += now_refused
        carried -= set(now_refused)
        each(one)
        ask()
    return carried, refused


def test_in_calm_weather_everything_is_asked_for_once_and_at_once() -> None:
    venue, names = Venue(), names_of(100)
    carried, refused = run(venue, names, until_s=3_700)
    assert venue.asked == [(0.0, Ask((CANDLES, TRADES), tuple(names)))]
    assert (carried, refused) == (set(names), [])


@pytest.mark.parametrize("bad", [[0], [99], [50], [0, 99], [3, 4], [10, 20, 30, 40]])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("late_s", [0.0, 3.0])
def test_whoever_is_refused_is_found_and_all_others_are_carried(
    bad: list[int], named: bool, late_s: float
) -> None:
    names = names_of(100)
    wrong = frozenset(list(names)[n] for n in bad)
    venue = Venue(refuses=wrong, names=named, late_s=late_s)
    carried, refused = run(venue, names, until_s=59 + (120 if late_s else 0))
    assert carried == set(names) - wrong
    assert set(refused) == wrong
    assert venue.connections == 1


def test_without_a_word_the_others_are_carried_all_the_same() -> None:
    names = names_of(16)
    venue = Venue(refuses=frozenset({"P5-USD"}), speaks=False)
    carried, refused = run(venue, names)
    assert carried == set(names) - {"P5-USD"}
    assert refused == [], "nobody said so"


def test_a_venue_that_hangs_up_on_a_list_is_asked_for_less_each_time() -> None:
    names = names_of(32)
    for speaks in (True, False):
        venue = Venue(refuses=frozenset({"P7-USD"}), names=False, speaks=speaks, hangs_up=True)
        carried, refused = run(venue, names, until_s=55)
        assert refused == ["P7-USD"]
        assert carried == set(names) - {"P7-USD"}, speaks


def test_what_is_answered_too_long_is_halved_until_it_fits_and_stays_so() -> None:
    names = names_of(100)
    venue = Venue(closes_at=13)
    carried, refused = run(venue, names)
    assert (carried, refused) == (set(names), [])
    assert venue.connections == 4
    assert {len(ask.ids) for _, ask in venue.asked[3:]} == {12, 1}


def test_a_quiet_product_is_no_reason_to_ask_again_where_acks_are_empty() -> None:
    names = names_of(100)
    thin = frozenset(f"P{n}-USD" for n in range(0, 100, 7))
    venue = Venue(acks=False, quiet=thin)
    carried, refused = run(venue, names, until_s=290)
    assert carried == set(names) - thin and refused == []
    assert len(venue.asked) == 1, "the list was taken, for others of it came"
    run_on = Venue(acks=False, quiet=thin)
    run(run_on, names, until_s=3_600)
    assert len(run_on.asked) <= 5, "and then they are asked for ever more seldom, together"


def test_a_refused_product_is_asked_for_again_ever_more_seldom_and_comes_back() -> None:
    names = names_of(10)
    venue = Venue(refuses=frozenset({"P3-USD"}))
    run(venue, names, until_s=4_000)
    again = [at for at, ask in venue.asked if ask.ids == ("P3-USD",)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(again)]
    assert 4 <= len(again) <= 8 and gaps == sorted(gaps)

    venue = Venue(refuses=frozenset({"P3-USD"}))

    def mend(one: Subscriptions) -> None:
        if venue.now_s > 100:
            venue.refuses = frozenset()

    carried, _ = run(venue, names, until_s=400, each=mend)
    assert carried == set(names)


def test_an_error_that_is_about_no_product_narrows_nothing() -> None:
    names = names_of(50)
    one = Subscriptions([CANDLES], names)
    one.begin()
    assert one.next(0.0) == Ask((CANDLES,), tuple(names))
    assert one.complained("authentication failure", 0.1) is None
    assert one.due(2.0) is None
    assert one.next(2.0) is None, "not at once"
    assert one.next(100.0) == Ask((CANDLES,), tuple(names)), "and then all together"


def test_an_error_that_will_pass_refuses_none_however_often_it_comes() -> None:
    names = names_of(50)
    one = Subscriptions([CANDLES], names)
    one.begin()
    for n in range(8):
        now_s = 100.0 * n
        assert one.next(now_s) == Ask((CANDLES,), tuple(names))
        assert one.complained("P7-USD: maintenance (11051)", now_s + 0.1, passing=True) is None
        assert one.due(now_s + 2.0) is None and one.next(now_s + 3.0) is None
    one.begin()
    assert one.next(800.0) == Ask((CANDLES,), tuple(names))
    one.complained("maintenance (11051)", 800.1, passing=True)
    assert not one.ended(800.2, too_long=False).anything, "nor does a connection that ends for it"
    one.begin()
    assert one.next(801.0) == Ask((CANDLES,), tuple(names))


@pytest.mark.parametrize("said", ["unsupported token", "authorization needed", "rate limit of that market"])
def test_an_error_that_seems_to_be_about_no_product_leaves_none_of_the_others_unfed(said: str) -> None:
    names = names_of(20)
    venue = Venue(refuses=frozenset({"P7-USD"}), says=said)
    carried, refused = run(venue, names, until_s=300)
    assert carried == set(names) - {"P7-USD"}
    assert refused == ["P7-USD"]


@pytest.mark.parametrize("text", ["not valid: X-EUR, BTC-USD…", "not valid: BTC-US…", "…", "BTC-USD-…"])
def test_a_name_that_was_cut_off_is_nobodys(text: str) -> None:
    one = Subscriptions([CANDLES], {name: [name] for name in ("BTC-USD", "BTC-US", "ETH-USD")})
    one.begin()
    one.next(0.0)
    assert one.complained(text, 0.1) is None, "it may have been BTC-USDC"
    assert one.busy


def test_all_are_refused_and_all_come_back() -> None:
    names = names_of(12)

    def mend(venue: Venue, _: Subscriptions) -> None:
        if venue.now_s > 100:
            venue.refuses = frozenset()

    for named in (True, False):
        venue = Venue(refuses=frozenset(names), names=named)
        carried, refused = run(venue, names, until_s=90)
        assert not carried and set(refused) == set(names)
        venue = Venue(refuses=frozenset(names), names=named)
        carried, _ = run(venue, names, until_s=400, each=partial(mend, venue))
        assert carried == set(names)


def test_an_error_that_names_a_product_that_is_heard_on_refuses_nobody() -> None:
    one = Subscriptions([CANDLES], names_of(2))
    one.begin()
    one.next(0.0)
    one.heard(CANDLES, ["P0-USD", "P1-USD"], 1)
    assert one.complained("P0-USD: something", 1.0) is None
    assert one.busy
    one.heard(CANDLES, ["P0-USD"], 2)
    assert one.due(20.0) is None and one.next(20.0) is None


def test_a_late_error_about_what_was_only_acknowledged_has_it_asked_for_once_more() -> None:
    one = Subscriptions([CANDLES], names_of(2))
    one.begin()
    one.next(0.0)
    one.acknowledged(CANDLES, ["P0-USD", "P1-USD"])
    assert one.complained("p0-usd is not available", 20.0) is None
    assert one.due(26.0) is None
    assert one.next(26.0) == Ask((CANDLES,), ("P0-USD",))
    refusal = one.complained("p0-usd is not available", 26.1)
    assert refusal is not None and refusal.ids == ("P0-USD",)


def test_an_error_names_a_product_by_any_of_its_names() -> None:
    one = Subscriptions([CANDLES], {"BTC-USD": ["BTC-USDC"], "ETH-USD": ["ETH-USD"]})
    one.begin()
    one.next(0.0)
    refusal = one.complained("the venue says: 'BTC-USDC' is not supported.", 1.0)
    assert refusal is not None and refusal.ids == ("BTC-USD",)


def test_what_is_left_out_is_asked_for_no_more_and_again_once_it_is_back() -> None:
    one = Subscriptions([CANDLES], names_of(3))
    one.leave_out(["P1-USD"])
    one.begin()
    assert one.next(0.0) == Ask((CANDLES,), ("P0-USD", "P2-USD"))
    one.acknowledged(CANDLES, ["P0-USD", "P2-USD"])
    one.leave_out([])
    assert one.retry(["P1-USD", "P2-USD"]) == ["P2-USD"]
    assert one.next(5.0) == Ask((CANDLES,), ("P1-USD",))


def test_a_single_product_whose_answer_is_too_long_is_given_up_and_the_others_are_not() -> None:
    one = Subscriptions([CANDLES], names_of(2))
    for _ in range(2):
        one.begin()
        one.next(0.0)
        learned = one.ended(1.0, too_long=True)
    assert not learned.anything, "P0-USD alone was too long"
    refusal = one.give_up("too long", 1.0)
    assert refusal is not None and refusal.ids == ("P0-USD",)
    one.begin()
    assert one.next(2.0) == Ask((CANDLES,), ("P1-USD",))


@settings(deadline=None, max_examples=examples(60), derandomize=True)
@given(
    count=st.integers(2, 40),
    bad=st.sets(st.integers(0, 39), max_size=5),
    named=st.booleans(),
    whole=st.booleans(),
    speaks=st.booleans(),
    late_s=st.sampled_from([0.0, 0.5, 4.0, 9.0]),
    acks=st.booleans(),
    snapshots=st.booleans(),
    hangs_up=st.booleans(),
)
def test_however_a_venue_refuses_some_all_others_are_carried_in_the_end(
    count: int,
    bad: set[int],
    named: bool,
    whole: bool,
    speaks: bool,
    late_s: float,
    acks: bool,
    snapshots: bool,
    hangs_up: bool,
) -> None:
    names = names_of(count)
    wrong = frozenset(name for n, name in enumerate(names) if n in bad)
    venue = Venue(wrong, named, whole, speaks, late_s, acks or not snapshots, snapshots, hangs_up=hangs_up)
    carried, refused = run(venue, names, until_s=1_500)
    assert carried >= set(names) - wrong
    assert not (carried & wrong)
    if late_s < 1 or not hangs_up:
        assert set(refused) <= wrong, "nobody else is blamed"
    assert len(venue.asked) < 40 * (len(wrong) + 1) + 60, "nobody storms the venue"
