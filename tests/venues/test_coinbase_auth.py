"""Keys: where they come from, what is said of a bad one, and that none is ever shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from livecache.errors import ConfigError
from livecache.venues.coinbase.auth import KEY_NAME_VARIABLE, KEY_SECRET_VARIABLE, ApiKey, load_key

NAME = "organizations/1/apiKeys/2"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.NoEncryption(),
).decode()


def test_no_key_is_no_error() -> None:
    assert load_key("", {}) is None


def test_a_pem_with_literal_line_breaks_is_accepted() -> None:
    key = load_key("", {KEY_NAME_VARIABLE: NAME, KEY_SECRET_VARIABLE: PEM.replace("\n", "\\n")})
    assert key == ApiKey(NAME, PEM.strip())


def test_an_ed25519_key_is_accepted() -> None:
    secret = base64.b64encode(ed25519.Ed25519PrivateKey.generate().private_bytes_raw()).decode()
    assert load_key("", {KEY_NAME_VARIABLE: NAME, KEY_SECRET_VARIABLE: secret}) is not None


def test_a_key_file_is_read_and_the_environment_goes_before_it(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps({"name": "of the file", "privateKey": PEM, "nickname": "x"}))
    from_file = load_key(str(file), {})
    assert from_file is not None
    assert from_file.name == "of the file"
    from_environment = load_key(str(file), {KEY_NAME_VARIABLE: NAME, KEY_SECRET_VARIABLE: PEM})
    assert from_environment is not None
    assert from_environment.name == NAME


def test_a_key_is_never_shown() -> None:
    assert PEM.splitlines()[1] not in repr(ApiKey(NAME, PEM))


def test_half_a_key_names_the_missing_half() -> None:
    with pytest.raises(ConfigError, match=KEY_SECRET_VARIABLE):
        load_key("", {KEY_NAME_VARIABLE: NAME})


@pytest.mark.parametrize("content", ["", "{}", '{"name":"n"}', '{"name":"n","privateKey":"hunter2"}', "\x80"])
def test_an_unusable_key_file_is_a_clear_error_without_its_content(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"key\.json") as caught:
        load_key(str(file), {})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_key_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json cannot be read: No such file"):
        load_key(str(tmp_path / "none.json"), {})


def test_a_request_is_signed_for_its_path_and_a_message_for_none() -> None:
    key = ApiKey(NAME, PEM)
    path = "/api/v3/brokerage/products/BTC-USD/candles"
    kind, token = key.bearer("GET", path).split()
    claims = jwt.decode(token, PRIVATE.public_key(), algorithms=["ES256"])
    assert kind == "Bearer"
    assert claims["uri"] == f"GET api.coinbase.com{path}"
    assert claims["sub"] == NAME
    assert claims["exp"] - claims["nbf"] == 120
    assert "uri" not in jwt.decode(key.feed_token(), PRIVATE.public_key(), algorithms=["ES256"])
    assert key.feed_token() != key.feed_token()
