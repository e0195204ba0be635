"""What can be wrong with a migration run."""

from collections.abc import Mapping

from alembic.util import CommandError


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
