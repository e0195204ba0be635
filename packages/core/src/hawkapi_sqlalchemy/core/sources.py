"""What makes the sessions of a name."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core.access import Access

__all__ = ["SessionSource"]


class SessionSource(Protocol):
    """An engine, or several behind one name.

    Attributes:
        name: The name.
    """

    name: str

    def session(self, access: Access) -> AsyncSession:
        """Make a session. The caller ends it with `end_session`.

        Args:
            access: How it may be used.
        """
        ...

    def prepare(self, access: Access) -> None:
        """Make what sessions of a kind will use, so that it is known beforehand; opens nothing.

        Args:
            access: How the sessions may be used.
        """
        ...
