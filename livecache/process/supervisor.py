"""What systemd is told: that the service is started, lives, reloads, stops. Without it nothing is.

The protocol is one datagram a message to the socket that `NOTIFY_SOCKET` names: see sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..clock import Clock
    from ..http.watch.instance import Instance

__all__ = ["Supervisor", "of_this_process"]

_BEAT_S = 5.0  # at most; with a watchdog, half of its time
_PATIENCE_S = 60
"""How long a start may go on after each sign of life: for ever, as long as it lives."""


class Supervisor:
    """The way to systemd. Every method does nothing where there is none, and none ever fails."""

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # An abstract address is written with an @ for its leading zero byte.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_s = _watchdog_s(environ, pid) if address else None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._address)

    def starting(self, why: str) -> None:
        """It lives, and is not started yet."""
        self._tell(f"EXTEND_TIMEOUT_USEC={_PATIENCE_S * 1_000_000}", f"STATUS={why}")

    def ready(self, status: str = "") -> None:
        """It is started, or has reloaded."""
        self._tell("READY=1", *([f"STATUS={status}"] if status else []))

    def lives(self, status: str) -> None:
        """It is not stuck."""
        self._tell("WATCHDOG=1", f"STATUS={status}")

    def reloading(self) -> None:
        """It reads its configuration again; `ready` tells the end."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def stopping(self) -> None:
        """It was asked to stop."""
        self._tell("STOPPING=1", "STATUS=stopping")

    async def run(self, instance: Instance, clock: Clock) -> None:
        """Tell how it stands until cancelled; return at once if nobody is to be told.

        Started is what `/startupz` calls so, and alive what `/healthz` does.
        """
        if not self:
            return
        # Only here: nobody else pays for it.
        from ..http.watch.health import reasons_dead_of, started
        from ..http.watch.lookout import Lookout

        lookout = Lookout(instance, clock)
        every_s = min(_BEAT_S, self._watchdog_s / 2 if self._watchdog_s else _BEAT_S)
        was_started = False
        try:
            while True:
                # Where it is dead nothing is told: systemd acts on silence.
                if not reasons_dead_of(instance):
                    look = await started(instance, lookout)
                    if not instance.was_ready:
                        first = look.reasons[0] if look and look.reasons else "warming up"
                        self.starting(f"{instance.role}: {first}"[:200])
                    elif was_started:
                        self.lives(instance.role)
                    else:
                        was_started = True
                        self.ready(instance.role)
                await clock.sleep(every_s)
        finally:
            self.stopping()

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        message = "\n".join(" ".join(line.split()) for line in lines)
        # systemd reads at once. Where it does not, a service does not wait for it, nor end over it.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.setblocking(False)
            way.sendto(message.encode(), self._address)


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Within what time a sign of life is expected of this process; None: of none."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    micros = environ.get("WATCHDOG_USEC", "")
    return int(micros) / 1e6 if micros.isascii() and micros.isdigit() and int(micros) else None


def of_this_process() -> Supervisor:
    """As the environment says."""
    return Supervisor(os.environ, os.getpid())
