"""The two declarative bases."""

from typing import Any

from sqlalchemy import MetaData, String
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass

from hawkapi_sqlalchemy.mixins.naming import naming_convention

# MariaDB and MySQL have no text column without a length that an index or a unique constraint could
# cover; 255 characters fit both (https://mariadb.com/kb/en/innodb-limitations/).
_TYPES: dict[Any, Any] = {str: String().with_variant(String(255), "mysql", "mariadb")}


class Base(DeclarativeBase):
    """Base of an application's models, with predictable constraint names.

    Every primary key, foreign key, index, unique and check constraint that a
    model leaves unnamed gets its name from
    `hawkapi_sqlalchemy.mixins.naming.naming_convention`, so that a migration
    can name what it drops. `Mapped[str]` is text of any length, on MariaDB and
    MySQL of up to 255 characters, unless the column says otherwise.

    Examples:
        >>> from sqlalchemy.orm import Mapped, mapped_column
        >>> class Fruit(Base):
        ...     __tablename__ = "fruits"
        ...     id: Mapped[int] = mapped_column(primary_key=True)
        >>> Fruit.__table__.primary_key.name
        'pk_fruits'
    """

    metadata = MetaData(naming_convention=naming_convention())
    type_annotation_map = _TYPES


class DataclassBase(MappedAsDataclass, DeclarativeBase):
    """Base of models that are dataclasses too: typed `__init__`, `repr`, `==`.

    Its tables are in a `MetaData` of their own, apart from those of `Base`,
    under the same naming convention. As for any dataclass, a model is
    unhashable unless its class says `eq=False` or `unsafe_hash=True`.

    Examples:
        >>> from sqlalchemy.orm import Mapped, mapped_column
        >>> class Herb(DataclassBase):
        ...     __tablename__ = "herbs"
        ...     id: Mapped[int] = mapped_column(primary_key=True, init=False)
        ...     name: Mapped[str]
        >>> Herb("dill")
        Herb(id=None, name='dill')
    """

    metadata = MetaData(naming_convention=naming_convention())
    type_annotation_map = _TYPES
