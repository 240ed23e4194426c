"""`/api/v1/stream`: what happens, once told to each as far as it asked; and what cannot be told any more."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from livecache.http.api import hub
from livecache.keys.keyspace import encode_close, encode_update
from livecache.model.candle import ExactCandle
from livecache.model.series import Close, Kind, SeriesId, Update
from livecache.model.timeframe import Timeframe

from ..cache.support import BTC, ETH, STEP, T0, candle, state
from ..cache.test_close_events import announce
from ..cache.test_reader import KEYS, put
from ..e2e.gate import gate
from ..e2e.support import until
from .api import Served, StreamClient, listening, served
from .filling import FROM_EIGHT, NOW, fill
from .support import ask

ROUNDS, EVENTS_A_ROUND = 100, 200  # of 700 bytes: the system keeps a few megabytes for a connection

CHANNEL = KEYS.updates(*BTC[1:])


@pytest.fixture
def store(clean_valkey: str) -> Iterator[Any]:
    with redis.Redis.from_url(clean_valkey) as client:
        for series in (BTC, ETH):
            put(client, state(0, 10, 10, forming=10), range(11), series=series)
            client.persist(KEYS.alive(series.symbol))
        yield client


def trade(client: Any, n: int, close: str = "101.5") -> None:
    traded = candle(n, close)
    with client.pipeline(transaction=True) as pipeline:
        pipeline.zremrangebyscore(KEYS.candles(*BTC[1:]), traded.time, traded.time)
        pipeline.zadd(KEYS.candles(*BTC[1:]), {traded.member(): traded.time})
        pipeline.execute()
    hint(client, traded)


def hint(client: Any, of: ExactCandle) -> None:
    client.publish(CHANNEL, encode_update(Update(Kind.FORMING, of)))


def listeners(client: Any) -> int:
    return int(client.pubsub_numsub(CHANNEL)[0][1])


# --- what is told


def test_a_stream_begins_with_how_its_series_stand(store: Any, server: Served) -> None:
    first = announce(store, 1, shown=candle(1))
    with listening(server.url, "ETH-USD:5m", "BTC-USD:5m", "BTC-USD:5m") as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "text/event-stream"
        event = stream.event()
        assert (event.name, event.id) == ("state", first), "from there it goes on"
        assert event.data["time"] == T0 + 10 * STEP + 1000 and event.data["error"] == ""
        row = event.data["series"][1]
        assert [one["symbol"] for one in event.data["series"]] == ["ETH-USD", "BTC-USD"]
        assert row in ask(server.url, "/api/v1/series").content["series"]


def test_it_tells_what_becomes_of_each_bucket(store: Any, server: Served) -> None:
    with listening(server.url, "BTC-USD:5m") as stream:
        stream.event("state")
        announce(store, 8, shown=candle(8), series=ETH)
        ids = [
            announce(store, 8, shown=candle(8)),
            announce(store, 9, kind=Kind.SETTLED),
            announce(store, 3, kind=Kind.REVISED, shown=candle(3, close="99.00"), replaced=candle(3)),
        ]
        closed, settled, revised = (stream.event("closed", "settled", "revised") for _ in range(3))
        assert [closed.id, settled.id, revised.id] == ids
        names = {"venue": "coinbase", "symbol": "BTC-USD", "timeframe": "5m"}
        shown = [T0 + 8 * STEP, 100, 110, 90, 101.5, 2.5]
        assert closed == ("closed", {**names, "time": shown[0], "candle": shown, "replaced": None}, ids[0])
        assert (settled.name, settled.data["candle"]) == ("settled", None), "proven empty"
        assert revised.data["candle"][4] == 99 and revised.data["replaced"][4] == 101.5


def test_days_from_eight_are_told_too(store: Any, server: Served) -> None:
    days = SeriesId("coinbase", "BTC-USD", Timeframe.D1)
    fill(store, "BTC-USD", "1d", [5.0, 6.0], grid=FROM_EIGHT)
    with listening(server.url, "BTC-USD:1d") as stream:
        row = stream.event("state").data["series"][0]
        opened = FROM_EIGHT.back(FROM_EIGHT.floor(NOW))
        assert (row["last"], row["last_time"]) == (6.0, opened)
        told = Close(Kind.CLOSED, days, opened, ExactCandle(opened, "5", "6", "5", "6", "2"), None)
        flat = encode_close(told, KEYS)
        store.xadd(KEYS.closes, dict(zip(flat[::2], flat[1::2], strict=True)))
        assert stream.event("closed").data["candle"] == [opened, 5, 6, 5, 6, 2]


def test_it_tells_the_bucket_in_progress_as_it_trades(store: Any, server: Served) -> None:
    with listening(server.url, "BTC-USD:5m") as stream:
        stream.event("state")
        until("it listens", lambda: listeners(store) == 1)
        store.publish(
            CHANNEL, encode_update(Update(Kind.CLOSED, candle(9)))
        )  # The stream of closes tells that.
        store.publish(CHANNEL, '{"kind":"forming","candle":"nonsense"}')
        trade(store, 10, "102.25")
        event = stream.event("forming", "closed")
        assert event.data == {
            "venue": "coinbase",
            "symbol": "BTC-USD",
            "timeframe": "5m",
            "time": T0 + 10 * STEP,
            "candle": [T0 + 10 * STEP, 100, 110, 90, 102.25, 2.5],
        }
        assert (event.name, event.id) == ("forming", "")


def test_a_message_that_another_wrote_is_a_reason_to_read_and_no_candle(store: Any, server: Served) -> None:
    """As of a service of an older version on another database of the server, whose channel is the same."""
    with listening(server.url, "BTC-USD:5m") as stream:
        stream.event("state")
        until("it listens", lambda: listeners(store) == 1)
        for close in ("900.25", "901.25"):
            hint(store, candle(10, close))
        first = stream.event("forming")
        for _ in range(3):
            hint(store, candle(10, "902.25"))
        hint(store, candle(11, "903.25"))
        trade(store, 10, "102.25")
        assert [one.data["candle"][4] for one in (first, stream.event("forming"))] == [101.5, 102.25]


def test_a_change_of_state_is_told_and_otherwise_a_sign_of_life(
    store: Any, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HEARTBEAT_S", 1.5)
    with listening(server.url, "BTC-USD:5m") as stream:
        stream.event("state")
        entry = announce(store, 1, shown=candle(1), series=ETH)
        beats = [stream.event("state") for _ in range(3)]
        assert beats[-1].id == entry, "what is not of its series need not be gone through again"
        put(store, state(0, 10, 10, ready=False, reason="lagging: for a test"), range(11), feed="down")
        until("it is told", lambda: stream.event("state").data["series"][0]["state"] == "lagging")


def test_one_stream_tells_what_becomes_of_every_bucket_of_all_series(store: Any, server: Served) -> None:
    """What is in progress is told to whoever names its series: of all of them that is too much."""
    many = [SeriesId("coinbase", f"COIN{n}-USD", Timeframe.M5) for n in range(1_500)]
    store.sadd(KEYS.series, *(KEYS.series_member(series) for series in many))
    with listening(server.url, "BTC-USD:5m") as one, listening(server.url, "*") as everything:
        first = everything.event()
        assert (first.name, first.data["series"], first.data["error"]) == ("state", [], "")
        assert first.data["time"] == T0 + 10 * STEP + 1000, "somebody vouches"
        one.event("state")
        until("it listens", lambda: listeners(store) == 1)
        trade(store, 10)
        one.event("forming")
        ids = [announce(store, 1, shown=candle(1), series=series) for series in [*many, BTC]]
        told = [everything.event("closed", "forming") for _ in ids]
        assert [event.id for event in told] == ids
        assert {event.data["symbol"] for event in told} == {series.symbol for series in [*many, BTC]}
        assert one.event("closed").id == ids[-1]
    with listening(server.url, "*", after=ids[2]) as again:
        assert [again.event("closed").id for _ in ids[3:]] == ids[3:], "and it goes on where it left"


def test_all_streams_share_one_subscription(store: Any, server: Served) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(listening(server.url, "BTC-USD:5m")) for _ in range(8)]
        for stream in streams:
            stream.event("state")
        until("it listens", lambda: listeners(store) == 1)
        trade(store, 10)
        announce(store, 10, shown=candle(10))
        for stream in streams:
            assert {stream.event("forming", "closed").name for _ in range(2)} == {"forming", "closed"}
        assert listeners(store) == 1


def test_while_nobody_listens_redis_is_left_alone(store: Any, server: Served) -> None:
    with listening(server.url, "BTC-USD:5m") as stream:
        stream.event("state")
        until("it listens", lambda: listeners(store) == 1)
    until("it has let go", lambda: listeners(store) == 0, 30.0)
    entry = announce(store, 1, shown=candle(1))
    with listening(server.url, "BTC-USD:5m") as stream:
        assert stream.event().id == entry, "what came meanwhile was nobody's"


# --- resuming


def test_it_goes_on_where_a_client_left_off(store: Any, server: Served) -> None:
    with listening(server.url, "BTC-USD:5m") as stream:
        stream.event("state")
        announce(store, 1, shown=candle(1))
        left = stream.event("closed").id
    missed = [announce(store, n, shown=candle(n), series=(ETH, BTC)[n % 2]) for n in range(2, 350)]
    wanted = missed[1::2]
    for resumed in (
        listening(server.url, "BTC-USD:5m", Last_Event_ID=left),
        listening(server.url, "BTC-USD:5m", after=left),
        listening(server.url, "BTC-USD:5m", after="0", Last_Event_ID=left),
    ):
        with resumed as stream:
            first = stream.event()
            assert (first.name, first.id) == ("state", ""), "its place stays until it has been told all"
            assert [stream.event("closed").id for _ in wanted] == wanted
            live = announce(store, 500, shown=candle(500))
            assert stream.event("closed").id == live
            wanted.append(live)


def test_what_was_trimmed_is_said_to_be_lost(store: Any, server: Served) -> None:
    gone = announce(store, 1, shown=candle(1))
    kept = announce(store, 2, shown=candle(2))
    store.xtrim(KEYS.closes, maxlen=1, approximate=False)
    with listening(server.url, "BTC-USD:5m", Last_Event_ID=gone) as stream:
        lost = stream.event("lost", "closed")
        assert (lost.name, lost.data["after"], lost.id) == ("lost", gone, kept)
        assert "is gone" in lost.data["error"] and lost.data["hint"]
        new = announce(store, 3, shown=candle(3))
        assert stream.event("lost", "closed").id == new
    with listening(server.url, "BTC-USD:5m", Last_Event_ID="99999999999999-0") as stream:
        assert stream.event("lost").id == new, "an id of another server"


def test_who_listens_is_told_when_redis_was_emptied(store: Any, server: Served) -> None:
    announce(store, 1, shown=candle(1))
    with listening(server.url, "BTC-USD:5m") as stream:
        stream.event("state")
        announce(store, 2, shown=candle(2))
        stream.event("closed")
        store.delete(KEYS.closes)
        assert stream.event("lost").data["after"]
        new = announce(store, 3, shown=candle(3))
        assert stream.event("closed").id == new


def test_a_service_that_starts_over_is_followed(store: Any, server: Served) -> None:
    with listening(server.url, "BTC-USD:5m") as stream:
        stream.event("state")
        server.leave()
        # A look that was under way may be told first: Redis closed the connection.
        until("it says so", lambda: "starting" in stream.event("state").data["error"])
        announce(store, 1, shown=candle(1))
        server.replace()
        assert stream.event("closed").data["time"] == T0 + STEP, "nothing is lost over it"
        until("all is well", lambda: stream.event("state").data["error"] == "")


def test_redis_gone_under_a_stream_is_told_and_nothing_is_lost_over_it(store: Any, clean_valkey: str) -> None:
    with (
        gate(urlsplit(clean_valkey).port or 0) as way,
        served(way.url) as server,
        listening(server.url, "BTC-USD:5m") as stream,
    ):
        stream.event("state")
        way.cut()
        error = until(
            "it says so", lambda: next((e for e in [stream.event("state").data["error"]] if e), None)
        )
        assert "Redis" in error
        missed = announce(store, 1, shown=candle(1))
        way.open()
        assert stream.event("closed").id == missed
        until("all is well", lambda: stream.event("state").data["error"] == "")
        until("it listens", lambda: listeners(store) == 1)
        trade(store, 10)
        assert stream.event("forming").data["candle"][4] == 101.5


# --- what is refused, and who is cut off


@pytest.mark.parametrize(
    ("query", "status", "error", "hint"),
    [
        ("", 400, "missing parameter series", ""),
        ("series=BTC-USD", 400, "series: 'BTC-USD' is none", "BTC-USD:5m"),
        ("series=BTC-USD:7m", 400, "unknown timeframe '7m'", "did you mean"),
        ("series=BTC-USD:1h", 404, "nobody fills", "BTC-USD has 5m"),
        ("series=BTC-USD:5m&series=EHT-USD:5m", 404, "EHT-USD", "ETH-USD"),
        ("series=BTC-USD:5m&after=yesterday", 400, "after: ", ""),
        ("&".join(f"series=C{n}-USD:5m" for n in range(101)), 400, "series: ", ""),
        ("serie=BTC-USD:5m", 400, "there is no parameter 'serie'", "did you mean series"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(
    store: Any, server: Served, query: str, status: int, error: str, hint: str
) -> None:
    answer = ask(server.url, f"/api/v1/stream?{query}")
    assert answer.status == status, answer
    assert error in answer.content["detail"] and hint in answer.content["hint"], answer.content


def test_a_header_that_is_no_id_is_refused(store: Any, server: Served) -> None:
    answer = ask(server.url, "/api/v1/stream?series=BTC-USD:5m", Last_Event_ID="yesterday")
    assert (answer.status, answer.content["kind"]) == (400, "bad_request")
    assert ask(server.url, "/api/v1/stream?series=BTC-USD:5m", method="HEAD").status == 200


def test_there_are_so_many_streams_and_probes_are_answered_beside_them(
    store: Any, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "STREAMS_MOST", 20)
    with ExitStack() as stack:
        for _ in range(hub.STREAMS_MOST):
            stack.enter_context(listening(server.url, "BTC-USD:5m")).event("state")
        more = ask(server.url, "/api/v1/stream?series=BTC-USD:5m")
        assert (more.status, more.content["kind"]) == (503, "too_many_streams")
        assert ask(server.url, "/api/v1/candles?symbol=BTC-USD&timeframe=5m&limit=5").status == 200
    again: StreamClient = until("there is room again", lambda: room(server), 30.0, every_s=0.2)
    again.close()


def room(server: Served) -> StreamClient | None:
    stream = StreamClient(server.url, "series=BTC-USD:5m")
    if stream.status == 200:
        return stream
    stream.close()
    return None


def test_a_client_that_does_not_read_is_cut_off_and_harms_nobody(store: Any, server: Served) -> None:
    """More is told than the system keeps for it, and the server beside: then it finds the end."""
    number = "123456789012345678.123456789012345678901234567"
    long = ExactCandle(T0, *[number] * 5)
    flat = encode_close(Close(Kind.REVISED, BTC, T0, long, long), KEYS)
    entry = dict(zip(flat[::2], flat[1::2], strict=True))
    host, port = server.url.removeprefix("http://").split(":")
    with socket.socket() as deaf, listening(server.url, "BTC-USD:5m") as stream:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(30)
        deaf.connect((host, int(port)))
        deaf.sendall(b"GET /api/v1/stream?series=BTC-USD:5m HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        stream.event("state")
        for _ in range(ROUNDS):
            # Less at a time than a stream may be behind: whoever reads never is.
            with store.pipeline(transaction=False) as pipeline:
                for _ in range(EVENTS_A_ROUND):
                    pipeline.xadd(KEYS.closes, entry, maxlen=1_000)
                pipeline.execute()
            for _ in range(EVENTS_A_ROUND):
                stream.event("revised")
        last = announce(store, 7, shown=candle(7))
        assert stream.event("closed").id == last
        received = drained(deaf)
        assert last.encode() not in received and received.count(b"event: revised") < ROUNDS * EVENTS_A_ROUND


def drained(client: socket.socket) -> bytes:
    """All that there is until the other side has closed, or reset, the connection."""
    received = bytearray()
    deadline = time.monotonic() + 60
    try:
        while data := client.recv(1 << 16):
            received += data
            assert time.monotonic() < deadline, "it goes on and on"
    except ConnectionError:
        pass
    return bytes(received)


def test_the_end_of_the_server_ends_the_streams(store: Any, clean_valkey: str) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(served(clean_valkey))
        streams = [stack.enter_context(listening(server.url, "BTC-USD:5m")) for _ in range(3)]
        for stream in streams:
            stream.event("state")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 4, "it must end within the service's five seconds"
        for stream in streams:
            with pytest.raises((EOFError, ConnectionError)):
                stream.event("closed")
