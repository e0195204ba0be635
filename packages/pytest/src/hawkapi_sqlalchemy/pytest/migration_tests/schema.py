"""What is in a database, to compare it at two moments."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sqlalchemy import Connection

from hawkapi_sqlalchemy.alembic.engines import migration_engine, parse_url
from hawkapi_sqlalchemy.alembic.opening import with_connection
from hawkapi_sqlalchemy.pytest.migration_tests.parts import Part
from hawkapi_sqlalchemy.pytest.migration_tests.reflected import reflect
from hawkapi_sqlalchemy.pytest.migration_tests.server_objects import list_objects

__all__ = ["Schema", "read_schema"]

_LONGEST = 80


@dataclass(frozen=True)
class Schema:
    """What a database holds at one moment.

    Attributes:
        parts: Its parts, each with its definition.
    """

    parts: Mapping[Part, str]

    @property
    def tables(self) -> frozenset[str]:
        """The names of its tables."""
        return frozenset(each.name for each in self.parts if each.kind == "table")

    def without(self, tables: AbstractSet[str]) -> "Schema":
        """Answer the same without some tables, and what belongs to them."""
        return Schema(
            {
                part: definition
                for part, definition in self.parts.items()
                if part.table not in tables and (part.kind != "table" or part.name not in tables)
            }
        )

    def traces_in(self, later: "Schema") -> list[str]:
        """Say how a later moment differs, a line for each part.

        What belongs to a table that is left, or missing, is not told beside it.

        Args:
            later: That moment.
        """
        return [*_traces(self, later)]


def read_schema(url: str) -> Schema:
    """Read what a database holds.

    Args:
        url: The database.
    """
    return with_connection(migration_engine(parse_url(url), writes=False), _read)


def _read(connection: Connection) -> Schema:
    # What SQLAlchemy reflects says more of a part than the server's list of names.
    return Schema({**list_objects(connection), **reflect(connection)})


def _traces(before: Schema, after: Schema) -> Iterator[str]:
    left, missing = after.tables - before.tables, before.tables - after.tables
    for part in after.parts:
        if part not in before.parts and part.table not in left:
            yield f"{part} is left"
    for part, was in before.parts.items():
        if part not in after.parts:
            if part.table not in missing:
                yield f"{part} is missing"
        elif (now := after.parts[part]) != was:
            is_short = max(len(now), len(was)) <= _LONGEST
            yield f"{part} is {now}, and was {was}" if is_short else f"{part} is another"
