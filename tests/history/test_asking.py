"""What `livecache history fill` understands, and what it says of what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from livecache.commands.history.asking import wanted_of
from livecache.commands.history.fill import Wanted
from livecache.config.schema import Config
from livecache.errors import ConfigError, StoreUnusable
from livecache.history.opening import open_history
from livecache.keys.history_place import Place, place_problem
from livecache.model.timeframe import Timeframe

DAY = 86_400_000


def asked(**given: object) -> Wanted:
    nothing: dict[str, object] = dict.fromkeys(
        ("venue", "symbols", "symbols_file", "timeframes", "since", "days", "years", "until")
    )
    return wanted_of(Config(), **{**nothing, "force": False, "oldest_first": False, **given})[1]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "since"),
    [
        ({"days": 30}, -30 * DAY),
        ({"years": 5}, -1_827 * DAY),
        ({"since": "100d"}, -100 * DAY),
        ({"since": "2 w"}, -14 * DAY),
        ({"since": "2021-01-31"}, 1_612_051_200_000),
        ({"since": "2021-01-31T12:00Z"}, 1_612_094_400_000),
        ({"since": "listing"}, 1_230_940_800_000),
        ({"since": "1970-01-01"}, 1),
        ({"since": "1969-07-20"}, 1),
    ],
)
def test_how_far_back_is_told_in_many_ways(given: dict[str, object], since: int) -> None:
    """An age is below 0: it counts from the venue's now, which nobody knows yet."""
    assert asked(**given).since == since


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "nothing says how far back"),
        ({"days": 1, "years": 2}, "--days and --years are both given"),
        ({"since": "soon"}, "--since 'soon' is no time"),
        ({"days": 1, "until": "yesterday"}, "--until 'yesterday' is no time"),
        ({"days": 1, "symbols": "btc usd"}, "--symbols"),
        ({"days": 1, "venue": "nowhere"}, "--venue 'nowhere' is not configured"),
        ({"days": 1, "symbols": "BTC-USD", "symbols_file": Path("x")}, "are both given"),
    ],
)
def test_what_it_does_not_understand_is_named(given: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        asked(**given)
    assert told in error.value.message and error.value.hint


def test_symbols_and_timeframes_are_those_that_are_named_else_those_configured(tmp_path: Path) -> None:
    assert asked(days=1).symbols == {"coinbase": ("BTC-USD", "ETH-USD")}
    file = tmp_path / "top.json"
    file.write_text('{"name": "top", "last_updated": "2025-10-21", "symbols": ["SOL-USD", "BTC-USD"]}')
    wanted = asked(days=1, symbols_file=file, timeframes="1h,1m")
    assert wanted.symbols == {"coinbase": ("SOL-USD", "BTC-USD")}
    assert set(wanted.timeframes) == {Timeframe.H1, Timeframe.M1}
    file.write_text("SOL-USD  # the third\n\nBTC-USD\n")
    assert asked(days=1, symbols_file=file).symbols == {"coinbase": ("SOL-USD", "BTC-USD")}


def test_where_a_history_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Place.of("embedded", tmp_path / "data").path == tmp_path / "data" / "history.db"
    assert Place.of("sqlite:///own.db", tmp_path).path == tmp_path / "own.db"
    assert Place.of(f"sqlite:///{tmp_path}/own.db", tmp_path).path == tmp_path / "own.db"
    assert Place.of(f"sqlite://{tmp_path}/own.db", tmp_path).path == tmp_path / "own.db"
    assert (
        place_problem("sqlite:///")
        and place_problem("mysql://host/db")
        and place_problem("postgresql://host")
    )
    assert place_problem("off") is None and place_problem("postgresql:///db?host=/run/postgresql") is None


@pytest.mark.parametrize(
    "wrong",
    [
        *(f"postgresql://me:s3{one}cret@host/db" for one in ("#", "?", "/", "@", "[", "://", "/@", ":@/")),
        *("postgresql:/me:s3cret@host/db", "me:s3cret@host/db", "postgresql+psycopg://me:s3cret@host/db"),
        *("sqlite:///postgresql://me:s3cret@host/db", "PostgreSQL://me:s3cret@host/db"),
        *("host=db password=s3cret dbname=x", "host=db dbname=x password = 's3 cret'", "PASSWORD=s3cret"),
    ],
)
def test_what_is_no_place_is_refused_without_a_password_in_whatever_form_it_is(wrong: str) -> None:
    """Else libpq would take a part of it for a host or a port, and say so."""
    problem = place_problem(wrong)
    told = f"{problem} {Place.of(wrong, Path())}" if "sqlite" not in wrong else str(problem)
    assert problem and "s3" not in told and "cret" not in told


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://writer:s3cret@db.example.com:5432/livecache",
        "postgres://writer@db.example.com/livecache?password=s3cret&sslmode=require",
        "postgresql://writer:s3cret@one:5432,two:5433/livecache?sslpassword=s3cret",
        "postgresql://writer@db.example.com/livecache?password=a@s3cret&sslmode=require",
    ],
)
def test_a_password_of_a_database_is_told_nowhere(url: str, tmp_path: Path) -> None:
    place = Place.of(url, tmp_path)
    assert place.url == url and place.path is None and place.exists()
    assert "s3cret" not in f"{place} {place!r}" and "writer@" in str(place)
    wrong = place_problem(url.replace("/livecache", ""))
    assert wrong and "s3cret" not in wrong[0]
    with pytest.raises(StoreUnusable) as refused:
        open_history(place)
    assert "s3cret" not in str(refused.value)
