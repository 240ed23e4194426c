"""Versions side by side: what 0.1 wrote is read, and what is written now is what a reader of 0.1 needs.

`written_by_0_1.json` is what its service left in Redis after it had warmed up on the simulator;
`read_by_0_1.lua` is the script by which its readers read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from livecache import NotReady
from livecache.keys.keyspace import Keyspace, encode_close, encode_update
from livecache.model.series import Close, Kind, SeriesId, Update
from livecache.model.timeframe import Timeframe

from .either import either
from .support import BTC, STEP, T0, Source, candle
from .writing import eventually, on_valkey, running, writer_of

HERE = Path(__file__).parent
RECORDED: dict[str, dict[str, Any]] = json.loads((HERE / "written_by_0_1.json").read_text(encoding="utf-8"))
READ = (HERE / "read_by_0_1.lua").read_text(encoding="utf-8")

KEYS = Keyspace()
SERIES = [
    SeriesId("coinbase", symbol, timeframe)
    for symbol in ("BTC-USD", "THIN-USD")
    for timeframe in (Timeframe.M5, Timeframe.H1)
]


def restore(client: Any) -> None:
    """Put all that 0.1 wrote into an empty server."""
    for key, held in RECORDED.items():
        value = held["value"]
        if held["type"] == "zset":
            client.zadd(key, {member: json.loads(member)[0] for member in value})
        elif held["type"] == "hash":
            client.hset(key, mapping=value)
        elif held["type"] == "set":
            client.sadd(key, *value)
        elif held["type"] == "stream":
            for entry, fields in value:
                client.xadd(key, fields, id=entry)
        else:
            client.set(key, value)


def rows(series: SeriesId) -> list[Any]:
    """The closed candles of a series as 0.1 wrote them."""
    key = KEYS.candles(*series[1:])
    known = int(RECORDED[f"{key}:state"]["value"]["known_through"])
    members = [json.loads(member) for member in RECORDED[key]["value"]]
    return [row for row in members if row[0] < known]


# --- what 0.1 wrote, read now


def test_every_read_of_what_0_1_wrote_is_as_it_was(kind: str, clean_valkey: str, store: Any) -> None:
    restore(store)
    with either(kind, clean_valkey) as reader:
        assert set(reader.series()) == set(SERIES)
        assert {view.state for view in reader.states()} == {"ready"}
        for series in SERIES:
            _, symbol, timeframe = series
            closed = rows(series)
            candles = reader.candles(symbol, timeframe, len(closed))
            assert [list(candle) for candle in candles] == closed
            assert reader.fetch_ohlcv(symbol, timeframe) == closed
            assert candles.standing == "" and candles.feed == "up"
            assert len(reader.candles(symbol, timeframe, 5, settled=True)) == 5
            assert len(reader.candles(symbol, timeframe, 5, forming=True)) in (5, 6)
            with pytest.raises(NotReady):
                reader.candles(symbol, timeframe, 500)
        status = reader.status()
        assert status.alive and status.connected and status.symbols == {"BTC-USD": "up", "THIN-USD": "up"}
        events = reader.closes(after="0")
        before = [entry for entry, _ in RECORDED[KEYS.closes]["value"]]
        assert [next(events).id for _ in before] == before
        events.close()
        follower = reader.follow_many(["BTC-USD", "THIN-USD"], "5m", 20)
        assert {next(follower)[0].symbol for _ in range(2)} == {"BTC-USD", "THIN-USD"}
        follower.close()


# --- what is written now, read by 0.1


class AliveOf01(msgspec.Struct):
    """What 0.1 takes of an alive key; whatever else is there it passes over."""

    instance: str
    time: int
    feed: str


def on_written(url: str, test: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run a test once the writer has written two series."""

    async def body(client: Any, source: Source) -> None:
        async with running(writer_of(client, source)):

            async def written() -> bool:
                return bool(await client.exists(KEYS.state(*BTC[1:]), KEYS.alive("BTC-USD")) == 2)

            await eventually(written)
            await test(client)

    on_valkey(url, body)


def test_a_reader_of_0_1_finds_all_that_it_needs_in_what_is_written_now(clean_valkey: str) -> None:
    """It reads by the script that 0.1 reads by, and by the steps of docs/keyspace.md of that version."""

    async def test(client: Any) -> None:
        keys = [KEYS.candles(*BTC[1:]), KEYS.state(*BTC[1:]), KEYS.alive("BTC-USD")]
        command = ("EVAL_RO", READ, len(keys), *keys, "newest", "known", 61, 1)
        fields, alive, size, members, _ = await client.execute_command(*command)
        schema, count, reason, *times = fields
        assert (schema, int(count), reason) == (b"1", size, b"")
        contiguous, settled, known, closed, forming = map(int, times)
        assert (contiguous, settled, known, closed, forming) == (T0, *[T0 + 10 * STEP] * 3, 0)
        assert members[::-1] == [candle(n).member().encode() for n in range(10)]
        told = msgspec.json.decode(alive, type=AliveOf01)
        assert told.feed == "up" and told.time > 0 and told.instance == "one"

    on_written(clean_valkey, test)


def test_what_is_written_now_has_every_field_that_0_1_wrote(clean_valkey: str) -> None:
    async def test(client: Any) -> None:
        now = {key.decode(): (await client.type(key)).decode() async for key in client.scan_iter()}
        both = {key: kind for key, kind in now.items() if key in RECORDED}
        assert both == {key: RECORDED[key]["type"] for key in both} and len(both) >= 5
        state_key = KEYS.state(*BTC[1:])
        held = {name.decode() for name in await client.hgetall(state_key)}
        assert held >= {*RECORDED[state_key]["value"]}
        for key in (KEYS.alive("BTC-USD"), KEYS.lease):
            assert {*json.loads(await client.get(key))} >= {*json.loads(RECORDED[key]["value"])}

    on_written(clean_valkey, test)


def test_an_entry_and_a_hint_say_what_they_said_in_0_1() -> None:
    _, before = RECORDED[KEYS.closes]["value"][0]
    flat = encode_close(Close(Kind.CLOSED, BTC, T0, candle(0), None), KEYS)
    entry = dict(zip(flat[::2], flat[1::2], strict=True))
    assert {*entry} >= {*before} and entry["series"] == "BTC-USD:5m" and entry["kind"] == before["kind"]
    assert encode_update(Update(Kind.FORMING, candle(0))).startswith('{"kind":"forming","candle":[')
    assert KEYS.updates(*BTC[1:]) == "livecache:{coinbase:BTC-USD}:5m:updates"
