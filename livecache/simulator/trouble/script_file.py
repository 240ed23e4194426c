"""A script of faults in a TOML file."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ...errors import ConfigError
from ...plainly import plainly
from .script import ANSWER_FORMS, FORMS, KINDS, PAGE_FORMS, ROW_FORMS, FaultScript

__all__ = ["load_script"]

_FORMS_OF = {
    "garbage": FORMS,
    "odd_answer": ANSWER_FORMS,
    "odd_page": PAGE_FORMS,
    "spoilt_row": ROW_FORMS,
}


def load_script(path: Path) -> FaultScript:
    """The script in a TOML file. `ConfigError` names the fault and the field that cannot be used."""
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    _only_known(str(path), table, ("seed", "faults"))
    faults = table.get("faults", [])
    if not isinstance(faults, list):
        raise ConfigError(f"{path}: faults is no list", "begin each with [[faults]]")
    if not isinstance(seed := table.get("seed", 1), int):
        raise ConfigError(f"{path}: seed: {seed!r} is no whole number")
    return FaultScript(seed, tuple(_fault(f"{path}: fault {i + 1}", given) for i, given in enumerate(faults)))


def _fault(where: str, given: Any) -> Any:
    if not isinstance(given, dict):
        raise ConfigError(f"{where} is no table", "begin each with [[faults]]")
    name = given.get("kind")
    if name is None:
        raise ConfigError(f"{where} has no kind", f"one of {', '.join(KINDS)}")
    kind = KINDS.get(str(name))
    if kind is None:
        near = difflib.get_close_matches(str(name), KINDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"{where}: unknown kind {name!r}", f"{hint}one of {', '.join(KINDS)}")
    where = f"{where} ({name})"
    _only_known(where, given, ("kind", *kind.__struct_fields__))
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        problem, field = plainly(str(error))
        hint = f"any of {', '.join(_FORMS_OF[str(name)])}" if field.startswith("forms") else ""
        raise ConfigError(f"{where}: {f'{field}: ' if field else ''}{problem}", hint) from None


def _only_known(where: str, given: dict[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {name!r}", hint)
