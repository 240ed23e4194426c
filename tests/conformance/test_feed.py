"""What the feed of every venue tells, whatever becomes of it."""

from __future__ import annotations

import pytest

from livecache.venues.venue import Broken, Event, FeedCandles, Rejected, Subscribed

from .bench import OPEN, Bench, Make, following, news, on


def breaks(told: list[Event]) -> list[Broken]:
    return [event for event in told if isinstance(event, Broken)]


def test_what_is_subscribed_to_is_told_of_and_is_what_was_traded(make: Make) -> None:
    async def check(bench: Bench) -> None:
        face, both = bench.face, (bench.face.symbol, bench.face.other)
        async with following(bench, *both) as feed:
            told = await feed.data(*both)
            told += await feed.until(lambda told: len(news(told)) > 10)
            heard = {name for e in told if isinstance(e, Subscribed) for name in e.products}
            assert heard | {c[0] for e in told if isinstance(e, FeedCandles) for c in e.candles} == {*both}
            assert breaks(told) == []
            for name, timeframe, candle, _ in news(told):
                assert timeframe in bench.venue.traits.carried
                (truth,) = face.rows(name, timeframe, candle.time, candle.time + 1)
                assert truth.reaches(candle) and (truth == candle or truth.richer_than(candle))

    on(make, check, OPEN)


def test_another_name_is_told_of_beside_its_symbol(make: Make) -> None:
    async def check(bench: Bench) -> None:
        for alias, symbol in bench.face.aliases.items():
            async with following(bench, alias, symbol) as feed:
                told = await feed.data(alias, symbol)
                assert {c[1:] for c in news(told) if c[0] == alias} & {
                    c[1:] for c in news(told) if c[0] == symbol
                }

    on(make, check, OPEN)


def test_a_break_is_told_before_anything_else_and_the_feed_comes_back(make: Make) -> None:
    async def check(bench: Bench) -> None:
        async with following(bench, bench.face.symbol) as feed:
            await feed.data(bench.face.symbol)
            await bench.front.cut()
            told = await feed.until(breaks)
            (broken,) = breaks(told)
            assert broken.products == (bench.face.symbol,) and broken.lost_connection
            await feed.data(bench.face.symbol)
            assert bench.front.connections == 2

    on(make, check, OPEN)


def test_a_connection_that_says_nothing_is_given_up(make: Make) -> None:
    async def check(bench: Bench) -> None:
        async with following(bench, bench.face.symbol) as feed:
            await feed.data(bench.face.symbol)
            bench.front.frame = lambda text: ()
            told = await feed.until(breaks)
            assert breaks(told)[0].lost_connection
            bench.front.frame = lambda text: (text,)
            await feed.data(bench.face.symbol)

    on(make, check, OPEN)


def test_acks_and_heartbeats_over_a_dead_channel_are_no_life(make: Make) -> None:
    async def check(bench: Bench) -> None:
        symbol = bench.face.symbol
        async with following(bench, symbol) as feed:
            await feed.until(lambda told: len(news(told)) > 30)
            bench.face.muted = True
            told = await feed.until(breaks)
            (broken,) = breaks(told)
            assert broken.products == (symbol,) and broken.mute and broken.since is not None
            bench.face.muted = False
            await feed.data(symbol)

    on(make, check, OPEN)


def test_garbage_is_no_news_and_harms_nothing(make: Make) -> None:
    async def check(bench: Bench) -> None:
        symbol = bench.face.symbol
        async with following(bench, symbol) as feed:
            await feed.data(symbol)
            for text in ("", "null", "[]", "{", "{}", "7", '"', "\x00", "[" * 1_000, '{"a":' * 1_000):
                await bench.front.say(text)
            told = await feed.until(lambda told: sum(isinstance(e, Rejected) for e in told) >= 5)
            assert all(len(e.payload) < 1_000 and e.code for e in told if isinstance(e, Rejected))
            told += await feed.data(symbol)
            assert breaks(told) == [] and bench.front.connections == 1

    on(make, check, OPEN)


def test_renewing_breaks_what_is_renewed_and_it_is_told_of_again(make: Make) -> None:
    async def check(bench: Bench) -> None:
        symbol, other = bench.face.symbol, bench.face.other
        async with following(bench, symbol, other) as feed:
            await feed.data(symbol, other)
            await feed.feed.renew([other])
            told = await feed.until(breaks)
            (broken,) = breaks(told)
            assert broken.products == (other,) and broken.mute and not broken.lost_connection
            await feed.data(symbol, other)
            assert bench.front.connections == 1

    on(make, check, OPEN)


def test_other_symbols_are_carried_on_without_a_break(make: Make) -> None:
    async def check(bench: Bench) -> None:
        symbol, other = bench.face.symbol, bench.face.other
        async with following(bench, symbol) as feed:
            await feed.data(symbol)
            (same,) = bench.venue.feeds((symbol, other), {}, trades=False, among=(feed.feed,))
            assert same is feed.feed
            told = await feed.data(symbol, other)
            assert breaks(told) == [] and bench.front.connections == 1

    on(make, check, OPEN)


def test_a_connection_that_is_known_to_end_is_followed_before_it_does(make: Make) -> None:
    async def check(bench: Bench) -> None:
        symbol = bench.face.symbol
        if not (leaving := bench.face.leaving):
            pytest.skip("this venue never says that it will close a connection: its connections break")
        async with following(bench, symbol) as feed:
            await feed.data(symbol)
            await bench.front.say(leaving)
            told = await feed.until(lambda told: bench.front.connections == 2 and bench.front.open == 1)
            told += await feed.data(symbol)
            assert breaks(told) == []

    on(make, check, OPEN)


def test_a_bucket_is_said_to_be_over_where_the_traits_say_so_and_nowhere_else(make: Make) -> None:
    async def check(bench: Bench) -> None:
        traits, symbol = bench.venue.traits, bench.face.symbol
        flags = {c.timeframe: c.flag for c in traits.carries}
        assert any(flags.values()) is (bench.face.flag is not None)
        grid = traits.grid(bench.carried)
        async with following(bench, symbol) as feed:
            told = await feed.until(lambda told: len({c[2].time for c in news(told)}) >= 3)
            by_bucket: dict[int, list[bool]] = {}
            for _, timeframe, candle, last in news(told):
                assert not last or flags[timeframe]
                assert not last or grid.end(candle.time) <= bench.face.now()
                by_bucket.setdefault(candle.time, []).append(last)
            for flagged in list(by_bucket.values())[:-1] if flags[bench.carried] else ():
                assert flagged == [False] * (len(flagged) - 1) + [True]

    on(make, check, OPEN, speed=240.0)


@pytest.mark.parametrize("what", ["lost", "repeated", "late"])
def test_a_closing_flag_may_be_lost_come_late_or_twice(make: Make, what: str) -> None:
    async def check(bench: Bench) -> None:
        face = bench.face
        if face.flag is None:
            pytest.skip("this venue's feed has no closing flags")
        yes, no = face.flag
        late: list[str] = []

        def frame(text: str) -> list[str]:
            if yes in text and what == "late":
                late.append(text)
                return []
            if yes in text:
                return [text.replace(yes, no)] if what == "lost" else [text, text]
            held, late[:] = ([*late], []) if face.data in text else ([], late)
            return [text, *held]

        bench.front.frame = frame
        async with following(bench, face.symbol) as feed:
            told = await feed.until(lambda told: len({c[2].time for c in news(told)}) >= 3)
            lasts = [c[2] for c in news(told) if c[3]]
            assert len(set(lasts)) == (0 if what == "lost" else 2 if what == "repeated" else len(set(lasts)))
            for candle in lasts:
                assert [candle] == [*face.rows(face.symbol, bench.carried, candle.time, candle.time + 1)]
            assert breaks(told) == []

    on(make, check, OPEN, speed=240.0)


def test_a_frame_that_comes_again_later_bears_the_stamp_that_it_had(make: Make) -> None:
    """Where the stamps tell which candle is the later, they are the venue's and not of when it came."""

    async def check(bench: Bench) -> None:
        face = bench.face
        if bench.venue.traits.order != "stamp":
            pytest.skip("of this venue's candles the one with more volume is the later")
        first: list[str] = []

        def frame(text: str) -> list[str]:
            if face.data not in text or (first and text == first[0]):
                return [text]
            first.append(text)
            return [text, first[0]] if len(first) > 5 else [text]

        bench.front.frame = frame
        async with following(bench, face.symbol) as feed:
            told = await feed.until(lambda told: len(news(told)) > 10)
        shown = [(e.stamp, e.candles) for e in told if isinstance(e, FeedCandles) and not e.snapshot]
        stamps = [stamp for stamp, candles in shown if candles != shown[0][1]]
        assert stamps == sorted(stamps)
        again = [stamp for stamp, candles in shown[1:] if candles == shown[0][1]]
        assert again and set(again) == {shown[0][0]}

    on(make, check, OPEN)
