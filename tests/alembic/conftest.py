"""A migration project in a temporary folder, as `alembic init` makes one."""

import asyncio
import io
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from migrate_shell import MODELS, Shell
from revisions import REVISION

ENV = """
from alembic import context
from hawkapi_sqlalchemy.alembic import run_migrations

given = context.config.attributes["given"]
run_migrations(target_metadata=given.get("metadata"), url=given["url"], **given["options"])
"""

TEMPLATE = '''"""${message}"""
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''


@dataclass
class Project:
    """A migration environment whose `env.py` is one call of `run_migrations`."""

    folder: Path
    url: Any
    metadata: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    connection: Any = None

    @property
    def config(self) -> Config:
        config = Config(output_buffer=io.StringIO(), stdout=io.StringIO())
        config.set_main_option("script_location", str(self.folder).replace("%", "%%"))
        config.attributes["given"] = {
            "metadata": self.metadata,
            "url": self.url,
            "options": self.options,
        }
        if self.connection is not None:
            config.attributes["connection"] = self.connection
        return config

    def add(
        self, revision: str, upgrade: str, downgrade: str = "pass", *, after: str | None = None
    ) -> None:
        """Write a revision."""
        text = REVISION.format(
            revision=revision,
            down=after,
            upgrade=textwrap.indent(textwrap.dedent(upgrade), "    "),
            downgrade=textwrap.indent(textwrap.dedent(downgrade), "    "),
        )
        (self.folder / "versions" / f"{revision}.py").write_text(text)

    def upgrade(self, to: str = "head") -> None:
        command.upgrade(self.config, to)

    def sql(self, to: str = "head") -> str:
        """Answer what `alembic upgrade --sql` prints."""
        config = self.config
        command.upgrade(config, to, sql=True)
        return config.output_buffer.getvalue()

    def run(self, work: Callable[[Connection], Any]) -> Any:
        """Call `work` with a connection of its own and commit."""

        async def connected() -> Any:
            engine = create_async_engine(self.url, poolclass=NullPool)
            async with engine.begin() as connection:
                return await connection.run_sync(work)

        return asyncio.run(connected())

    def rows(self, query: str) -> Sequence[Any]:
        """Answer the rows of a query, as tuples."""
        return self.run(
            lambda connection: [tuple(row) for row in connection.exec_driver_sql(query)]
        )


@pytest.fixture
def new_database_url(
    request: pytest.FixtureRequest, dialect: str, tmp_path: Path
) -> Iterator[Callable[[], str]]:
    """Make fresh, empty databases of the dialect, dropped after the test."""
    made: list[str] = []
    server = None if dialect == "sqlite" else request.getfixturevalue("database_server")

    def new() -> str:
        if server is None:
            made.append(f"{len(made)}")
            return f"sqlite+aiosqlite:///{tmp_path / f'number-{len(made)}.db'}"
        made.append(server.create_database())
        return server.url(made[-1])

    yield new
    if server is not None:
        for name in made:
            server.drop_database(name)


@pytest.fixture
def empty_project(tmp_path: Path) -> Project:
    """A project without revisions on a SQLite file."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV)
    (folder / "script.py.mako").write_text(TEMPLATE)
    return Project(folder, f"sqlite+aiosqlite:///{tmp_path / 'app.db'}")


@pytest.fixture
def project(empty_project: Project, database_url: str) -> Project:
    """A project on each database in turn, with one revision that makes `pets` with a row."""
    empty_project.url = database_url
    empty_project.add(
        "one",
        """
        pets = op.create_table(
            "pets", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50))
        )
        op.bulk_insert(pets, [{"name": "Rex"}])
        """,
        'op.drop_table("pets")',
    )
    return empty_project


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """An empty folder, beside which there is a module of models."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop_models.py").write_text(MODELS)
    started = Shell(folder)
    yield started
    started.end()


@pytest.fixture
def shop(shell: Shell, database_url: str) -> Shell:
    """A migration project, made by the command, on each database in turn."""
    shell.env["DATABASE_URL"] = database_url
    shell("init", "--models", "shop_models:Base")
    return shell
