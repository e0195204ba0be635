"""Why a run has no database."""

from __future__ import annotations

__all__ = ["ProvisioningError"]


class ProvisioningError(Exception):
    """The databases of a run cannot be made.

    Args:
        reason: What is wrong.
        remedy: What to do about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}\n  Remedy: {remedy}")
        self.reason = reason
        self.remedy = remedy
