"""Where a command goes to, looked at before any database is."""

import re
from collections.abc import Sequence

from alembic import context
from alembic.script.revision import MultipleHeads, ResolutionError
from alembic.util import CommandError

from hawkapi_sqlalchemy.alembic.errors import SeveralHeadsError, UnknownRevisionError

__all__ = ["check_destination", "is_moving", "is_relative"]

_RELATIVE = re.compile(r"[+-]\d+$")


def is_moving() -> bool:
    """Tell whether the command goes to a revision: upgrade, downgrade or stamp."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    except CommandError:
        # A destination that is none; `check_destination` says so.
        return True
    return True


def is_relative() -> bool:
    """Tell whether the revision is counted from where the database is, or from another."""
    try:
        return bool(_RELATIVE.search(str(context.get_revision_argument())))
    except CommandError:
        return False


def check_destination(asked: Sequence[str] = ()) -> None:
    """Look the destination up in the migration scripts.

    Args:
        asked: What was asked for, as far as that is known: Alembic answers one revision of
            several, and none that others are counted from.

    Raises:
        UnknownRevisionError: They do not have it.
        SeveralHeadsError: It is `head`, and there are several.
        CommandError: It is wrong in another way.
    """
    try:
        context.get_revision_argument()
        for each in asked:
            if base := _RELATIVE.sub("", each):
                context.script.get_revisions(base)
    except KeyError:
        return
    except CommandError as error:
        cause = error.__cause__
        if isinstance(cause, MultipleHeads):
            raise SeveralHeadsError(sorted(cause.heads)) from error
        if isinstance(cause, ResolutionError):
            raise UnknownRevisionError(
                str(cause.argument), sorted(context.script.get_heads())
            ) from error
        raise
