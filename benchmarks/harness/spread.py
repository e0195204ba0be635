"""Medians and quartiles of paired ratios."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The middle of several values, and how far apart they are."""

    median: float
    q1: float
    q3: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, q1, q3)

    @classmethod
    def of_runs(cls, runs: Sequence[Sequence[float]]) -> "Spread":
        """Summarise several runs: the median of their medians, the quartiles of all values.

        Within a run all values share what a process is given once, such as where its memory lies;
        a run that was dealt badly is one voice here, however many values it has.
        """
        runs = [run for run in runs if run]
        whole = cls.of([value for run in runs for value in run])
        return cls(statistics.median(statistics.median(run) for run in runs), whole.q1, whole.q3)
