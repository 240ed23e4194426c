"""Calendars of exchanges: known days, properties at random times, and the library that they are made from."""

from __future__ import annotations

import contextlib
import json
import tempfile
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livecache.config.load import load
from livecache.equities.calendar import ALWAYS, DATA, Calendar, calendar_named
from livecache.equities.calendar_file import PRESUMED_YEARS
from livecache.errors import ConfigError
from livecache.model.grid import DAY_MS
from livecache.model.timeframe import Timeframe
from livecache.venues.settings import SessionSettings

from .. import calendars
from ..sizes import examples

D1, W1, MN1, H1, H4, M1 = (Timeframe(name) for name in ("1d", "1w", "1M", "1h", "4h", "1m"))
QUICK = ("XNYS", "XTKS", "XASX")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def named(name: str, file: Path | None = None) -> Calendar:
    found = calendar_named(name, file)
    assert found
    return found


@cache
def bounds(name: str) -> list[tuple[int, int]]:
    grid = named(name).sessions
    return list(zip(grid.openings, grid.closings, strict=True))


def session(name: str, day: str) -> tuple[int, int]:
    opening = named(name).session_on(date.fromisoformat(day))
    assert opening
    return opening, named(name).sessions.end(opening)


def same_as_the_library(name: str) -> None:
    calendar = named(name)
    there = calendars.sessions(calendars.known(name))
    assert len(there) > 7_000
    ours = {
        date.fromordinal(day): bounds
        for day, bounds in zip(calendar.days, bounds(name), strict=True)
        if bounds[0] < calendar.through
    }
    assert ours == there


@pytest.mark.parametrize("name", QUICK)
def test_every_session_is_the_librarys(name: str) -> None:
    same_as_the_library(name)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in calendars.NAMES if name not in QUICK])
def test_every_session_of_every_exchange_is_the_librarys(name: str) -> None:
    same_as_the_library(name)


@pytest.mark.long
def test_the_files_are_what_is_made_from_the_library() -> None:
    assert {file.name: file.read_bytes() for file in DATA.iterdir()} == calendars.make()


def test_a_day_opens_and_ends_when_the_exchange_does() -> None:
    assert session("XNYS", "2026-11-30") == (ms("2026-11-30T14:30"), ms("2026-11-30T21:00"))
    assert session("XNYS", "2026-11-27") == (ms("2026-11-27T14:30"), ms("2026-11-27T18:00")), "a half day"
    assert session("XNYS", "2024-02-29") == (ms("2024-02-29T14:30"), ms("2024-02-29T21:00")), "a leap day"
    for day in ("2025-01-09", "2026-11-26", "2026-11-28", "2001-09-12"):
        assert named("XNYS").session_on(date.fromisoformat(day)) is None
    assert session("XASX", "2026-01-05")[0] == ms("2026-01-04T23:00"), "the day before, in UTC"
    assert session("XTKS", "2024-11-01")[1] == ms("2024-11-01T06:00")
    assert session("XTKS", "2024-11-05") == (ms("2024-11-05T00:00"), ms("2024-11-05T06:30")), "lunch is in it"


def test_clocks_that_change_move_the_sessions() -> None:
    friday, monday = session("XNYS", "2026-03-06"), session("XNYS", "2026-03-09")
    assert monday[0] - friday[0] == 3 * DAY_MS - H1.ms
    assert session("XNYS", "2026-10-30")[0] == ms("2026-10-30T13:30")
    assert session("XNYS", "2026-11-02")[0] == ms("2026-11-02T14:30")
    assert session("XLON", "2026-03-30")[0] == ms("2026-03-30T07:00")


def test_hours_begin_with_the_session_and_a_half_day_has_fewer() -> None:
    hours = named("XNYS").grid(H1)
    opens = hours.opens(ms("2026-11-25"), ms("2026-11-28"))
    assert [t - ms("2026-11-25T14:30") for t in opens[:7]] == [n * H1.ms for n in range(7)]
    assert hours.end(opens[6]) == ms("2026-11-25T21:00"), "half an hour"
    assert opens[7:] == [ms(f"2026-11-27T{time}") for time in ("14:30", "15:30", "16:30", "17:30")]
    assert hours.end(opens[-1]) == ms("2026-11-27T18:00")
    assert hours.count(ms("2026-11-26"), ms("2026-11-27")) == 0
    assert named("XNYS").grid(H4).count(ms("2026-11-25"), ms("2026-11-28")) == 3


def test_weeks_and_months_run_from_a_first_open_to_a_last_close() -> None:
    new_york, tokyo = named("XNYS"), named("XTKS")
    week = new_york.grid(W1).floor(ms("2026-09-10T15:00"))
    assert week == ms("2026-09-08T13:30"), "Monday was Labor Day"
    assert new_york.grid(W1).end(week) == ms("2026-09-11T20:00")
    month = new_york.grid(MN1).floor(ms("2026-02-20"))
    assert (month, new_york.grid(MN1).end(month)) == (ms("2026-02-02T14:30"), ms("2026-02-27T21:00"))
    # In May 2019 Tokyo was closed for a whole week: there is none.
    assert tokyo.grid(W1).after(ms("2019-04-22T00:00")) == ms("2019-05-07T00:00")
    # It is Monday in Sydney when it is Sunday in Greenwich, and February when it is January.
    assert named("XASX").grid(W1).floor(ms("2026-01-08")) == ms("2026-01-04T23:00")
    assert named("XASX").grid(MN1).floor(ms("2027-02-10")) == ms("2027-01-31T23:00")


@settings(deadline=None, max_examples=examples(200))
@given(st.sampled_from(QUICK), st.sampled_from([M1, H1, H4, D1, W1, MN1]), st.data())
def test_buckets_at_random_times(name: str, timeframe: Timeframe, data: st.DataObject) -> None:
    calendar, sessions = named(name), bounds(name)
    grid = calendar.grid(timeframe)
    opening, closing = sessions[data.draw(st.integers(100, len(sessions) - 100))]
    time = data.draw(st.one_of(st.just(opening), st.integers(opening - 3 * DAY_MS, closing + 3 * DAY_MS)))
    bucket = grid.floor(time)
    assert grid.end_before(bucket) <= bucket <= time
    assert bucket < grid.end(bucket) <= grid.after(time)
    assert grid.closed(time) <= time < grid.due(grid.closed(time))
    until = time + data.draw(st.integers(0, 60)) * DAY_MS
    within = grid.opens(time, until)
    assert grid.count(time, until) == len(within)
    # Nothing but sessions has buckets, and each session has them from its open to its close.
    assert all(grid.end(one) - one <= 35 * DAY_MS for one in within)
    assert calendar.sessions.floor(bucket) <= bucket < calendar.sessions.end(calendar.sessions.floor(bucket))
    assert grid.bounds(opening) or timeframe in (W1, MN1)
    assert grid.closed(closing) == closing or timeframe in (W1, MN1)


@pytest.mark.parametrize("name", QUICK)
def test_what_adds_up_to_what(name: str) -> None:
    grids = named(name).grids()
    assert set(grids) == set(Timeframe)
    adds_up = {
        (small.value, big.value)
        for small, big in ((M1, H1), (H1, D1), (H4, D1), (D1, W1), (D1, MN1), (W1, MN1), (H1, W1), (MN1, W1))
        if grids[small].divides(grids[big])
    }
    assert adds_up == {("1m", "1h"), ("1h", "1d"), ("4h", "1d"), ("1d", "1w"), ("1d", "1M"), ("1h", "1w")}


def test_beyond_its_end_a_calendar_goes_on_by_the_usual_week() -> None:
    new_york = named("XNYS")
    assert new_york.through == ms("2029-01-01T05:00")
    presumed = new_york.session_on(date(2029, 1, 1))
    assert presumed == ms("2029-01-01T14:30") > new_york.through, "a holiday that nobody has told"
    assert new_york.session_on(date(2029, 7, 2)) == ms("2029-07-02T13:30"), "in summer time"
    assert new_york.session_on(date(2029, 7, 1)) is None, "a Sunday"
    last = date.fromordinal(new_york.days[-1])
    assert last.year == 2028 + PRESUMED_YEARS


def test_the_same_name_is_the_same_calendar_and_24_7_is_none() -> None:
    assert calendar_named("XNYS") is calendar_named("XNYS")
    assert named("XNAS").sessions.openings == named("XNYS").sessions.openings
    assert calendar_named(ALWAYS) is None


def test_an_unknown_name_is_told_with_those_that_are_near() -> None:
    with pytest.raises(ConfigError, match=r"no calendar 'XNYC'.*did you mean XNYS"):
        calendar_named("XNYC")


MINE = {
    "DESERT": {
        "zone": "Asia/Dubai",
        "since": "2020-01-01",
        "through": "2021-12-31",
        "week": "Sun Mon Tue Wed Thu",
        "hours": {"2020-01-01": "10:00-14:00", "2021-01-01": "10:00-15:00"},
        "closed": {"2020": "12-02 12-03"},
        "odd": {"10:00-11:30": {"2020": "05-28"}, "12:00-13:00": {"2020": "05-29"}},
    },
    "NIGHT": {
        "zone": "America/New_York",
        "since": "2026-01-01",
        "through": "2026-12-31",
        "week": "Mon Tue Wed Thu Fri",
        "hours": "18:00-17:00",
    },
    "XNYS": {"like": "XNYS", "closed": {"2026": "12-01"}, "odd": {"09:30-13:00": {"2026": "12-02"}}},
    "HOME": "XLON",
}


def mine(tmp_path: Path, written: object = MINE) -> Path:
    file = tmp_path / "calendars.json"
    file.write_text(json.dumps(written))
    return file


def test_a_file_of_the_users_own(tmp_path: Path) -> None:
    file = mine(tmp_path)
    desert = named("DESERT", file)
    days = {date.fromordinal(day) for day in desert.days}
    assert date(2020, 12, 6) in days and not {date(2020, 12, 2), date(2020, 12, 4)} & days, "Friday is closed"
    opening = desert.session_on(date(2020, 5, 28))
    assert opening == ms("2020-05-28T06:00") and desert.sessions.end(opening) == ms("2020-05-28T07:30")
    assert desert.session_on(date(2020, 5, 29)) == ms("2020-05-29T08:00"), "odd hours open a closed day"
    assert desert.sessions.closed(ms("2021-02-02")) == ms("2021-02-01T11:00")
    night = named("NIGHT", file)
    assert night.session_on(date(2026, 3, 9)) == ms("2026-03-08T22:00"), "Monday begins on Sunday"
    assert night.grid(W1).floor(ms("2026-03-11")) == ms("2026-03-08T22:00")
    assert named("HOME", file).sessions.openings == named("XLON").sessions.openings


def test_the_users_calendar_goes_before_ours_and_may_add_to_it(tmp_path: Path) -> None:
    theirs, ours = named("XNYS", mine(tmp_path)), named("XNYS")
    added = date(2026, 12, 1)
    assert ours.session_on(added) and theirs.session_on(added) is None
    half = theirs.session_on(added + timedelta(1))
    assert half and theirs.sessions.end(half) == ms("2026-12-02T18:00")
    assert theirs.session_on(date(2026, 11, 26)) is None
    assert len(theirs.days) == len(ours.days) - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"since": "2026-13-01"}, "NIGHT: since: '2026-13-01' is no day"),
        ({"through": "2025-12-31"}, "NIGHT: through: 2025-12-31 is not after 2026-01-01"),
        ({"through": "9000-12-31"}, "NIGHT: through: 9000-12-31.*within 200 years"),
        ({"week": "Mon Tur"}, "NIGHT: week: 'Mon Tur'"),
        ({"hours": "9:30-16:00"}, "NIGHT: hours: '9:30-16:00' are no hours"),
        ({"hours": "09:30-25:00"}, "NIGHT: hours"),
        ({"hours": {"2026-02-01": "09:30-16:00"}}, "NIGHT: hours: none on 2026-01-01"),
        ({"closed": {"2026": "02-30"}}, "NIGHT: closed: '2026', '02-30' is no day"),
        ({"odd": {"18:00-17:00": {"2026": "0202"}}}, "NIGHT: odd: '2026', '0202' is no day"),
        ({"odd": {"10:00-19:00": {"2026": "02-02"}}}, "NIGHT: hours: 2026-02-03 opens before"),
        ({"zone": "America/New_Yorck"}, "NIGHT: zone: .*America/New_Yorck.*tzdata"),
        ({"zone": "../etc/passwd"}, "NIGHT: zone"),
        ({"like": "XNYX"}, "NIGHT: like: none of ours is called 'XNYX'"),
        ({"holidays": []}, "holds no calendars.*holidays"),
        ({"closed": ["2026-01-01"]}, "holds no calendars.*closed"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, change: dict[str, object], message: str) -> None:
    file = mine(tmp_path, {"NIGHT": MINE["NIGHT"] | change})  # type: ignore[operator]
    with pytest.raises(ConfigError, match=message) as told:
        calendar_named("NIGHT", file)
    assert str(file) in told.value.message and told.value.hint


def test_the_example_is_what_its_page_says() -> None:
    docs = Path(__file__).parents[2] / "docs"
    file = docs / "examples/calendars.json"
    assert f"```json\n{file.read_text()}```" in (docs / "configuration.md").read_text()
    assert named("XNYS", file).session_on(date(2027, 3, 5)) is None
    assert named("DESERT", file).session_on(date(2026, 12, 1)) == ms("2026-12-01T06:00")
    assert named("XBRU", file).days == named("XPAR").days


def test_every_calendar_that_there_is_is_told() -> None:
    page = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
    assert [name for name in (*calendars.NAMES, *calendars.ALIASES) if f"`{name}`" not in page] == []


def test_a_setting_names_the_calendar(tmp_path: Path) -> None:
    def told(calendar: str = "XNYS", calendars_file: str = "") -> list[str]:
        settings = SessionSettings(
            symbols=("AAPL",), rest_url="https://host", calendar=calendar, calendars_file=calendars_file
        )
        return [f"{name}: {what} ({hint})" for name, what, hint in settings.problems()]

    file = str(mine(tmp_path))
    assert told() == told(calendar="24/7") == told(calendar="DESERT", calendars_file=file) == []
    (unknown,) = told(calendar="DESSERT", calendars_file=file)
    assert unknown.startswith("calendar: there is no calendar 'DESSERT' (did you mean DESERT? one of ")
    (unreadable,) = told(calendars_file=str(tmp_path))
    assert unreadable.startswith(f"calendars_file: {tmp_path} cannot be read: Is a directory")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json cannot be read"):
        calendar_named("XNYS", tmp_path / "none.json")
    file = tmp_path / "calendars.json"
    file.write_text("{")
    with pytest.raises(ConfigError, match="holds no calendars"):
        calendar_named("XNYS", file)


def test_each_venue_has_its_calendar_and_its_file_lies_beside_the_configuration(tmp_path: Path) -> None:
    mine(tmp_path)
    config = tmp_path / "config.toml"
    config.write_text(
        '[venues.yahoo]\n[venues.london]\nkind = "yahoo"\nsymbols = ["VOD.L"]\ncalendar = "XLON"\n'
        '[venues.desert]\nkind = "yahoo"\ncalendar = "DESERT"\ncalendars_file = "calendars.json"\n'
    )
    loaded = load(config, {})
    names = {}
    for venue, own in loaded.config.venues.items():
        assert isinstance(own, SessionSettings)
        its = own.its_calendar()
        names[venue] = its and (its.name, its.zone)
    assert names == {
        "yahoo": ("XNYS", "America/New_York"),
        "london": ("XLON", "Europe/London"),
        "desert": ("DESERT", "Asia/Dubai"),
    }
    for value, told in (
        ("calendar = 5", "venues.yahoo.calendar: '5' cannot be used"),
        ('calendar = "XLND"', "venues.yahoo.calendar: there is no calendar 'XLND' .*did you mean XLON"),
        ("calendars_file = 5", "venues.yahoo.calendars_file: '5' cannot be used"),
        ('calendars_file = "none.json"', "venues.yahoo.calendars_file: .*none.json cannot be read"),
    ):
        config.write_text(f"[venues.yahoo]\n{value}\n")
        with pytest.raises(ConfigError, match=f"config.toml: {told}"):
            load(config, {})
    config.write_text('[venues.coinbase]\ncalendar = "XNYS"\n')
    with pytest.raises(ConfigError, match=r"unknown key 'venues\.coinbase\.calendar'"):
        load(config, {})


TEXTS = st.sampled_from(
    [
        *("", "x", "\x00", "+1", "Mon", "Sun Sun", "XNYS", "UTC", "01-01 12-31", "02-29"),
        *("2026-01-01", "2026-02-30", "1-1-1", "0001-01-01", "2199-12-31", "9999-12-31"),
        *("09:30-16:00", "16:00-09:30", "00:00-24:00", "24:00-00:00"),
    ]
)
CHANGES = {
    **dict.fromkeys(("zone", "like", "since", "through", "week"), TEXTS),
    "hours": TEXTS | st.dictionaries(TEXTS, TEXTS, max_size=2),
    "closed": st.dictionaries(st.sampled_from(["2026", "0", "-1", "x"]), TEXTS, max_size=2),
    "odd": st.dictionaries(TEXTS, st.dictionaries(st.just("2026"), TEXTS, max_size=2), max_size=2),
}


@settings(deadline=None, max_examples=examples(60))
@given(st.fixed_dictionaries({}, optional=CHANGES))
@example({"hours": "24:00-00:00"})  # no minute of a day
def test_whatever_a_file_says_it_is_a_calendar_or_an_error(changes: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ConfigError):
        found = named("MINE", mine(Path(folder), {"MINE": MINE["NIGHT"] | changes}))  # type: ignore[operator]
        assert found.grid(W1).count(0, 1 << 50) <= found.grid(D1).count(0, 1 << 50)
