"""A configuration, and where each of its values comes from, for people: secrets hidden."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from .schema import Config

__all__ = ["Loaded", "redact", "render", "settings", "source_of"]

_SOURCES_MOST = 3  # variables and flags that are named


class Loaded(NamedTuple):
    """A configuration and where it came from. `origins` maps dotted keys to sources; defaults are absent."""

    config: Config
    source: str
    origins: Mapping[str, str]


def settings(config: Config) -> Iterator[tuple[str, object]]:
    """Every setting as (dotted key, value), in the order of the structs."""
    return _walk("", config)


def source_of(loaded: Loaded) -> str:
    """Where a configuration came from, for people: the file or the defaults, then what wins over it."""
    origins = {origin for origin in loaded.origins.values() if origin != loaded.source}
    over = sorted(origins, key=lambda origin: (origin.startswith("--"), origin))
    more = len(over) - _SOURCES_MOST
    named = [*over[:_SOURCES_MOST], *([f"{more} more"] if more > 0 else [])]
    return f"{loaded.source}, under {', '.join(named)}" if named else loaded.source


def render(loaded: Loaded) -> str:
    """The effective configuration as TOML, secrets hidden, each line that is no default with its origin."""
    lines: list[str] = []
    section = None
    for key, value in settings(loaded.config):
        head, _, name = key.rpartition(".")
        if head != section:
            lines += [*([""] if lines else []), f"[{head}]"]
            section = head
        if value is None:
            lines.append(f"# {name} is not set")
            continue
        if isinstance(value, tuple):
            value = list(value)
        elif isinstance(value, str):
            value = redact(value)
        origin = f"  # {loaded.origins[key]}" if key in loaded.origins else ""
        lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}{origin}")
    return "\n".join(lines) + "\n"


_PASSWORD = re.compile(r"""(://[^\s:@/"']*:)[^\s"']+(?=@)|([?&](?:\w*password|token)=)[^\s&"']+""")


def redact(text: str) -> str:
    """`text` with `***` in place of every password in a URL."""
    return _PASSWORD.sub(lambda match: f"{match[1] or match[2]}***", text)


def _walk(head: str, struct: msgspec.Struct) -> Iterator[tuple[str, object]]:
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, msgspec.Struct):
            yield from _walk(f"{head}{name}.", value)
        elif isinstance(value, Mapping):
            for key, part in value.items():
                yield from _walk(f"{head}{name}.{key}.", part)
        else:
            yield f"{head}{name}", value
