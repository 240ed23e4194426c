"""What a client of REST sees of each kind of fault, over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from livecache.clock import SystemClock
from livecache.model.timeframe import Timeframe
from livecache.simulator import FaultScript, MarketClock, Product, ScriptedFaults, SeededMarket, Simulator
from livecache.simulator.trouble.script import (
    ANSWER_FORMS,
    PAGE_FORMS,
    ROW_FORMS,
    AnswerForm,
    Delisted,
    EdgeLag,
    EmptyPage,
    Fault,
    Halted,
    Hang,
    HttpError,
    NewestAbsent,
    OddAnswer,
    OddPage,
    Outage,
    PageForm,
    Reset,
    Revision,
    RowForm,
    ShortPage,
    SpoiltRow,
)
from livecache.venues.coinbase.pages import decode_page
from livecache.venues.net.http import HttpSource
from livecache.venues.rows import DecodedPage
from livecache.venues.venue import FetchFailure, PageRequest

from .support import NOW, connected

BTC, ETH = "BTC-USD", "ETH-USD"
API = "/api/v3/brokerage"
LONG = 86_400.0
M5, H1 = Timeframe.M5, Timeframe.H1
NAMES = {M5: "FIVE_MINUTE", H1: "ONE_HOUR", Timeframe.M1: "ONE_MINUTE", Timeframe.D1: "ONE_DAY"}

Row = dict[str, str]


class Bench:
    """A simulator whose market stands still at `NOW` until it is moved, its faults, and an HTTP client."""

    def __init__(self, simulator: Simulator, faults: ScriptedFaults, http: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.faults = faults
        self.http = http
        self._nonce = 0

    async def get(self, path: str, **query: object) -> tuple[int, str, Mapping[str, str]]:
        """Status, body and headers; past the edge's cache."""
        self._nonce += 1
        asked = {name: str(value) for name, value in query.items()} | {"_": str(self._nonce)}
        async with self.http.get(self.simulator.rest_url + API + path, params=asked) as answer:
            return answer.status, await answer.text(), answer.headers

    async def page(self, product: str = BTC, timeframe: Timeframe = M5, buckets: int = 40) -> list[Row]:
        """The newest rows, newest first."""
        now = self.simulator.now()
        async with self.http.get(
            f"{self.simulator.rest_url}{API}/market/products/{product}/candles",
            params={
                "granularity": NAMES[timeframe],
                "start": str((timeframe.floor(now) - (buckets - 1) * timeframe.ms) // 1000),
                "end": str(now // 1000),
                "_": str(time.monotonic_ns()),
            },
        ) as answer:
            assert answer.status == 200, await answer.text()
            rows: list[Row] = (await answer.json())["candles"]
            return rows


def on_a_bench(
    scenario: Callable[[Bench], Coroutine[Any, Any, None]], *faults: Fault, start_ms: int = NOW
) -> None:
    async def run() -> None:
        market = SeededMarket(3, [Product.parse(BTC), Product.parse(ETH)])
        scripted = ScriptedFaults(FaultScript(faults=faults))
        simulator = Simulator(market, clock=MarketClock(start_ms), faults=scripted, requests_per_second=1_000)
        async with simulator, aiohttp.ClientSession() as http, asyncio.timeout(20):
            await scenario(Bench(simulator, scripted, http))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "kind", "body", "wait"),
    [
        (HttpError(status=400), "application/json", "INVALID_ARGUMENT", None),
        (HttpError(status=401), "text/plain", "Unauthorized", None),
        (HttpError(status=429), "application/json", "rate_limit_exceeded", None),
        (HttpError(status=429, retry_after=7), "application/json", "Too many requests", "7"),
        (HttpError(status=500), "application/json", "internal error", None),
        (HttpError(status=502), "text/html", "<h1>Error 502</h1>", None),
    ],
)
def test_a_request_is_answered_with_an_error_and_the_next_one_is_not(
    fault: HttpError, kind: str, body: str, wait: str | None
) -> None:
    async def scenario(bench: Bench) -> None:
        status, text, headers = await bench.get("/time")
        assert status == fault.status and body in text
        assert headers["Content-Type"].startswith(kind) and headers.get("Retry-After") == wait
        assert (await bench.get("/time"))[0] == 200
        assert bench.faults.counts == {f"http_error {fault.status}": 1}

    on_a_bench(scenario, fault)


def test_only_requests_of_the_named_products_and_timeframes_fail() -> None:
    async def scenario(bench: Bench) -> None:
        asked = [(p, t) for p in (BTC, ETH) for t in (M5, H1)]
        failed = []
        for product, timeframe in asked:
            path = f"/market/products/{product}/candles"
            begin = NOW // 1000 - 40_000
            status, _, _ = await bench.get(path, granularity=NAMES[timeframe], start=begin, end=begin + 7_200)
            failed += [(product, timeframe)] * (status == 503)
        assert failed == [(ETH, H1)]
        assert (await bench.get("/time"))[0] == 200

    on_a_bench(scenario, HttpError(status=503, lasts=LONG, products=(ETH,), timeframes=(H1,)))


def test_a_share_of_the_requests_fails() -> None:
    async def scenario(bench: Bench) -> None:
        answered = [(await bench.get("/time"))[0] for _ in range(60)]
        assert 5 <= answered.count(500) <= 40
        assert bench.faults.counts["http_error 500"] == answered.count(500)

    on_a_bench(scenario, HttpError(lasts=LONG, share=0.3))


def test_no_answer_comes_until_the_connection_is_cut() -> None:
    async def scenario(bench: Bench) -> None:
        began = time.monotonic()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await bench.get("/time")
        assert time.monotonic() - began >= 0.2
        assert bench.faults.counts["hang"] >= 1, "the client may have asked again by itself"

    on_a_bench(scenario, Hang(lasts=LONG, seconds=0.2))


def test_the_headers_and_half_the_body_come() -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.http.get(bench.simulator.rest_url + API + "/market/products") as answer:
            assert answer.status == 200
            announced = int(answer.headers["Content-Length"])
            half = await answer.content.readexactly(announced // 2)
            assert half.startswith(b'{"products":[')
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.content.readany()
        assert (await bench.get("/time"))[0] == 200

    on_a_bench(scenario, Reset())


def test_a_page_lacks_its_oldest_rows() -> None:
    async def scenario(bench: Bench) -> None:
        assert (await bench.get("/time"))[0] == 200, "only pages are short"
        short, whole = await bench.page(), await bench.page()
        assert len(whole) >= 39 and short == whole[: len(whole) // 4]

    on_a_bench(scenario, ShortPage(keep=0.25))


def test_a_page_comes_without_any_row() -> None:
    async def scenario(bench: Bench) -> None:
        assert await bench.page(timeframe=H1)
        assert await bench.page() == []
        assert len(await bench.page()) >= 39

    on_a_bench(scenario, EmptyPage(timeframes=(M5,)))


@pytest.mark.parametrize("form", ROW_FORMS)
def test_every_so_many_row_is_spoilt_and_none_takes_another_with_it(form: RowForm) -> None:
    """And what our own client makes of it: the true rows, and the spoilt buckets in doubt."""

    async def scenario(bench: Bench) -> None:
        now = bench.simulator.now()
        end = M5.floor(now)
        request = PageRequest(BTC, M5, end - 40 * M5.ms, end)
        path = f"/market/products/{BTC}/candles"
        asked = {"start": request.start // 1000, "end": end // 1000 - 300, "granularity": NAMES[M5]}
        _, body, _ = await bench.get(path, **asked)
        bench.faults.end_all()
        await bench.get("/time")
        _, sound, _ = await bench.get(path, **asked)
        truth, found = decode_page(request, sound.encode(), now), decode_page(request, body.encode(), now)
        assert isinstance(truth, DecodedPage) and isinstance(found, DecodedPage)
        spoilt = {t for t in range(request.start, end, M5.ms) if t // M5.ms % 10 == 0}
        believed = form in ("exponent", "number", "twice")
        assert body != sound
        rows = {row.time: row for row in truth.page.rows}
        held = {row.time: row for row in found.page.rows}
        assert all(row.equals(rows[time]) for time, row in held.items())
        assert held.keys() >= rows.keys() - spoilt - {t - 7 * M5.ms for t in spoilt}
        assert held.keys() | found.page.rejected >= rows.keys(), "none is taken for empty"
        assert (held.keys() >= spoilt) is believed

    on_a_bench(scenario, SpoiltRow(forms=(form,), every=10))


@pytest.mark.parametrize("form", ANSWER_FORMS)
def test_an_answer_may_be_none_to_what_was_asked(form: AnswerForm) -> None:
    """And what our own client makes of it: a failure, and the next page is whole."""

    async def scenario(bench: Bench) -> None:
        end = M5.floor(bench.simulator.now())
        request = PageRequest(BTC, M5, end - 40 * M5.ms, end)
        source = HttpSource(bench.simulator.rest_url + API, clock=SystemClock(), timeout_s=1.0)

        async def fetch() -> DecodedPage | FetchFailure:
            asked = {"start": request.start // 1000, "end": end // 1000 - 300, "granularity": NAMES[M5]}
            return await source.get(
                "candles",
                f"/market/products/{BTC}/candles",
                [(name, str(value)) for name, value in asked.items()],
                decode=lambda answer: decode_page(request, answer.body, bench.simulator.now()),
            )

        try:
            failure, sound = await fetch(), await fetch()
        finally:
            await source.aclose()
        assert isinstance(failure, FetchFailure) and failure.message
        assert isinstance(sound, DecodedPage) and len(sound.page.rows) >= 39
        assert bench.faults.counts == {f"odd_answer {form}": 1}

    on_a_bench(scenario, OddAnswer(forms=(form,)))


@pytest.mark.parametrize("form", PAGE_FORMS)
def test_a_page_may_come_in_a_form_that_each_row_of_it_hides(form: PageForm) -> None:
    async def scenario(bench: Bench) -> None:
        now = bench.simulator.now()
        request = PageRequest(BTC, M5, M5.floor(now) - 39 * M5.ms, M5.floor(now) + M5.ms)
        odd, sound = await bench.page(), await bench.page()
        assert odd != sound
        found, truth = (
            decode_page(request, json.dumps({"candles": rows}).encode(), now) for rows in (odd, sound)
        )
        assert isinstance(found, DecodedPage) and isinstance(truth, DecodedPage)
        if form in ("oldest_first", "shuffled"):
            believed = {row.time for row in found.page.rows} | found.page.rejected
            assert believed >= {row.time for row in truth.page.rows}
            assert set(found.page.rows) <= set(truth.page.rows)
        elif form == "each_twice":
            assert {row.time for row in found.page.rows} <= {row.time for row in truth.page.rows}
        else:
            assert set(found.page.rows).isdisjoint(truth.page.rows)

    on_a_bench(scenario, OddPage(forms=(form,)))


def test_pages_of_one_timeframe_alone_may_be_behind() -> None:
    async def scenario(bench: Bench) -> None:
        now = bench.simulator.now()
        assert int((await bench.page())[0]["start"]) * 1000 >= M5.floor(now) - M5.ms
        assert int((await bench.page(timeframe=H1))[0]["start"]) * 1000 == H1.floor(now - 7_200_000)

    on_a_bench(
        scenario,
        EdgeLag(lasts=LONG, seconds=3_600, timeframes=(H1,)),
        EdgeLag(lasts=LONG, seconds=3_600, timeframes=(H1,)),
    )


def test_pages_show_the_market_as_it_was_a_while_ago() -> None:
    """Twenty seconds after a bucket's end it looks as it did twenty seconds before."""

    async def scenario(bench: Bench) -> None:
        behind, up_to_date = await bench.page(BTC), await bench.page(ETH)
        assert int(up_to_date[0]["start"]) * 1000 == M5.floor(bench.simulator.now())
        assert int(behind[0]["start"]) * 1000 == M5.floor(bench.simulator.now()) - M5.ms
        bench.faults.end_all()
        await bench.get("/time")
        whole = await bench.page(BTC)
        assert whole[1]["start"] == behind[0]["start"]
        assert Decimal(whole[1]["volume"]) > Decimal(behind[0]["volume"])

    on_a_bench(scenario, EdgeLag(lasts=LONG, seconds=40, products=(BTC,)), start_ms=M5.floor(NOW) + 20_000)


def test_pages_do_not_show_the_bucket_in_progress() -> None:
    async def scenario(bench: Bench) -> None:
        newest = [int((await bench.page(product))[0]["start"]) * 1000 for product in (BTC, ETH)]
        assert newest == [M5.floor(NOW) - M5.ms, M5.floor(NOW)]

    on_a_bench(scenario, NewestAbsent(lasts=LONG, products=(BTC,)), start_ms=M5.floor(NOW) + 60_000)


def test_rest_is_down_and_the_feed_goes_on() -> None:
    async def scenario(bench: Bench) -> None:
        async with connected(bench.simulator) as client:
            await client.say("subscribe", "heartbeats")
            for _ in range(3):
                with pytest.raises(aiohttp.ServerDisconnectedError):
                    await bench.get("/time")
            await client.frame_of("heartbeats")
            assert bench.faults.counts == {"outage": 1}
            bench.faults.end_all()
            await client.frame_of("heartbeats")
        assert (await bench.get("/time"))[0] == 200

    on_a_bench(scenario, Outage(lasts=LONG))


def test_a_candle_is_revised_for_good_and_its_parents_with_it() -> None:
    bucket = M5.floor(NOW) - 4 * M5.ms

    async def scenario(bench: Bench) -> None:
        before = {t: {row["start"]: row for row in await bench.page(BTC, t)} for t in NAMES}
        others = await bench.page(ETH)
        bench.faults.begin(Revision(products=(BTC,), back=3))
        await bench.get("/time")
        after = {t: {row["start"]: row for row in await bench.page(BTC, t)} for t in NAMES}
        gained = {
            t: {
                start: Decimal(row["volume"]) - Decimal(before[t][start]["volume"])
                for start, row in rows.items()
                if row["high"] != before[t][start]["high"] or row["low"] != before[t][start]["low"]
            }
            for t, rows in after.items()
        }
        assert gained[M5].keys() == {str(bucket // 1000)}
        more = gained[M5][str(bucket // 1000)]
        assert more > Decimal(before[M5][str(bucket // 1000)]["volume"]) / 8
        for timeframe, rows in after.items():
            start = str(timeframe.floor(bucket) // 1000)
            # The bucket in progress may have grown meanwhile.
            growth = Decimal(rows[start]["volume"]) - Decimal(before[timeframe][start]["volume"])
            assert growth == more or (timeframe.floor(NOW) <= timeframe.floor(bucket) and growth > more)
        hour = [row for start, row in after[M5].items() if H1.floor(int(start) * 1000) == H1.floor(bucket)]
        parent = after[H1][str(H1.floor(bucket) // 1000)]
        if H1.floor(bucket) + H1.ms <= NOW:
            assert sum(Decimal(row["volume"]) for row in hour) == Decimal(parent["volume"])
        assert max(Decimal(row["high"]) for row in hour) <= Decimal(parent["high"])
        assert [row for row in await bench.page(ETH) if row in others], "the other product is as it was"
        assert bench.faults.counts == {"revision": 1}

    on_a_bench(scenario)


def test_a_delisted_product_is_not_found_and_not_listed() -> None:
    async def scenario(bench: Bench) -> None:
        for path in (
            f"/market/products/{BTC}",
            f"/market/products/{BTC}/candles",
            "/market/products/BTC-USDC",
        ):
            status, body, _ = await bench.get(path, granularity="FIVE_MINUTE", start=1, end=2)
            assert status == 404 and "NOT_FOUND" in body
        _, body, _ = await bench.get("/market/products")
        assert f'"{ETH}"' in body and f'"{BTC}"' not in body
        assert await bench.page(ETH)

    on_a_bench(scenario, Delisted(products=(BTC,)))


def test_a_halted_product_is_listed_as_that_and_answers_with_what_there_was() -> None:
    an_hour_ago = NOW - 3_600_000

    async def scenario(bench: Bench) -> None:
        _, body, _ = await bench.get(f"/market/products/{BTC}")
        told = json.loads(body)
        assert (told["status"], told["view_only"], told["limit_only"]) == ("offline", True, False)
        assert max(int(row["start"]) for row in await bench.page(BTC)) * 1000 <= an_hour_ago
        assert max(int(row["start"]) for row in await bench.page(ETH)) * 1000 > an_hour_ago
        assert '"status":"online"' in (await bench.get(f"/market/products/{ETH}"))[1]

    at = datetime.fromtimestamp(an_hour_ago / 1000, UTC)
    on_a_bench(scenario, Halted(at=at, products=(BTC,), status="offline", flags=("view_only",)))
