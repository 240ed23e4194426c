"""A feed that is refused a product, or answered by more than it takes: the others are fed all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from livecache.venues.venue import Broken, Event, FeedCandles, Refused, Subscribed

from .loopback import InstantClock, ServerConnection, feed_server
from .scripted_feed import candle_frame, feed_of, heartbeat_frame

OPEN = 1784086800000
NAMES = [f"P{n}-USD" for n in range(8)]
BAD = "P5-USD"


def snapshot(number: int, ids: Sequence[str], rows: int) -> str:
    """One frame with the snapshots of all of them."""
    frame = msgspec.json.decode(candle_frame(number, OPEN, "P0-USD", kind="snapshot"))
    (row,) = frame["events"][0]["candles"]
    start = int(row["start"])
    frame["events"][0]["candles"] = [
        {**row, "product_id": id_, "start": str(start - 300 * n)} for id_ in ids for n in range(rows)
    ]
    return msgspec.json.encode(frame).decode()


def error(said: str | dict[str, object]) -> str:
    """An error frame: with that message, or those fields."""
    fields = {"message": said} if isinstance(said, str) else said
    return msgspec.json.encode({"type": "error", **fields}).decode()


class Exchange:
    """Answers a subscription as `refuse` says: an error's message, or None for the snapshots."""

    def __init__(
        self,
        refuse: Callable[[Sequence[str]], str | dict[str, object] | None],
        *,
        rows: int = 1,
        heartbeats: bool = True,
        first: str | None = None,
    ) -> None:
        self.refuse = refuse
        self.rows = rows
        self.heartbeats = heartbeats  # else that channel is refused
        self.first = first  # an error's message before any answer to a subscription
        self.asked: list[list[str]] = []
        self.connections = 0
        self.taken: set[str] = set()

    async def serve(self, connection: ServerConnection, number: int) -> None:
        self.connections += 1
        count = 0

        def numbered() -> int:
            nonlocal count
            count += 1
            return count - 1

        async def beat() -> None:
            for second in range(10_000):
                await connection.send(heartbeat_frame(numbered(), OPEN + second * 1000))
                await asyncio.sleep(0.01)

        async def trade() -> None:
            for second in range(10_000):
                for id_ in tuple(self.taken):
                    await connection.send(candle_frame(numbered(), OPEN + second * 1000, id_))
                await asyncio.sleep(0.01)

        beating: asyncio.Task[None] | None = None
        try:
            async for text in connection:
                message: dict[str, Any] = msgspec.json.decode(text)
                if message["channel"] == "heartbeats":
                    if self.heartbeats:
                        beating = asyncio.create_task(beat())
                    else:
                        await connection.send(error("channel heartbeats is not available"))
                        beating = asyncio.create_task(trade())
                    continue
                ids = message["product_ids"]
                self.asked.append(ids)
                if self.first is not None:
                    await connection.send(error(self.first))
                said = self.refuse(ids)
                if said is not None:
                    await connection.send(error(said))
                else:
                    self.taken |= set(ids)
                    await connection.send(snapshot(numbered(), ids, self.rows))
        finally:
            if beating:
                beating.cancel()


def fed_by(
    exchange: Exchange, enough: Callable[[set[str], list[Event]], bool], **options: Any
) -> tuple[set[str], list[Event]]:
    """Whom the feed told candles of, and all that it told; a heartbeat is a second."""

    async def scenario() -> tuple[set[str], list[Event]]:
        fed: set[str] = set()
        events: list[Event] = []
        clock = InstantClock()
        async with feed_server(exchange.serve) as url, asyncio.timeout(60):
            feed = feed_of(url, *NAMES, clock=clock, **options)
            async with aclosing(feed.events()) as stream:
                async for event in stream:
                    events.append(event)
                    clock.time += 1.0
                    if isinstance(event, FeedCandles):
                        fed |= {product for product, _, _, _ in event.candles}
                    if enough(fed, events):
                        return fed, events
        raise AssertionError("the feed ended")

    return asyncio.run(scenario())


@pytest.mark.parametrize("bad", [[BAD], ["P0-USD"], ["P7-USD"], ["P0-USD", BAD]])
@pytest.mark.parametrize("names", [True, False])
def test_one_refused_product_leaves_none_of_the_others_unfed(bad: list[str], names: bool) -> None:
    def refuse(ids: Sequence[str]) -> str | None:
        found = [id_ for id_ in ids if id_ in bad]
        return (f"failed to subscribe: {found} not valid" if names else "no reason given") if found else None

    exchange = Exchange(refuse)
    fed, events = fed_by(
        exchange,
        lambda fed, events: (
            len(fed) == len(NAMES) - len(bad)
            and {p for e in events if isinstance(e, Refused) for p in e.products} == set(bad)
        ),
    )
    assert fed == set(NAMES) - set(bad)
    assert not [event for event in events if isinstance(event, Broken)], "on the same connection"
    assert exchange.connections == 1
    up = {product for event in events if isinstance(event, Subscribed) for product in event.products}
    assert not up & set(bad)


def of_a_list(found: list[str]) -> dict[str, object]:
    return {"message": "failed to subscribe", "reason": {"invalid": found}}


def of_a_long_text(found: list[str]) -> dict[str, object]:
    return {"message": f"{'these are not valid, ' * 8}: {' '.join([f'{id_}C' for id_ in NAMES] + found)}"}


@pytest.mark.parametrize("bad", [[BAD], NAMES[:4], NAMES[1:]], ids=["one", "half", "all but one"])
@pytest.mark.parametrize(
    "said",
    [
        of_a_list,
        of_a_long_text,
        lambda found: {"error": "unsupported", "product_ids": found},
        lambda found: {"message": None},
        lambda found: {"message": ["oops", 5], "channel": None},
        lambda found: {},
    ],
    ids=["a list", "cut off", "another field", "null", "no text", "nothing"],
)
def test_however_an_error_is_written_the_others_are_fed(
    said: Callable[[list[str]], dict[str, object]], bad: list[str]
) -> None:
    def refuse(ids: Sequence[str]) -> dict[str, object] | None:
        found = [id_ for id_ in ids if id_ in bad]
        return said(found) if found else None

    exchange = Exchange(refuse)
    fed, events = fed_by(
        exchange,
        lambda fed, events: (
            fed >= set(NAMES) - set(bad)
            and {p for e in events if isinstance(e, Refused) for p in e.products} >= set(bad)
        ),
    )
    assert fed == set(NAMES) - set(bad)
    assert {p for e in events if isinstance(e, Refused) for p in e.products} == set(bad)
    assert exchange.connections == 1


def test_all_products_are_refused_and_come_back_by_themselves() -> None:
    began = len(NAMES)
    exchange = Exchange(lambda ids: "not now" if len(exchange.asked) < 2 * began else None)
    fed, events = fed_by(exchange, lambda fed, _: len(fed) == len(NAMES))
    assert fed == set(NAMES) and exchange.connections == 1
    assert {p for e in events if isinstance(e, Refused) for p in e.products} == set(NAMES)


@pytest.mark.parametrize("trouble", ["heartbeats", "first"])
def test_an_error_that_is_about_no_product_refuses_none(trouble: str) -> None:
    """The heartbeats are refused; or an error comes before the answer, of which it says nothing."""
    exchange = Exchange(
        lambda ids: None, heartbeats=trouble != "heartbeats", first="hello" if trouble == "first" else None
    )
    fed, events = fed_by(exchange, lambda fed, events: len(fed) == len(NAMES) and len(events) > 40)
    assert fed == set(NAMES) and exchange.connections == 1
    assert not [event for event in events if isinstance(event, Refused | Broken)]


def test_without_heartbeats_a_refused_product_is_asked_for_again_all_the_same() -> None:
    def refuse(ids: Sequence[str]) -> str | None:
        return f"{BAD} is not valid" if BAD in ids and len(exchange.asked) < 3 else None

    exchange = Exchange(refuse, heartbeats=False)
    fed, _ = fed_by(exchange, lambda fed, _: len(fed) == len(NAMES))
    assert fed == set(NAMES) and exchange.connections == 1


def test_snapshots_of_many_products_in_one_message_are_taken() -> None:
    """The venue's bound is what was asked for, not what one product has."""
    exchange = Exchange(lambda ids: None, rows=1_200)
    assert len(snapshot(0, NAMES, 1_200)) > 1024 * 1024
    fed, _ = fed_by(exchange, lambda fed, _: len(fed) == len(NAMES), frame_bytes=None)
    assert fed == set(NAMES) and exchange.connections == 1


def test_after_a_message_that_was_too_long_less_is_asked_for_at_once() -> None:
    exchange = Exchange(lambda ids: None, rows=20)
    two = len(snapshot(0, NAMES[:2], 20))
    fed, events = fed_by(exchange, lambda fed, _: len(fed) == len(NAMES), frame_bytes=two + 100)
    assert fed == set(NAMES)
    reasons = [event.reason for event in events if isinstance(event, Broken)]
    assert len(reasons) == 2 and all("1009" in reason for reason in reasons)
    assert [len(ids) for ids in exchange.asked] == [8, 4, 2, 2, 2, 2]


def test_what_is_too_long_by_itself_is_taken_after_all_up_to_a_bound() -> None:
    exchange = Exchange(lambda ids: None, rows=20)
    one = len(snapshot(0, NAMES[:1], 20))
    fed, _ = fed_by(exchange, lambda fed, _: len(fed) == len(NAMES), frame_bytes=one // 3)
    assert fed == set(NAMES)
    assert exchange.connections <= 7, "never for ever"
