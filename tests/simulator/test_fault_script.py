"""Scripts of faults: what may be written in one, what is said of a slip, and what a seed draws."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from livecache.errors import ConfigError
from livecache.simulator import FaultScript, load_script, random_script
from livecache.simulator.trouble.script import FORMS, KINDS, CloseFeed, HttpError, Mute, moment_ms

PRODUCTS = ["BTC-USD", "ETH-USD", "RAD-USD"]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    return path


def test_a_script_is_read_from_toml(tmp_path: Path) -> None:
    script = load_script(
        written(
            tmp_path,
            """
            seed = 7

            [[faults]]
            kind = "close"
            at = 60
            code = "abort"
            behind = true

            [[faults]]
            kind = "mute"
            at = 2026-10-01T12:30:00Z
            lasts = 600
            products = ["ETH-USD"]

            [[faults]]
            kind = "http_error"
            lasts = 10.5
            share = 0.25
            status = 429
            retry_after = 3
            timeframes = ["5m", "1d"]
            """,
        )
    )
    close, mute, refused = script.faults
    assert script.seed == 7
    assert close == CloseFeed(at=60, code="abort", behind=True)
    assert isinstance(mute, Mute) and mute.lasts == 600 and mute.products == ("ETH-USD",)
    assert moment_ms(mute.at, 0) == 1_790_857_800_000, "an absolute time"
    assert moment_ms(close.at, 1_000) == 61_000, "seconds after the start"
    assert isinstance(refused, HttpError) and refused.timeframes == ("5m", "1d")


def test_every_kind_can_be_written_with_next_to_nothing(tmp_path: Path) -> None:
    for name, kind in KINDS.items():
        lasts = "lasts = 5" if "lasts" in kind.__struct_fields__ else ""
        named = 'products = ["BTC-USD"]' if name in ("delisted", "halted", "refused_subscription") else ""
        script = load_script(written(tmp_path, f'[[faults]]\nkind = "{name}"\n{lasts}\n{named}'))
        assert isinstance(script.faults[0], kind)
    assert load_script(written(tmp_path, "")) == FaultScript()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[faults]]\nkind = "clsoe"', r"fault 1: unknown kind 'clsoe' \(did you mean close\? one of close"),
        ('[[faults]]\nkind = "drop"\n[[faults]]\nat = 5', r"fault 2 has no kind \(one of close, drop"),
        (
            '[[faults]]\nkind = "drop"\nlats = 5',
            r"fault 1 \(drop\): unknown key 'lats' \(did you mean lasts\?\)",
        ),
        (
            '[[faults]]\nkind = "drop"\nshare = 2',
            r"fault 1 \(drop\): share: it has to be .*, at most 1",
        ),
        ('[[faults]]\nkind = "drop"\nat = "noon"', r"fault 1 \(drop\): at: "),
        ('[[faults]]\nkind = "mute"', r"fault 1 \(mute\): .*lasts"),
        ('[[faults]]\nkind = "delisted"', r"fault 1 \(delisted\): .*products"),
        ('[[faults]]\nkind = "close"\ncode = 5', r"fault 1 \(close\): code: "),
        ('[[faults]]\nkind = "refused"\nlasts = 5\nproducts = ["BTC-USD"]', r"\(refused\): products: "),
        ('[[faults]]\nkind = "garbage"\nforms = ["nam"]', r"\(garbage\): forms: .*'nam' \(any of truncated"),
        ("sead = 3", r"unknown key 'sead' \(did you mean seed\?\)"),
        ("seed = 'x'", r"seed: 'x' is no whole number"),
        ("faults = 3", r"faults is no list \(begin each with \[\[faults\]\]\)"),
        ("[[faults]\n", r"is not TOML"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=told) as error:
        load_script(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_script(tmp_path / "none.toml")


def test_a_seed_draws_the_same_faults_each_time_and_another_seed_others() -> None:
    drawn = random_script(5, 12, PRODUCTS)
    assert drawn == random_script(5, 12, PRODUCTS)
    assert drawn.faults != random_script(6, 12, PRODUCTS).faults
    assert 60 <= len(drawn.faults) <= 500
    assert all(0 <= moment_ms(fault.at, 0) < 12 * 3_600_000 for fault in drawn.faults)


def test_what_is_drawn_at_random_could_stand_in_a_file() -> None:
    seen: Counter[str] = Counter()
    for seed in range(20):
        for fault in random_script(seed, 24, PRODUCTS).faults:
            given = msgspec.to_builtins(fault)
            seen[given["kind"]] += 1
            assert msgspec.convert(given, type(fault)) == fault
            assert set(given.get("products", ())) <= set(PRODUCTS)
    left_out = {"short_page", "halted", "refused_subscription"}
    assert KINDS.keys() - seen.keys() == left_out, "what no client can see through, or mend in time"
    assert len(FORMS) == 9
