"""Looking into a running service that was started without any Redis, and without being told where it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .support import environment, exchange, livecache, settings, until


def test_everybody_finds_the_embedded_server_and_its_candles(tmp_path: Path) -> None:
    home = {"XDG_DATA_HOME": str(tmp_path)}
    with exchange() as venue:
        env = venue.settings("embedded") | home
        with livecache("run", env=env) as service:
            service.event("warm")
            until("the feed is vouched for", lambda: "feed up" in said("show", "BTC-USD", "5m", env=env)[1])

            code, output = said("status", env=env)
            assert code == 0
            first = output.splitlines()[0]
            assert " writes since " in first and "redis://127.0.0.1:" in first
            assert output.splitlines()[-1] == "10 series: 10 ready; feed: up"
            assert sum(" ready " in line for line in output.splitlines()[2:-1]) == 10

            assert said("ready", env=env) == (0, "ready: 10 series\n")
            assert said("ready", "--health", env=env) == (0, "healthy\n")

            code, output = said("show", "eth-usd", "1h", "--count", "2", env=env)
            assert code == 0
            assert output.startswith("ETH-USD 1h at coinbase: ready, 10")
            assert output.count("  settled\n") >= 1

            code, output = said("redis", "HGET", "livecache:{coinbase:BTC-USD}:1d:state", "ready", env=env)
            assert (code, output) == (0, '"1"\n')

            script = "from livecache import Reader; print(len(Reader().candles('BTC-USD', '4h', 60)))"
            reader = subprocess.run(
                [sys.executable, "-c", script],
                env=environment(home),
                capture_output=True,
                text=True,
                check=False,
            )
            assert (reader.stdout, reader.stderr) == ("60\n", "")
            service.stop()

        code, output = said("status", env=settings("http://h", "ws://h", "embedded", ["BTC-USD"]) | home)
        assert code == 3
        assert "no embedded server runs" in output


def said(*arguments: str, env: dict[str, str]) -> tuple[int, str]:
    """The exit code of a command, and all that it said."""
    with livecache(*arguments, env=env) as process:
        code = process.ended()
        return code, "".join(f"{line}\n" for line in [*process.output, *process.errors])
