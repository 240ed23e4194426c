"""The server as the process sees it: it listens at once, answers a moment later, never ends the service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Self

from ..clock import Clock
from ..config.schema import HttpConfig, listen_address
from ..errors import ConfigError
from ..quiet import logger
from .guard import TOKEN_VARIABLE, Guard, Tokens, is_loopback, load_tokens
from .listen import bind, is_mistake, url_of
from .watch.instance import Instance

__all__ = ["HttpFront"]

BIND_RETRY_S = 2.0

# Loading aiohttp's server takes 30 ms, which the first request to the venue need not wait for. Who connects
# before is answered then.
LOAD_AFTER_S = 0.2


class HttpFront:
    """Listens while it is entered; `run` serves until cancelled.

    A port that is taken does not end the service, whose work is the cache: it is said once, and tried again
    until it is free. So a second instance on one machine gets the port when the first one is gone.

    Entering raises ConfigError for an address that is not this machine's, or a token that cannot be used.
    """

    def __init__(
        self, config: HttpConfig, instance: Instance, clock: Clock, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._config = config
        self._instance = instance
        self._clock = clock
        self._address = listen_address(config.listen)
        self._tokens = load_tokens(config, environ) if self._address else Tokens(None, None)
        self._sockets: list[socket.socket] = []
        self.url = ""
        """Where it listens; "" while it does not."""

    def __enter__(self) -> Self:
        try:
            self._listen()
        except OSError as error:
            if is_mistake(error):
                raise ConfigError(
                    f"http.listen: cannot listen on {self._config.listen}: {error.strerror}",
                    'take an address of this machine and a port above 1023, or "off"',
                ) from None
            logger.bind(event="http_port_taken", listen=self._config.listen).warning(
                "http.listen: {}: {}. Is another instance there? Health and metrics are served here once "
                "it is free; for both at once give each an address of its own: LIVECACHE_HTTP_LISTEN.",
                self._config.listen,
                error.strerror,
            )
        return self

    def __exit__(self, *_: object) -> None:
        for listening in self._sockets:
            listening.close()

    async def run(self) -> None:
        """Serve until cancelled; return at once if nothing is to be served."""
        if self._address is None:
            return
        while not self._sockets:
            await self._clock.sleep(BIND_RETRY_S)
            with contextlib.suppress(OSError):
                self._listen()
        await self._clock.sleep(LOAD_AFTER_S)
        from .api.routes import Api
        from .origins import Origins
        from .route import Requests
        from .routes import routes
        from .server import Server

        origins, loopback = Origins(self._config.origins), is_loopback(self._address[0])
        guard = Guard(self._tokens.full, read=self._tokens.read, loopback=loopback, origins=origins)
        if guard.closed:
            logger.bind(event="http_no_token", listen=self._config.listen).warning(
                "http.listen is beyond loopback and there is no token ({} or http.token_file): only health "
                "and metrics are served.",
                TOKEN_VARIABLE,
            )
        requests = Requests()
        api = Api(self._instance, self._clock)
        table = routes(self._instance, requests, self._clock, api, guard)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(api.run(), name="http streams")
                server = Server(table, guard, requests, self._clock, origins)
                tasks.create_task(server.run(self._sockets), name="http")
        except* Exception as failed:
            error = failed.exceptions[0]
            logger.bind(event="http_ended").opt(exception=error).error(
                "Health and metrics are not served any more: {}. The cache is kept all the same.", error
            )

    def _listen(self) -> None:
        """Bind, if there is an address to bind. Raises OSError."""
        if self._address is None:
            return
        self._sockets = bind(*self._address)
        self.url = url_of(self._sockets)
        logger.bind(event="http_listening", url=self.url).info("the page, health and metrics at {}", self.url)
