"""The commands that keep things in order: the configuration, and what has gathered in Redis."""

from __future__ import annotations

import click

from . import options
from .completion import SHELLS, script_for
from .options import Given

__all__ = ["COMMANDS"]


@click.command()
@click.option("--venue", help="This one alone, and whether it is as docs/venues.md goes by.")
@options.cache
@options.as_json
def doctor(venue: str | None, given: Given, as_json: bool) -> int:
    """Try all that a service needs, and say what would mend it.

    Configuration, port, data directory, Redis (version, clock, what its user may do, settings), the exchange
    (REST, clock, key, each symbol, feed). Nothing is written. Exit 0 if nothing is wrong, else 1.
    """
    from ..commands.doctor.report import run_doctor

    return run_doctor(given.config, given.flags(), given.again(), venue=venue, as_json=as_json)


@click.command()
@options.service
@options.as_json
@options.config
def reload(service: str | None, as_json: bool, given: Given) -> int:
    """Have the running service read its configuration again.

    Symbols, timeframes, counts, limits and the log's level are changed without an interruption. What needs a
    restart is named. A configuration that cannot be used changes nothing. SIGHUP does the same.
    """
    from ..commands.reload import reload

    return reload(given.load().config, service=service, as_json=as_json)


@click.command()
@click.option("--yes", is_flag=True, help="Remove them; else they are only listed.")
@options.cache
@options.as_json
def prune(yes: bool, given: Given, as_json: bool) -> None:
    """List series that are no longer configured; --yes removes them.

    Only under this prefix, and none that another running livecache fills.
    """
    from ..commands.prune import prune

    prune(given.load(), remove=yes, as_json=as_json)


@click.command("config")
@click.option("--check", is_flag=True, help="Say all that is wrong with it. Exit 0 if nothing is, else 2.")
@options.cache
@options.log
@options.as_json
def show_config(check: bool, given: Given, as_json: bool) -> int:
    """Show or check the configuration in force.

    As TOML, passwords hidden, with where each setting comes from.
    """
    from ..commands.show_config import check_config, show_config

    if check:
        return check_config(given.config, given.flags(), as_json=as_json)
    show_config(given.load(), as_json=as_json)
    return 0


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what teaches a shell to complete these commands.

    For bash, in ~/.bashrc: eval "$(livecache completion bash)"
    """
    print(script_for(shell, context.find_root().command))


COMMANDS = (doctor, reload, prune, show_config, completion)
