"""Keys: where they come from, what is said of a bad one, and that none is ever shown."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from livecache.errors import ConfigError
from livecache.venues.coinbase.auth import (
    KEY_AGAIN_MS,
    ApiKey,
    Signing,
    load_key,
)

KEY_NAME_VARIABLE = "LIVECACHE_COINBASE_KEY_NAME"
KEY_SECRET_VARIABLE = "LIVECACHE_COINBASE_KEY_SECRET"

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


# --- the forms in which people have one

SEED = ed25519.Ed25519PrivateKey.generate()
RAW = SEED.private_bytes_raw()
LONG = base64.b64encode(RAW + SEED.public_key().public_bytes_raw()).decode()
ID = "00000000-0000-0000-0000-000000000002"


@pytest.mark.parametrize(
    "fields", [("name", "privateKey"), ("id", "privateKey"), ("id", "secret"), ("name", "secret")]
)
@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode() + b"\r\n",
    ],
    ids=["plain", "with a mark", "of two bytes a character", "CRLF"],
)
@pytest.mark.parametrize("secret", [PEM, LONG], ids=["EC", "Ed25519"])
def test_a_key_file_is_read_as_the_portal_and_other_tools_write_it(
    fields: tuple[str, str], written: Callable[[str], bytes], secret: str, tmp_path: Path
) -> None:
    file = tmp_path / "key.json"
    file.write_bytes(written(json.dumps({fields[0]: ID, fields[1]: secret, "more": 1}, indent=2)))
    key = load_key(str(file), {})
    assert key is not None and key.name == ID
    assert jwt.get_unverified_header(key.feed_token())["kid"] == ID


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda secret: f'"{secret}"',
        lambda secret: f"'{secret}'",
        lambda secret: f' "{secret} " \n',
        lambda secret: '"' + secret.replace("\n", "\\n") + '"',
        lambda secret: secret.replace("\n", "\\r\\n"),
        lambda secret: secret.replace("\n", "\r\n"),
        lambda secret: secret.replace("\n", " "),
        lambda secret: "\ufeff" + secret,
    ],
)
@pytest.mark.parametrize(
    "secret",
    [PEM, LONG, base64.urlsafe_b64encode(RAW).decode().rstrip("=")],
    ids=["EC", "Ed25519", "Ed25519 for URLs"],
)
def test_a_variable_is_read_as_containers_pass_it(wrapped: Callable[[str], str], secret: str) -> None:
    environment = {KEY_NAME_VARIABLE: f'"{NAME}" ', KEY_SECRET_VARIABLE: wrapped(secret)}
    key = load_key("", environment)
    assert key is not None and key.name == NAME and key.feed_token()


def der(kind: object) -> bytes:
    return kind.private_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def other(kind: object) -> str:
    return kind.private_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
UNUSUAL = {
    "PKCS8": other(PRIVATE),
    "PKCS8 of Ed25519": other(SEED),
    "after its parameters": PARAMETERS + PEM,
    "after a comment": f"Bag Attributes\n    friendlyName: mine\n{PEM}",
    "indented": "\n".join(f"    {line}" for line in PEM.splitlines()),
    "breaks escaped twice": PEM.replace("\n", "\\\\n"),
    "slashes escaped": PEM.replace("/", "\\/"),
    "with its field": '"privateKey": "' + PEM.replace("\n", "\\n") + '",',
    "without its frame": "".join(PEM.splitlines()[1:-1]),
    "DER": base64.b64encode(der(PRIVATE)).decode(),
    "DER of Ed25519": base64.b64encode(der(SEED)).decode(),
    "a PEM in base64": base64.b64encode(PEM.encode()).decode(),
    "a PEM in lines of base64": base64.encodebytes(PEM.encode()).decode(),
}


@pytest.mark.parametrize("form", UNUSUAL)
def test_a_key_is_taken_in_any_form_that_is_unambiguous(form: str, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps({"name": None, "id": NAME, "privateKey": UNUSUAL[form]}))
    public = (SEED if "Ed25519" in form else PRIVATE).public_key()
    for environment in ({}, {KEY_NAME_VARIABLE: NAME, KEY_SECRET_VARIABLE: UNUSUAL[form]}):
        key = load_key(str(file), environment)
        assert key is not None and key.name == NAME
        assert jwt.decode(key.feed_token(), public, algorithms=["ES256", "EdDSA"])["sub"] == NAME


@pytest.mark.parametrize(
    ("secret", "form"),
    [
        (PEM.splitlines()[0], "breaks off before its END"),
        (json.dumps({"name": NAME, "privateKey": PEM}), "a whole JSON file"),
        (base64.b64encode(b"x" * 48).decode(), "base64 of 48 bytes"),
        (ID, "an id"),
        (NAME, "a key's name"),
        ("/run/secrets/key.json", "the name of a file"),
        ("hunter2!", "neither a PEM nor base64"),
        (other(ec.generate_private_key(ec.SECP384R1())), "of another kind than EC P-256"),
        (PEM.replace("EC PRIVATE", "RSA PRIVATE"), "an RSA key"),
        (PEM.replace("EC PRIVATE", "PUBLIC"), "a public key"),
        (PEM.replace("EC PRIVATE", "ENCRYPTED PRIVATE"), "a PEM with a password"),
        (PEM.replace("EC PRIVATE", "OPENSSH PRIVATE"), "an SSH key"),
        (PEM.replace(PEM.splitlines()[1], PEM.splitlines()[1][:-8]), "damaged"),
        (RAW.hex(), "hexadecimal digits"),
        (base64.b64encode(der(ec.generate_private_key(ec.SECP384R1()))).decode(), "of another kind than EC"),
        (base64.b64encode(der(PRIVATE)[:-9]).decode(), "base64 of a DER that is damaged"),
        ("=", "it is empty"),
    ],
    ids=range(17),
)
def test_a_form_that_cannot_be_used_is_named_and_not_shown(secret: str, form: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_key("", {KEY_NAME_VARIABLE: NAME, KEY_SECRET_VARIABLE: secret})
    assert form in caught.value.message and KEY_SECRET_VARIABLE in caught.value.message
    assert caught.value.__cause__ is None and PEM.splitlines()[1][:20] not in str(caught.value)
    assert secret[:60] not in str(caught.value)


def test_swapped_variables_are_told() -> None:
    with pytest.raises(ConfigError, match="swapped"):
        load_key("", {KEY_NAME_VARIABLE: PEM, KEY_SECRET_VARIABLE: NAME})


@pytest.mark.parametrize("path", ["a\0b", "~nobody-of-that-name/key.json", "/", "x" * 5_000])
def test_a_path_that_is_none_is_a_clear_error(path: str) -> None:
    with pytest.raises(ConfigError, match=r"the key file .* cannot be read"):
        load_key(path, {})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PEM, "a PEM alone, without the key's name"),
        ('{"key": "k", "passphrase": "p"}', "no text name or id, but key, passphrase"),
        ('{"name": "n"}', "no text privateKey or secret, but name"),
        ('{"name": "n", "privateKey": 5}', "no text privateKey"),
        ("[]", "but nothing"),
        ("not json", "it is no JSON"),
        ("", "it is empty"),
        ("\ufeff \n", "it is empty"),
        (json.dumps({"name": "n", "privateKey": PEM})[:-1] + ",}", "its JSON is damaged"),
        (json.dumps({"name": "n", "privateKey": PEM}).replace("\\n", "\n"), "its JSON is damaged"),
        (json.dumps({"name": " ", "privateKey": PEM}), "no text name or id, but name, privateKey"),
        (json.dumps({"name": "n", "privateKey": ""}), "no text privateKey or secret, but name"),
    ],
)
def test_a_file_of_another_form_is_told_by_its_form(content: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_key(str(file), {})
    assert told in caught.value.message and '{"id": …, "privateKey": …}' in caught.value.hint


# --- by whose clock


@pytest.mark.parametrize("off_s", [0, -400, 400, 7_200, -86_000])
def test_it_is_signed_by_the_venues_clock_whatever_the_host_says(off_s: int) -> None:
    venue_ms = int(time.time() * 1000) + off_s * 1000
    signing = Signing(ApiKey(NAME, PEM), lambda: venue_ms)
    for token in (signing.bearer("GET", "/x").split()[1], signing.feed_token()):
        assert token is not None
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["nbf"] == venue_ms // 1000 and claims["exp"] - claims["nbf"] == 120


def test_before_the_venue_was_heard_the_hosts_clock_has_to_do() -> None:
    token = Signing(ApiKey(NAME, PEM), lambda: None).feed_token()
    assert token is not None
    claims = jwt.decode(token, options={"verify_signature": False})
    assert abs(claims["nbf"] - time.time()) < 60


def test_a_key_that_was_refused_is_set_aside_and_tried_again() -> None:
    now = [1_784_086_800_000]
    signing = Signing(ApiKey(NAME, PEM), lambda: now[0])
    signing.set_aside("HTTP 401: Unauthorized")
    assert not signing.on and signing.feed_token() is None
    now[0] += KEY_AGAIN_MS
    assert signing.on and signing.feed_token() is not None
    assert not Signing(None, lambda: now[0]).on
