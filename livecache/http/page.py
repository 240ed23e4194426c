"""The page at `/`, which shows what the API gives, and the reader of the API at `/docs`: their files, and the
chart library out of its own wheel.

Whoever can connect gets these files: there is nothing of the cache in them. What the page then asks for is
guarded like everything else; where a token is needed, the page asks whoever looks at it.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from .answers import refusal
from .route import Route

__all__ = ["LIBRARY", "PageFiles"]

_DIRECTORY = Path(__file__).parent / "page"

LIBRARY = "/page/lightweight-charts.js"
_LIBRARY_IN_WHEEL = ("litecharts", "litecharts/js/lightweight-charts.js")

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

_PAGES = {"index.html": "/", "docs.html": "/docs"}

_FILES = {
    _PAGES.get(file.name, f"/page/{file.name}"): file
    for file in sorted(_DIRECTORY.iterdir())
    if file.suffix in _TYPES
}

_IMPORTED = re.compile(rb'^import .* from "\./(.+)";$', re.MULTILINE)

# Nothing but our own files, nothing inline, nobody else's page around it; no script can make HTML of text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # It is asked whether it has changed, each time.
    "Vary": "Accept-Encoding",
}


class _File(NamedTuple):
    body: bytes
    packed: bytes
    tag: str
    type: str


class PageFiles:
    """The files, each read once: when it is first asked for."""

    def __init__(self) -> None:
        self._read: dict[str, _File] = {}
        self.routes = tuple(Route("GET", path, self.show, public=True) for path in (*_FILES, LIBRARY))

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """One of the files; 304 to who has it, 404 for a library whose wheel is not installed."""
        path = request.path
        file = self._read.get(path)
        if file is None:
            try:
                file = self._read[path] = await asyncio.to_thread(_load, path)
            except (PackageNotFoundError, OSError):
                return refusal(404, "the chart library is not installed", "pip install 'livecache[service]'")
        headers = _HEADERS | {"ETag": f'"{file.tag}"'}
        if any(tag.value == file.tag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = file.body
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body, headers = file.packed, headers | {"Content-Encoding": "gzip"}
        return web.Response(body=body, headers=headers, content_type=file.type, charset="utf-8")


def _preloaded(name: str) -> bytes:
    return f'<link rel="modulepreload" href="page/{name}">\n'.encode()


def _reached(name: str) -> list[str]:
    """A module, and all that it imports."""
    found = [name]
    for each in found:
        imported = _IMPORTED.findall((_DIRECTORY / each).read_bytes())
        found += dict.fromkeys(other for one in imported if (other := one.decode()) not in found)
    return found


def _load(path: str) -> _File:
    """Read one of the files. Raises OSError, or PackageNotFoundError."""
    if path == LIBRARY:
        # Not imported: it is one file of that wheel that is wanted, and nothing of its Python.
        package, name = _LIBRARY_IN_WHEEL
        source = Path(str(distribution(package).locate_file(name)))
    else:
        source = _FILES[path]
    body = source.read_bytes()
    if path == "/":  # Else a browser finds the modules one after the other, by what they import.
        body = body.replace(b"</head>", b"".join(map(_preloaded, _reached("main.js"))) + b"  </head>")
    tag = hashlib.sha256(body).hexdigest()[:16]
    return _File(body, gzip.compress(body, mtime=0), tag, _TYPES[source.suffix])
