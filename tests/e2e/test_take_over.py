"""Two instances, one writer: whatever befalls it, the other takes over, and the first one writes no more."""

from __future__ import annotations

import pytest

from .recorder import Write, unlawful
from .two_instances import FAULTS, pair


@pytest.mark.takes(22)
@pytest.mark.parametrize("faults", [FAULTS[:2], FAULTS[2:]], ids=["its process", "its network"])
def test_the_waiting_instance_takes_over_within_ten_seconds_and_the_other_writes_no_more(
    clean_valkey: str, faults: tuple[str, ...]
) -> None:
    with pair(clean_valkey) as two:
        two.wait_for_closes(2)  # so that the store is ahead of what the waiting one knew when it began to
        for fault in faults:
            seen = two.fail(fault)
            print(seen)
            assert seen.alive_s < 10.0, seen
            assert seen.asked in (0, None), f"the waiting one asked for candles: {seen}"
            assert set(seen.errors) <= {"Stale", "NotReady"}, seen
        assert two.unlawful_writes() == []
        assert two.watcher.wrong == []
        assert two.watcher.went_back == []
        assert two.compare() > 1000


@pytest.mark.parametrize(
    ("late", "said"),
    [
        (Write(7.5, "one", "XADD", "closes"), ["one wrote under two: XADD closes"]),
        (Write(14.0, "two", "HSET", "state"), ["two wrote 1.000 s after its lease: HSET state"]),
        (Write(12.0, "one", "SET", "lease"), ["one took the lease of two 1.000 s too early"]),
        (Write(12.9, "two", "ZADD", "candles"), []),
    ],
)
def test_a_write_without_the_lease_would_be_seen(late: Write, said: list[str]) -> None:
    writes = [
        Write(0.0, "one", "SET", "lease"),
        Write(0.5, "one", "HSET", "state"),
        Write(1.0, "one", "PEXPIRE", "lease"),
        Write(7.0, "two", "SET", "lease"),
        Write(7.2, "two", "ZADD", "candles"),
        late,
    ]
    assert unlawful(writes, "lease", lambda write: write.client) == said
