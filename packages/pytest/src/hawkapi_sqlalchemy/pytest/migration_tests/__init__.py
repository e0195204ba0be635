"""Tests of a project's migrations, which pytest collects on request.

pytest imports this package at start-up, before coverage measures anything: it loads nothing but
pytest, and the rest when such tests are asked for.
"""

from hawkapi_sqlalchemy.pytest.migration_tests.hooks import add_migration_tests
from hawkapi_sqlalchemy.pytest.migration_tests.options import add_options

__all__ = ["add_migration_tests", "add_options"]
