"""The metrics: each with its name, its kind, what it says, and where the number comes from.

They are read at a scrape from what the living parts count anyway; nothing here is counted twice. Times are
Unix seconds, so that an age is a difference that whoever asks can take. Labels have few values, all known.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Literal, NamedTuple

from ...engine.engine import Engine
from ...model.histogram import Histogram
from ...read.standing import state_of
from ...venues.stats import REQUEST_KINDS
from ...venues.venue import FailureKind
from ...wire.spread import is_apart
from .instance import Instance

__all__ = ["OF_ENGINE", "OF_LIMITER", "OF_PROCESS", "Metric", "Value", "Values"]

Value = float | Histogram
Values = Value | Mapping[tuple[str, ...], Value] | None
"""One value; or one by the values of the labels; None where there is nothing to say yet."""


class Metric(NamedTuple):
    """`name` lacks the prefix `livecache_`, and a counter's the ending `_total`."""

    kind: Literal["gauge", "counter", "histogram"]
    name: str
    help: str
    read: Callable[[Any], Values]
    labels: tuple[str, ...] = ()


def _build(_: Instance) -> Values:
    return {(version("livecache"), platform.python_version()): 1}


def _history_usable(instance: Instance) -> Values:
    return {(venue,): not standing.trouble for venue, standing in instance.history.items()}


def _history_candles(instance: Instance) -> Values:
    counts: dict[tuple[str, ...], Value] = {}
    for venue, standing in instance.history.items():
        counts |= {(venue, "copied"): standing.copied, (venue, "filled"): standing.filled}
    return counts


def _of_cluster(read: Callable[[Any], Mapping[str, Value]]) -> Callable[[Engine], Values]:
    """What the way to a Redis Cluster tells by one label; nothing of one server."""
    return lambda e: {(label,): its for label, its in read(e.way).items()} if is_apart(e.way) else None


# --- series

STATES = ("waiting", "warming", "ready", "short", "unknown", "halted", "lagging", "hole", "failing")


def _series(engine: Engine) -> Values:
    counts: Counter[str] = Counter()
    for track in engine.live.configured():
        state = track.state
        if not engine.live.serving:
            counts["waiting"] += 1
        elif state is None:
            counts["warming"] += 1
        else:
            counts[state_of(ready=state.ready, reason=state.reason)] += 1
    return {(state,): counts[state] for state in STATES}


def _candles(engine: Engine) -> Values:
    return sum(len(track.settled) for track in engine.live.configured())


def _settling_lag(engine: Engine) -> Values:
    """For each timeframe, how long the oldest bucket not settled has been closed; ready series only."""
    now = engine.live.now()
    longest: dict[str, int] = {}
    for track in engine.live.configured():
        state, timeframe = track.state, track.series.timeframe
        if state is None or not state.ready:
            continue
        behind = state.settled_through < track.grid.closed(now)
        lag = now - track.grid.final_due(state.settled_through) if behind else 0
        longest[timeframe.value] = max(lag, longest.get(timeframe.value, 0))
    return {(name,): lag / 1000 for name, lag in longest.items()}


# --- the feed and the venue


def _feed_symbols(engine: Engine) -> Values:
    timeline = engine.live.timeline
    if not timeline.traits.fed:  # There is none that could be down.
        return {(state,): 0 for state in ("up", "down", "refused", "unknown")}
    up = sum(timeline.feed_up(symbol) for symbol in timeline.symbols)
    unknown = {s for s, one in timeline.symbols.items() if one.standing.startswith("unknown")}
    refused = sum(not timeline.feed_up(s) for s in engine.live.feed.refused - unknown)
    down = len(timeline.symbols) - up - len(unknown) - refused
    return {("up",): up, ("down",): down, ("refused",): refused, ("unknown",): len(unknown)}


def _rejections(engine: Engine) -> Values:
    rejected = engine.live.feed.rejected
    counts: dict[tuple[str, ...], Value] = {
        ("feed", kind): rejected[kind] for kind in ("frame", "candle", "trade", "time")
    }
    return counts | {("rest", "candle"): engine.backfiller.rejected}


def _requests(engine: Engine) -> Values:
    counts = engine.venue.stats.requests
    return {
        (kind, outcome.replace(" ", "_")): counts[kind, outcome]
        for kind in REQUEST_KINDS
        for outcome in ("ok", *FailureKind)
    }


def _damage(engine: Engine) -> Values:
    found = engine.writer.stats.damage
    return {
        ("series",): found.series,
        ("time_limit",): found.limits,
        ("announcement",): found.announcements,
        ("closes",): found.closes,
    }


def _seconds(ms: float) -> float | None:
    return ms / 1000 or None


OF_PROCESS = (
    Metric("gauge", "build_info", "Always 1; the labels tell the versions.", _build, ("version", "python")),
    Metric("gauge", "start_time_seconds", "When this process started.", lambda i: i.started_at_s),
    Metric(
        "gauge",
        "lease_held",
        "Whether this instance writes the cache.",
        lambda i: i.role == "writing",
    ),
    Metric(
        "gauge",
        "history_usable",
        "Whether the file of deep history can be used; absent where none is kept.",
        _history_usable,
        ("venue",),
    ),
    Metric(
        "counter",
        "history_candles",
        "Candles that this process has stored in deep history, new or revised.",
        _history_candles,
        ("venue", "source"),
    ),
    Metric(
        "gauge",
        "history_failed_series",
        "Series of deep history of which something could not be had.",
        lambda i: {(venue,): standing.failed for venue, standing in i.history.items()},
        ("venue",),
    ),
)
"""Read from an `Instance`, be there an engine in it or not."""

OF_ENGINE = (
    Metric("gauge", "venue_time_seconds", "The venue's clock now.", lambda s: _seconds(s.live.now())),
    Metric(
        "gauge",
        "warmup_duration_seconds",
        "From the start until every series that can be was ready; absent until then.",
        lambda s: s.live.warm_s,
    ),
    Metric(
        "counter",
        "lease_lost",
        "Times that the lease was lost, to another instance or altogether.",
        lambda s: s.writer.stats.fenced,
    ),
    Metric(
        "gauge",
        "vouched_timestamp_seconds",
        "When readers were last told that this instance vouches for what they read.",
        lambda s: s.writer.pulse.vouched_at_s or None,
    ),
    Metric("gauge", "series", "Configured series, by how they stand.", _series, ("state",)),
    Metric("gauge", "candles", "Settled candles in memory.", _candles),
    Metric(
        "gauge",
        "settling_lag_seconds",
        "How long the oldest bucket that is not settled has been closed, venue time; ready series only.",
        _settling_lag,
        ("timeframe",),
    ),
    Metric(
        "histogram",
        "settling_delay_seconds",
        "From the end of a bucket until it was settled, venue time.",
        lambda s: s.live.settling,
    ),
    Metric(
        "counter",
        "revisions",
        "Settled candles that the venue changed later.",
        lambda s: s.live.timeline.counters.revisions,
    ),
    Metric(
        "counter",
        "rollup_mismatches",
        "Fetched candles that differ from the sum of their children.",
        lambda s: s.live.timeline.counters.rollup_mismatches,
    ),
    Metric(
        "counter",
        "disputes",
        "Buckets of pages that were poorer than what the feed had shown.",
        lambda s: s.live.timeline.counters.disputes,
    ),
    Metric(
        "counter",
        "disputes_lost",
        "Of these, the ones that were taken after a minute.",
        lambda s: s.live.timeline.counters.disputes_lost,
    ),
    Metric(
        "counter",
        "rejections",
        "What the venue sent and could not be believed.",
        _rejections,
        ("source", "kind"),
    ),
    Metric("gauge", "feed_connections", "Connections that are up.", lambda s: s.live.feed.connected),
    Metric(
        "gauge",
        "feed_connections_wanted",
        "Connections that there should be.",
        lambda s: s.live.feed.connections,
    ),
    Metric("gauge", "feed_symbols", "Symbols, by whether the feed shows them.", _feed_symbols, ("feed",)),
    Metric(
        "gauge",
        "feed_last_message_timestamp_seconds",
        "The stamp of the newest frame, by the venue's clock.",
        lambda s: _seconds(s.live.feed.last_message),
    ),
    Metric("counter", "feed_frames", "Frames received.", lambda s: s.live.feed.frames),
    Metric("counter", "feed_reconnects", "Connections that were lost.", lambda s: s.live.feed.reconnects),
    Metric(
        "counter",
        "feed_sequence_gaps",
        "Frames that were lost in mid-stream.",
        lambda s: s.live.feed.sequence_gaps,
    ),
    Metric(
        "counter",
        "feed_dead_channels",
        "Symbols that were found to trade though the feed showed nothing.",
        lambda s: s.live.timeline.counters.dead_channels,
    ),
    Metric(
        "counter",
        "venue_requests",
        "Requests to the venue's REST API.",
        _requests,
        ("kind", "outcome"),
    ),
    Metric(
        "histogram",
        "venue_request_duration_seconds",
        "How long they took, whatever came of them.",
        lambda s: {(kind,): seconds for kind, seconds in s.venue.stats.seconds.items()},
        ("kind",),
    ),
    Metric("counter", "venue_rate_cuts", "Times that a refusal lowered the rate.", lambda s: s.limiter.cuts),
    Metric(
        "gauge", "venue_rate_limit", "Requests a second allowed at present.", lambda s: s.limiter.rate_per_s
    ),
    Metric(
        "gauge",
        "venue_requests_this_hour",
        "Requests that started within the last hour.",
        lambda s: s.limiter.hour.requests,
    ),
    Metric(
        "gauge",
        "venue_requests_per_hour",
        "How many an hour may have; absent where nothing bounds them so.",
        lambda s: s.limiter.hour.most or None,
    ),
    Metric(
        "gauge",
        "venue_budget_members",
        "Processes that share the venue's budget, this one included; absent where none may be.",
        lambda s: s.limiter.quota and s.limiter.quota.members,
    ),
    Metric(
        "gauge",
        "venue_budget_by_redis",
        "1 while Redis gives out the slots; 0 while it is alone or keeps to its share without Redis.",
        lambda s: s.limiter.quota and float(s.limiter.quota.standing == "shared"),
    ),
    Metric(
        "counter",
        "venue_budget_asks",
        "Times that Redis was asked for a slot.",
        lambda s: s.limiter.quota.asks if s.limiter.quota else 0,
    ),
    Metric(
        "counter",
        "venue_budget_fallbacks",
        "Times that Redis did not answer, and it kept to its share.",
        lambda s: s.limiter.quota.fallbacks if s.limiter.quota else 0,
    ),
    Metric(
        "gauge",
        "venue_ban_end_timestamp_seconds",
        "When the venue, which refuses everything now, will answer again.",
        lambda s: _seconds(s.limiter.banned_until),
    ),
    Metric(
        "histogram",
        "flush_duration_seconds",
        "Writing what had changed to Redis, from taking it to the last answer.",
        lambda s: s.writer.stats.flush_seconds,
    ),
    Metric("counter", "series_writes", "Series written to Redis.", lambda s: s.writer.stats.upserts),
    Metric(
        "counter", "closes_written", "Entries added to the stream of closes.", lambda s: s.writer.stats.closes
    ),
    Metric(
        "counter",
        "closes_dropped",
        "Entries given up because Redis was away for too long.",
        lambda s: s.writer.stats.closes_dropped,
    ),
    Metric(
        "gauge",
        "redis_answered_timestamp_seconds",
        "When Redis last answered the question of who writes, which it is asked every second.",
        lambda s: s.writer.pulse.answered_at_s or None,
    ),
    Metric(
        "gauge",
        "redis_node_up",
        "Whether each master of a Redis Cluster answers what is written.",
        _of_cluster(lambda way: way.nodes),
        ("node",),
    ),
    Metric(
        "histogram",
        "redis_node_duration_seconds",
        "What goes to a master of a Redis Cluster at once, from sending it to the last answer, or to none.",
        _of_cluster(lambda way: way.seconds),
        ("node",),
    ),
    Metric(
        "counter",
        "redis_redirects",
        "Calls that a Redis Cluster's node answered by the name of another: moved for good, or ask for once.",
        _of_cluster(lambda way: way.redirects),
        ("kind",),
    ),
    Metric(
        "counter",
        "redis_errors",
        "Attempts on Redis that failed and were made again.",
        lambda s: s.writer.stats.errors,
    ),
    Metric(
        "counter",
        "redis_lost_series",
        "Series found missing or outdated in Redis, and rewritten.",
        lambda s: s.writer.stats.lost,
    ),
    Metric("counter", "redis_damage", "What others did to our keys, found and mended.", _damage, ("what",)),
    Metric(
        "gauge",
        "redis_foreign_series",
        "Series that cannot be written since a key of theirs holds something foreign.",
        lambda s: len(s.writer.problems),
    ),
)
"""Read from an `Engine`. Where there are several, each value has its venue for a first label."""

OF_LIMITER = frozenset(
    [f"venue_rate_{what}" for what in ("cuts", "limit")]
    + [f"venue_budget_{what}" for what in ("members", "by_redis", "asks", "fallbacks")]
    + ["venue_requests_this_hour", "venue_requests_per_hour", "venue_ban_end_timestamp_seconds"]
)
"""Of these the shards of a venue have but one."""
