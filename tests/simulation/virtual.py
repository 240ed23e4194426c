"""Virtual time: an event loop whose clock jumps whenever all tasks wait."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import redis

__all__ = ["BlockingRedis", "VirtualClock", "run_virtually"]

T = TypeVar("T")
_ASK_EVERY = 100


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: where the loop would block for `timeout` seconds, the time has passed instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0
        self._asked = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Most have no sockets but the loop's own, by which signals wake it: asking now and then will do.
        self._asked += 1
        jumps = timeout is None or (timeout > 0 and len(self.get_map()) > 1)
        ready = super().select(0) if jumps or self._asked % _ASK_EVERY == 0 else []
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("every task waits for something that can never happen")
        self.now_s += max(0.0, timeout)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    """Whoever serves at a port is connected to within the loop, by pairs of sockets.

    What is sent through these has come at once, so that no time passes meanwhile.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        self._served: dict[int, tuple[asyncio.Server, Callable[[], asyncio.BaseProtocol]]] = {}
        self._meant: dict[int, int] = {}  # to which port a socket is to lead
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    async def create_server(self, factory: Any, *args: Any, **options: Any) -> asyncio.Server:  # type: ignore[override]
        server = await super().create_server(factory, *args, **{**options, "start_serving": False})
        self._served[server.sockets[0].getsockname()[1]] = server, factory
        return server

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self._at(address[1])
        self._meant[sock.fileno()] = address[1]

    async def create_connection(  # type: ignore[override]
        self, factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        if sock := options.get("sock"):
            port = self._meant.pop(sock.fileno())
            sock.close()
        served = self._at(port)
        here, there = socket.socketpair()
        for end in (here, there):
            end.setblocking(False)
        await self.connect_accepted_socket(served, there)
        return await super().create_connection(factory, sock=here)

    def _at(self, port: int) -> Callable[[], asyncio.BaseProtocol]:
        server, factory = self._served.get(port, (None, None))
        if server is None or factory is None or not server.sockets:
            raise ConnectionRefusedError(f"nobody serves at {port}")
        return factory


class VirtualClock:
    """The service's clock under virtual time."""

    def __init__(self, wall_s: float) -> None:
        self._ahead_s = wall_s - 1_000.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.monotonic() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, but hours pass in an instant."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main)


class BlockingRedis:
    """A real server behind a blocking client: to virtual time, a command takes no time at all."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._connection: Any = client.connection_pool.get_connection()

    async def execute_command(self, *args: Any) -> Any:
        return self.send(*args)

    def send(self, *args: Any) -> Any:
        """As the client would send it, without what it does for every command beside."""
        self._connection.send_command(*args)
        reply = self._connection.read_response()
        callbacks: Any = self.client.response_callbacks
        callback = callbacks.get(args[0])
        return callback(reply) if callback is not None else reply

    def close(self) -> None:
        """Give the connection back."""
        self.client.connection_pool.release(self._connection)
