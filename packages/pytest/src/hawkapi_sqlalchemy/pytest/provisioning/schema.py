"""The schema of the test databases: from the models, or by their migrations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy import MetaData
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.core import DatabaseConfig, create_engine
from hawkapi_sqlalchemy.pytest.migration_tests.project import Project
from hawkapi_sqlalchemy.pytest.portal import Portal
from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError
from hawkapi_sqlalchemy.pytest.provisioning.references import place_of

__all__ = ["MetadataSchema", "MigratedSchema", "Schema"]

_SHOWN = 10


class Schema(Protocol):
    """Makes the schema of an empty database."""

    def make(self, url: str) -> None:
        """Make it.

        Args:
            url: The database.

        Raises:
            ProvisioningError: It cannot be made.
        """
        ...


class MetadataSchema:
    """All tables of the models.

    Args:
        metadata: Theirs.
        portal: Runs what is asynchronous.
    """

    def __init__(self, metadata: Sequence[MetaData], portal: Portal) -> None:
        self._metadata = metadata
        self._portal = portal

    def make(self, url: str) -> None:
        """Make it; see `Schema.make`."""
        try:
            self._portal.run(self._create(url))
        except SQLAlchemyError as error:
            raise ProvisioningError(
                f"the tables of the models cannot be made: {error}",
                "correct the models, or make the schema by migrations: hawkapi_schema = migrations",
            ) from error

    async def _create(self, url: str) -> None:
        config = DatabaseConfig(url, engine_kwargs={"poolclass": NullPool})
        engine = create_engine(config, name="test")
        try:
            async with engine.engine.begin() as connection:
                for metadata in self._metadata:
                    await connection.run_sync(metadata.create_all)
        finally:
            await engine.dispose()


class MigratedSchema:
    """What the application's migrations make, compared with its models.

    Args:
        config: Alembic's configuration file.
        root: The folder that paths are shown from.
    """

    def __init__(self, config: Path, root: Path) -> None:
        self._config = config
        self._root = root

    def make(self, url: str) -> None:
        """Make it; see `Schema.make`."""
        try:
            from alembic.util import CommandError

            from hawkapi_sqlalchemy.alembic import Migrations
        except ImportError as error:
            raise ProvisioningError(
                f"hawkapi_schema is migrations, but {error.name} is not installed",
                "pip install hawkapi-sqlalchemy-alembic",
            ) from error
        try:
            with Project(self._config, self._root).entered():
                migrations = Migrations(self._config, url=url)
                migrations.upgrade()
                check = migrations.check()[0]
        except Exception as error:
            # A migration may raise anything.
            known = isinstance(error, (CommandError, SQLAlchemyError))
            reason = str(error) if known else f"{error!r}, {place_of(error)}"
            raise ProvisioningError(
                f"the migrations of {self._config} failed: {reason}",
                "run `hawkapi-migrate upgrade` against an empty database to see more",
            ) from error
        if check.error is not None:
            raise ProvisioningError(
                f"the migrations of {self._config} cannot be compared with the models: "
                f"{check.error}",
                "hand target_metadata to run_migrations in env.py",
            )
        if check.differences:
            more = len(check.differences) - _SHOWN
            lines = [f"\n    {each}" for each in check.differences[:_SHOWN]]
            if more > 0:
                lines.append(f"\n    and {more} more")
            raise ProvisioningError(
                f"the migrations of {self._config} do not match the models; they lack:"
                + "".join(lines),
                "hawkapi-migrate revision -m '...'",
            )
