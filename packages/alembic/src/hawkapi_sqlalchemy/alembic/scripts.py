"""The migration scripts of a project, as data."""

from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import to_tuple

from hawkapi_sqlalchemy.alembic.results import Revision

__all__ = ["list_heads", "list_history", "pending_at", "revision_of"]


def list_heads(config: Config) -> list[Revision]:
    """List the newest revisions."""
    return [
        revision_of(each) for each in ScriptDirectory.from_config(config).get_revisions("heads")
    ]


def list_history(config: Config) -> list[Revision]:
    """List all revisions, the newest first."""
    return [revision_of(each) for each in ScriptDirectory.from_config(config).walk_revisions()]


def pending_at(script: ScriptDirectory, at: tuple[str, ...]) -> tuple[str, ...]:
    """List the revisions that an upgrade to all heads would apply, in that order.

    Args:
        script: The scripts.
        at: The revisions that the database is at.
    """
    found = script.iterate_revisions("heads", at, implicit_base=True)
    return tuple(each.revision for each in found)[::-1]


def revision_of(script: Script) -> Revision:
    """Describe one script."""
    return Revision(
        revision=script.revision,
        down_revisions=to_tuple(script.down_revision, default=()),
        depends_on=to_tuple(script.dependencies, default=()),
        branch_labels=tuple(sorted(script.branch_labels)),
        message=script.doc,
        path=Path(script.path),
        is_head=script.is_head,
    )
