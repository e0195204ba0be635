"""What is made of many measurements."""

import pytest

from harness.scale.memory import OBJECTS_LIMIT, RSS_LIMIT, judge
from harness.scale.results import Memory, MemorySample
from harness.scale.statistics import last_half, percentile, slope


def test_a_slope_is_that_of_the_best_line() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
    # A step up and down again has no slope.
    assert slope([(0.0, 1.0), (1.0, 9.0), (2.0, 1.0)]) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2], [1, 2]), ([1, 2, 3], [2, 3]), ([1, 2, 3, 4, 5], [3, 4, 5]), ([1], [1])],
)
def test_the_last_half_is_enough_for_a_line(values: list[int], expected: list[int]) -> None:
    assert last_half(values) == expected


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile(values, 1.0) == 100.0
    assert percentile([7.0], 0.01) == 7.0


def _watched(rss_mib: list[float], objects: list[int]) -> Memory:
    return judge(
        "sqlite",
        [
            MemorySample(1000 * index, rss, count)
            for index, (rss, count) in enumerate(zip(rss_mib, objects, strict=True))
        ],
    )


def test_memory_that_rises_only_in_the_first_half_is_flat() -> None:
    found = _watched([50.0, 60.0, 61.0, 61.0, 61.0], [10, 500, 900, 900, 900])
    assert found.flat
    assert found.rss_kib_per_1000 == pytest.approx(0.0)


def test_one_object_for_each_request_is_not_flat() -> None:
    found = _watched([50.0] * 5, [0, 1000, 2000, 3000, 4000])
    assert not found.flat
    assert found.objects_per_1000 == pytest.approx(1000.0)
    assert found.objects_limit == OBJECTS_LIMIT


def test_memory_outside_of_python_that_grows_is_not_flat() -> None:
    found = _watched([50.0, 50.1, 50.2, 50.3, 50.4], [10] * 5)
    assert not found.flat
    assert found.rss_kib_per_1000 == pytest.approx(102.4)
    assert found.rss_limit == RSS_LIMIT
