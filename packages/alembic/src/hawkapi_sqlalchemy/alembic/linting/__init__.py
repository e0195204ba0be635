"""Dangerous statements, told of before they run."""

from hawkapi_sqlalchemy.alembic.linting.findings import Finding
from hawkapi_sqlalchemy.alembic.linting.migrations import lint_migrations
from hawkapi_sqlalchemy.alembic.linting.rules import RULES

__all__ = ["RULES", "Finding", "lint_migrations"]
