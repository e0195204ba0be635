"""What a command will do to a database: which migrations, and in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError

__all__ = ["OTHER", "Command", "command_of", "plan"]


@dataclass(frozen=True)
class Command:
    """What is done to a database.

    Attributes:
        kind: What the command does.
        destination: The revision that was asked for.
    """

    kind: Literal["upgrade", "downgrade", "other"]
    destination: str


OTHER = Command("other", "")


def command_of(options: Mapping[str, Any]) -> Command:
    """Tell what Alembic's command does.

    Args:
        options: Those of its `MigrationContext`. The name of the function that chooses the
            migrations is all that tells an upgrade from a downgrade.
    """
    name = getattr(options.get("fn"), "__name__", "")
    destination: object = options.get("destination_rev")
    if not isinstance(destination, str):
        return OTHER
    match name:
        case "upgrade" | "downgrade":
            return Command(name, destination)
        case _:
            return OTHER


def plan(command: Command, heads: Sequence[str], script: ScriptDirectory) -> tuple[str, ...]:
    """List the revisions that a command will apply, or undo, in that order.

    Args:
        command: The command.
        heads: The revisions that the database is at.
        script: The migration scripts.
    """
    at = tuple(heads)
    try:
        match command.kind:
            case "upgrade":
                found = script.iterate_revisions(command.destination, at, implicit_base=True)
                return tuple(each.revision for each in found)[::-1]
            case "downgrade":
                found = script.iterate_revisions(at, command.destination, select_for_downgrade=True)
                return tuple(each.revision for each in found)
            case _:
                return ()
    except RevisionError:
        # Alembic asks the same next, and says what is wrong.
        return ()
