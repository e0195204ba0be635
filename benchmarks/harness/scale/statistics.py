"""Medians, quartiles, percentiles and slopes."""

import statistics
from collections.abc import Sequence
from math import ceil

from harness.report.results import Spread


def spread(values: Sequence[float]) -> Spread:
    """Answer the median and the quartiles.

    Args:
        values: At least one.
    """
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, q1, q3)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Answer the smallest value that a share of all does not exceed.

    Args:
        ordered: Values in ascending order, at least one.
        share: Above 0, at most 1.
    """
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Answer the slope of the straight line that fits best, by least squares.

    Args:
        points: At least two, of different x.
    """
    xs, ys = zip(*points, strict=True)
    return statistics.linear_regression(xs, ys).slope


def last_half[T](values: Sequence[T]) -> Sequence[T]:
    """Answer the later half, the one in the middle included; two at least, where there are."""
    return values[min(len(values) // 2, max(0, len(values) - 2)) :]
