"""Points in time: one column type and one SQL function for every dialect."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine


class UTCDateTime(TypeDecorator[datetime]):
    """A point in time: timezone-aware in Python, UTC in the database.

    PostgreSQL stores `TIMESTAMP WITH TIME ZONE`, MariaDB and MySQL
    `DATETIME(6)` (their plain `DATETIME` drops microseconds), SQLite text.
    Aware values of any time zone are accepted; what is read back is in UTC.

    Raises:
        ValueError: A naive datetime was given. SQLAlchemy wraps it in its
            `StatementError`, which names the statement.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Ask MariaDB and MySQL for the microseconds they drop by default."""
        if dialect.name in {"mysql", "mariadb"}:
            # Imported when needed: other dialects' users need not load it.
            from sqlalchemy.dialects.mysql import DATETIME

            return dialect.type_descriptor(DATETIME(fsp=6))
        return super().load_dialect_impl(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware datetime into what the column stores."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(
                f"the datetime {value.isoformat(' ')} has no time zone, so the point in time it "
                "means is unknown; give an aware one, such as datetime.now(UTC)"
            )
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored point in time as an aware datetime in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def coerce_compared_value(self, op: OperatorType | None, value: Any) -> TypeEngine[Any]:
        """Leave operands that are no datetimes, such as a timedelta, their own type."""
        if value is None or isinstance(value, datetime):
            return self
        return self.impl_instance.coerce_compared_value(op, value)


class utc_now(FunctionElement[datetime]):  # noqa: N801 - named as SQLAlchemy names SQL functions
    """The database's clock in UTC, with the precision `UTCDateTime` stores.

    Constant within a statement; on PostgreSQL within a transaction. SQLite's
    clock has milliseconds.
    """

    type = UTCDateTime()
    inherit_cache = True
    name = "utc_now"


@compiles(utc_now)
def _standard(_element: utc_now, _compiler: SQLCompiler, **_kwargs: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(utc_now, "mysql", "mariadb")
def _mysql(_element: utc_now, _compiler: SQLCompiler, **_kwargs: Any) -> str:
    # CURRENT_TIMESTAMP is local time of the session's time zone there.
    return "(UTC_TIMESTAMP(6))"


@compiles(utc_now, "sqlite")
def _sqlite(_element: utc_now, _compiler: SQLCompiler, **_kwargs: Any) -> str:
    # CURRENT_TIMESTAMP has whole seconds there. The last three digits make the
    # text as long as what SQLAlchemy writes: SQLite compares it as text.
    return "(strftime('%Y-%m-%d %H:%M:%f000', 'now'))"
