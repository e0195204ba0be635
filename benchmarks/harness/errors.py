"""What can go wrong with a benchmark, as opposed to what it finds."""


class BenchmarkError(Exception):
    """The benchmark cannot go on.

    Args:
        reason: What happened.
        remedy: What to do about it.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason}. Remedy: {remedy}." if remedy else reason)
        self.reason = reason
        self.remedy = remedy
