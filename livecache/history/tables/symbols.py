"""Symbols, their splits and dividends, and what was read before a split, until it is read again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import isclose

from ...equities.action import Action
from ...equities.scale import Scale, ratio_of, rescale, since_then, stale, text_of, unscale
from ...equities.written import grid_of
from ...model.candle import ExactCandle
from ...model.coverage import Coverage
from ...model.timeframe import Timeframe, iso
from ..columns import Columns
from ..records.symbols import AboutSymbol, Asset
from ..scaling import in_shares
from ..store import PRIORITY, SeriesInfo
from .arrivals import arrivals
from .database import Sql, Tables

__all__ = ["AGAIN", "Symbols", "note", "read_again", "scales_of", "settle_scales"]

AGAIN = 2
"""In the column `force` of a job: it reads again what was read before a split."""

_FAR = 1 << 62
_ASSET = "venue, symbol, first_seen, last_update, listed, exchange, currency, calendar, name"
_TEXTS = ("exchange", "currency", "calendar", "name")


class Symbols(Tables):
    """What is known of symbols."""

    def assets(self) -> Sequence[Asset]:
        """All of them, by venue and symbol."""
        with self.reading() as db:
            found = db.execute(f"SELECT {_ASSET} FROM assets ORDER BY venue, symbol").fetchall()
        return [Asset(*row) for row in found]

    def actions(self, venue: str, symbol: str) -> Sequence[Action]:
        """Splits and dividends, the oldest first; dividends in today's shares."""
        with self.reading() as db:
            held = _held(db, venue, symbol)
        splits = [action for action, _ in held if action.kind == "split"]
        return [_today(action, asked, splits) for action, asked in held]


def note(
    db: Sql,
    info: SeriesInfo,
    now: int,
    told: AboutSymbol,
    proven: Coverage,
    off_by: Callable[[int], float],
) -> Iterator[tuple[str, str]]:
    """Store what a page tells of its symbol. What of that is news: the name of the event, and a text.

    `off_by` tells by what the page's prices before a time differ from those that are stored; NaN: by nothing
    that is known. A split that is told no more is gone if they differ by its ratio: an answer may lack what
    it should have told.
    """
    venue, symbol, timeframe = info.key
    _update(db, venue, symbol, now, told)
    held = {(a.time, a.kind): (a, asked) for a, asked in _held(db, venue, symbol)}
    if not told.actions and not held:
        return
    fresh = {(each.time, each.kind): each for each in _summed(told.actions)}
    splits = [a for a in {**{k: a for k, (a, _) in held.items()}, **fresh}.values() if a.kind == "split"]
    for key, action in fresh.items():
        before, asked = held.get(key, (None, 0))
        db.execute(
            "INSERT INTO actions (venue, symbol, time, kind, value, asked) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (venue, symbol, time, kind) DO UPDATE SET value = excluded.value,"
            " asked = excluded.asked",
            (venue, symbol, *action, told.asked),
        )
        if action.kind == "split" and before is None:
            if _unread(db, venue, symbol, now, action.time, action.time, ratio_of(action)):
                since = iso(action.time)
                yield (
                    "history_split",
                    (f"{symbol} was split {action.value} at {since}: what was stored before is read again"),
                )
        elif before and _differ(_today(before, asked, splits), action):
            if action.kind == "split":
                ratio = ratio_of(action) / ratio_of(before)
                _unread(db, venue, symbol, now, action.time, told.asked, ratio)
            yield (
                "history_action_revised",
                (f"{symbol}: the {action.kind} of {iso(action.time)} is {action.value}, not {before.value}"),
            )
    # Who asks for minutes may be told less than who asks for days.
    for key in held.keys() - fresh.keys() if timeframe.ms >= Timeframe.D1.ms else ():
        action, asked = held[key]
        still = action.kind == "split" and not isclose(off_by(action.time), ratio_of(action), rel_tol=0.005)
        if action.time in proven and asked < told.asked and not still:
            where = (venue, symbol, *key)
            db.execute("DELETE FROM actions WHERE venue = ? AND symbol = ? AND time = ? AND kind = ?", where)
            if action.kind == "split":
                _unread(db, venue, symbol, now, action.time, told.asked, 1 / ratio_of(action))
            yield (
                "history_action_gone",
                (f"{symbol}: the {action.kind} of {iso(action.time)}, {action.value}, is told no more"),
            )


def scales_of(db: Sql, series: int) -> list[Scale]:
    """What of a series is to be read again, and in which shares it is stored."""
    found = db.execute('SELECT start, "end", ratio FROM stale WHERE series = ? ORDER BY start', (series,))
    return [Scale(start, end, Fraction(ratio)) for start, end, ratio in found]


def settle_scales(
    db: Sql,
    info: SeriesInfo,
    now: int,
    scales: Sequence[Scale],
    covered: Coverage,
    asked: int,
) -> None:
    """A page of these spans is stored: they are in the shares of when it was asked for."""
    left = unscale(scales, covered)
    for action, _ in _held(db, *info.key[:2]):
        if action.kind == "split" and asked < action.time:
            left = rescale(left, covered.clip(-_FAR, action.time), ratio_of(action))
    if left != list(scales):
        _keep(db, info.id, now, left)


def read_again(db: Sql, series: int, now: int, spans: Coverage) -> None:
    """These are known no more: whoever asks for them gets them in today's shares."""
    if scales := scales_of(db, series):
        _keep(db, series, now, unscale(scales, spans))


def _unread(db: Sql, venue: str, symbol: str, now: int, split: int, since: int, ratio: Fraction) -> bool:
    """What lies before a split and was asked for before `since` is in other shares. Whether there is any."""
    (first_seen,) = db.execute(
        "SELECT first_seen FROM assets WHERE venue = ? AND symbol = ?", (venue, symbol)
    ).fetchone()
    any_found = False
    found = db.execute(
        "SELECT id, timeframe, grid FROM series WHERE venue = ? AND symbol = ?", (venue, symbol)
    ).fetchall()
    for series, timeframe, text in found:
        db.execute(
            "DELETE FROM provisional WHERE series = ? AND time < ? AND heard < ?", (series, split, since)
        )
        _restate(db, series, split, since, ratio)
        known = db.execute('SELECT start, "end" FROM coverage WHERE series = ?', (series,))
        grid = grid_of(text, Timeframe(timeframe))  # No page brings closed hours without the bucket after.
        before = Coverage(known).clip(-_FAR, grid.end_before(grid.ceil(split)))
        held = arrivals(db, series, -_FAR, split)
        later = Coverage(span for each in held if each.began >= since for span in each.coverage)
        if first_seen >= since:  # Long before, or copied: only that is older of which just this is known.
            older = Coverage(span for each in held if each.began < since for span in each.coverage)
            before = before.without(before.without(older))
        if spans := before.without(later):
            _keep(db, series, now, rescale(scales_of(db, series), spans, ratio))
            db.execute("UPDATE series SET rev = rev + 1 WHERE id = ?", (series,))
            any_found = True
    return any_found


def _restate(db: Sql, series: int, split: int, since: int, ratio: Fraction) -> None:
    """What rows were is told in today's shares, as they are: of an earlier time nobody gets both."""
    found = db.execute(
        "SELECT rev, time, old FROM revisions AS its WHERE series = ? AND time < ? AND old IS NOT NULL"
        " AND ? > coalesce((SELECT max(at) FROM revisions WHERE series = its.series AND time = its.time"
        " AND rev < its.rev), 0)",
        (series, split, since),
    ).fetchall()
    for rev, time, old in found:
        (row,) = in_shares(Columns.of([ExactCandle(time, *json.loads(old))]), ratio).candles()
        db.execute(
            "UPDATE revisions SET old = ? WHERE series = ? AND time = ? AND rev = ?",
            (json.dumps(row.numbers), series, time, rev),
        )


def _keep(db: Sql, series: int, now: int, scales: Sequence[Scale]) -> None:
    """And a job that reads them again."""
    db.execute("DELETE FROM stale WHERE series = ?", (series,))
    db.executemany(
        'INSERT INTO stale (series, start, "end", ratio) VALUES (?, ?, ?, ?)',
        [(series, start, end, str(ratio)) for start, end, ratio in scales],
    )
    if spans := stale(scales).spans:
        db.execute(
            'INSERT INTO jobs (key, series, start, "end", force, priority, created)'
            " VALUES (:key, :series, :start, :end, :force, :priority, :now)"
            " ON CONFLICT (key) WHERE state IN ('pending', 'running', 'waiting') DO UPDATE"
            " SET start = CASE WHEN excluded.start < jobs.start THEN excluded.start ELSE jobs.start END,"
            ' "end" = CASE WHEN excluded."end" > jobs."end" THEN excluded."end" ELSE jobs."end" END',
            {
                "key": f"{series}:again",
                "series": series,
                "start": spans[0].start,
                "end": spans[-1].end,
                "force": AGAIN,
                "priority": PRIORITY,
                "now": now,
            },
        )


def _update(db: Sql, venue: str, symbol: str, now: int, told: AboutSymbol) -> None:
    """It is known since its first page; what a page does not say stays."""
    about = told.about
    texts = {name: getattr(about, name) for name in _TEXTS} if about else dict.fromkeys(_TEXTS, "")
    kept = ", ".join(f"{name} = coalesce(nullif(excluded.{name}, ''), assets.{name})" for name in _TEXTS)
    db.execute(
        f"INSERT INTO assets ({_ASSET}) VALUES (:venue, :symbol, :asked, :now, :listed, :exchange, :currency,"
        f" :calendar, :name) ON CONFLICT (venue, symbol) DO UPDATE SET last_update = excluded.last_update,"
        f" listed = coalesce(nullif(excluded.listed, 0), assets.listed), {kept}",
        {
            "venue": venue,
            "symbol": symbol,
            "now": now,
            "asked": told.asked,
            "listed": about.listed if about else 0,
            **texts,
        },
    )


def _held(db: Sql, venue: str, symbol: str) -> list[tuple[Action, int]]:
    """As they were told, and when these were asked for; the oldest first."""
    found = db.execute(
        "SELECT time, kind, value, asked FROM actions WHERE venue = ? AND symbol = ? ORDER BY time, kind",
        (venue, symbol),
    )
    return [(Action(time, kind, value), asked) for time, kind, value, asked in found]


def _summed(actions: Sequence[Action]) -> Iterator[Action]:
    """One a session and kind: of several dividends their sum."""
    held: dict[tuple[int, str], Action] = {}
    for each in actions:
        before = held.get((each.time, each.kind))
        if before and each.kind == "dividend":
            each = each._replace(value=text_of(Fraction(before.value) + Fraction(each.value)))
        held[each.time, each.kind] = each
    yield from held.values()


def _differ(action: Action, other: Action) -> bool:
    """Beyond how many digits a venue tells."""
    return abs(Fraction(action.value) / Fraction(other.value) - 1) > Fraction(1, 1_000)


def _today(action: Action, asked: int, splits: Sequence[Action]) -> Action:
    if action.kind == "split":
        return action
    ratio = since_then(splits, action.time, asked)
    return action if ratio == 1 else action._replace(value=text_of(Fraction(action.value) / ratio))
