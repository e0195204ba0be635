"""Percentiles and slopes."""

import statistics
from collections.abc import Sequence
from math import ceil


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
