"""`UUIDMixin`: a primary key that needs no database to be made."""

from typing import Any
from uuid import uuid4

from sqlalchemy import String
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from hawkapi_sqlalchemy.mixins._dataclass import (
    DataclassReady,
    dataclass_options,
    is_dataclass_model,
)


class UUIDMixin:
    """Add `id`, a primary key of 36 characters: a random UUID (version 4).

    Works with `Base` and `DataclassBase`, before or behind them. A plain model
    takes `id=` or gets one when it is flushed; a dataclass-style model has one
    as soon as it is made, and no parameter of that name.

    Examples:
        >>> from sqlalchemy.orm import Mapped
        >>> from hawkapi_sqlalchemy.mixins import DataclassBase
        >>> class Ticket(DataclassBase, UUIDMixin):
        ...     __tablename__ = "tickets"
        ...     title: Mapped[str]
        >>> len(Ticket("broken lamp").id)
        36
    """

    __dataclass_fields__ = DataclassReady()

    @declared_attr
    def id(cls: Any) -> Mapped[str]:  # noqa: N805 - declared_attr passes the class
        """The primary key, as text: `xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx`."""
        options: dict[str, Any] = dataclass_options(cls)
        if is_dataclass_model(cls):
            options["default_factory"] = _new_id
        return mapped_column(
            String(36), primary_key=True, insert_default=_new_id, sort_order=-1, **options
        )


def _new_id() -> str:
    return str(uuid4())
