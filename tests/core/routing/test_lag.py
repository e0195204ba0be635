"""How long ago the primary was where a replica is."""

from __future__ import annotations

from hawkapi_sqlalchemy.core.routing.lag import PrimaryHistory
from hawkapi_sqlalchemy.core.routing.positions import WalPosition


def at(lsn: int, timeline: int = 1) -> WalPosition:
    return WalPosition(timeline, lsn)


def history(*seen: tuple[float, int]) -> PrimaryHistory:
    made = PrimaryHistory()
    for moment, lsn in seen:
        made.add(moment, at(lsn))
    return made


def test_nothing_is_known_before_the_primary_was_seen():
    assert PrimaryHistory().lag(100, at(5)) is None


def test_one_that_has_all_that_was_seen_does_not_lag_however_long_ago_that_was():
    assert history((1, 10), (2, 20)).lag(1_000_000, at(20)) == 0


def test_one_that_is_ahead_of_what_was_seen_does_not_lag():
    assert history((1, 10)).lag(50, at(99)) == 0


def test_it_lags_since_the_first_position_that_it_does_not_show():
    seen = history((1, 10), (2, 20), (3, 30), (4, 40))
    assert seen.lag(10, at(30)) == 6
    assert seen.lag(10, at(25)) == 7
    assert seen.lag(10, at(10)) == 8


def test_one_that_shows_nothing_of_it_lags_since_the_first_look():
    assert history((3, 10), (4, 20)).lag(10, at(9)) == 7


def test_a_position_that_stands_still_is_as_old_as_its_first_sight():
    assert history((1, 10), (2, 10), (3, 10)).lag(10, at(5)) == 9


def test_one_of_another_timeline_lags_whatever_its_number():
    seen = PrimaryHistory()
    seen.add(1, at(10))
    seen.add(5, at(20, timeline=2))
    assert seen.lag(8, at(999)) == 3
    assert seen.lag(8, at(20, timeline=2)) == 0


def test_it_keeps_no_more_than_it_needs():
    seen = history(*((moment, moment) for moment in range(100_000)))
    # Of what is forgotten it is only known that it is long ago.
    assert 500 <= seen.lag(100_000, at(0)) <= 1000
