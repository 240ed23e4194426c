"""What is said of a host that cannot be reached."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from livecache.venues.net.network import is_loopback, unreachable
from livecache.venues.text import excerpt, one_line


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no whole answer from api.example within 10 s"),
        (socket.gaierror(-2, "Name or service not known"), "the name of api.example cannot be resolved"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "api.example refuses connections"),
        (ConnectionResetError(), "api.example cut the connection"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "cannot be reached: Network is unreachable"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "was http:// meant"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_ACCESS_DENIED] no"), "no TLS with api.example: "),
        (RuntimeError("odd\nthing"), "api.example cannot be reached: odd thing"),
        (RuntimeError(), "api.example cannot be reached: RuntimeError"),
    ],
)
def test_each_trouble_is_told_in_plain_words(error: Exception, words: str) -> None:
    assert words in unreachable("api.example", error, 10.0)


def test_an_untrusted_certificate_is_named_as_such() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    told = unreachable("api.example", error, 10.0)
    assert told == "the certificate of api.example is not to be trusted: self-signed certificate"
    error.verify_code, error.verify_message = 9, "certificate is not yet valid"
    assert unreachable("api.example", error, 10.0).endswith("not yet valid; is this host's clock right?")


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.5", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("a.b", False),
        (None, False),
    ],
)
def test_loopback_is_told_from_elsewhere(host: str | None, here: bool) -> None:
    assert is_loopback(host) is here


def test_foreign_text_is_one_bounded_line_without_tokens() -> None:
    assert one_line("a\n\x1b[31m\tb  c\u2028d") == "a [31m b c d"
    assert len(one_line("x" * 10_000)) == 200
    assert one_line("Bearer eyJhbGciOiJFUzI1NiJ9.eyJz.c2ln!") == "Bearer <token>!"
    assert len(excerpt(b"\xff" * 10_000)) == 200
