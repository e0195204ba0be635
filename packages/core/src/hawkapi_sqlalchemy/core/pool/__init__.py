"""The pool of an engine's connections: kept, lent out, looked at, closed."""

from __future__ import annotations

from hawkapi_sqlalchemy.core.pool.liveness import IDLE_SINCE, listen_to_liveness
from hawkapi_sqlalchemy.core.pool.queue import DatabasePool

__all__ = ["IDLE_SINCE", "DatabasePool", "listen_to_liveness"]
