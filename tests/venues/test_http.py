"""The HTTP source that all venues share, against a scripted server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from livecache.venues.net.http import Answer, HttpSource
from livecache.venues.venue import FailureKind, FetchFailure

from .loopback import InstantClock, rest_server


def asked(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    decode: Callable[[Answer], str | FetchFailure] = lambda answer: answer.body.decode(),
) -> tuple[str | FetchFailure, HttpSource, list[web.Request]]:
    """What one GET of /path brings."""

    async def scenario() -> tuple[str | FetchFailure, HttpSource, list[web.Request]]:
        async with asyncio.timeout(30), rest_server(answer) as (url, seen):
            source = HttpSource(f"{url}/below/", clock=InstantClock(), timeout_s=5.0)
            try:
                outcome = await source.get("time", "/path", {"a": "1"}, {"X-Key": "k"}, decode=decode)
                return outcome, source, seen
            finally:
                await source.aclose()

    return asyncio.run(scenario())


def saying(status: int, text: str = "", **headers: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=named)

    return answer


def test_a_venue_brings_path_and_parameters_and_what_an_answer_means() -> None:
    def used(answer: Answer) -> str:
        return f"{answer.body.decode()} {answer.headers['x-mbx-used-weight-1m']}"

    outcome, source, (seen,) = asked(saying(200, "hello", X_MBX_USED_WEIGHT_1M="7"), used)
    assert outcome == "hello 7"
    assert (seen.path, dict(seen.query), seen.headers["X-Key"]) == ("/below/path", {"a": "1"}, "k")
    assert dict(source.stats.requests) == {("time", "ok"): 1}
    assert [count for _, count in source.stats.seconds["time"].cumulative()][-1] == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, FailureKind.REFUSED),
        (418, FailureKind.BANNED),
        (400, FailureKind.BAD_REQUEST),
        (301, FailureKind.BAD_REQUEST),
        (451, FailureKind.BAD_REQUEST),
        (503, FailureKind.SERVER),
    ],
)
def test_a_status_means_what_it_does_anywhere_unless_the_venue_says_otherwise(
    status: int, kind: FailureKind
) -> None:
    answer = saying(status, '{"message": "no\\nmore"}', Retry_After="200", Location="/elsewhere")
    failure, source, seen = asked(answer)
    assert failure == FetchFailure(kind, f"HTTP {status}: no more", status, 200.0)
    assert len(seen) == 1, "nothing is followed"
    assert dict(source.stats.requests) == {("time", kind): 1}
    assert kind.too_fast == (status in (418, 429))


@pytest.mark.parametrize(
    ("until", "date", "seconds"),
    [
        ("Wed, 15 Jul 2026 03:40:00 GMT", "Wed, 15 Jul 2026 03:38:30 GMT", 90.0),
        ("Wed, 15 Jul 2026 03:40:00 GMT", "Wed, 15 Jul 2026 04:00:00 GMT", None),
        ("Wed, 15 Jul 2026 03:40:00 GMT", "", None),
        ("Wed, 15 Jul 2026 03:40:00 -0000", "Wed, 15 Jul 2026 03:38:30 GMT", None),
        ("Wed, 15 Jul 2026 03:40:00 +99999999999", "Wed, 15 Jul 2026 03:38:30 GMT", None),
        ("Wed, 99 Jul 99999 03:40:00 GMT", "Wed, 15 Jul 2026 03:38:30 GMT", None),
    ],
)
def test_a_date_to_wait_until_counts_from_that_of_the_answer(
    until: str, date: str, seconds: float | None
) -> None:
    assert Answer(418, b"", {"Retry-After": until, "Date": date}).retry_after_s == seconds


def test_what_the_venue_makes_of_an_answer_is_what_is_counted() -> None:
    malformed = FetchFailure(FailureKind.MALFORMED, "odd")
    outcome, source, _ = asked(saying(200), lambda _: malformed)
    assert outcome is malformed
    assert dict(source.stats.requests) == {("time", FailureKind.MALFORMED): 1}


def test_a_body_without_end_is_cut_off() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 1_000_000)
        except ConnectionError:
            return response

    outcome, *_ = asked(answer)
    assert isinstance(outcome, FetchFailure) and outcome.kind is FailureKind.MALFORMED


def test_a_request_that_is_cancelled_is_not_counted() -> None:
    async def scenario() -> None:
        came = asyncio.Event()

        async def hang(_: web.Request) -> web.Response:
            came.set()
            await asyncio.Event().wait()
            raise AssertionError

        async with asyncio.timeout(30), rest_server(hang) as (url, _):
            source = HttpSource(url, clock=InstantClock(), timeout_s=20.0)
            asking = asyncio.create_task(source.get("time", "/", decode=lambda answer: answer.body))
            await came.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert not source.stats.requests
            await source.aclose()

    asyncio.run(scenario())
