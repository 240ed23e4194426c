"""`livecache config`: what is in force, where it comes from, and with `--check` whether it can be used."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ..config.load import Config, Loaded, check, redact, render, settings
from ..errors import ConfigError

__all__ = ["check_config", "show_config"]


def show_config(loaded: Loaded, *, as_json: bool) -> None:
    """Print the configuration, passwords hidden: as TOML, or as one JSON object."""
    if as_json:
        print(json.dumps(_json(loaded), indent=2))
    else:
        sys.stdout.write(f"# From {loaded.source}\n\n{render(loaded)}")


def check_config(path: Path | None, flags: Mapping[str, object], *, as_json: bool) -> int:
    """Print all that is wrong with the configuration; the exit code is 0 if nothing is, else 2.

    Nothing is connected to. The files of the key and of the token are read, if any is named.
    """
    loaded, wrong = check(path, os.environ, flags)
    wrong += _wrong_secrets(loaded.config)
    if as_json:
        told = [{"message": redact(e.message), "hint": redact(e.hint)} for e in wrong]
        print(json.dumps({"ok": not wrong, "source": loaded.source, "problems": told}))
    elif not wrong:
        symbols = len(loaded.config.venues.coinbase.symbols)
        timeframes = len(loaded.config.cache.timeframes)
        print(f"{loaded.source}: nothing is wrong (symbols: {symbols}, timeframes: {timeframes})")
    else:
        for error in wrong:
            print(redact(error.message), *([f"  hint: {redact(error.hint)}"] if error.hint else []), sep="\n")
        print(f"{loaded.source}: {len(wrong)} {'thing is' if len(wrong) == 1 else 'things are'} wrong")
    return ConfigError.exit_code if wrong else 0


def _wrong_secrets(config: Config) -> list[ConfigError]:
    from ..http.guard import load_token
    from ..venues.coinbase.auth import load_key

    wrong: list[ConfigError] = []
    for load, file in (
        (load_key, config.venues.coinbase.key_file),
        (load_token, config.http.token_file),
    ):
        try:
            load(file, os.environ)
        except ConfigError as error:
            wrong.append(error)
    return wrong


def _json(loaded: Loaded) -> dict[str, object]:
    told = {
        key: {
            "value": redact(value) if isinstance(value, str) else value,
            "from": loaded.origins.get(key, "default"),
        }
        for key, value in settings(loaded.config)
    }
    return {"source": loaded.source, "settings": told}
