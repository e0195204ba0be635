"""Where the tests of one process have their database, and what they get a copy of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from sqlalchemy import URL

__all__ = ["Home"]


class Home(ABC):
    """The database that a process's tests share, each inside a transaction.

    It is made when it is first asked for, and removed by `close`.
    """

    @abstractmethod
    def prepare(self) -> URL:
        """Make it, unless it is there.

        Returns:
            Its URL.

        Raises:
            ProvisioningError: It cannot be made.
        """

    @abstractmethod
    def restore(self) -> None:
        """Make it anew: a test has stored something in it that cannot be rolled back.

        Nobody is connected to it.
        """

    @abstractmethod
    def clone(self) -> AbstractContextManager[URL]:
        """Provide a database of the same schema for one test, which may store what it likes.

        Yields:
            Its URL; it is removed at the end, whoever is connected.
        """

    @abstractmethod
    def close(self) -> None:
        """Remove everything that was made."""
