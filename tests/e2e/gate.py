"""A TCP port that leads to another one and can be shut: a network that fails between client and server."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Gate", "gate"]

_CHUNK = 65_536


class Gate:
    """Connections to `port` lead to `target`, a port of loopback too. Any thread may call its methods.

    `addresses` are those under which the server behind it knows who came through, as `127.0.0.1:50123`, and
    since when, in seconds of the wall clock. `knocks` counts who came at all.
    With `tls` it is TLS up to here.
    """

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.knocks = 0
        self.addresses: dict[str, float] = {}
        self._target = target
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._stop = asyncio.Event()
        self._cut = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """What a Redis client connects to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def stall(self) -> None:
        """Nothing passes, and nobody is told. What is sent meanwhile arrives when the gate opens again."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def cut(self) -> None:
        """Connections are reset, and new ones as well."""
        self._loop.call_soon_threadsafe(self._reset)

    def open(self) -> None:
        """Everything passes again."""
        self._loop.call_soon_threadsafe(self._heal)

    # --- in its own thread

    def run(self, ready: threading.Event) -> None:
        """Serve until `end`."""
        try:
            self._loop.run_until_complete(self._run(ready))
        finally:
            self._loop.close()

    def end(self) -> None:
        """Let `run` return."""
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _run(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        self._reset()
        self._flows.set()
        await asyncio.gather(*self._serving)

    def _reset(self) -> None:
        self._cut = True
        for end in self._ends:
            end.transport.abort()

    def _heal(self) -> None:
        self._cut = False
        self._flows.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer), name="gate: a connection")
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        if self._cut:
            writer.transport.abort()
            return
        try:
            beyond = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # The server is gone, and so is the way to it.
            writer.transport.abort()
            return
        host, port = beyond[1].get_extra_info("sockname")
        self.addresses[f"{host}:{port}"] = time.time()
        ends = {writer, beyond[1]}
        self._ends |= ends
        await asyncio.gather(self._pass(reader, beyond[1]), self._pass(beyond[0], writer))
        self._ends -= ends

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(_CHUNK):
                await self._flows.wait()
                sink.write(data)
                await sink.drain()
            await self._flows.wait()
        except OSError:
            pass  # One end is gone; the other is told below.
        finally:
            sink.close()


@contextmanager
def gate(target: int, tls: ssl.SSLContext | None = None) -> Iterator[Gate]:
    """An open gate to that port of loopback."""
    made, ready = Gate(target, tls), threading.Event()
    thread = threading.Thread(target=made.run, args=(ready,), name=f"gate to {target}")
    thread.start()
    try:
        assert ready.wait(10), "the gate does not open"
        yield made
    finally:
        made.end()
        thread.join(10)
    assert not thread.is_alive()
