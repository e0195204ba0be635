"""Names for the constraints that a model leaves unnamed."""

import hashlib
from typing import Any

from sqlalchemy import CheckConstraint, Table


def naming_convention() -> dict[str, Any]:
    """Return the convention of `Base` and `DataclassBase`, for any `MetaData`.

    Names are made of the constraint's kind, its table and all its columns, so
    two indexes that begin with the same column do not collide. A check
    constraint is prefixed by its table; an unnamed one gets a digest of its
    expression instead of an error when the table is created.

    Returns:
        A new dictionary, to pass as `MetaData(naming_convention=...)`.
    """
    return {
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        # SQLAlchemy renames a constraint that has a name only if its template
        # holds the text "constraint_name"; this token does.
        "ck": "ck_%(table_name)s_%(constraint_name_or_digest)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
        "constraint_name_or_digest": _constraint_name_or_digest,
    }


def _constraint_name_or_digest(constraint: CheckConstraint, _table: Table) -> str:
    name: Any = constraint.name
    if isinstance(name, str):
        return name
    return hashlib.sha256(str(constraint.sqltext).encode()).hexdigest()[:10]
