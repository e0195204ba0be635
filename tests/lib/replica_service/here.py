"""The service in the test's own process, where what it does can be watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from hawkapi import HawkAPI

from hawkapi_sqlalchemy.core import Database
from replica_service.client import Client

__all__ = ["Here"]


@dataclass(frozen=True)
class Here:
    """An application with a cluster's replicas, in this process.

    Attributes:
        app: The application, of `replica_service`.
        database: Its Database.
    """

    app: HawkAPI
    database: Database

    def client(self, **settings: Any) -> Client:
        """A user of the application; see `replica_service.client`."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return Client(["http://here"], transport=transport, **settings)
