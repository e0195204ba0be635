"""Errors that no look at a server should meet: each is told of once, and the looks go on."""

from __future__ import annotations

import logging

__all__ = ["OddErrors"]

logger = logging.getLogger("hawkapi_sqlalchemy")


class OddErrors:
    """Those of the looks at one server, whatever a driver or an event listener comes up with.

    Args:
        server: What is looked at, as the log calls it: "replica 'replica:0'".
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._last: str | None = None

    def note(self, error: Exception) -> str:
        """Log an error with its traceback, unless the look before has met the same.

        Args:
            error: What was raised.

        Returns:
            What happened, in a few words.
        """
        # The further lines may hold a statement and its parameters.
        said = str(error).partition("\n")[0]
        told = f"{type(error).__name__}: {said}" if said else type(error).__name__
        if told != self._last:
            self._last = told
            logger.error("looking at %s failed", self._server, exc_info=error)
        return told

    def over(self) -> None:
        """Note that a look has met none."""
        self._last = None
