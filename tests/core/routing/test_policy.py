"""What a policy and a weight may be."""

from __future__ import annotations

import dataclasses

import pytest

from hawkapi_sqlalchemy.core import ConfigurationError, DatabaseConfig, ReplicaPolicy

NUMBERS = [each.name for each in dataclasses.fields(ReplicaPolicy) if each.name != "when_all_down"]
URL = "postgresql+asyncpg://db/shop"


@pytest.mark.parametrize("value", [0, -1, -0.5, float("nan")])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_not_positive_is_refused(name, value):
    with pytest.raises(ConfigurationError, match=f"{name} is a positive number, not {value!r}"):
        ReplicaPolicy(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
def test_any_positive_number_is_taken(name):
    assert getattr(ReplicaPolicy(**{name: 7}), name) == 7


def test_a_word_that_is_none_of_the_three_is_refused_and_they_are_named():
    with pytest.raises(ConfigurationError, match="'primary', 'error', 'best_effort', not 'panic'"):
        ReplicaPolicy(when_all_down="panic")


@pytest.mark.parametrize("word", ["primary", "error", "best_effort"])
def test_each_of_the_three_is_taken(word):
    assert ReplicaPolicy(when_all_down=word).when_all_down == word


def test_the_defaults_are_those_that_are_documented():
    assert dataclasses.asdict(ReplicaPolicy()) == {
        "max_lag_seconds": 10.0,
        "max_lag_bytes": 8 * 1024**2,
        "probe_interval": 1.0,
        "probe_timeout": 1.0,
        "max_backoff": 3.0,
        "when_all_down": "primary",
        "max_spill": None,
        "max_waiters": 100,
    }


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan")])
def test_a_weight_that_is_no_share_is_refused(weight):
    with pytest.raises(ConfigurationError, match="weight is a positive number, not"):
        DatabaseConfig(URL, weight=weight)


@pytest.mark.parametrize("weight", [0.01, 1, 3.5, 100])
def test_a_positive_weight_is_taken(weight):
    assert DatabaseConfig(URL, weight=weight).weight == weight


def test_the_weight_is_one_by_default():
    assert DatabaseConfig(URL).weight == 1
