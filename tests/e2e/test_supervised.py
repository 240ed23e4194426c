"""The command under systemd's protocol, and asked what it waits for."""

from __future__ import annotations

import signal
from pathlib import Path

from ..test_supervisor import manager
from .support import exchange, livecache, market_of, until


def test_a_run_tells_that_it_is_started_lives_reloads_and_stops(clean_valkey: str, tmp_path: Path) -> None:
    heard: list[dict[str, str]] = []
    with manager(str(tmp_path / "notify")) as systemd, exchange(market_of("BTC-USD")) as venue:

        def has(word: str) -> bool:
            heard.extend(systemd.heard())
            return any(word in one for one in heard)

        env = venue.settings(clean_valkey, CACHE_TIMEFRAMES="5m")
        env |= {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "400000"}
        with livecache("run", env=env) as service:
            until("it is started", lambda: has("READY"))
            until("it lives", lambda: has("WATCHDOG"))
            assert heard[[next(iter(one)) for one in heard].index("READY")]["STATUS"] == "writing"
            service.send(signal.SIGUSR1)
            service.event("tasks_told")
            until(
                "the writer is told of",
                lambda: any("  writer: " in str(record.get("message", "")) for record in service.records),
            )
            service.send(signal.SIGHUP)
            until("it reloads", lambda: has("RELOADING"))
            service.event("reloaded")
            service.send(signal.SIGTERM)
            assert service.ended() == 0
        assert has("STOPPING")
    words = [word for one in heard for word in one if word in ("READY", "RELOADING", "STOPPING")]
    assert words == ["READY", "RELOADING", "READY", "STOPPING"]
