"""`livecache demo`: the real service on a simulated exchange that runs 60 times as fast as the real one.

It has a Redis and a history of its own that end with it, and that only who asks for "demo" finds: its candles
never pass for real ones.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .app import open_engine
from .clock import SystemClock
from .commands.look.candle_table import last_price
from .config.schema import CacheConfig, Config, HttpConfig, RedisConfig
from .config.since import since_of
from .embedded.server import EmbeddedServer
from .embedded.state import DEMO, announce_demo
from .engine.engine import Engine
from .engine.fleet import Place
from .http.front import HttpFront
from .http.watch.instance import Instance
from .keys.history_place import Place as HistoryPlace
from .model.timeframe import Timeframe, iso
from .process.stopping import until_stopped
from .simulator.clock import MarketClock
from .simulator.face import kind_of
from .simulator.market.products import DEFAULT_PRODUCTS, Product
from .simulator.market.seeded import SeededMarket
from .simulator.server import Simulator
from .venues.registry import DEFAULT, settings_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from .history.service.service import HistoryService

__all__ = ["demo"]

_REFRESH_S = 0.5
_LINES_EVERY_S = 10.0
_LEAST_DELAY_S = 0.25  # Where the venue is asked for everything: else it would take minutes.
# Filled behind the live service, none of it from before the listing: to prove that empty takes a minute.
_SINCE = "10d, 1h=2y, 4h=2y, 1d=1400d"
_HISTORY_SHARE = 0.5
_YEARS = 4  # since the made-up products were listed
_YEAR_MS = 365 * 86_400_000
_NO_YEARS = "years to scroll back through: pip install 'livecache[history]'"
_SCROLL = "scroll its chart back: older candles come as you look at them, for years"
_ROWS_MOST = 12
_ROWS_LEAST = 3
_LINES_BESIDE = 13  # of the table: its title, head and foot, the line of those left out, and the cursor's


async def demo(
    *, seconds: float | None, symbols: int, console: Console, venue: str = DEFAULT, speed: float = 60.0
) -> int:
    """Warm up, go live, and show it, for so many seconds or until a signal; 1 if not all became ready.

    `venue` is whose words the simulated exchange speaks.
    """
    make = kind_of(venue).market
    speed = 1.0 if make else speed  # Shares have no clock but the host's.
    engine: Engine | None = None

    async def main() -> None:
        nonlocal engine
        _say(
            console,
            f"livecache demo: {symbols} symbols × {len(CacheConfig().timeframes)} timeframes on a simulated "
            f"exchange at {speed:g} times real speed (a 5m candle closes every {300 / speed:g} s)",
        )
        clock = SystemClock()
        instance = Instance(Config(), clock)
        # A free port, and no token: whatever is configured, a demo touches none of it.
        front = HttpFront(HttpConfig(listen="127.0.0.1:0"), instance, clock, environ={})
        with EmbeddedServer(temporary=True) as server, announce_demo(server.data_dir) as found, front as http:
            market_clock = MarketClock(speed=speed)
            made = make(1, (), market_clock.start_ms, 0, {}) if make else None
            market = made or SeededMarket(products=_products(symbols, market_clock.start_ms))
            async with Simulator(market, clock=market_clock, venue=venue) as simulator:
                config = _config(server.url, simulator, symbols)
                if history := _history(server.data_dir, clock, days_alone=make is not None):
                    instance.history, instance.history_place = history.standings, history.place
                redis = DEMO if found else server.url
                ways = [
                    f"see it in a browser: {http.url}/",
                    _SCROLL if history else _NO_YEARS,
                    f'read it in Python: Reader("{redis}")',
                    f"look into it: livecache status --redis-url {redis}",
                ]
                _say(console, "\n".join(ways))
                beside = history.beside if history else None
                async with open_engine(config, beside=beside) as engine, asyncio.TaskGroup() as tasks:
                    instance.places = {engine.venue.name: Place(engine)}
                    instance.redis = server.url
                    running = [
                        tasks.create_task(engine.run(), name="engine"),
                        tasks.create_task(http.run(), name="http"),
                        tasks.create_task(_show(engine, console, ways), name="show"),
                    ]
                    if seconds is not None:
                        await engine.started.wait()
                        await engine.clock.sleep(seconds)
                        for task in running:
                            task.cancel()

    await until_stopped(main)
    return _summarise(engine, console) if engine is not None else 1


def _products(count: int, now: int) -> list[Product]:
    """The default products, and made-up ones where more are asked for."""
    listed_ms = now - _YEARS * _YEAR_MS
    made_up = (Product.parse(f"COIN{i}-USD") for i in range(count))
    return [each._replace(listed_ms=listed_ms) for each in (*DEFAULT_PRODUCTS, *made_up)][:count]


def _config(url: str, simulator: Simulator, symbols: int) -> Config:
    kind, own = simulator.settings()
    told: dict[str, Any] = {**own, "symbols": tuple(simulator.exchange.symbols)[:symbols]}
    told |= {"silence_timeout": 5.0} if "ws_url" in own else {"least_delay": _LEAST_DELAY_S}
    return Config(
        redis=RedisConfig(url=url),
        cache=CacheConfig(),
        venues={kind: settings_of(kind)(**told)},
    )


def _history(data_dir: Path, clock: SystemClock, *, days_alone: bool) -> HistoryService | None:
    """What keeps years of the made-up market; None without numpy. Of shares there are years of days alone."""
    if find_spec("numpy") is None:
        return None
    from .history.service.service import HistoryService

    return HistoryService(
        HistoryPlace.of("embedded", data_dir),
        clock,
        timeframes=(Timeframe.D1,) if days_alone else (),
        since=since_of(_SINCE).of,
        share=_HISTORY_SHARE,
        jitter=random.random,
    )


def _say(console: Console, text: str) -> None:
    """Print a line as it is: not broken at the terminal's width, so that it can be copied and searched."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)


async def _show(engine: Engine, console: Console, ways: Sequence[str]) -> None:
    """On a terminal a live table; elsewhere a line every ten seconds."""
    await engine.started.wait()
    if not console.is_terminal:
        while True:
            _say(console, f"{_market_time(engine)}: {_line(engine)}")
            await engine.clock.sleep(_LINES_EVERY_S)
    from rich.live import Live as LiveTable

    with LiveTable(console=console, auto_refresh=False) as table:
        while True:
            table.update(_table(engine, ways, console.height), refresh=True)
            await engine.clock.sleep(_REFRESH_S)


def _ready(engine: Engine) -> tuple[int, int]:
    tracks = engine.live.configured()
    return sum(1 for t in tracks if t.state is not None and t.state.ready), len(tracks)


def _market_time(engine: Engine) -> str:
    # Said to be the market's: the log beside it shows the host's, and they run apart.
    return f"market time {iso(engine.live.now() // 1000 * 1000)}"


def _line(engine: Engine) -> str:
    ready, total = _ready(engine)
    live = engine.live
    warm = f"warm after {live.warm_s:.1f} s" if live.warm_s is not None else "warming up"
    return (
        f"{ready} of {total} series ready, {warm}; {engine.backfiller.requests} candle requests, "
        f"{engine.backfiller.refusals} refused; {live.closed_live} candles closed live"
    )


def _table(engine: Engine, ways: Sequence[str], height: int) -> Table:
    """How all stands, and below it the ways in: what was said at the start has scrolled away by now."""
    from rich.markup import escape
    from rich.table import Table

    timeline = engine.live.timeline
    table = Table(
        title=f"{_market_time(engine)} (Ctrl-C ends it)",
        caption=escape("\n".join([*_line(engine).split("; ", 1), *ways])),
        caption_justify="left",
        min_width=60,
    )
    table.add_column("symbol")
    table.add_column("last", justify="right")
    for timeframe in timeline.timeframes:
        table.add_column(str(timeframe), justify="right")
    shown = min(_ROWS_MOST, max(_ROWS_LEAST, height - _LINES_BESIDE))
    for symbol in list(timeline.symbols.values())[:shown]:
        tracks = [symbol.tracks[t] for t in timeline.timeframes]
        newest = [c for t in tracks if (c := t.candle(t.grid.floor(engine.live.now())))]
        cells = []
        for track in tracks:
            ready = track.state is not None and track.state.ready
            cells.append(f"[green]{len(track.settled)} ✓[/]" if ready else f"[yellow]{len(track.settled)}[/]")
        last = last_price(newest[0].numbers) if newest else "–"
        table.add_row(symbol.symbol, last, *cells)
    hidden = len(timeline.symbols) - shown
    if hidden > 0:
        table.add_row(f"… {hidden} more", "")
    return table


def _summarise(engine: Engine, console: Console) -> int:
    ready, total = _ready(engine)
    live = engine.live
    short = [t for t in live.configured() if t.state is not None and t.state.short]
    _say(console, _line(engine).replace("warming up", "not yet warm"))
    for track in short:
        _say(console, f"  {track.series}: {track.state.reason if track.state else ''}")
    _say(console, "That was the real service on a made-up market; its Redis and its candles are gone.")
    _say(console, "Next: `livecache doctor` tries your own set-up, `livecache run` fills it and stays.")
    return 0 if ready + len(short) == total and live.warm_s is not None else 1
