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
        self._kept: list[Unit] = []
        """Ended ones whose savepoints had to stay, as others stand above them."""
        self._aborted: Unit | None = None
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
        taken = {unit.name for unit in (*self._order, *self._kept)}
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

    def note_write_alone(self, owner: str) -> None:
        """Note that something was stored which belongs to no transaction."""
        if self._order:
            alone = Unit(owner, self._test, of_test=False, name="", began=self._tick())
            alone.last_write, alone.is_open = alone.began, False
            self._settled.append(alone)

    def note_failure(self, unit: Unit) -> None:
        """Note that a statement of a unit failed, and that the server refuses all others now."""
        unit.has_failed = True
        self._aborted = unit

    @property
    def aborted(self) -> Unit | None:
        """The one whose failure has the server refuse all statements."""
        return self._aborted

    def heal(self, user: Unit | None) -> list[str]:
        """Have the server accept the statements of others than the unit that failed.

        Of that one's work nothing is lost that it could still keep.

        Args:
            user: Whose statement comes next.

        Returns:
            What to send.

        Raises:
            CrossedTransactionsError: Another one's writes would be undone with it.
        """
        failed = self._aborted
        if failed is None or failed is user:
            return []
        name, since = failed.name, failed.began
        for each, at in failed.savepoints.items():
            if at > since:
                name, since = failed.own_name(each), at
        self._check(failed, since)
        self._aborted = None
        failed.last_write = min(failed.last_write, since)
        return [f"ROLLBACK TO SAVEPOINT {name}", *self._anew(since, failed)]

    def commit(self, unit: Unit) -> list[str]:
        """Commit a unit.

        Returns:
            What to send: nothing while units that began later are open, or savepoints stand above.
        """
        unit.is_open = False
        return self._settle()

    def _settle(self) -> list[str]:
        """Release those that were committed, and whose commit has waited for others above."""
        lowest: Unit | None = None
        while self._order and not self._order[-1].is_open:
            lowest = self._order.pop()
            self._settled.append(lowest)
        if lowest is None:
            return []
        if self._stands_above(lowest.began):
            self._kept.append(lowest)
            return []
        return self._release(lowest)

    def rollback(self, unit: Unit) -> list[str]:
        """Roll a unit back.

        Returns:
            What to send.

        Raises:
            CrossedTransactionsError: Another one's writes would be undone with it.
        """
        try:
            self._check(unit, unit.began)
        except CrossedTransactionsError:
            if unit.last_write or self._aborted is unit:
                raise
            # It has only read, as far as is known, or was undone before: nothing is left to undo.
            return self.commit(unit)
        unit.is_open = False
        self._order.remove(unit)
        if self._aborted is unit:
            self._aborted = None
        return [
            f"ROLLBACK TO SAVEPOINT {unit.name}",
            *self._release(unit),
            *self._anew(unit.began),
            *self._settle(),
        ]

    def _release(self, unit: Unit) -> list[str]:
        """Give the savepoint of an ended unit up, and with it all that stand above."""
        self._kept = [each for each in self._kept if each.began < unit.began]
        lowest = unit
        if not self._order:
            # There is no savepoint left that their writes could be undone with.
            self._settled.clear()
            lowest = min((unit, *self._kept), key=lambda each: each.began)
            self._kept.clear()
        return [f"RELEASE SAVEPOINT {lowest.name}"]

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
        for later in [each for each, at in unit.savepoints.items() if at > since]:
            del unit.savepoints[later]
        try:
            self._check(unit, since)
        except CrossedTransactionsError:
            if unit.last_write > since or unit.has_failed:
                raise
            return []
        unit.last_write = min(unit.last_write, since)
        unit.has_failed = False
        if self._aborted is unit:
            self._aborted = None
        self._kept = [each for each in self._kept if each.began < since]
        return [f"ROLLBACK TO SAVEPOINT {unit.own_name(name)}", *self._anew(since, unit)]

    def release(self, unit: Unit, name: str) -> list[str]:
        """Give a unit's savepoint up.

        Returns:
            What to send: nothing while others' savepoints stand above it, which the server would
            give up with it.
        """
        since = unit.savepoints.pop(name, None)
        if since is None:
            # For the server to refuse.
            return [f"RELEASE SAVEPOINT {unit.own_name(name)}"]
        for later in [each for each, at in unit.savepoints.items() if at > since]:
            del unit.savepoints[later]
        if self._stands_above(since):
            return []
        self._kept = [each for each in self._kept if each.began < since]
        return [f"RELEASE SAVEPOINT {unit.own_name(name)}"]

    def restart(self) -> list[str]:
        """Begin again after the server has committed everything by itself.

        Returns:
            What to send in the new transaction.
        """
        self._settled.clear()
        self._kept.clear()
        self._aborted = None
        for unit in self._order:
            unit.last_write = 0
            unit.has_failed = False
        return [f"SAVEPOINT {GUARD}", *self._anew(0)]

    def _stands_above(self, since: int) -> bool:
        return any(
            unit.began > since or any(at > since for at in unit.savepoints.values())
            for unit in self._order
        )

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
