"""The quickstart's migrations, judged by pytest-alembic's own tests on every database."""

import os
import subprocess
import sys
from pathlib import Path

QUICKSTART = Path(__file__).parents[2] / "examples/quickstart"
CONFTEST = """
import os

import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool


@pytest.fixture
def alembic_config():
    return {{"file": {ini!r}}}


@pytest.fixture
def alembic_engine():
    return create_async_engine(os.environ["DATABASE_URL"], poolclass=NullPool)
"""
TESTS = """
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
"""


def test_the_quickstarts_migrations_pass_what_pytest_alembic_asks(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.format(ini=str(QUICKSTART / "alembic.ini")))
    (tmp_path / "test_migrations.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=tmp_path,
        env={**os.environ, "DATABASE_URL": database_url},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert "4 passed" in done.stdout, done.stdout
