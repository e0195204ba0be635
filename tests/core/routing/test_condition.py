"""What is concluded from probes and failed sessions, and how soon a replica is looked at again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hawkapi_sqlalchemy.core.routing.condition import Condition, ReplicaState
from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy

UNKNOWN, UP, SUSPECT, DOWN, PROBATION = ReplicaState

type Happening = Callable[[Condition], None]


def well(condition: Condition) -> None:
    condition.found_well()


def unfit(condition: Condition) -> None:
    condition.found_unfit("it is late")


def silent(condition: Condition) -> None:
    condition.not_answering("no answer")


def session_failed(condition: Condition) -> None:
    condition.connection_failed("refused")


WAY_TO = {
    UNKNOWN: (),
    UP: (well,),
    SUSPECT: (well, session_failed),
    DOWN: (unfit,),
    PROBATION: (unfit, well),
}


def after(*happenings: Happening, policy: ReplicaPolicy | None = None) -> Condition:
    condition = Condition(policy or ReplicaPolicy())
    for happens in happenings:
        happens(condition)
    return condition


@pytest.mark.parametrize(
    ("before", "happens", "state"),
    [
        (UNKNOWN, well, UP),
        (UNKNOWN, unfit, DOWN),
        (UNKNOWN, silent, DOWN),
        (UNKNOWN, session_failed, UNKNOWN),
        (UP, well, UP),
        (UP, unfit, DOWN),
        (UP, silent, SUSPECT),
        (UP, session_failed, SUSPECT),
        (SUSPECT, well, UP),
        (SUSPECT, unfit, DOWN),
        (SUSPECT, silent, DOWN),
        (SUSPECT, session_failed, SUSPECT),
        (DOWN, well, PROBATION),
        (DOWN, unfit, DOWN),
        (DOWN, silent, DOWN),
        (DOWN, session_failed, DOWN),
        (PROBATION, well, UP),
        (PROBATION, unfit, DOWN),
        (PROBATION, silent, DOWN),
        (PROBATION, session_failed, PROBATION),
    ],
)
def test_a_state_follows_from_the_one_before_and_from_what_happens(before, happens, state):
    condition = after(*WAY_TO[before])
    assert condition.state is before
    happens(condition)
    assert condition.state is state


def test_only_one_that_serves_has_no_reason_not_to():
    reasons = {state: after(*way).reason for state, way in WAY_TO.items()}
    assert reasons == {
        UNKNOWN: "it has not been looked at yet",
        UP: None,
        SUSPECT: "refused",
        DOWN: "it is late",
        PROBATION: "it is late",
    }


def test_who_says_that_it_is_unfit_answers_and_who_is_silent_does_not():
    assert after(unfit).answers
    assert not after(silent).answers
    assert not after(well, silent).answers


def test_one_that_has_failed_a_session_does_not_answer_until_a_probe_says_so():
    assert not after(well, session_failed).answers
    assert after(well, session_failed, well).answers


def pauses(condition: Condition) -> list[float]:
    return [condition.pause() for _ in range(200)]


def test_one_that_serves_is_looked_at_in_the_interval_give_or_take_a_tenth():
    found = pauses(after(well, policy=ReplicaPolicy(probe_interval=10)))
    assert 9 <= min(found) < 9.5
    assert 10.5 < max(found) <= 11


@pytest.mark.parametrize("way", [(), (well, session_failed)])
def test_one_that_is_suspected_or_unknown_is_looked_at_now(way):
    assert after(*way).pause() == 0


def test_one_that_is_silent_is_looked_at_ever_more_rarely_up_to_a_limit():
    policy = ReplicaPolicy(probe_interval=1, max_backoff=6)
    longest = [max(pauses(after(*[silent] * times, policy=policy))) for times in (1, 2, 3, 4, 5000)]
    assert longest == pytest.approx([1, 2, 4, 6, 6], rel=0.05)


def test_one_that_answers_but_is_unfit_is_looked_at_as_often_as_one_that_serves():
    # It is late, and catches up: waiting longer would gain nothing.
    assert max(pauses(after(*[silent] * 9, unfit))) <= 1.1


def test_processes_do_not_keep_step_with_one_that_is_down():
    found = pauses(after(silent, policy=ReplicaPolicy(probe_interval=10, max_backoff=10)))
    assert max(found) - min(found) > 1


def test_the_backoff_begins_anew_after_it_has_served():
    policy = ReplicaPolicy(probe_interval=1, max_backoff=60)
    condition = after(*[silent] * 6, well, well, silent, silent, policy=policy)
    assert condition.state is DOWN
    assert max(pauses(condition)) <= 1


def test_a_first_good_answer_alone_does_not_begin_the_backoff_anew():
    policy = ReplicaPolicy(probe_interval=1, max_backoff=60)
    assert min(pauses(after(*[silent] * 5, well, silent, policy=policy))) > 8


@pytest.mark.parametrize(("interval", "pause"), [(10, 0.25), (0.1, 0.1)])
def test_the_second_good_answer_is_asked_for_soon(interval, pause):
    assert after(unfit, well, policy=ReplicaPolicy(probe_interval=interval)).pause() == pause


def test_a_backoff_below_the_interval_does_not_make_looks_more_frequent():
    policy = ReplicaPolicy(probe_interval=10, max_backoff=1)
    assert min(pauses(after(*[silent] * 3, policy=policy))) >= 8
