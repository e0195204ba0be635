"""What is wrong ends the run with a message that names the remedy, and without our stack trace."""

import os

import pytest

TEST = """
def test_one(hawkapi_client):
    assert hawkapi_client.post("/users?email=ada").status_code == 201

def test_other(hawkapi_db):
    pass
"""


@pytest.fixture
def refused(project: pytest.Pytester):
    """Run the project, which must be refused with a message that says all that is given."""
    project.makepyfile(TEST)

    def refused(*arguments: str, says: tuple[str, ...], processes: int = 0) -> None:
        result = project.runpytest_subprocess(*arguments)
        told = result.stdout.str() + result.stderr.str()
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        for each in says:
            assert each in told
        assert "Traceback" not in told
        assert "site-packages" not in told
        if not processes:
            return
        # With several processes the run ends too, and the message is not lost.
        result = project.runpytest_subprocess("-n", str(processes), *arguments)
        told = result.stdout.str() + result.stderr.str()
        assert result.ret != pytest.ExitCode.OK
        for each in says:
            assert each in told
        assert "INTERNALERROR" not in told

    return refused


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("nowhere.models:Base", ("importing 'nowhere.models' failed", "pythonpath")),
        ("shop:Nothing", ("has no attribute 'Nothing'", "correct hawkapi_metadata")),
        ("shop:app.state", ("SimpleNamespace", "declarative base")),
        ("shop", ("names no object", "package.module:attribute")),
        ("broken:Base", ("ZeroDivisionError", "broken.py:1")),
    ],
)
def test_a_metadata_path_that_leads_nowhere(project, refused, reference, says):
    project.makepyfile(broken="1 / 0\nBase = None\n")
    refused("-o", f"hawkapi_metadata={reference}", says=("hawkapi_metadata", *says))


def test_models_that_nobody_has_named(project, refused):
    project.makepyfile(shop="from hawkapi import HawkAPI\napp = HawkAPI()\n")
    refused(says=("no models are known", "hawkapi_metadata = shop.models:Base.metadata"))


@pytest.mark.parametrize("url", ["postgresql+asyncpg", "mysql+aiomysql"])
def test_a_server_that_cannot_be_reached(refused, url):
    refused(
        f"--hawkapi-database={url}://ada:pw@127.0.0.1:1/app",
        says=("cannot connect", "127.0.0.1:1", "--hawkapi-database=postgresql (or mariadb)"),
        processes=2,
    )


@pytest.mark.parametrize(
    ("database", "says"),
    [
        ("oracle", ("it is one of sqlite, postgresql, mariadb, or a URL",)),
        ("postgresql://u:s3cret@host/app", ("postgresql+asyncpg",)),
        ("://", ("cannot be used", "dialect+driver://")),
    ],
)
def test_a_database_that_is_none(refused, database, says):
    refused(f"--hawkapi-database={database}", says=says)


def test_a_password_is_not_repeated(project):
    project.makepyfile(TEST)
    result = project.runpytest_subprocess("--hawkapi-database=postgresql://u:s3cret@host/app")
    assert "s3cret" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("key", ["hawkapi_schema", "hawkapi_isolation"])
def test_a_key_with_an_unknown_value(refused, key):
    refused("-o", f"{key}=guess", says=(f"{key} is 'guess'", "it is one of"))


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_machine_without_the_server_s_programs(project, refused, monkeypatch, kind):
    """Seen from a PATH and a file system that have none."""
    project.makeconftest(
        """
        import hawkapi_sqlalchemy.pytest.servers.binaries as binaries

        binaries.POSTGRESQL_PLACES = binaries.DAEMON_PLACES = ()
        binaries.POSTGRESQL_WHEEL = "no_such_wheel"
        """
    )
    monkeypatch.setenv("PATH", str(project.mkdir("empty")))
    remedy = "mariadb-server" if kind == "mariadb" else "hawkapi-sqlalchemy-pytest[pgserver]"
    refused(f"--hawkapi-database={kind}", says=("were not found", remedy), processes=2)


def test_a_user_who_may_not_make_databases(refused, postgresql_server):
    name = f"poor_{os.getpid()}"
    password = postgresql_server.workspace.password
    postgresql_server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    try:
        refused(
            f"--hawkapi-database={postgresql_server.url(user=name)}",
            says=("permission denied to create database", "right to create databases"),
        )
    finally:
        postgresql_server.execute(f"DROP ROLE {name}")


def test_a_schema_that_the_server_refuses(project, refused):
    project.makepyfile(
        shop="""
        from hawkapi import HawkAPI
        from sqlalchemy import Column, Integer, MetaData, Table, text
        from hawkapi_sqlalchemy import init_database

        app = HawkAPI()
        init_database(app, url="sqlite+aiosqlite://")
        metadata = MetaData()
        Table("users", metadata, Column("id", Integer, server_default=text("1 2 3")))
        """
    )
    refused("-o", "hawkapi_metadata=shop:metadata", says=("tables of the models cannot be made",))


def test_no_application(project):
    project.makepyfile(TEST)
    result = project.runpytest_subprocess("-o", "hawkapi_app=", "-o", "hawkapi_metadata=shop:Base")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*define a fixture `app`*"])


def test_an_application_without_a_database(project):
    project.makepyfile(other="from hawkapi import HawkAPI\napp = HawkAPI()\n")
    project.makepyfile(TEST)
    result = project.runpytest_subprocess(
        *("-o", "hawkapi_app=other:app", "-o", "hawkapi_metadata=shop:Base")
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*call init_database(app, url=...) first*"])


def test_a_marker_that_is_misspelt(project):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.hawkapi_db(commits=True)
        def test_one(hawkapi_client):
            pass
        """
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes real_commits=True or False*"])


MIGRATION = '''
"""Users."""
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "1", None, None, None


def upgrade():
    op.create_table("users", sa.Column("id", sa.Integer, primary_key=True)COLUMN)


def downgrade():
    op.drop_table("users")
'''
EMAIL = (
    ', sa.Column("email", sa.String(200), nullable=False), '
    'sa.UniqueConstraint("email", name="uq_users_email")'
)


@pytest.fixture
def migrated(project: pytest.Pytester):
    """Give the project a migration that makes the table, with the columns that are given."""

    def migrated(column: str) -> None:
        folder = project.mkdir("migrations")
        (folder / "versions").mkdir()
        (folder / "env.py").write_text(
            "from hawkapi_sqlalchemy.alembic import run_migrations\n"
            "from shop import Base\n"
            "run_migrations(target_metadata=Base.metadata, url='sqlite+aiosqlite:///none.db')\n"
        )
        (folder / "versions" / "1_users.py").write_text(MIGRATION.replace("COLUMN", column))
        project.makefile(".ini", alembic="[alembic]\nscript_location = %(here)s/migrations\n")
        project.makepyfile(TEST)

    return migrated


def test_the_schema_may_be_made_by_migrations(project, migrated, where):
    migrated(EMAIL)
    result = project.runpytest_subprocess(
        "--hawkapi-schema=migrations", f"--hawkapi-database={where}"
    )
    result.assert_outcomes(passed=2)


def test_migrations_that_do_not_match_the_models(migrated, refused):
    migrated("")
    refused(
        "--hawkapi-schema=migrations",
        says=("do not match the models", "email", "hawkapi-migrate revision -m"),
    )


def test_migrations_that_are_missing(refused):
    refused(
        "--hawkapi-schema=migrations", says=("there is no", "alembic.ini", "hawkapi-migrate init")
    )


def test_migrations_that_fail(migrated, refused):
    migrated(', sa.Column("email", NOTHING)')
    refused(
        "--hawkapi-schema=migrations",
        says=("failed", "name 'NOTHING' is not defined", "1_users.py:10"),
    )
