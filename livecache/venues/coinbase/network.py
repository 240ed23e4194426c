"""What is between here and a host: whether that is this machine, and why it could not be reached. Pure."""

from __future__ import annotations

import ipaddress
import socket
import ssl

from .text import one_line

__all__ = ["NO_NETWORK", "is_loopback", "unreachable"]


NO_NETWORK = "is the network up?"
"""What is asked where a name cannot be resolved."""


def is_loopback(hostname: str | None) -> bool:
    """Whether `hostname` (no port) is this machine, which is never reached through a proxy."""
    try:
        return hostname == "localhost" or ipaddress.ip_address(hostname or "").is_loopback
    except ValueError:
        return False


def unreachable(host: str, error: BaseException, timeout_s: float) -> str:
    """One line for a person: what went wrong between here and `host`. Without secrets."""
    if isinstance(error, TimeoutError):
        return f"no whole answer from {host} within {timeout_s:g} s"
    if isinstance(error, socket.gaierror):
        return f"the name of {host} cannot be resolved: {NO_NETWORK}"
    if isinstance(error, ConnectionRefusedError):
        return f"{host} refuses connections"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return f"{host} cut the connection"
    if isinstance(error, ssl.SSLCertVerificationError):
        return one_line(f"the certificate of {host} is not to be trusted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return one_line(f"no TLS with {host}: {error}")
    if isinstance(error, OSError) and error.strerror:
        return one_line(f"{host} cannot be reached: {error.strerror}")
    return one_line(f"{host} cannot be reached: {str(error) or type(error).__name__}")
