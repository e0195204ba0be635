"""What is wrong before anything is touched: the message, and the exit status."""

from pathlib import Path
from typing import Any

import pytest

from migrate_shell import Shell

ENV = """
from hawkapi_sqlalchemy.alembic import run_migrations
run_migrations(None, {url!r})
"""
COMMANDS = (["upgrade"], ["status"], ["current"], ["check"])


@pytest.fixture
def at(shell: Shell) -> Any:
    """A project of one revision on whatever URL."""
    shell("init")
    shell("revision", "--empty", "-m", "one", "--rev-id", "one")

    def use(url: Any) -> Shell:
        (shell.folder / "migrations/env.py").write_text(ENV.format(url=url))
        return shell

    return use


def refused(shell: Shell, *words: str) -> str:
    """Call it, and answer the one line that it says."""
    output = shell(*words, status=1)
    assert "secret" not in output + shell.errors
    return output + shell.errors


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_driver_that_is_not_installed(at: Any, words: list[str]) -> None:
    said = refused(at("postgresql+psycopg2://app:secret@localhost/app"), *words)
    assert "the database driver 'psycopg2' is not installed" in said
    assert "postgresql+asyncpg:// with hawkapi-sqlalchemy-alembic[postgres]" in said


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_url_that_cannot_be_read(at: Any, words: list[str]) -> None:
    said = refused(at("app:secret@localhost"), *words)
    assert "the database URL cannot be read; it has the form dialect+driver://" in said


def test_a_database_that_sqlalchemy_does_not_know(at: Any) -> None:
    assert "knows no database 'postgre'" in refused(at("postgre://app:secret@h/app"), "upgrade")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://app:secret@127.0.0.1:1/app",
        "mariadb+aiomysql://app:secret@127.0.0.1:1/app",
    ],
)
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_server_that_cannot_be_reached(at: Any, url: str, words: list[str]) -> None:
    said = refused(at(url), *words)
    assert "cannot connect to" in said
    assert "127.0.0.1:1/app" in said


def test_a_file_that_cannot_be_opened(at: Any) -> None:
    said = refused(at("sqlite+aiosqlite:////nowhere/at/all.db"), "upgrade")
    assert "cannot connect to sqlite+aiosqlite:////nowhere/at/all.db: " in said


def test_an_unknown_revision(at: Any) -> None:
    """No server is asked for it."""
    shell = at("postgresql+asyncpg://app:secret@127.0.0.1:1/app")
    for words in (["upgrade", "nosuch"], ["downgrade", "nosuch"], ["stamp", "nosuch"]):
        said = refused(shell, *words)
        assert "the migration scripts have no revision 'nosuch'; the newest is one" in said


def test_several_heads(at: Any) -> None:
    shell = at("postgresql+asyncpg://app:secret@127.0.0.1:1/app")
    shell("revision", "--empty", "-m", "two", "--rev-id", "two", "--head", "base", "--splice")
    said = refused(shell, "upgrade")
    assert "the migration scripts have 2 heads: one, two" in said
    assert "hawkapi-migrate merge" in said


def test_a_revision_that_the_database_has_and_the_scripts_lack(
    shop: Shell,
) -> None:
    for name in ("one", "two"):
        shop("revision", "--empty", "-m", name, "--rev-id", name)
    shop("upgrade")
    (path,) = (shop.folder / "migrations/versions").glob("*_two.py")
    path.unlink()
    for words in (["upgrade"], ["downgrade", "base"]):
        said = refused(shop, *words)
        assert "the database is at revision 'two', which the migration scripts do not have" in said
    assert "of which the scripts do not have two" in shop("status")
    shop("status", "--check", status=3)
    assert "-> one" in shop("stamp", "--purge")


def test_no_project_here(shell: Shell) -> None:
    assert "hawkapi-migrate init" in refused(shell, "upgrade")
    assert "there is no file 'nosuch.ini'" in refused(shell, "status", "-c", "nosuch.ini")
    (shell.folder / "pyproject.toml").write_text("[tool.other]\n")
    assert "has no section [tool.alembic]" in refused(shell, "status")


def test_an_env_py_that_fails_names_its_line(at: Any) -> None:
    shell = at("sqlite+aiosqlite:///app.db")
    env = shell.folder / "migrations/env.py"
    env.write_text(f"import nosuch_models\n{env.read_text()}")
    said = refused(shell, "upgrade")
    assert (
        "ModuleNotFoundError: No module named 'nosuch_models' (migrations/env.py, line 1)" in said
    )


def test_an_env_py_without_models_has_nothing_to_compare(at: Any) -> None:
    shell = at("sqlite+aiosqlite:///app.db")
    shell("upgrade")
    for words in (["revision", "-m", "x"], ["check"]):
        assert "does not provide a MetaData object" in refused(shell, *words)


def test_an_unknown_database_name(at: Any) -> None:
    said = refused(at({"a": "sqlite+aiosqlite:///a.db"}), "upgrade", "-d", "b")
    assert "there is no database 'b'; there is 'a'" in said


def test_a_password_in_the_urls_query_is_not_shown(at: Any) -> None:
    url = "postgresql+asyncpg://127.0.0.1:1/app?user=app&password=secret"
    assert "cannot connect to" in refused(at(url), "upgrade")


def test_a_command_line_that_cannot_be_read_ends_with_2(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for words in (["nosuch"], ["upgrade", "--nosuch"], ["downgrade"], ["revision"]):
        assert shell(*words, status=2) == ""
        assert "Usage: hawkapi-migrate" in shell.errors
