"""Who may use what is neither health nor metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livecache.config.schema import HttpConfig
from livecache.errors import ConfigError
from livecache.http.guard import READ_TOKEN_VARIABLE, TOKEN_VARIABLE, Guard, load_token, load_tokens

TOKEN = "0123456789abcdef-secret"
READS = "fedcba9876543210-reading"


def status(guard: Guard, **headers: Any) -> int:
    refusal = guard.refuses(**{"authorization": None, "host": "127.0.0.1:8787", **headers})
    return refusal.status if refusal else 200


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ü"],
)
@pytest.mark.parametrize("loopback", [True, False])
def test_where_there_is_a_token_nothing_else_opens(given: str | None, loopback: bool) -> None:
    guard = Guard(TOKEN, loopback=loopback)
    assert status(guard, authorization=given) == 401
    assert status(guard, authorization=f"bearer  {TOKEN}", host="example.com", origin="http://x") == 200


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize("both", [True, False])
def test_a_token_that_reads_orders_nothing(loopback: bool, both: bool) -> None:
    guard = Guard(TOKEN if both else None, read=READS, loopback=loopback)
    assert not guard.closed
    by_reader, by_owner = f"Bearer {READS}", f"Bearer {TOKEN}"
    assert status(guard, authorization=by_reader) == 200
    assert status(guard, authorization=by_reader, orders=True) == 403
    assert status(guard, authorization=by_owner, orders=True) == (200 if both else 401)
    for wrong in (None, "Bearer", f"Bearer {READS}x", f"Basic {READS}"):
        assert status(guard, authorization=wrong) == status(guard, authorization=wrong, orders=True) == 401


def test_who_may_only_read_is_told_by_another_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{READS}\n")
    assert load_tokens(HttpConfig(), {}) == (None, None)
    config = HttpConfig(read_token_file=str(file))
    assert load_tokens(config, {TOKEN_VARIABLE: TOKEN}) == (TOKEN, READS)
    assert load_tokens(config, {READ_TOKEN_VARIABLE: READS[::-1]}) == (None, READS[::-1])
    with pytest.raises(ConfigError, match="the one that opens everything"):
        load_tokens(config, {TOKEN_VARIABLE: READS})


def test_beyond_loopback_without_a_token_nobody_gets_past() -> None:
    guard = Guard(None, loopback=False)
    assert guard.closed
    assert status(guard, authorization=f"Bearer {TOKEN}") == 403


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("127.0.0.1:8787", None, 200),
        ("localhost", None, 200),
        ("[::1]:8787", None, 200),
        ("127.0.0.1:8787", "http://127.0.0.1:8787", 200),
        ("127.0.0.1:8787", "https://example.com", 403),  # a page of another site asks
        ("127.0.0.1:8787", "null", 403),
        ("example.com:8787", None, 403),  # a name that was made to lead here
        ("example.com:8787", "http://example.com:8787", 403),
        ("10.0.0.1", None, 403),
        (None, None, 403),
    ],
)
def test_on_loopback_programs_may_ask_and_web_pages_of_others_may_not(
    host: str | None, origin: str | None, expected: int
) -> None:
    guard = Guard(None, loopback=True)
    assert not guard.closed
    assert status(guard, host=host, origin=origin) == expected


def test_the_token_comes_from_the_environment_or_else_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert load_token("", {}) is None
    assert load_token(str(file), {}) == TOKEN
    assert load_token(str(file), {TOKEN_VARIABLE: "another-one-of-sixteen"}) == "another-one-of-sixteen"


@pytest.mark.parametrize(
    "content", ["", "short-s3cret", "s3cret in several words", "s3cret" * 200, "s3cret-é-and-more"]
)
def test_a_token_that_cannot_be_used_is_told_and_never_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    sources = [(str(file), {}), ("", {TOKEN_VARIABLE: content})] if content else [(str(file), {})]
    for path, env in sources:
        with pytest.raises(ConfigError) as caught:
            load_token(path, env)
        assert "s3cret" not in str(caught.value)
        assert "openssl rand" in caught.value.hint
    with pytest.raises(ConfigError, match="none cannot be read"):
        load_token(str(tmp_path / "none"), {})
