"""What the benchmarks share: the lines that say when and on what was measured, and the table."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import redis

__all__ = ["circumstances", "installed", "machine", "table"]


def circumstances(store: redis.Redis, *packages: str) -> Iterator[str]:
    """When, by which command, on what machine under which load, and with what versions it is measured."""
    server = store.info("server")
    names = {"Valkey": "valkey_version", "Redis": "redis_version"}
    name = next(name for name, key in names.items() if key in server)
    yield from machine(*packages, server=f"{name} {server[names[name]]}, ")


def machine(*packages: str, server: str = "") -> Iterator[str]:
    """The same where there is no Redis."""
    versions = ", ".join(f"{package} {installed(package) or 'not installed'}" for package in packages)
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    command = " ".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
    yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: python -m benchmarks.{command}"
    yield f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, load average {load}"
    yield f"Python {platform.python_version()}, {server}{versions}"


def installed(package: str) -> str:
    """The version of an installed package, else ""."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table: figures stand to the right, but for the first column."""
    lines = [headers, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, (name, *figures) in enumerate(lines):
        texts = [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)]
        yield "  ".join([name.ljust(widths[0]), *texts]).rstrip()
        if number == 0:
            yield "  ".join("-" * width for width in widths)
