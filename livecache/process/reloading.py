"""The configuration, read again while the service runs: by SIGHUP, or over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ..config.changes import Changes, compare
from ..config.render import Loaded, source_of
from ..config.schema import Config
from ..errors import ConfigError, LivecacheError
from ..http.watch.instance import Instance
from ..quiet import logger
from .logs import Told, setup
from .supervisor import of_this_process

__all__ = ["Reloading"]


class Reloading:
    """Reads the configuration again by `load`, from where it came, and has the instance take it over.

    `also` is where log records go besides.
    """

    def __init__(
        self,
        instance: Instance,
        load: Callable[[], Loaded],
        also: Callable[[Told], None] | None = None,
    ) -> None:
        self._instance = instance
        self._load = load
        self._also = also

    def reload(self) -> Changes:
        """Take over what can be changed while it runs; the rest is named, and needs a restart.

        Raises ConfigError where the configuration cannot be used: then the old one goes on.
        """
        supervisor = of_this_process() if self._instance.was_ready else None
        if supervisor is not None:
            supervisor.reloading()
        try:
            return self._reload(self._instance)
        finally:
            if supervisor is not None:
                supervisor.ready()

    def _reload(self, instance: Instance) -> Changes:
        try:
            loaded = self._load()
            changes = compare(instance.config, loaded.config)
            wanted = [self._change(*part, changes.config) for part in instance.changes if changes.live]
        except LivecacheError as error:
            logger.bind(event="reload_refused", hint=error.hint).error(
                "{}: nothing is changed, the old configuration goes on", error.message
            )
            raise
        instance.config, instance.source = changes.config, source_of(loaded)
        if "log.level" in changes.live or "log.format" in changes.live:
            setup(changes.config.log.level, changes.config.log.format, also=self._also)
        for take_over in wanted:
            take_over()
        logger.bind(event="reloaded", changed=list(changes.live), restart=list(changes.restart)).info(
            "Configuration read again from {}: {}", instance.source, changes
        )
        if changes.restart:
            logger.bind(event="restart_needed", settings=list(changes.restart)).warning(
                "These take effect with the next start only: {}", ", ".join(changes.restart)
            )
        return changes

    def _change(self, venue: str, shard: int | None, config: Config) -> Callable[[], None]:
        try:
            return self._instance.changes[venue, shard](config)
        except ConfigError as error:
            raise ConfigError(self._instance.name(venue, error.message), error.hint) from None

    def on_hangup(self) -> None:
        """By SIGHUP: whatever is wrong is in the log."""
        with contextlib.suppress(LivecacheError):
            self.reload()
