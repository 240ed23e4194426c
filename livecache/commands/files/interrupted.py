"""A stop of a command that may be stopped at any instant: what to do to go on is the last word."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["goes_on"]


@contextmanager
def goes_on(how: str) -> Iterator[None]:
    """Ctrl-C ends it with these words; SIGTERM is the same, also for the first process of a container."""
    before, ours = signal.getsignal(signal.SIGTERM), threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        print(f"stopped: {how}", file=sys.stderr)
        raise
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)
