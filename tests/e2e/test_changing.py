"""Change without an outage: restarts, hand-overs and reloads under a reader at ten looks a second.

`python -m pytest -m long tests/e2e/test_changing.py -s` runs the whole form: twenty and ten.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .changing import PROMISED_S, changing


@pytest.mark.parametrize(
    ("restarts", "reloads"),
    [(2, 2), pytest.param(20, 10, marks=[pytest.mark.long, pytest.mark.takes(180)])],
)
def test_no_reader_notices_restarts_hand_overs_and_reloads(
    clean_valkey: str, tmp_path: Path, restarts: int, reloads: int
) -> None:
    with changing(clean_valkey, tmp_path) as it:
        reloading = time.monotonic()
        for _ in range(reloads):
            it.reload()
        reloaded = time.monotonic()
        for n in range(restarts):
            it.hand_over() if n % 2 else it.restart()
        it.service.stop()
    polling = it.polling
    print(
        f"{restarts} restarts and {reloads} reloads: {polling.reads} reads in {polling.looks} looks, "
        f"{len(polling.errors)} errors, {len(polling.back)} steps back; "
        f"the next one vouched after {max(it.gaps_s):.1f} s at most"
    )
    assert polling.looks > 2 * (
        restarts + reloads
    )  # On a busy machine it looks more seldom than it means to.
    assert polling.back == []
    assert [at for at in polling.down if reloading <= at < reloaded] == [], "a reload takes no feed down"
    if max(it.gaps_s) < PROMISED_S:  # A machine that is busy with other tests may start it later than that.
        assert polling.errors == []
    assert not [error for at, error in polling.errors if at < reloaded]
