"""`livecache doctor`: tries all that a service needs, each by itself, and says what mends what is wrong.

Nothing is written to Redis, and the venue is asked for its time, a bucket and its products; one that is named
is asked for more, and nothing else is tried. Each part has its time; what fails or hangs hides nothing of the
others.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import structs

from ...config.load import check
from ...config.render import Loaded, source_of
from ...errors import ConfigError
from ...quality.findings import Options
from ...venues.registry import settings_named
from .. import terminal
from .diagnosis import Diagnosis, Outcome, failed, lines, right, without_secrets

__all__ = ["PART_S", "examine", "run_doctor"]

PART_S = 25.0
"""For one part, whatever happens; each has shorter limits of its own."""

Probe = Callable[[Loaded], Awaitable[list[Diagnosis]]]


def run_doctor(
    path: Path | None, flags: Mapping[str, object], options: Options, *, venue: str | None, as_json: bool
) -> int:
    """Try everything, or that venue, and print what came of it; 0 if nothing is wrong, else 1.

    `options` are for the commands that are named as remedies. Raises ConfigError for a venue that is none.
    """
    loaded, wrong = check(path, os.environ, flags)
    if venue is None:
        examined = _examined(loaded, wrong, options, as_json=as_json)
    else:
        own = {venue: settings_named(venue, loaded.config.venues)}
        loaded = loaded._replace(config=structs.replace(loaded.config, venues=own))
        examined = _venue_examined(loaded, wrong, options, as_json=as_json)
    found, hangs = asyncio.run(examined)
    bad = sum(diagnosis.outcome is Outcome.WRONG for diagnosis in found)
    if as_json:
        print(json.dumps({"ok": not bad, "checks": msgspec.to_builtins(found)}, indent=2))
    else:
        print("nothing is wrong" if not bad else f"{bad} {'thing is' if bad == 1 else 'things are'} wrong")
    code = 1 if bad else 0
    if hangs:
        # A name that is still being looked up holds a thread, which the interpreter would wait for.
        sys.stdout.flush()
        os._exit(code)
    return code


async def _examined(
    loaded: Loaded, wrong: Sequence[ConfigError], options: Options, *, as_json: bool
) -> tuple[list[Diagnosis], bool]:
    from .here import data_directory, port, token
    from .history import years
    from .redis import redis_server
    from .venue import venues

    probes: dict[str, Probe] = {
        "token": _in_thread(token),
        "port": _in_thread(port),
        "data": _in_thread(data_directory),
        "redis": _in_thread(redis_server),
        "history": _in_thread(years),
        "venue": venues,
    }
    return await examine(loaded, wrong, probes, options=options, tell=not as_json)


async def _venue_examined(
    loaded: Loaded, wrong: Sequence[ConfigError], options: Options, *, as_json: bool
) -> tuple[list[Diagnosis], bool]:
    from .assertions import ASSERTION_S, assertions
    from .venue import venues

    ((venue, settings),) = loaded.config.venues.items()
    async with assertions(venue, settings) as probes:
        return await examine(
            loaded,
            wrong,
            {"venue": venues, **probes},
            options=options,
            tell=not as_json,
            within_s=ASSERTION_S,
        )


async def examine(
    loaded: Loaded,
    wrong: Sequence[ConfigError],
    probes: Mapping[str, Probe],
    *,
    options: Options,
    tell: bool,
    within_s: float = PART_S,
) -> tuple[list[Diagnosis], bool]:
    """All that was found, in order, told as it comes; and whether something still hangs."""
    plain = not terminal.can_show("✓✗→")
    found: list[Diagnosis] = []
    hangs = False

    def take(some: Sequence[Diagnosis]) -> None:
        safe = [
            structs.replace(one, remedy=options.put_into(one.remedy)) for one in map(without_secrets, some)
        ]
        found.extend(safe)
        for line in lines(safe, plain=plain) if tell else ():
            print(line, flush=True)

    take(_configuration(loaded, wrong))
    tasks = {
        name: asyncio.create_task(_bounded(name, probe, loaded, within_s), name=name)
        for name, probe in probes.items()
    }
    for task in tasks.values():
        some, late = await task
        hangs |= late
        take(some)
    return found, hangs


async def _bounded(name: str, probe: Probe, loaded: Loaded, within_s: float) -> tuple[list[Diagnosis], bool]:
    """What the probe finds; that it hangs, or that it failed as it should not, is found as well."""
    try:
        async with asyncio.timeout(within_s):
            return await probe(loaded), False
    except TimeoutError:
        return [failed(name, f"no outcome within {within_s:g} s", "is the network up?")], True
    except Exception as error:
        what = f"cannot be tried: {type(error).__name__}: {error}"
        return [failed(name, what, "this is a bug of the doctor: please report it")], False


def _configuration(loaded: Loaded, wrong: Sequence[ConfigError]) -> list[Diagnosis]:
    if not wrong:
        return [right("configuration", source_of(loaded))]
    # What cannot be used has its default, with which the rest is tried.
    return [failed("configuration", one.message, one.hint or "livecache config --check") for one in wrong]


def _in_thread(probe: Callable[[Loaded], list[Diagnosis]]) -> Probe:
    async def run(loaded: Loaded) -> list[Diagnosis]:
        return await asyncio.to_thread(probe, loaded)

    return run
