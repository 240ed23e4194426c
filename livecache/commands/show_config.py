"""`livecache config`: what is in force, where it comes from, and with `--check` whether it can be used."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ..config.load import check
from ..config.render import Loaded, redact, render, settings
from ..config.schema import Config
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
        config = loaded.config
        symbols = sum(len(own.symbols) for own in config.venues.values())
        timeframes = len({t for venue in config.venues for t in config.cache_of(venue).timeframes})
        venues = f"venues: {len(config.venues)}, " if len(config.venues) > 1 else ""
        print(f"{loaded.source}: nothing is wrong ({venues}symbols: {symbols}, timeframes: {timeframes})")
    else:
        for error in wrong:
            print(redact(error.message), *([f"  hint: {redact(error.hint)}"] if error.hint else []), sep="\n")
        print(f"{loaded.source}: {len(wrong)} {'thing is' if len(wrong) == 1 else 'things are'} wrong")
    return ConfigError.exit_code if wrong else 0


def _wrong_secrets(config: Config) -> list[ConfigError]:
    from ..http.guard import load_tokens

    wrong: list[ConfigError] = []
    reads: list[Callable[[], object]] = [
        partial(own.key_of, venue, os.environ) for venue, own in config.venues.items()
    ]
    reads.append(partial(load_tokens, config.http, os.environ))
    for read in reads:
        try:
            read()
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
