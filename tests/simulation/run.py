"""One run of the whole service under the faults of a seed, from the start to the quiet end."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass, field

import redis

from .auditor import Auditor, Violation
from .convergence import converged, requests_bounded
from .faults import Scenario, draw
from .virtual import run_virtually
from .world import World

__all__ = ["Report", "simulate"]

QUIET_S = 1_200.0


@dataclass
class Report:
    """What became of a seed. `failure` is empty if all held."""

    seed: int
    failure: str = ""
    hours: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    looks: int = 0
    reads: int = 0
    requests: int = 0
    story: list[str] = field(default_factory=list)  # the scenario, and each fault with the time it began


def simulate(seed: int, url: str, scenario: Scenario | None = None) -> Report:
    """Run a seed, or a scenario of one's own, against the emptied server at `url`."""
    report = Report(seed)
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.config_set("maxmemory", "0")
        try:
            run_virtually(_run(scenario or draw(seed), client, url, report))
        except Exception as error:
            report.failure = _told(error)
        finally:
            client.config_set("maxmemory", "0")
    return report


async def _run(scenario: Scenario, client: redis.Redis, url: str, report: Report) -> None:
    world = World(scenario, client)
    report.story.append(str(scenario))
    if scenario.foreign_first:
        await world.after_foreign_origin()
    auditor = world.auditor = Auditor(world, url)
    begin, began_s = world.now(), world.host.monotonic()
    report.faults = world.injected
    try:
        world.start()
        for fault in scenario.faults:
            await _pass_until(world, begin + int(fault.at_s * 1000))
            report.story.append(f"{world.now()} {fault}")
            await world.inject(fault)
        await _pass_until(world, begin + int(scenario.lasts_s * 1000))
        world.lift_all()
        world.venue.edge_s = min(world.venue.edge_s, 5.0)
        world.venue.omits_newest = False
        report.story.append(f"{world.now()} quiet")
        await world.pass_time(QUIET_S)
        converged(world, url)
        requests_bounded(world, QUIET_S)
    finally:
        report.hours = (world.host.monotonic() - began_s) / 3_600
        report.compared, report.looks, report.reads = auditor.compared, auditor.looks, auditor.reads
        report.requests = len(world.venue.requests)
        auditor.close()
        await world.end(clean=False)
        world.store.close()


async def _pass_until(world: World, at: int) -> None:
    while (left_ms := at - world.now()) > 0:
        await world.pass_time(min(left_ms / 1000, 60.0))
        for process in world.processes:
            process.check()


def _told(error: BaseException) -> str:
    if isinstance(error, Violation):
        return str(error)
    return "".join(traceback.format_exception(error, limit=-12))
