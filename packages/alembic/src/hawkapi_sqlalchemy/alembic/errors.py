"""What can be wrong with a migration run."""

from collections.abc import Mapping, Sequence

from alembic.util import CommandError

from hawkapi_sqlalchemy.alembic.results import MigrationResult, SchemaCheck

__all__ = [
    "DatabaseUnreachableError",
    "DatabasesFailedError",
    "DriverNotInstalledError",
    "ForeignKeyViolationError",
    "MigrationError",
    "MigrationLockLostError",
    "MigrationLockTimeoutError",
    "SchemaDifferenceError",
    "SeveralHeadsError",
    "TableLockedError",
    "UnknownDatabaseRevisionError",
    "UnknownRevisionError",
]


class MigrationError(CommandError):
    """A migration run that cannot start or go on.

    As it is Alembic's own `CommandError`, its command line prints the message
    alone, without a traceback. No message holds a password.
    """


class DriverNotInstalledError(MigrationError):
    """The package that the database URL names as its driver is not installed.

    Attributes:
        driver: The driver as the URL names it, such as `asyncpg`.
        remedy: What to install.
    """

    def __init__(self, driver: str, remedy: str) -> None:
        self.driver = driver
        self.remedy = remedy
        super().__init__(f"the database driver {driver!r} is not installed: {remedy}")


class ForeignKeyViolationError(MigrationError):
    """A SQLite migration left rows that refer to rows which are not there.

    Foreign keys are off while a SQLite database is migrated. The migration was
    rolled back, unless it runs on a connection that the caller gave.

    Attributes:
        violations: How many such rows the migration added, by (table, table
            that it refers to).
    """

    def __init__(self, violations: Mapping[tuple[str, str], int]) -> None:
        self.violations = dict(violations)
        described = ", ".join(
            f"{count} of {table!r} to {parent!r}"
            for (table, parent), count in sorted(self.violations.items())
        )
        super().__init__(f"the migration leaves rows that refer to missing rows: {described}")


class MigrationLockTimeoutError(MigrationError):
    """Another run migrated the same database all the time that this one waited.

    Attributes:
        seconds: How long it waited.
        holder: Who has the lock, as far as that is known.
    """

    def __init__(self, seconds: float, holder: str | None) -> None:
        self.seconds = seconds
        self.holder = holder
        super().__init__(
            f"another migration run of this database is still under way after {seconds:g} s"
            f"{f' ({holder})' if holder else ''}; nothing was done. Wait for it, or end it: its "
            "lock ends with it"
        )


class MigrationLockLostError(MigrationError):
    """The connection that held the migration lock is gone, so another run may have begun.

    The migration that was under way is rolled back where the database can do
    that; those before it stay.
    """

    def __init__(self) -> None:
        super().__init__(
            "the connection that held the migration lock was lost, and another run may have "
            "begun; the migration under way was stopped. Run the command again"
        )


class TableLockedError(MigrationError):
    """A table or a row that a migration needs stayed locked by another session.

    Attributes:
        attempts: How often it was tried.
        is_partial: A part of the migration is stored. That can be where a
            database commits each change of a table by itself, or after a block in
            AUTOCOMMIT; the migration cannot be repeated as it is.
    """

    def __init__(self, attempts: int, *, is_partial: bool) -> None:
        self.attempts = attempts
        self.is_partial = is_partial
        stored = (
            "a part of the migration is stored and its rest is not, so it was not tried again"
            if is_partial
            else "nothing of that migration is stored"
        )
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(
            f"a table or a row stayed locked by another session, given up after {tries}: {stored}"
        )


class DatabaseUnreachableError(MigrationError):
    """No connection to the database could be opened.

    Attributes:
        address: The database's URL without its user and password.
        reason: What the driver says.
    """

    def __init__(self, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(f"cannot connect to {address}: {reason}")


class UnknownRevisionError(MigrationError):
    """The migration scripts do not have the revision that was asked for.

    Attributes:
        revision: As it was asked for.
    """

    def __init__(self, revision: str, heads: Sequence[str]) -> None:
        self.revision = revision
        newest = f"; the newest is {' and '.join(heads)}" if heads else "; they have none at all"
        super().__init__(f"the migration scripts have no revision {revision!r}{newest}")


class SeveralHeadsError(MigrationError):
    """One newest revision was asked for, and there are several.

    Attributes:
        heads: All of them.
    """

    def __init__(self, heads: Sequence[str]) -> None:
        self.heads = tuple(heads)
        super().__init__(
            f"the migration scripts have {len(self.heads)} heads: {', '.join(self.heads)}; join "
            "them by a merge revision (`hawkapi-migrate merge`), or ask "
            "for `heads`, which is all of them, or for one by its name"
        )


class UnknownDatabaseRevisionError(MigrationError):
    """The database is at a revision that the migration scripts do not have.

    Nothing was done to it.

    Attributes:
        revisions: Those revisions.
    """

    def __init__(self, revisions: Sequence[str]) -> None:
        self.revisions = tuple(revisions)
        named = ", ".join(repr(each) for each in self.revisions)
        super().__init__(
            f"the database is at revision {named}, which the migration scripts do not have: a "
            "newer release has migrated it, or other scripts have. Use the scripts that did; or, "
            "where those are lost, set its revision with `stamp --purge`"
        )


class SchemaDifferenceError(MigrationError):
    """The schema of a database differs from the models.

    Attributes:
        checks: The databases in which a difference was found.
    """

    def __init__(self, checks: Sequence[SchemaCheck]) -> None:
        self.checks = tuple(checks)
        lines = [f"{each.database}: {line}" for each in self.checks for line in each.differences]
        super().__init__("\n  ".join(["the schema differs from the models:", *lines]))


class DatabasesFailedError(MigrationError):
    """A command over several databases failed on some of them; on others it may have succeeded.

    Attributes:
        results: What was done to each that was attempted; failed ones have an
            `error`.
        not_attempted: The names of those that were not reached. They are as they
            were.
    """

    def __init__(
        self, results: Sequence[MigrationResult], not_attempted: Sequence[str] = ()
    ) -> None:
        self.results = tuple(results)
        self.not_attempted = tuple(not_attempted)
        failed = [each for each in self.results if each.error is not None]
        total = len(self.results) + len(self.not_attempted)
        lines = [
            f"{len(failed)} of {total} databases failed:",
            *(f"  {each.database}: {_reason(each)}" for each in failed),
        ]
        if self.not_attempted:
            lines.append(f"not attempted after that: {', '.join(self.not_attempted)}")
        super().__init__("\n".join(lines))


def _reason(result: MigrationResult) -> str:
    where = f"revision {result.failed_at}: " if result.failed_at else ""
    return f"{where}{describe(result.error)}"


def describe(error: BaseException | None) -> str:
    """Say in a line or two what went wrong, for people.

    The statement and the values that SQLAlchemy adds to a driver's error are left
    out.
    """
    if isinstance(error, CommandError):
        return str(error)
    original: BaseException | None = getattr(error, "orig", None)
    shown = error if original is None else original
    # asyncpg's errors come wrapped; the wrapper's message repeats the class in brackets.
    cause = getattr(shown, "__cause__", None) if original is not None else None
    shown = cause or shown
    return f"{type(shown).__name__}: {shown}"
