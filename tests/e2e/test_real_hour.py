"""Real candles 60 times as fast, over real sockets: nothing lost, doubled or altered.

A plain Redis client watches the keys all the while, and at the end holds them against the file, read and
rolled up by a few lines of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
import redis

from livecache.simulator import CsvMarket
from tests.oracle import Row, file_rows, rolled_up, unix_ms

from .support import CANDLES, Busy, Process, exchange, livecache, until

pytestmark = pytest.mark.skipif(not CANDLES.is_dir(), reason="the real candles are not beside the checkout")

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
MINUTE = 60_000
WIDTHS = {"5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": 60 * MINUTE, "4h": 240 * MINUTE}
# The file ends at 04:25, of which a busy machine may need the last minutes; there are 28 hours before.
ENDS = "2026-02-21T04:00:30"  # past the end of a bucket of 4h


@dataclass
class Series:
    """One series as it was last seen, and what the file says about it."""

    key: str
    width: int
    truth: dict[int, Row]
    members: dict[int, Row] = field(default_factory=dict)
    spans: list[list[int]] = field(default_factory=list)
    state: dict[str, int] = field(default_factory=dict)
    volumes: dict[int, Decimal] = field(default_factory=dict)

    @property
    def is_filled(self) -> bool:
        """Whether the file has enough of it, of which there are 28 hours; else its end is searched for."""
        return self.width <= WIDTHS["15m"]

    def look(self, client: redis.Redis) -> None:
        """Read set and state at one moment, and check what must hold at every moment."""
        with client.pipeline(transaction=True) as pipeline:
            pipeline.zrange(self.key, 0, -1, withscores=True)
            pipeline.hgetall(f"{self.key}:state")
            pairs, fields = pipeline.execute()
        if not fields:
            assert not pairs, "candles that nobody vouches for"
            return
        rows = [json.loads(member, parse_float=Decimal, parse_int=Decimal) for member, _ in pairs]
        times = [int(row[0]) for row in rows]
        assert times == [int(score) for _, score in pairs]
        assert len(set(times)) == len(times) == int(fields["count"]), "one member a bucket, all counted"
        self.members = {int(row[0]): tuple(row[1:]) for row in rows}
        self.spans = json.loads(fields["coverage"])
        before = self.state
        marks = ("contiguous_from", "settled_through", "known_through", "closed_through")
        self.state = {name: int(fields[name]) for name in (*marks, "ready", "history_from")}
        assert [self.state[mark] for mark in marks] == sorted(self.state[mark] for mark in marks)
        for mark in ("settled_through", "closed_through"):
            assert self.state[mark] >= before.get(mark, 0), f"{mark} went back"
        assert before.get("ready", 0) <= self.state["ready"], "once ready, ready throughout"
        for time, row in self.members.items():
            final = self.truth[time]
            if self.covers(time):
                assert row == final, f"{self.key} {time} is settled and differs from the file"
            else:
                # What is in progress is a part of what it becomes, and never becomes poorer.
                assert row[0] == final[0] and row[1] <= final[1] and row[2] >= final[2] and row[4] <= final[4]
            assert row[4] >= self.volumes.get(time, 0), f"{self.key} {time} became poorer"
            self.volumes[time] = row[4]

    def covers(self, time: int) -> bool:
        """Whether the state says that this bucket is settled."""
        return any(start <= time < end for start, end in self.spans)


@pytest.mark.takes(30)
@pytest.mark.parametrize("minutes", [17, pytest.param(65, marks=pytest.mark.long)])
def test_real_candles_arrive_as_the_file_has_them(clean_valkey: str, minutes: int) -> None:
    files = {symbol: CANDLES / f"{symbol}_300s.csv" for symbol in SYMBOLS}
    through = unix_ms(ENDS)
    began = through - minutes * MINUTE
    watched = [
        Series(
            f"livecache:{{coinbase:{symbol}}}:{name}",
            width,
            rolled_up(file_rows(CANDLES / f"{symbol}_300s.csv"), width),
        )
        for name, width in WIDTHS.items()
        for symbol in SYMBOLS
    ]
    states = [f"{series.key}:state" for series in watched]
    with exchange(CsvMarket(files), speed=60.0, start_ms=began, requests_per_second=10) as venue:
        env = venue.settings(
            clean_valkey,
            CACHE_TIMEFRAMES=",".join(WIDTHS),
            VENUES_COINBASE_REQUESTS_PER_SECOND=9,
        )
        with (
            livecache("run", env=env) as service,
            redis.Redis.from_url(clean_valkey, decode_responses=True) as client,
            Busy() as busy,
        ):
            until("all is written for the first time", lambda: client.exists(*states) == len(states), 200.0)
            # What closed before a busy machine came to the first pages is history, and no news.
            news_from = max(began, venue.simulator.now())

            def all_is_settled() -> bool:
                for series in watched:
                    series.look(client)
                return all(
                    series.state.get("settled_through", 0) >= through - through % series.width
                    and (series.is_filled or series.state["history_from"] > 0)
                    for series in watched
                )

            until("all of it is settled", all_is_settled, 200.0, every_s=0.5)
            check_what_is_there(watched, began, through)
            check_what_was_announced(client, watched, news_from, through)
            if busy.longest_s < 0.2:  # which is twelve seconds of the market
                check_what_was_said(service)
            service.stop()


def check_what_is_there(watched: list[Series], began: int, through: int) -> None:
    """Every settled candle of the file, those of the hour all among them, and no other."""
    compared = 0
    for series in watched:
        # At the end of the file nothing is left to compare with; before it, all that is covered is.
        settled = {time: row for time, row in series.members.items() if series.covers(time)}
        assert settled == {time: row for time, row in series.truth.items() if series.covers(time)}
        live = range(began - began % series.width, through - through % series.width, series.width)
        assert all(time in settled for time in live)
        assert series.state["ready"] == series.is_filled
        if series.state["ready"]:
            assert len(settled) >= 100
        else:
            assert len(settled) == sum(time in settled for time in series.truth)
            assert series.state["history_from"] > 0, "it was searched for"
        compared += len(settled)
    assert compared > 3 * (100 + 100 + 28 + 7)


def check_what_was_announced(
    client: redis.Redis, watched: list[Series], news_from: int, through: int
) -> None:
    """Each bucket since then was announced as settled, with the file's candle, and none was revised."""
    announced: dict[tuple[str, int], Row] = {}
    entries: Any = client.xrange("livecache:{coinbase}:closes")
    for _, entry in entries:
        assert entry["kind"] in ("closed", "settled"), entry
        if entry["kind"] == "settled":
            row = json.loads(entry["candle"], parse_float=Decimal, parse_int=Decimal)
            where = (entry["series"], int(entry["time"]))
            assert announced.setdefault(where, tuple(row[1:])) == tuple(row[1:])
    for series in watched:
        symbol, name = series.key.partition("coinbase:")[2].split("}:")
        first = news_from - news_from % series.width + series.width
        for time in range(first, through - through % series.width, series.width):
            assert announced.get((f"{symbol}:{name}", time)) == series.truth[time], (symbol, name, time)


def check_what_was_said(service: Process) -> None:
    """It was a quiet day; at most a busy machine let requests bunch, so that the exchange refused one."""
    loud = [
        (r["time"], r["event"], r["message"])
        for r in service.records
        # The server's own settings, which the test leaves as they are, are commented on.
        if r["level"] not in ("INFO", "DEBUG") and "429" not in r["message"] and r["event"] != "redis_advice"
    ]
    assert not loud, loud
    assert service.errors == []
