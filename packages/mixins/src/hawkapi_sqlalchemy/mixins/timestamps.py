"""`TimestampMixin`: when a row was made, and when it was last changed."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Mapped, Mapper, declared_attr, mapped_column

from hawkapi_sqlalchemy.mixins._dataclass import DataclassReady, dataclass_options
from hawkapi_sqlalchemy.mixins.utc import UTCDateTime, utc_now


class TimestampMixin:
    """Add `created_at` and `updated_at`, aware datetimes in UTC.

    The database fills both on INSERT, whoever inserts; SQLAlchemy sets
    `updated_at` on every UPDATE it makes, from Python's clock. Both can be read
    after a flush without a further query, in an async session too.

    Works with `Base` and `DataclassBase`, before or behind them. In a
    dataclass-style model neither is a parameter of `__init__`.

    Examples:
        >>> from sqlalchemy.orm import Mapped, mapped_column
        >>> from hawkapi_sqlalchemy.mixins import Base
        >>> class Visit(Base, TimestampMixin):
        ...     __tablename__ = "visits"
        ...     id: Mapped[int] = mapped_column(primary_key=True)
        >>> [column.name for column in Visit.__table__.columns]
        ['id', 'created_at', 'updated_at']
    """

    __dataclass_fields__ = DataclassReady()

    @declared_attr
    def created_at(cls: Any) -> Mapped[datetime]:  # noqa: N805 - declared_attr passes the class
        """When the row was inserted, by the database's clock."""
        return _timestamp(cls)

    @declared_attr
    def updated_at(cls: Any) -> Mapped[datetime]:  # noqa: N805 - declared_attr passes the class
        """When the row was last changed."""
        return _timestamp(cls, onupdate=_now)


def _timestamp(model: type[Any], **options: Any) -> Any:
    return mapped_column(
        UTCDateTime(),
        server_default=utc_now(),
        nullable=False,
        sort_order=1,
        **options,
        **dataclass_options(model),
    )


def _now() -> datetime:
    return datetime.now(UTC)


@event.listens_for(TimestampMixin, "instrument_class", propagate=True)
def _read_back_defaults(  # pyright: ignore[reportUnusedFunction] - called by SQLAlchemy
    mapper: Mapper[Any], model: type[Any]
) -> None:
    # MySQL has no INSERT ... RETURNING: under "auto" the values would be loaded
    # at first access, which an async session cannot do. Not `__mapper_args__`:
    # subclasses of a polymorphic model would inherit the model's own.
    del model
    if mapper.eager_defaults == "auto":
        mapper.eager_defaults = True
