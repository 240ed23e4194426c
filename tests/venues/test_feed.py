"""The loop of all feeds: its decisions without a socket, and connections that follow each other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from livecache.clock import SystemClock
from livecache.venues.feed.feed import SocketFeed
from livecache.venues.feed.session import Line, Session
from livecache.venues.feed.watchdog import Silence
from livecache.venues.venue import Broken, Event, FeedCandles, FeedFailure, Heard, Trades, vouching_until

from .loopback import ServerConnection, feed_server
from .toy import T0, ToyDialect, acknowledge, beat, candle, leave

DAY_S = 86_400.0


def session_of(*products: str, aliases: dict[str, str] | None = None, **terms: Any) -> Session:
    session = Session(ToyDialect(**terms), lambda: 0.5, None)
    session.carry(products or ("A", "B"), aliases or {}, trades=False)
    return session


def told(session: Session, line: Line, text: str, now_s: float) -> list[Event]:
    return [*session.received(line, text.encode()), *session.followed(line, now_s)]


# --- what is sent


def test_a_connection_begins_with_the_opening_and_asks_for_all() -> None:
    session = session_of("A", "B", "C", aliases={"C": "B"})
    line = session.opened(0.0)
    assert session.to_send(line, 0.0) == ["hello", "+A", "+B"]
    assert session.to_send(line, 0.0) == ()
    (candles,) = told(session, line, candle("B", 1), 1.0)
    assert isinstance(candles, FeedCandles) and [symbol for symbol, *_ in candles.candles] == ["B", "C"]


def test_no_more_is_sent_in_a_second_than_the_venue_takes() -> None:
    session = session_of(*"ABCDEFG", frames_per_s=3)
    line = session.opened(0.0)
    sent: list[tuple[float, str]] = []
    for tenth in range(40):
        sent += [(tenth / 10, text) for text in session.to_send(line, tenth / 10)]
        if tenth == 5:
            assert session.due_s(line, 0.5) == pytest.approx(0.75), "somebody looks again"
    assert [text for _, text in sent] == ["hello", *(f"+{id_}" for id_ in "ABCDEFG")]
    for at_s, _ in sent:
        come = sum(at_s - 1.2 < other_s <= at_s for other_s, _ in sent)
        assert come <= 3, "not even where what was sent later was less long on its way"
    assert sent[-1][0] == 2.6


def test_a_venue_that_ends_connections_for_too_many_requests_is_asked_the_same_ever_later() -> None:
    session, waits = session_of(), []
    for n in range(8):
        line = session.opened(100.0 * n)
        assert session.to_send(line, 100.0 * n) == ["hello", "+A", "+B"], "none is blamed for it"
        told(session, line, '{"error": "the venue says: too many requests (10028)"}', 100.0 * n + 0.1)
        (broken,) = session.ended(line, "closed", 100.0 * n + 0.2)
        assert isinstance(broken, Broken) and broken.products == ("A", "B")
        waits.append(session.wait_s())
    assert waits[:4] == [waits[0] * 2**n for n in range(4)] and waits[-1] > 20


def test_a_venue_that_wants_to_hear_of_us_does() -> None:
    session = session_of("A", keep_alive_s=20.0)
    line = session.opened(100.0)
    assert session.to_send(line, 100.0) == ["hello", "+A"]
    assert session.due_s(line, 105.0) == 15.0
    assert session.to_send(line, 119.9) == ()
    assert session.to_send(line, 120.0) == ["still there"]
    assert session.due_s(line, 120.0) == 20.0


def test_a_venue_that_asks_is_answered() -> None:
    session = session_of("A")
    line = session.opened(0.0)
    session.to_send(line, 0.0)
    assert told(session, line, '{"ask": "alive?"}', 1.0) == []
    assert session.to_send(line, 1.0) == ["re: alive?"]


# --- what ends a connection


def test_a_complaint_that_the_dialect_takes_for_the_end_ends_the_connection() -> None:
    session = session_of("A")
    line = session.opened(0.0)
    told(session, line, candle("A", 1), 1.0)
    assert told(session, line, '{"error": "hm"}', 1.0) == [FeedFailure("hm")]
    assert line.over is None
    told(session, line, '{"error": "go away"}', 2.0)
    broken = Broken(("A",), "it is closed to us", lost_connection=True)
    assert line.over == broken
    assert session.ended(line, "", 2.0) == [broken]


def test_silence_is_counted_while_a_message_is_waited_for() -> None:
    silence = Silence(10.0, 100.0)
    assert silence.left_s(104.0) == 6.0
    silence.pause(105.0)
    assert silence.left_s(500.0) == 10.0, "a consumer that takes its time"
    silence.resume(505.0, heard=False)
    assert silence.left_s(505.0) == 5.0, "what was not intelligible does not count"
    silence.pause(506.0)
    silence.resume(507.0, heard=True)
    assert silence.left_s(510.0) == 7.0
    assert silence.left_s(517.0) <= 0


def test_how_long_a_connection_may_tell_nothing_begins_anew_once_one_has_told_something() -> None:
    session = session_of("A", first_within_s=90.0)

    def patience_s(began_s: float) -> float:
        line, second = session.opened(began_s), 0
        while not line.over:
            second += 1
            told(session, line, beat(second), began_s + second)
        session.ended(line, "", began_s + second)
        return second

    assert [patience_s(0.0), patience_s(1_000.0)] == [90, 180]
    line = session.opened(2_000.0)
    told(session, line, candle("A", 1), 2_001.0)
    session.ended(line, "cut", 2_002.0)
    assert patience_s(3_000.0) == 90


# --- a connection that is known to end


def test_before_its_life_is_over_another_connection_is_wanted_and_not_at_one_time_for_all() -> None:
    early, late = (Session(ToyDialect(life_s=DAY_S), lambda j=j: j, None) for j in (0.99, 0.0))  # type: ignore[misc]
    for session, leaves_s in ((early, DAY_S - 597), (late, DAY_S - 300)):
        session.carry(["A"], {}, trades=False)
        line = session.opened(0.0)
        told(session, line, beat(1), leaves_s - 1)
        assert not session.leaving
        told(session, line, beat(2), leaves_s + 1)
        assert session.leaving


def test_the_first_is_done_with_once_the_second_tells_of_everything() -> None:
    session = session_of("A", "B")
    first = session.opened(0.0)
    told(session, first, candle("A", 1), 1.0)
    told(session, first, candle("B", 1), 1.0)
    assert told(session, first, leave(), 2.0) == [] and session.leaving
    second = session.opened(3.0)
    assert not session.leaving and not session.done(first, 3.0)
    assert told(session, first, candle("A", 3), 3.0), "it goes on telling"
    told(session, second, candle("A", 4, kind="snapshot"), 4.0)
    assert not session.done(first, 4.0)
    told(session, second, candle("B", 5, kind="snapshot"), 4.0)
    assert not session.done(first, 4.0), "what was told before that may still be on its way"
    told(session, first, beat(5), 4.1)
    assert session.done(first, 4.1)
    assert session.ended(first, "closed by the venue", 5.0) == [], "nobody misses it"


def test_what_the_second_tells_of_only_after_the_last_word_of_the_first_is_missed() -> None:
    session = session_of("A", "B")
    first = session.opened(0.0)
    told(session, first, leave(), 2.0)
    second = session.opened(3.0)
    told(session, second, candle("A", 4), 4.0)
    told(session, first, candle("A", 5), 4.0)
    told(session, second, candle("B", 6), 4.1)
    (broken,) = session.ended(first, "cut", 5.0)
    assert broken == Broken(("B",), "cut", lost_connection=False, since=T0 + 5_000, mute=True)


def test_what_the_second_has_not_told_is_missed_if_the_first_ends_too_soon() -> None:
    session = session_of("A", "B", "C", aliases={"C": "B"})
    first = session.opened(0.0)
    told(session, first, leave(), 2.0)
    second = session.opened(3.0)
    told(session, second, candle("A", 4), 4.0)
    told(session, first, beat(4), 4.0)
    (broken,) = session.ended(first, "cut", 5.0)
    assert broken == Broken(("B", "C"), "cut", lost_connection=False, since=T0 + 4_000, mute=True)
    assert session.ended(second, "cut", 6.0) == [Broken(("A", "B", "C"), "cut", lost_connection=True)]


def test_that_the_second_is_to_tell_of_something_is_not_enough_to_leave_the_first() -> None:
    session = session_of("A", "B", "C")
    first = session.opened(0.0)
    told(session, first, leave(), 2.0)
    second = session.opened(3.0)
    told(session, second, acknowledge("A", "B", "C"), 3.0)
    assert not session.done(first, 3.0), "any name may be acknowledged"
    for n, id_ in enumerate("ABC"):
        assert not session.done(first, 4.0)
        told(session, second, candle(id_, 4), 4.0 + n / 100)
        told(session, first, beat(4), 4.0 + n / 100)
    assert session.done(first, 4.0)


def test_a_connection_that_ends_first_is_missed_for_all_that_the_next_has_only_acknowledged() -> None:
    session = session_of("A", "B")
    first = session.opened(0.0)
    told(session, first, leave(), 2.0)
    second = session.opened(3.0)
    told(session, second, acknowledge("A", "B"), 3.0)
    told(session, second, candle("A", 4), 3.1)
    told(session, first, beat(4), 3.1)
    (broken,) = session.ended(first, "cut", 3.2)
    assert isinstance(broken, Broken) and broken.products == ("B",)


def test_the_first_is_not_kept_for_a_product_that_does_not_trade() -> None:
    session = session_of("A", "B")
    first = session.opened(0.0)
    told(session, first, leave(), 2.0)
    second = session.opened(3.0)
    told(session, second, candle("A", 4), 4.0)
    assert not session.done(first, 62.0) and session.done(first, 63.0)


@pytest.mark.parametrize("done", [True, False])
def test_what_the_second_is_never_answered_for_is_missed_once_the_first_is_left(done: bool) -> None:
    session = session_of("A", "B")
    first = session.opened(0.0)
    for id_ in "AB":
        told(session, first, candle(id_, 1), 1.0)
    told(session, first, leave(), 2.0)
    second = session.opened(3.0)
    session.to_send(second, 3.0)
    told(session, second, candle("A", 4), 4.0)
    second_s = 4
    while not session.done(first, second_s) if done else second_s < 30:
        second_s += 1
        for line in (first, second):
            told(session, line, beat(second_s), second_s)
            session.to_send(line, second_s)
    (broken,) = session.ended(first, "left", second_s)
    assert broken == Broken(("B",), "left", lost_connection=False, since=T0 + second_s * 1000, mute=True)


def test_the_second_vouches_for_nothing_that_the_first_has_not_told_until_it_tells_of_everything() -> None:
    session = session_of("A", "B")
    first = session.opened(0.0)
    told(session, first, candle("B", 1), 1.0)
    told(session, first, leave(), 2.0)
    second = session.opened(3.0)
    assert told(session, second, beat(40), 4.0) == [Heard(T0 + 1_000)]
    (shown,) = told(session, second, candle("A", 41), 4.0)
    assert isinstance(shown, FeedCandles) and (shown.stamp, shown.through) == (T0 + 41_000, T0 + 1_000)
    told(session, first, beat(42), 4.0)
    assert told(session, second, beat(43), 4.0) == [Heard(T0 + 42_000)]
    (broken,) = session.ended(first, "silent", 5.0)
    assert isinstance(broken, Broken) and broken.since == T0 + 42_000
    assert told(session, second, beat(44), 5.0) == [Heard(T0 + 44_000)], "now it speaks for itself"


def test_once_the_first_is_done_with_the_second_vouches_as_any_other() -> None:
    session = session_of("A")
    first = session.opened(0.0)
    told(session, first, candle("A", 1), 1.0)
    told(session, first, leave(), 2.0)
    second = session.opened(3.0)
    told(session, second, candle("A", 4, kind="snapshot"), 4.0)
    told(session, first, beat(4), 4.0)
    assert session.done(first, 4.0)
    assert told(session, second, beat(5), 5.0) == [Heard(T0 + 5_000)]


def test_beside_a_former_connection_an_event_vouches_for_no_more_than_it_does_by_itself() -> None:
    for event in (FeedCandles(9, False, (), 4), Trades(9, False, (), 4)):
        assert vouching_until(event, 7) == replace_through(event, 4)
        assert vouching_until(event, 3) == replace_through(event, 3)
    assert vouching_until(FeedCandles(9, False, ()), 7) == FeedCandles(9, False, (), 7)


def replace_through(event: FeedCandles | Trades, through: int) -> Event:
    return type(event)(event.stamp, event.snapshot, (), through)


# --- over loopback


async def followed(feed: SocketFeed, last: int) -> list[Event]:
    """What a feed tells until the candle of that second."""
    events: list[Event] = []
    async with asyncio.timeout(30), aclosing(feed.events()) as stream:
        async for event in stream:
            events.append(event)
            if isinstance(event, FeedCandles) and event.stamp % 300_000 == last * 1000:
                break
    return events


def feed_at(url: str, *products: str) -> SocketFeed:
    return SocketFeed(
        ToyDialect(url),
        products or ("A", "B"),
        {},
        trades=False,
        clock=SystemClock(),
        jitter=lambda: 0.0,
        silence_timeout_s=20.0,
    )


async def asked(connection: ServerConnection, texts: Sequence[str]) -> None:
    assert [await connection.recv() for _ in texts] == list(texts)


def test_the_next_connection_is_opened_before_the_old_one_ends_and_nothing_is_missed() -> None:
    order: list[str] = []

    async def scenario() -> list[Event]:
        opened, told_all = asyncio.Event(), asyncio.Event()

        async def script(connection: ServerConnection, number: int) -> None:
            order.append(f"{number} opened")
            await asked(connection, ["hello", "+A", "+B"])
            if number == 1:
                await connection.send(candle("A", 1))
                await connection.send(candle("B", 1))
                await connection.send(leave())
                second = 2
                while not opened.is_set():
                    await connection.send(candle("A", second))
                    second += 1
                    await asyncio.wait([asyncio.ensure_future(opened.wait())], timeout=0.02)
                await connection.send(candle("A", 100))
                await connection.send(beat(101))
                told_all.set()
                await connection.wait_closed()
                order.append("1 closed")
            else:
                opened.set()
                await told_all.wait()
                await connection.send(candle("A", 101, kind="snapshot"))
                await connection.send(candle("B", 101, kind="snapshot"))
                await connection.send(beat(101))
                while "1 closed" not in order:
                    await connection.send(beat(102))
                    await asyncio.wait([asyncio.ensure_future(told_all.wait())], timeout=0.02)
                await connection.send(candle("A", 103))
                await connection.wait_closed()

        async with feed_server(script) as url:
            return await followed(feed_at(url), 103)

    events = asyncio.run(scenario())
    assert not [event for event in events if not isinstance(event, FeedCandles | Heard)]
    assert 100_000 in [e.stamp % 300_000 for e in events if isinstance(e, FeedCandles)], (
        "both are listened to"
    )
    assert order == ["1 opened", "2 opened", "1 closed"]


def test_an_old_connection_that_ends_at_once_is_a_break_and_no_wait() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        if number == 1:
            await connection.send(candle("A", 1))
            await connection.send(leave())
            await connection.send(beat(2))
            await connection.close(1012, "restart")
        else:
            await connection.send(candle("A", 103, kind="snapshot"))
            await connection.wait_closed()

    async def scenario() -> list[Event]:
        async with feed_server(script) as url:
            return await followed(feed_at(url), 103)

    events = asyncio.run(scenario())
    assert [e.reason for e in events if isinstance(e, Broken)] == ["closed by the venue (1012 restart)"]


def test_where_no_next_connection_can_be_had_the_old_one_is_listened_to_until_its_end() -> None:
    async def scenario() -> list[Event]:
        refusing = asyncio.Event()

        async def script(connection: ServerConnection, number: int) -> None:
            if number == 2:
                refusing.set()
                connection.cut()
            elif number == 1:
                await connection.send(leave())
                while not refusing.is_set():
                    await connection.send(candle("A", 1))
                    await asyncio.wait([asyncio.ensure_future(refusing.wait())], timeout=0.02)
                for second in range(90, 104):
                    await connection.send(candle("A", second))
                await connection.wait_closed()
            else:
                await connection.wait_closed()

        async with feed_server(script) as url:
            return await followed(feed_at(url, "A"), 103)

    events = asyncio.run(scenario())
    assert [e for e in events if isinstance(e, FeedCandles) and e.stamp % 300_000 == 103_000]
