"""Declarative bases and model mixins; imports SQLAlchemy and nothing else."""

from hawkapi_sqlalchemy.mixins.base import Base, DataclassBase
from hawkapi_sqlalchemy.mixins.timestamps import TimestampMixin
from hawkapi_sqlalchemy.mixins.utc import UTCDateTime
from hawkapi_sqlalchemy.mixins.uuids import UUIDMixin

__all__ = ["Base", "DataclassBase", "TimestampMixin", "UTCDateTime", "UUIDMixin"]
