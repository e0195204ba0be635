"""One run of pytest, as far as databases are concerned."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from hawkapi_sqlalchemy.pytest.settings import Settings, read_settings

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from hawkapi_sqlalchemy.pytest.runtime import Runtime, TestDatabase
    from hawkapi_sqlalchemy.pytest.servers.run import Run as ServerRun

__all__ = ["TestRun"]

_NAME = "hawkapi_run"
_SERVERS = "hawkapi_servers"


class TestRun:
    """What the processes of a run share, and what this one has of its own.

    Nothing is started, and hardly anything imported, before a test wants a database.

    Args:
        settings: What is configured.
        name: What the names of the run's databases begin with.
        process: This process's name within the run.
        is_worker: The process is one of pytest-xdist's workers.
        servers: How to join the private servers of the run that another process has begun.

    Attributes:
        settings: What is configured.
        session: pytest's, once it has begun.
    """

    __test__ = False

    def __init__(
        self,
        settings: Settings,
        name: str,
        process: str,
        *,
        is_worker: bool,
        servers: dict[str, Any] | None,
    ) -> None:
        self.settings = settings
        self.session: pytest.Session | None = None
        self._name = name
        self._process = process
        self._is_worker = is_worker
        self._joined = servers
        self._servers: ServerRun | None = None
        self._leaves_something = False

    @classmethod
    def of(cls, config: pytest.Config) -> TestRun:
        """Begin a run, or join the one of pytest-xdist's controller.

        Args:
            config: pytest's.

        Raises:
            pytest.UsageError: The configuration is none.
        """
        told: dict[str, Any] | None = getattr(config, "workerinput", None)
        return cls(
            read_settings(config),
            told[_NAME] if told else f"hawkapi_test_{uuid4().hex[:8]}",
            os.environ.get("PYTEST_XDIST_WORKER", "main"),
            is_worker=told is not None,
            servers=told.get(_SERVERS) if told else None,
        )

    def for_workers(self) -> dict[str, Any]:
        """Answer what a worker needs to join."""
        self._leaves_something = True
        told: dict[str, Any] = {_NAME: self._name}
        if self.settings.private_server:
            with self._ending():
                told[_SERVERS] = self._private_servers().description
        return told

    def _private_servers(self) -> ServerRun:
        if self._servers is None:
            from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError
            from hawkapi_sqlalchemy.pytest.servers.errors import ServerMissingError
            from hawkapi_sqlalchemy.pytest.servers.tools import require_tools

            try:
                require_tools(self.settings.private_server)
            except ServerMissingError as error:
                raise ProvisioningError(error.reason, error.remedy) from error
            from hawkapi_sqlalchemy.pytest.servers.run import Run as ServerRun

            self._servers = ServerRun.join(self._joined) if self._joined else ServerRun.new()
        return self._servers

    def metadata(self) -> Sequence[MetaData]:
        """Answer the models' metadata; ends the run with a message where there is none."""
        from hawkapi_sqlalchemy.pytest.provisioning.references import (
            known_metadata,
            load,
            load_metadata,
        )

        with self._ending():
            references = self.settings.metadata
            if references:
                return load_metadata(references)
            if self.settings.app is not None:
                # The application brings its models along.
                load(self.settings.app, key="hawkapi_app")
            return known_metadata()

    @contextmanager
    def runtime(self, metadata: Callable[[], Any]) -> Generator[Runtime]:
        """Provide the databases of this process, for its whole session.

        Args:
            metadata: Answers the models' metadata, one or several.
        """
        from hawkapi_sqlalchemy.pytest.portal import Portal
        from hawkapi_sqlalchemy.pytest.provisioning.choosing import choose_home, choose_schema
        from hawkapi_sqlalchemy.pytest.provisioning.references import metadata_of
        from hawkapi_sqlalchemy.pytest.runtime import Runtime

        self._leaves_something = True
        portal = Portal()
        try:
            with self._ending():
                schema = choose_schema(self.settings, lambda: metadata_of(metadata()), portal)
                home = choose_home(
                    self._url(),
                    schema,
                    portal,
                    run=self._name,
                    process=self._process,
                    is_private=self.settings.private_server is not None,
                )
            runtime = Runtime(home, portal)
            try:
                yield runtime
            finally:
                runtime.close()
        finally:
            portal.close()

    @contextmanager
    def empty_database(self) -> Generator[str]:
        """Provide the URL of an empty database on the run's server; it is dropped at the end."""
        from sqlalchemy import make_url

        from hawkapi_sqlalchemy.core import CannotConnectError, ConfigurationError
        from hawkapi_sqlalchemy.pytest.own_database import database_of_its_own
        from hawkapi_sqlalchemy.pytest.portal import Portal
        from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError

        portal = Portal()
        try:
            with self._ending():
                making = database_of_its_own(make_url(self._url()))
                try:
                    url = portal.run(making.__aenter__())
                except (CannotConnectError, ConfigurationError) as error:
                    raise ProvisioningError(
                        str(error), "start the server, or correct hawkapi_database"
                    ) from error
            try:
                yield url.render_as_string(hide_password=False)
            finally:
                portal.run(making.__aexit__(None, None, None))
        finally:
            portal.close()

    def _url(self) -> str:
        kind = self.settings.private_server
        if kind is None:
            database = self.settings.database
            return "sqlite+aiosqlite://" if database == "sqlite" else database
        from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError
        from hawkapi_sqlalchemy.pytest.servers.errors import ServerError, ServerMissingError

        servers = self._private_servers()
        try:
            return (servers.postgresql() if kind == "postgresql" else servers.mariadb()).url()
        except ServerMissingError as error:
            raise ProvisioningError(error.reason, error.remedy) from error
        except (ServerError, TimeoutError) as error:
            raise ProvisioningError(
                f"the private server did not start: {error}",
                "look at its output above, or name a server of yours: --hawkapi-database=URL",
            ) from error

    def begin(self, runtime: Runtime, item: pytest.Item) -> TestDatabase:
        """Provide a test's database.

        Args:
            runtime: The process's databases.
            item: The test.
        """
        real_commits = self.settings.isolation == "clone"
        marker = item.get_closest_marker("hawkapi_db")
        if marker is not None:
            wanted = marker.kwargs.get("real_commits", real_commits)
            known = set(marker.kwargs) <= {"real_commits"}
            if marker.args or not known or not isinstance(wanted, bool):
                pytest.fail(
                    "the marker hawkapi_db takes real_commits=True or False, and nothing else",
                    pytrace=False,
                )
            real_commits = wanted
        with self._ending():
            return runtime.begin(real_commits=real_commits)

    def end(self, test: TestDatabase) -> None:
        """Undo what a test did.

        Args:
            test: Its database.
        """
        with self._ending():
            problem = test.end()
        if problem is not None:
            pytest.fail(problem, pytrace=False)

    @contextmanager
    def _ending(self) -> Generator[None]:
        """End the whole run with a message: every other test would fail for the same reason."""
        from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError

        __tracebackhide__ = True
        try:
            yield
        except ProvisioningError as error:
            message = f"no test database: {error}"
        else:
            return
        if self._is_worker and self.session is not None:
            # An exit would be an internal error to the controller, and its message lost.
            self.session.shouldstop = message
            pytest.fail(message, pytrace=False)
        pytest.exit(message, returncode=pytest.ExitCode.USAGE_ERROR)

    def close(self) -> None:
        """End private servers; on somebody's own, remove the template and what workers left."""
        if self._is_worker:
            return
        if self._servers is not None:
            self._servers.close()
        elif self._leaves_something and not self.settings.database.startswith("sqlite"):
            from hawkapi_sqlalchemy.pytest.portal import Portal
            from hawkapi_sqlalchemy.pytest.provisioning.choosing import remove_leftovers
            from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError

            portal = Portal()
            try:
                remove_leftovers(self.settings.database, portal, run=self._name)
            except ProvisioningError:
                # It was said before, and the run has ended for it.
                pass
            finally:
                portal.close()
