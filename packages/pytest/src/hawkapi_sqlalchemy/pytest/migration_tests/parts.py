"""What a schema is made of."""

from dataclasses import dataclass

__all__ = ["Part"]


@dataclass(frozen=True)
class Part:
    """Something that a schema has.

    Attributes:
        kind: What it is: table, column, index.
        name: Its name, with that of its schema where that is not the usual one.
        table: The table it belongs to, or `None`.
    """

    kind: str
    name: str
    table: str | None = None

    def __str__(self) -> str:
        if self.kind == "column":
            return f"column {self.table}.{self.name}"
        return f"{self.kind} {self.name}{f' of {self.table}' if self.table else ''}"
