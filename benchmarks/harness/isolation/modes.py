"""How much is measured."""

from dataclasses import dataclass

from harness.isolation.catalogue import Way


@dataclass(frozen=True)
class Mode:
    """One amount of work.

    Attributes:
        rounds: How often every way is run, each time in a new process.
        tests: Tests of a run that count.
        slow_tests: The same, where a test is slow.
        start_rounds: How often pytest is started with the plugin, and without.
    """

    rounds: int
    tests: int
    slow_tests: int
    start_rounds: int

    def tests_of(self, way: Way, database: str) -> int:
        """Answer how many tests of a run count."""
        return self.slow_tests if database in way.slow_on else self.tests


MODES = {
    "short": Mode(rounds=1, tests=10, slow_tests=2, start_rounds=3),
    "full": Mode(rounds=5, tests=100, slow_tests=8, start_rounds=31),
}
