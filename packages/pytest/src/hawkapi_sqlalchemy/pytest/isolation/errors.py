"""What cannot be had inside one transaction."""

from __future__ import annotations

__all__ = ["CrossedTransactionsError", "OutsideTestError", "SharedConnectionError"]

_REMEDY = (
    "Mark the test with `@pytest.mark.hawkapi_db(real_commits=True)`: it then gets a database of "
    "its own, with ordinary connections."
)


class SharedConnectionError(RuntimeError):
    """Something was asked of a test's shared connection that only an ordinary one can do.

    Args:
        what: What was asked.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}. All of this test runs on one connection. {_REMEDY}")


class CrossedTransactionsError(RuntimeError):
    """Two transactions of a test crossed, so that one cannot be undone without the other.

    Args:
        undone: What was to be rolled back.
        kept: Whose writes would be lost with it.
    """

    def __init__(self, undone: str, kept: str) -> None:
        super().__init__(
            f"the transaction of {undone} cannot be rolled back alone: {kept} has written since it "
            "began, and both stand in the one transaction of this test. End the one before the "
            f"other writes, or use the real thing. {_REMEDY}"
        )


class OutsideTestError(RuntimeError):
    """A session of a test that has ended is used, or no test is running."""

    def __init__(self) -> None:
        super().__init__(
            "this session belongs to a test that has ended: its transaction was rolled back. A "
            "session, a task or a request must end with the test that began it"
        )
