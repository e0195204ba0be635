"""The check that `/readyz` reports."""

from __future__ import annotations

from hawkapi import HawkAPI

from hawkapi_sqlalchemy.core.health import all_healthy
from hawkapi_sqlalchemy.core.names import is_replica
from hawkapi_sqlalchemy.core.web.state import DatabaseState

__all__ = ["register_readiness"]


def register_readiness(app: HawkAPI, state: DatabaseState) -> None:
    """Report the databases under the name `"database"`.

    A replica that is down is told but does not make the application unready.

    Args:
        app: The application.
        state: Its databases.
    """

    @app.readiness_check("database")
    async def database() -> tuple[bool, str]:
        health = await all_healthy(state.database)
        ready = all(up for name, up in health.items() if not is_replica(name))
        return ready, ", ".join(f"{name}: {'up' if up else 'down'}" for name, up in health.items())

    del database
