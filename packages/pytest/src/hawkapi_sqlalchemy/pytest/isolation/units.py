"""The books of a shared transaction: whose savepoints stand where, and what may be undone.

A server's savepoints are a stack, while sessions begin and end as they like. A session that begins
inside another one is a savepoint above it, and mostly ends first. Where it does not, the books tell
what can be done all the same: a COMMIT in the middle of the stack waits for those above, without a
word to the server, and a ROLLBACK sets the savepoints above anew, unless something was written
there that it would undo.

Nothing here speaks to a server: the answers are the statements to send.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hawkapi_sqlalchemy.pytest.isolation.errors import CrossedTransactionsError

__all__ = ["GUARD", "Ledger", "Unit"]

GUARD = "hawkapi_test"
"""The savepoint below all others. If it is gone, so is the test's transaction."""


@dataclass(eq=False, slots=True)
class Unit:
    """One session's transaction inside the test's.

    Attributes:
        owner: Whose it is, for messages.
        test: The number of the test that it belongs to.
        of_test: It was begun by the test's own fixtures, and everybody may begin inside it.
        name: Its savepoint.
        began: When, by the ledger's clock.
        last_write: When it last wrote; 0 for never.
        has_failed: A statement of it failed, and the server may want a rollback.
        is_open: It has neither been committed nor rolled back.
        savepoints: Its own savepoints: name to when they were set.
    """

    owner: str
    test: int
    of_test: bool
    name: str
    began: int
    last_write: int = 0
    has_failed: bool = False
    is_open: bool = True
    savepoints: dict[str, int] = field(default_factory=dict[str, int])

    def own_name(self, savepoint: str) -> str:
        """Name a savepoint of the application's so that no other unit's has the same."""
        return f"{savepoint}_{self.name}"


class Ledger:
    """The units of one test, in the order in which their savepoints stand.

    Args:
        test: The test's number.
    """

    def __init__(self, test: int) -> None:
        self._test = test
        self._order: list[Unit] = []
        self._settled: list[Unit] = []
        self._clock = 0

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    @property
    def open_units(self) -> list[Unit]:
        """Those that are neither committed nor rolled back, the innermost last."""
        return [unit for unit in self._order if unit.is_open]

    def blockers(self, inside: Iterable[Unit]) -> list[Unit]:
        """Tell who must end before another unit may begin.

        Args:
            inside: The units that the new one is known to stand inside.
        """
        known = set(inside)
        return [unit for unit in self.open_units if not unit.of_test and unit not in known]

    def begin(self, owner: str, *, of_test: bool) -> Unit:
        """Enter a new unit. Its savepoint is to be set by the caller.

        Args:
            owner: Whose it is, for messages.
            of_test: Whether it was begun by the test's own fixtures.
        """
        taken = {unit.name for unit in self._order}
        # Few names, used again and again: drivers keep what they have prepared by text.
        number = 1
        while f"hawkapi_{number}" in taken:
            number += 1
        unit = Unit(owner, self._test, of_test, f"hawkapi_{number}", self._tick())
        self._order.append(unit)
        return unit

    def note_write(self, unit: Unit) -> None:
        """Note that a unit may have stored something."""
        unit.last_write = self._tick()

    def commit(self, unit: Unit) -> list[str]:
        """Commit a unit.

        Returns:
            What to send: nothing while units that began later are open.
        """
        unit.is_open = False
        lowest: Unit | None = None
        while self._order and not self._order[-1].is_open:
            lowest = self._order.pop()
            self._settled.append(lowest)
        if not self._order:
            # There is no savepoint left that their writes could be undone with.
            self._settled.clear()
        return [] if lowest is None else [f"RELEASE SAVEPOINT {lowest.name}"]

    def rollback(self, unit: Unit) -> list[str]:
        """Roll a unit back.

        Returns:
            What to send.

        Raises:
            CrossedTransactionsError: Another one's writes would be undone with it.
        """
        if not unit.last_write and not unit.has_failed:
            return self.commit(unit)
        self._check(unit, unit.began)
        unit.is_open = False
        self._order.remove(unit)
        statements = [
            f"ROLLBACK TO SAVEPOINT {unit.name}",
            f"RELEASE SAVEPOINT {unit.name}",
            *self._anew(unit.began),
        ]
        if not self._order:
            self._settled.clear()
        return statements

    def savepoint(self, unit: Unit, name: str) -> list[str]:
        """Set a savepoint of a unit's own, or set it anew."""
        unit.savepoints.pop(name, None)
        unit.savepoints[name] = self._tick()
        return [f"SAVEPOINT {unit.own_name(name)}"]

    def rollback_to(self, unit: Unit, name: str) -> list[str]:
        """Go back to a unit's savepoint.

        Raises:
            CrossedTransactionsError: Another one's writes would be undone with it.
        """
        since = unit.savepoints.get(name)
        if since is None:
            # For the server to refuse.
            return [f"ROLLBACK TO SAVEPOINT {unit.own_name(name)}"]
        if unit.last_write > since or unit.has_failed:
            self._check(unit, since)
            unit.last_write = min(unit.last_write, since)
            unit.has_failed = False
            statements = [f"ROLLBACK TO SAVEPOINT {unit.own_name(name)}", *self._anew(since, unit)]
        else:
            statements = []
        for later in [each for each, at in unit.savepoints.items() if at > since]:
            del unit.savepoints[later]
        return statements

    def release(self, unit: Unit, name: str) -> list[str]:
        """Give a unit's savepoint up.

        Returns:
            What to send: nothing while units that began later are open, whose savepoints the
            server would give up with it.
        """
        since = unit.savepoints.pop(name, None)
        if since is not None and any(each.began > since for each in self._order):
            return []
        for later in [each for each, at in unit.savepoints.items() if at > (since or 0)]:
            if since is not None:
                del unit.savepoints[later]
        return [f"RELEASE SAVEPOINT {unit.own_name(name)}"]

    def restart(self) -> list[str]:
        """Begin again after the server has committed everything by itself.

        Returns:
            What to send in the new transaction.
        """
        self._settled.clear()
        for unit in self._order:
            unit.last_write = 0
            unit.has_failed = False
        return [f"SAVEPOINT {GUARD}", *self._anew(0)]

    def _check(self, unit: Unit, since: int) -> None:
        for other in (*self._order, *self._settled):
            if other is not unit and other.last_write > since:
                raise CrossedTransactionsError(unit.owner, other.owner)

    def _anew(self, since: int, but: Unit | None = None) -> list[str]:
        points = [
            (at, name)
            for unit in self._order
            if unit is not but
            for at, name in (
                (unit.began, unit.name),
                *((at, unit.own_name(each)) for each, at in unit.savepoints.items()),
            )
            if at > since
        ]
        return [f"SAVEPOINT {name}" for _, name in sorted(points)]
