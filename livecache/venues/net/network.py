"""What is between here and a host: whether that is this machine, which proxy, and what went wrong there."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import socket
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..text import one_line

__all__ = ["NO_NETWORK", "Proxy", "is_loopback", "passed_over", "proxy_for", "secured", "unreachable"]

NO_NETWORK = "is the network up?"
"""What is asked where a name cannot be resolved."""

_OF_A_TIME = frozenset({9, 10})  # OpenSSL's numbers for what is not yet valid, and for what has expired

# What OpenSSL says of an answer that is no TLS at all.
_PLAIN = re.compile(r"WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST")

_ERRNO = re.compile(r"\[Errno (\d+)\]")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. Neither its `repr` nor its `name` shows user and password."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)  # of the header Proxy-Authorization

    @property
    def name(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def proxy_for(url: str) -> Proxy | None:
    """The proxy that leads to `url`, as HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say; None: none does.

    A websocket goes the way that HTTP goes: `wss` counts as `https`, and `ws` as `http`. A proxy of another
    kind than HTTP's is none that can be used here, and is passed over.
    """
    given = _named_for(url)
    return _parsed(given if "://" in given else f"http://{given}")


def passed_over(url: str) -> str:
    """What is to be said of a proxy that is named for `url` and cannot be used; "" if there is none."""
    given = _named_for(url)
    if not given or proxy_for(url):
        return ""
    kind = re.match(r"(\w{1,10})://", given, re.ASCII)
    if kind and kind[1].lower() != "http":
        return f"the proxy that the environment names is passed over: it is of the kind {kind[1].lower()}"
    return "the proxy that the environment names is passed over: it has no host and port that can be read"


def _named_for(url: str) -> str:
    """What the environment names as the proxy to `url`; "" if that is to be reached without one."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)
    if is_loopback(host) or proxy_bypass(f"{host}:{port}"):
        return ""
    named = getproxies()
    if any(_excepts(one, host, port) for one in re.split(r"[\s,;]+", named.get("no", ""))):
        return ""
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return (named.get(scheme) or named.get("all") or "").strip().strip("\"'")


def _excepts(one: str, host: str, port: int) -> bool:
    """Whether one word of NO_PROXY is about that host: all, a domain, an address, a net; with a port."""
    if one == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(one.strip("[]"), strict=False)
    except ValueError:  # either is a name, or there is a port
        pass
    name, _, of_port = one.rpartition(":") if re.search(r"[^:]:\d+$|\]:\d+$", one) else (one, "", "")
    name = name.strip("[]").removeprefix("*").lstrip(".").rstrip(".").lower()
    where = host.rstrip(".").lower()
    if not name or (of_port and int(of_port) != port):
        return False
    return where == name or where.endswith(f".{name}")


def _parsed(url: str) -> Proxy | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError:  # a port that is none
        return None
    if parts.scheme != "http" or not host:
        return None
    if parts.username is None:
        return Proxy(host, port)
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(host, port, f"Basic {base64.b64encode(login.encode()).decode()}")


def is_loopback(hostname: str | None) -> bool:
    """Whether `hostname` (no port) is this machine, which is never reached through a proxy."""
    try:
        return hostname == "localhost" or ipaddress.ip_address(hostname or "").is_loopback
    except ValueError:
        return False


def secured() -> ssl.SSLContext:
    """TLS as a client of HTTP/1.1, with the authorities that the environment or the system names."""
    return _secured(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=4)  # it takes 40 ms to read them, and there may be fifty connections
def _secured(*_: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def unreachable(host: str, error: BaseException, timeout_s: float) -> str:
    """One line for a person: what went wrong between here and `host`. Without secrets."""
    if isinstance(error, OSError) and error.errno is None and (number := _ERRNO.search(str(error))):
        # Where a host has several addresses, asyncio tells what was wrong with each of them, as text.
        error = OSError(int(number[1]), os.strerror(int(number[1])))
    if isinstance(error, TimeoutError):
        return f"no whole answer from {host} within {timeout_s:g} s"
    if isinstance(error, socket.gaierror):
        return f"the name of {host} cannot be resolved: {NO_NETWORK}"
    if isinstance(error, ConnectionRefusedError):
        return f"{host} refuses connections"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return f"{host} cut the connection"
    if isinstance(error, ssl.SSLCertVerificationError):
        clock = "; is this host's clock right?" if getattr(error, "verify_code", 0) in _OF_A_TIME else ""
        return one_line(f"the certificate of {host} is not to be trusted: {error.verify_message}{clock}")
    if isinstance(error, ssl.SSLError):
        if _PLAIN.search(str(error)):
            return f"no TLS with {host}: it answers without; was http:// meant, or ws:// for the feed?"
        return one_line(f"no TLS with {host}: {error}")
    if isinstance(error, OSError) and error.strerror:
        return one_line(f"{host} cannot be reached: {error.strerror}")
    return one_line(f"{host} cannot be reached: {str(error) or type(error).__name__}")
