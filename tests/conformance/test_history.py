"""Pages, the list and the clock of every venue, by REST."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from livecache.venues.venue import FailureKind, FetchFailure

from .bench import Bench, Make, on


def test_a_page_is_what_was_traded_in_its_half_open_span(make: Make) -> None:
    async def check(bench: Bench) -> None:
        for timeframe in bench.venue.traits.served:
            request = bench.request(timeframe, 20, ago=2)
            page = await bench.page(request)
            assert page.rows == tuple(bench.face.rows(request.symbol, timeframe, request.start, request.end))
            assert page.rows and not page.rejected
            assert bench.venue.traits.empty == "flat" or not any(row.flat for row in page.rows)

    on(make, check)


def test_pages_side_by_side_are_their_union_each_bucket_once(make: Make) -> None:
    async def check(bench: Bench) -> None:
        whole = bench.request(bench.carried, 40)
        middle = bench.venue.traits.grid(bench.carried).back(whole.end, 17)
        one = await bench.page(whole._replace(end=middle))
        other = await bench.page(whole._replace(start=middle))
        assert one.rows + other.rows == (await bench.page(whole)).rows

    on(make, check)


def test_a_page_at_the_limit_is_whole_and_a_longer_one_is_refused_or_whole(make: Make) -> None:
    async def check(bench: Bench) -> None:
        most = bench.venue.traits.page(bench.carried)
        for buckets in (most, most + 1):
            request = bench.request(bench.carried, buckets)
            outcome = await bench.venue.fetch(request)
            if isinstance(outcome, FetchFailure):
                assert outcome.kind is FailureKind.PAGE_TOO_LONG and buckets > most
            else:
                truth = bench.face.rows(request.symbol, bench.carried, request.start, request.end)
                assert outcome.rows == tuple(truth)

    on(make, check)


def test_the_bucket_in_progress_is_in_part_there_and_nothing_of_the_future(make: Make) -> None:
    async def check(bench: Bench) -> None:
        grid = bench.venue.traits.grid(bench.carried)
        request = bench.request(bench.carried, 10, ago=1)
        page = await bench.page(request._replace(end=grid.after(request.end, 3)))
        assert all(row.time <= bench.face.now() for row in page.rows)
        assert page.rows[-1].time <= grid.floor(bench.face.now())

    on(make, check)


def test_one_bad_row_costs_its_own_bucket(make: Make) -> None:
    async def check(bench: Bench) -> None:
        request = bench.request(bench.carried, 20)
        await bench.page(request)  # Some ask for their list before the first.
        bench.front.answer = lambda request, answer: web.Response(body=bench.spoiled(answer.body))
        page = await bench.page(request)
        truth = bench.face.rows(request.symbol, bench.carried, request.start, request.end)
        assert len(page.rejected) == page.spoiled == 1
        (bucket,) = page.rejected
        assert request.start <= bucket < request.end and page.reasons[bucket]
        assert page.rows == tuple(row for row in truth if row.time != bucket)

    on(make, check)


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait_s"),
    [
        (429, {}, FailureKind.REFUSED, None),
        (429, {"Retry-After": "7"}, FailureKind.REFUSED, 7.0),
        (429, {"Retry-After": "soon"}, FailureKind.REFUSED, None),
        (418, {"Retry-After": "120"}, FailureKind.BANNED, 120.0),
        (500, {}, FailureKind.SERVER, None),
        (503, {}, FailureKind.SERVER, None),
    ],
)
def test_a_refusal_is_told_as_what_it_is(
    make: Make, status: int, headers: dict[str, str], kind: FailureKind, wait_s: float | None
) -> None:
    async def check(bench: Bench) -> None:
        bench.front.answer = lambda request, answer: web.Response(status=status, headers=headers)
        failure = await bench.failure()
        pause_s = bench.face.pause_s if kind is FailureKind.REFUSED else None
        told = failure.kind, failure.status, failure.retry_after_s
        assert told == (kind, status, pause_s if wait_s is None else wait_s)
        assert len(bench.front.asked) == 1, "one attempt a call"

    on(make, check)


@pytest.mark.parametrize(
    "body",
    [
        b"<html><title>Will be right back</title></html>",
        b"",
        b"null",
        b"[[",
        b"[" * 5_000,
        b'{"candles":[{"start"',
        b"\xff\xfe\x00",
        b" " * (9 * 1024 * 1024),
    ],
    ids=["html", "nothing", "null", "truncated", "deep", "cut", "no text", "too long"],
)
def test_nonsense_in_an_answer_200_is_a_failure_and_no_page(make: Make, body: bytes) -> None:
    async def check(bench: Bench) -> None:
        bench.front.answer = lambda request, answer: web.Response(body=body, content_type="text/html")
        traits, kind = (
            bench.venue.traits,
            bench.face.sorry if b"right back" in body else FailureKind.MALFORMED,
        )
        outcomes = [await bench.failure(), *([await bench.venue.time()] if traits.clock else [])]
        for outcome in (*outcomes, *([await bench.venue.products()] if traits.lists else [])):
            assert isinstance(outcome, FetchFailure)
            assert outcome.kind is kind
            assert len(outcome.message) < 1_000 and "\n" not in outcome.message

    on(make, check)


def test_an_answer_that_does_not_come_ends_in_time(make: Make) -> None:
    async def check(bench: Bench) -> None:
        async def never(request: web.Request, answer: web.Response) -> web.StreamResponse:
            await asyncio.Event().wait()
            return answer

        bench.front.answer = never
        assert (await bench.failure()).kind is FailureKind.TIMEOUT

    on(make, check)


def test_what_hangs_up_is_a_failure_of_the_network(make: Make) -> None:
    async def check(bench: Bench) -> None:
        def hang_up(request: web.Request, answer: web.Response) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return answer

        bench.front.answer = hang_up
        assert (await bench.failure()).kind is FailureKind.NETWORK
        bench.front.answer = lambda request, answer: answer
        await bench.page(bench.request(bench.carried, 5))

    on(make, check)


def test_a_symbol_that_there_is_not_is_told_as_such(make: Make) -> None:
    async def check(bench: Bench) -> None:
        failure = await bench.failure(bench.request(bench.carried, 5, symbol="NO-SUCH"))
        assert failure.kind is FailureKind.UNKNOWN_SYMBOL

    on(make, check)


def test_the_list_names_every_symbol_and_under_which_id_its_feed_comes(make: Make) -> None:
    async def check(bench: Bench) -> None:
        face = bench.face
        if not bench.venue.traits.lists:
            return
        listed = await bench.venue.products()
        assert not isinstance(listed, FetchFailure)
        for name, symbol in {face.symbol: face.symbol, face.other: face.other, **face.aliases}.items():
            assert listed[name].carried == listed[symbol].carried
            assert listed[name].halted == ""
            assert bool(listed[name].listed) is bench.venue.traits.dated
        few = await bench.venue.products([face.other, "NO-SUCH"])
        assert not isinstance(few, FetchFailure) and set(few) == {face.other}

    on(make, check)


def test_an_alias_has_the_history_of_its_symbol(make: Make) -> None:
    async def check(bench: Bench) -> None:
        request = bench.request(bench.carried, 10)
        for alias, symbol in bench.face.aliases.items():
            page, other = [await bench.page(request._replace(symbol=name)) for name in (alias, symbol)]
            assert page.rows == other.rows and page.request.symbol == alias

    on(make, check)


def test_the_clock_is_the_venues(make: Make) -> None:
    async def check(bench: Bench) -> None:
        if not bench.venue.traits.clock:
            return
        before = bench.face.now()
        told = await bench.venue.time()
        assert isinstance(told, int) and before - 1_000 <= told <= bench.face.now()

    on(make, check)


def test_what_is_asked_is_counted(make: Make) -> None:
    async def check(bench: Bench) -> None:
        await bench.page(bench.request(bench.carried, 5))
        bench.front.answer = lambda request, answer: web.Response(status=500)
        await bench.failure()
        await bench.venue.time()
        counted, told = bench.venue.stats.requests, bench.venue.traits.clock
        assert counted["candles", "ok"] == counted["candles", FailureKind.SERVER] == 1
        assert counted["time", FailureKind.SERVER] == told

    on(make, check)
