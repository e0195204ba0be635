"""The connection pool: SQLAlchemy's own, with an error that tells its name and state."""

from __future__ import annotations

from sqlalchemy import exc as sa_exc
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection

from hawkapi_sqlalchemy.core.errors import PoolExhaustedError

__all__ = ["DatabasePool"]


class DatabasePool(AsyncAdaptedQueuePool):
    """A queue pool that reports exhaustion as `PoolExhaustedError`.

    The name in the error is the pool's `logging_name`, which SQLAlchemy carries over when a pool
    is recreated.
    """

    def connect(self) -> PoolProxiedConnection:
        """Check a connection out.

        Returns:
            The pooled connection.

        Raises:
            PoolExhaustedError: None became free within the pool's time limit.
        """
        try:
            return super().connect()
        except sa_exc.TimeoutError as error:
            raise PoolExhaustedError(
                self.logging_name or "unnamed",
                size=self.size(),
                max_overflow=self.max_overflow,
                checked_out=self.checkedout(),
                timeout=self.timeout(),
            ) from error

    @property
    def max_overflow(self) -> int:
        """Connections that may be opened beyond `size()`."""
        return self._max_overflow  # pyright: ignore[reportPrivateUsage]  # no public reader exists

    @property
    def free_slots(self) -> int:
        """Connections that could be checked out right now without waiting."""
        if self.max_overflow < 0:
            return 1
        return self.size() + self.max_overflow - self.checkedout()
