"""The commands that keep things in order: the configuration, and what has gathered in Redis."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import (
    ConfigOption,
    FormatOption,
    JsonOption,
    LevelOption,
    PrefixOption,
    RedisOption,
    flags_of,
    load_config,
    told_again,
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(doctor)
    app.command("reload")(reload_config)
    app.command()(prune)
    app.command("config")(show_config)


def doctor(
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try all that a service needs, and say what would mend it.

    Configuration, port, data directory, Redis (version, clock, what its user may do, settings), the exchange
    (REST, clock, key, each symbol, feed). Nothing is written. Exit 0 if nothing is wrong, else 1.
    """
    from ..commands.doctor import run_doctor

    flags = flags_of(redis_url=redis_url, prefix=prefix)
    options = told_again(config, redis_url, prefix)
    raise typer.Exit(run_doctor(config, flags, options, as_json=as_json))


def reload_config(
    service: Annotated[
        str | None,
        typer.Option("--service", help="The service's URL; else http.listen of the configuration."),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Have the running service read its configuration again.

    Symbols, timeframes, counts, limits and the log's level are changed without an interruption. What needs a
    restart is named. A configuration that cannot be used changes nothing. SIGHUP does the same.
    """
    from ..commands.reload import reload

    raise typer.Exit(reload(load_config(config, None, None).config, service=service, as_json=as_json))


def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; else they are only listed.")] = False,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """List, or with --yes remove, series that are no longer configured.

    Only under this prefix, and none that another running livecache fills.
    """
    from ..commands.prune import prune

    prune(load_config(config, redis_url, prefix), remove=yes, as_json=as_json)


def show_config(
    check: Annotated[
        bool, typer.Option("--check", help="Say all that is wrong with it. Exit 0 if nothing is, else 2.")
    ] = False,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    log_level: LevelOption = None,
    log_format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or check the configuration in force.

    As TOML, passwords hidden, with where each setting comes from.
    """
    from ..commands.show_config import check_config, show_config

    if check:
        flags = flags_of(redis_url=redis_url, prefix=prefix, log_level=log_level, log_format=log_format)
        raise typer.Exit(check_config(config, flags, as_json=as_json))
    show_config(load_config(config, redis_url, prefix, log_level, log_format), as_json=as_json)
