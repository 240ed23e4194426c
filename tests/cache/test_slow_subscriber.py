"""A client that subscribes and never reads is its own problem: neither writer nor server suffers."""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

import redis
import redis.asyncio

from livecache.embedded.server import EmbeddedServer
from livecache.model.series import Kind, Update
from livecache.wire.advice import advise

from .support import BTC, STEP, T0, Source, candle, state, until
from .writing import on_valkey, running, writer_of

_HARD_LIMIT = 1_000_000  # bytes; the server's own is 32 MB, which would only take longer to reach
_UPDATES = 40_000
_A_FLUSH = 400


def _deaf_subscriber(url: str) -> socket.socket:
    """Subscribed to every channel, with the least room for what it will never read."""
    address = urlsplit(url)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect((address.hostname, address.port))
    deaf.sendall(b"PSUBSCRIBE *\r\n")
    assert deaf.recv(5).startswith(b"*3")
    return deaf


def test_a_subscriber_that_never_reads_does_not_hurt_the_writer(clean_valkey: str) -> None:
    async def test(client: Any, source: Source) -> None:
        writer = writer_of(client, source)
        limits = (await client.config_get("client-output-buffer-limit"))["client-output-buffer-limit"]
        await client.config_set("client-output-buffer-limit", f"pubsub {_HARD_LIMIT} 0 0")
        try:
            with _deaf_subscriber(clean_valkey):
                async with running(writer):
                    await until(lambda: writer.stats.upserts == 2)
                    most = 0
                    for n in range(_UPDATES // _A_FLUSH):
                        update = Update(Kind.FORMING, candle(10, volume=f"{n}.5"))
                        source.change(
                            BTC,
                            {T0 + 10 * STEP: update.candle},
                            state(0, 10, 10),
                            updates=(update,) * _A_FLUSH,
                        )
                        await until(lambda: not source.changed)
                        held = [int(c["omem"]) for c in await client.client_list(_type="pubsub")]
                        most = max([most, *held])
                    assert writer.stats.errors == writer.stats.fenced == writer.stats.lost == 0
                    # The server closes it a moment after it has found it over the limit.
                    assert 0 < most <= 1.1 * _HARD_LIMIT, "what waits for it is bounded"
                    assert not await client.client_list(_type="pubsub"), "and in the end it is cut off"
        finally:
            await client.config_set("client-output-buffer-limit", limits)

    on_valkey(clean_valkey, test, seconds=60)


def test_the_embedded_server_bounds_what_waits_for_a_subscriber() -> None:
    with EmbeddedServer(temporary=True) as server, redis.Redis.from_url(server.url) as client:
        limits = client.config_get("client-output-buffer-limit")["client-output-buffer-limit"].split()
        hard = int(limits[limits.index("pubsub") + 1])
        assert 0 < hard <= 32 * 1024 * 1024
        assert asyncio.run(_advice(server.url)) == []


async def _advice(url: str) -> list[str]:
    async with redis.asyncio.Redis.from_url(url) as client:
        return await advise(client)
