"""Configuration: config.toml, LIVECACHE_* and flags, decoded into frozen structs.

A flag wins over an environment variable, that over the file, that over the default. What is not understood is
an error that names its source and the setting that was probably meant: a typo never silently does nothing.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from ..errors import ConfigError
from ..files import read_regular, why_not
from ..model.timeframe import TIMEFRAME_PRIORITY, Timeframe, readable
from ..plainly import plainly
from . import indicators
from .layout import Layout, layout_of
from .render import Loaded, redact
from .schema import Config, default_venues, problems
from .symbols import read_symbols

__all__ = ["CONFIG_FILE", "check", "load", "order_timeframes", "parse_timeframes"]

CONFIG_FILE = "config.toml"

_FILE_BYTES_MAX = 1_000_000
_TOML_HINT = "strings need quotes, lists brackets"

# Kubernetes gives every pod such variables for a service named livecache or livecache-redis.
_SERVICE_LINK = re.compile(
    r"LIVECACHE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)

_FLAGS = {
    "redis.url": "--redis-url",
    "redis.prefix": "--prefix",
    "log.level": "--log-level",
    "log.format": "--log-format",
}


class _Given(NamedTuple):
    value: object
    source: str  # as an error names it: "config.toml: cache.candles", "LIVECACHE_CACHE_CANDLES", "--prefix"
    origin: str  # as `livecache config` names it
    text: bool  # from the environment or a flag, where everything is text


def load(path: Path | None, env: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Loaded:
    """The effective configuration: `path` or else ./config.toml, under `env`, under `flags`.

    `flags` maps dotted keys (`"redis.url"`) to values; None means that the flag was not given. An empty
    variable counts as not set. Raises ConfigError, naming the source and the key.
    """
    loaded, wrong = check(path, env, flags)
    if wrong:
        raise wrong[0]
    return loaded


def check(
    path: Path | None, env: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> tuple[Loaded, list[ConfigError]]:
    """As `load`, and all that is wrong, not just the first. What cannot be used has its default there."""
    wrong: list[ConfigError] = []
    file = path or Path(CONFIG_FILE)
    table: Mapping[str, Any] = {}
    source = f"the defaults (no ./{CONFIG_FILE} here)"
    if path is not None or _is_there(file):
        table, source = _read(file, wrong), str(file)
    layout = layout_of(table.get("venues"), env, source, wrong)
    given = {
        key: _Given(value, f"{file}: {key}", str(file), text=False)
        for key, value in _flatten(file, "", table, layout, wrong)
    }
    given |= _from_environment(env, layout, wrong)
    for key, value in (flags or {}).items():
        if value is not None:
            flag = _FLAGS.get(key, key)
            given[key] = _Given(value, flag, flag, text=True)
    for key, one in given.items():
        if key.endswith(".calendars_file") and isinstance(one.value, str) and one.value and not one.text:
            given[key] = one._replace(value=str(file.parent / one.value))
    _add_symbols(given, file.parent, layout, wrong)
    config, unusable = _convert(given, layout)
    wrong += unusable.values()
    for key, problem, hint in problems(config):
        if key not in unusable:  # of which the default stands there now
            told = given[key].source if key in given else key
            wrong.append(ConfigError(f"{told}: {problem}", hint))
    return Loaded(config, source, {key: item.origin for key, item in given.items()}), wrong


def order_timeframes(given: Sequence[Timeframe], configured: Sequence[Timeframe]) -> tuple[Timeframe, ...]:
    """`given` timeframes in priority order: as configured, then by default, then the shortest first."""
    order = list(dict.fromkeys([*configured, *TIMEFRAME_PRIORITY, *Timeframe]))
    return tuple(sorted(given, key=order.index))


def parse_timeframes(source: str, text: str, *, multiples: bool = False) -> tuple[Timeframe, ...]:
    """The timeframes of a list by comma, as `source` (a flag) gives it; with `multiples`, these too.

    Raises UnknownTimeframe, or ConfigError for none or for one named twice.
    """
    names = [item.strip() for item in text.split(",") if item.strip()]
    parsed = tuple(map(readable if multiples else Timeframe.parse, names))
    if not parsed:
        raise ConfigError(f"{source} names none", f"one of {', '.join(Timeframe)}")
    for twice in (timeframe for timeframe in parsed if parsed.count(timeframe) > 1):
        raise ConfigError(f"{source} names {twice.value!r} twice", "name each once")
    return parsed


# What is wrong is gathered in `wrong`, and the rest goes on: so that a check can tell all of it.


def _is_there(file: Path) -> bool:
    """Whether something of that name is there, be it a directory or a link to nothing: a mount gone wrong."""
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # Reading it says what is wrong.
    return True


def _read(path: Path, wrong: list[ConfigError]) -> Mapping[str, Any]:
    try:
        raw = read_regular(path, _FILE_BYTES_MAX + 1)
        if len(raw) > _FILE_BYTES_MAX:
            problem = f"is longer than {_FILE_BYTES_MAX // 1_000_000} MB"
            raise ConfigError(f"{path}: {problem}", "is that the configuration?")
        table = tomllib.loads(raw.decode("utf-8-sig"))
    except ConfigError as error:
        wrong.append(error)
    except FileNotFoundError:
        wrong.append(ConfigError(f"{path}: no such file", "see --config; without it, the defaults serve"))
    except OSError as error:
        why, hint = why_not(path, error)
        wrong.append(ConfigError(f"{path}: cannot be read: {why}", hint))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        wrong.append(ConfigError(f"{path}: is not UTF-8 text (line {line})", "save it as UTF-8"))
    except RecursionError:
        wrong.append(ConfigError(f"{path}: is not TOML: it is nested too deeply", _TOML_HINT))
    except ValueError as error:  # of tomllib, or of Python: a number with thousands of digits
        wrong.append(_not_toml(path, str(error).partition(";")[0]))
    else:
        return table
    return {}


def _not_toml(path: Path, said: str) -> ConfigError:
    twice = any(word in said for word in ("overwrite", "twice", "Duplicate"))
    said = re.sub(r"\('(.*?)',?\)", lambda names: names[1].replace("', '", "."), said)  # ('a', 'b')
    return ConfigError(
        f"{path}: is not TOML: {said}", "each key and section may stand once" if twice else _TOML_HINT
    )


def _flatten(
    path: Path, head: str, table: Mapping[str, Any], layout: Layout, wrong: list[ConfigError]
) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        key = f"{head}{name}"
        if key in layout.defaults:
            yield key, value
        elif key in layout.refused:
            continue
        elif key != "venues" and not any(
            section == key or section.startswith(f"{key}.") for section in layout.sections
        ):
            kind, known = ("section", layout.sections) if isinstance(value, dict) else ("key", layout.keys)
            # Another venue's settings are no help.
            own = [each.removeprefix(head) for each in known if head != "venues." and each.startswith(head)]
            hint = _suggest(name, own, head) if head.startswith("venues.") and own else _suggest(key, known)
            wrong.append(ConfigError(f"{path}: unknown {kind} {key!r}", hint))
        elif isinstance(value, dict):
            yield from _flatten(path, f"{key}.", value, layout, wrong)
        else:
            hint = f"write [{key}] and its keys below"
            wrong.append(ConfigError(f"{path}: {key} is a section, not a key", hint))


def _from_environment(env: Mapping[str, str], layout: Layout, wrong: list[ConfigError]) -> dict[str, _Given]:
    given = {}
    for name in sorted(env):
        if not name.startswith("LIVECACHE_") or name in layout.secrets:
            continue
        key = layout.variables.get(name)
        if key is None:
            if _SERVICE_LINK.fullmatch(name) or name.startswith(layout.variables_refused):
                continue
            hint = _suggest(name, [*layout.variables, *sorted(layout.secrets)])
            wrong.append(ConfigError(f"unknown environment variable {name}", hint))
        elif env[name]:
            given[key] = _Given(env[name], name, name, text=True)
    return given


def _add_symbols(given: dict[str, _Given], home: Path, layout: Layout, wrong: list[ConfigError]) -> None:
    """Read each `symbols_file`: `symbols` come first, and then what it lists besides."""
    for key, named in [each for each in given.items() if each[0].endswith(".symbols_file")]:
        if not isinstance(named.value, str) or not named.value:
            continue
        path = Path(named.value) if named.text else home / named.value
        try:
            listed = read_symbols(named.source, path)
        except ConfigError as error:
            wrong.append(error)
            continue
        own = given.get(symbols := key.removesuffix("_file"))
        if own is None:
            given[symbols] = _Given(list(listed), f"{named.source} {path}", str(path), text=False)
            continue
        first = indicators.split(own.value) if own.text and isinstance(own.value, str) else own.value
        if isinstance(first, list):
            meant = layout.kinds[key.split(".")[1]]().symbol_meant
            there = {meant(str(symbol)) for symbol in first}
            more = [*first, *(symbol for symbol in listed if meant(symbol) not in there)]
            sources = f"{own.source} and symbols_file", f"{own.origin} and {path}"
            given[symbols] = _Given(more, *sources, text=False)


def _suggest(wrong: str, known: Sequence[str], head: str = "") -> str:
    # The end says most: `[redis] candles` means cache.candles, LIVECACHE_SYMBOLS means a venue's.
    end = wrong.rpartition(".")[2]
    suffix = wrong.removeprefix("LIVECACHE") if wrong.startswith("LIVECACHE_") else f".{end}"
    near = [name for name in known if f".{name}".endswith(suffix)]
    near = near or difflib.get_close_matches(wrong, known, n=1)
    if not near:
        ends = {name.rpartition(".")[2]: name for name in known}
        near = [ends[name] for name in difflib.get_close_matches(end, ends, n=1)]
    return f"did you mean {head}{near[0]}?" if near else f"one of {', '.join(known)}"


def _convert(given: Mapping[str, _Given], layout: Layout) -> tuple[Config, dict[str, ConfigError]]:
    # Setting by setting, not the whole at once: so each error can name where the value came from.
    unusable: dict[str, ConfigError] = {}

    def build(kind: type[msgspec.Struct], head: str) -> msgspec.Struct:
        values: dict[str, object] = {}
        for field in msgspec.structs.fields(kind):
            key = f"{head}{field.name}"
            if key == "venues":
                named = layout.named(given)
                venues = {venue: build(kind, f"venues.{venue}.") for venue, kind in named.items()}
                values[key] = venues or default_venues()
            elif isinstance(field.default, msgspec.Struct):
                values[field.name] = build(type(field.default), f"{key}.")
            elif key in given:
                try:
                    values[field.name] = _value(key, given[key], field.type, layout.defaults[key])
                except ConfigError as error:
                    unusable[key] = error
        return kind(**values)

    config = build(Config, "")
    assert isinstance(config, Config)
    return config, unusable


def _value(key: str, given: _Given, kind: Any, default: object) -> object:
    value, name = given.value, key.rpartition(".")[2]
    if name in ("timeframes", "symbols", "indicators"):
        if given.text and isinstance(value, str):
            value = indicators.split(value)
        if name != "symbols" and isinstance(value, list):
            try:
                if name == "indicators":
                    return tuple(indicators.warmup_of(str(item)).indicator for item in value)
                return tuple(Timeframe.parse(str(item)) for item in value)
            except ConfigError as error:
                raise ConfigError(f"{given.source}: {error.message}", error.hint) from None
    elif key == "log.level" and isinstance(value, str):
        value = value.upper()
    try:
        return msgspec.convert(value, kind, strict=not given.text)
    except msgspec.ValidationError as error:
        # As it stands in the file: true, not True.
        text = str(value) if isinstance(value, str | float) else json.dumps(value, default=str)
        shown = redact(text) if key != "redis.url" else "that"
        problem, _ = plainly(str(error))
        hint = _example(key, given, default, kind)
        raise ConfigError(f"{given.source}: {shown!r} cannot be used: {problem}", hint) from None


def _example(key: str, given: _Given, default: object, kind: Any) -> str:
    """The choices, or the default in the form in which the value is given."""
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        return f"{', '.join(others)} or {last}"
    if key == "cache.indicators":
        return 'such as ["macd(12,26,9)", "rsi(14)"]'
    if key.endswith(".budget_scope"):
        return 'letters, digits, ".", "_" and "-", up to 64 of them, such as "eu-1"'
    if default in (None, "", ()):
        return ""
    if isinstance(default, tuple):
        names = [str(name) for name in default]
        return f"such as {','.join(names)}" if given.text else f"such as {json.dumps(names)}"
    return f"such as {default if given.text else json.dumps(default)}"
