"""What happens on the one connection that a test's sessions share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.util import greenlet_spawn

from hawkapi_sqlalchemy.pytest.isolation.backends import Backend, backend_for
from hawkapi_sqlalchemy.pytest.isolation.errors import (
    CrossedTransactionsError,
    OutsideTestError,
    SharedConnectionError,
)
from hawkapi_sqlalchemy.pytest.isolation.statements import Kind
from hawkapi_sqlalchemy.pytest.isolation.turns import Call, Turns
from hawkapi_sqlalchemy.pytest.isolation.units import GUARD, Ledger, Unit

__all__ = ["SharedTransaction"]

__tracebackhide__ = True
"""An error of a statement is shown where it was sent from."""

_NOT_IN_A_TRANSACTION = "25001"
"""PostgreSQL's code for what refuses to run inside a transaction: VACUUM, CREATE DATABASE."""
_LOST = "the connection to the server is lost"
_ROLLED_BACK = (
    "a statement has rolled back its whole transaction (INSERT OR ROLLBACK, for instance), and all "
    "of this test with it"
)
_READING = frozenset({Kind.READ, Kind.SETTING})
"""What stores nothing."""
_END_TIMEOUT = 10.0
"""Seconds that a statement of a test that has ended may still take."""


class SharedTransaction:
    """The transaction of a test: begun at its first statement, rolled back at its end.

    All but the constructor runs in one event loop, that of the connection.

    Attributes:
        test: The number of the test that is running; 0 between tests.
        problem: Why the test cannot have passed: something was not undone that should have been.
        is_setting_up: The test's fixtures are being made. What begins now is the test's own.
    """

    def __init__(self) -> None:
        self.test = 0
        self.problem: str | None = None
        self.is_setting_up = False
        self._tests = 0
        self._opened_with: list[object] = []
        self._backend: Backend | None = None
        self._turns = Turns()
        self._ledger = Ledger(0)
        self._has_begun = False
        self._is_dirty = False
        self._lost: str | None = None
        self._is_changed = False
        self._current: Call | None = None

    async def connect(
        self, dialect: Dialect, connect: Callable[[], Any], settings: object
    ) -> Backend:
        """Open the connection, unless it is open.

        Args:
            dialect: SQLAlchemy's.
            connect: Opens an adapted one, in SQLAlchemy's greenlet.
            settings: What the connection is configured with. In a test that has not begun yet it is
                opened anew for others.

        Raises:
            SharedConnectionError: It was lost in this test, and its transaction with it.
        """
        async with self._turns.lock:
            if self._lost is not None:
                raise SharedConnectionError(self._lost)
            if settings not in self._opened_with:
                self._opened_with.append(settings)
                if not self._has_begun:
                    await self.close()
            if self._backend is None:
                self._backend = await backend_for(dialect).open(dialect, connect)
            return self._backend

    @property
    def backend(self) -> Backend:
        """The connection.

        Raises:
            SharedConnectionError: It was lost in this test, and its transaction with it.
        """
        if self._backend is None:
            raise SharedConnectionError(self._lost or _LOST)
        return self._backend

    def begin_test(self) -> None:
        """A test begins."""
        self._tests += 1
        self.test = self._tests
        self.is_setting_up = True
        self._ledger = Ledger(self.test)
        self.problem = self._lost = None
        self._has_begun = self._is_dirty = self._is_changed = False

    async def end_test(self) -> tuple[bool, bool]:
        """Roll back all that the test did.

        Returns:
            Whether the database is as it was before, and whether the connection is still open. It
            is closed if it is not as it was: a server that has seen the schema change keeps plans
            for the other one, and what SET has set may stay.
        """
        self.test = 0
        if (call := self._current) is not None:
            self.interrupt(call)
        try:
            async with asyncio.timeout(_END_TIMEOUT):
                await self._turns.lock.acquire()
        except TimeoutError:
            # The server rolls back what a lost connection has left open.
            self._drop()
            return False, False
        try:
            if self._has_begun and self._backend is not None:
                await self._roll_back(self._backend)
        finally:
            self._turns.lock.release()
        if self._is_changed or len(self._opened_with) > 1:
            await self.close()
        return not self._is_dirty, self._backend is not None

    async def _roll_back(self, backend: Backend) -> None:
        try:
            # It is not there if a statement's text has ended the test's transaction.
            await backend.send(f"ROLLBACK TO SAVEPOINT {GUARD}")
        except Exception:  # noqa: BLE001  # a driver's, of any kind
            self._is_dirty = True
        try:
            await backend.send("ROLLBACK")
        except Exception:  # noqa: BLE001  # likewise
            self._drop()

    def _drop(self, reason: str = _LOST) -> None:
        self._lost = reason
        if self._backend is not None:
            self._backend.terminate()
            self._backend = None

    async def close(self) -> None:
        """Close the connection, if it is open."""
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.close()

    async def execute(self, call: Call) -> None:
        """Run a statement.

        Args:
            call: The statement.
        """
        test = self.test if call.unit is None else call.unit.test
        await self._turns.take(call, lambda: self._ledger.blockers(call.inside))
        try:
            self._check_test(test)
            backend = self.backend
            if call.statement.kind is Kind.SETTING and backend.keeps_settings:
                # It belongs to the connection, and to no transaction.
                await self._run(call)
                return
            await self._begin_test_transaction()
            await self._send(self._ledger.heal(call.unit))
            if call.alone:
                await self._execute_alone(call)
                return
            if call.unit is None:
                call.unit = self._ledger.begin(call.owner, of_test=self.is_setting_up)
                await self._send([f"SAVEPOINT {call.unit.name}"])
            await self._execute_inside(call, call.unit)
        finally:
            self._turns.move()
            self._turns.lock.release()

    async def lend[T](self, work: Callable[[], Awaitable[T]]) -> T:
        """Run what speaks to the driver's connection itself, while nobody else does.

        Args:
            work: What to run.

        Returns:
            Its result.
        """
        async with self._turns.lock:
            if self.test:
                await self._begin_test_transaction()
            return await work()

    async def commit(self, unit: Unit) -> None:
        """Commit a transaction.

        Args:
            unit: The transaction.
        """
        async with self._turns.lock:
            self._check_test(unit.test)
            if unit.has_failed:
                # A server answers COMMIT with ROLLBACK.
                await self._roll_back_unit(unit)
                return
            await self._send(self._ledger.heal(unit))
            if unit.last_write:
                try:
                    await self.backend.check_constraints()
                except BaseException:
                    # A COMMIT that fails ends its transaction.
                    self._ledger.note_failure(unit)
                    await self._roll_back_unit(unit)
                    raise
            await self._send(self._ledger.commit(unit))
            self._turns.move()

    async def rollback(self, unit: Unit) -> None:
        """Roll a transaction back. After the end of its test there is nothing left to do.

        Args:
            unit: The transaction.
        """
        async with self._turns.lock:
            if unit.test == self.test and self._backend is not None:
                await self._roll_back_unit(unit)

    async def _roll_back_unit(self, unit: Unit) -> None:
        try:
            await self._send(self._ledger.heal(unit))
            await self._send(self._ledger.rollback(unit))
        except CrossedTransactionsError as error:
            # SQLAlchemy passes over it where a session is merely closed.
            self.problem = self.problem or str(error)
            if not unit.has_failed:
                await self._send(self._ledger.commit(unit))
            raise
        finally:
            self._turns.move()

    def interrupt(self, call: Call) -> None:
        """End a statement whose caller waits for it no more."""
        self._turns.give_up(call)
        if call.running is not None and not call.running.done():
            task = asyncio.ensure_future(self.backend.interrupt(call.running))
            # Kept: a task that nobody holds may be collected.
            call.running.add_done_callback(lambda _: task)

    def _check_test(self, test: int) -> None:
        if not test or test != self.test:
            raise OutsideTestError

    async def _begin_test_transaction(self) -> None:
        if not self._has_begun:
            await self._send(["BEGIN", f"SAVEPOINT {GUARD}"])
            self._has_begun = True

    async def _execute_inside(self, call: Call, unit: Unit) -> None:
        statement = call.statement
        name = statement.savepoint or ""
        failed = unit.has_failed and self._ledger.aborted is not unit
        if failed and statement.kind is not Kind.ROLLBACK_TO:
            # The server would say so itself, had it not been brought to accept others' statements.
            raise self.backend.aborted()
        if statement.kind is Kind.SAVEPOINT:
            await self._send(self._ledger.savepoint(unit, name))
        elif statement.kind is Kind.ROLLBACK_TO:
            await self._send(self._ledger.rollback_to(unit, name))
        elif statement.kind is Kind.RELEASE:
            await self._send(self._ledger.release(unit, name))
        else:
            if statement.kind not in _READING:
                self._ledger.note_write(unit)
            backend = self.backend
            try:
                await self._run(call)
            except BaseException:
                if backend.aborts_on_error:
                    self._ledger.note_failure(unit)
                raise

    async def _execute_alone(self, call: Call) -> None:
        backend, read_only = self.backend, call.read_only
        if read_only and not backend.can_refuse_writes:
            if call.statement.kind not in _READING:
                raise backend.refusal()
            await self._run(call)
            return
        await self._send(backend.begin_alone(read_only=read_only))
        try:
            await self._run(call)
        except BaseException:
            if self._backend is not None:
                await self._send(backend.undo_alone(read_only=read_only))
            raise
        undo = backend.undo_alone(read_only=True)
        await self._send(undo if read_only else backend.keep_alone())
        if not read_only and call.statement.kind not in _READING:
            self._ledger.note_write_alone(call.owner)

    async def _run(self, call: Call) -> None:
        backend = self.backend
        kind = call.statement.kind
        if kind is Kind.SCHEMA or (kind is Kind.SETTING and not call.is_reset):
            self._is_changed = True
        if not self.test:
            # It ended while this one was on its way.
            raise OutsideTestError
        if call.is_interrupted:
            raise asyncio.CancelledError
        self._current = call
        call.running = asyncio.ensure_future(greenlet_spawn(call.execute, backend.adapted))
        try:
            # It is ended by `interrupt` alone, which leaves the connection fit for use.
            await asyncio.wait({call.running})
            call.running.result()
        except backend.dialect.loaded_dbapi.Error as error:
            if getattr(error, "sqlstate", None) == _NOT_IN_A_TRANSACTION:
                error.add_note(str(SharedConnectionError("it cannot run inside a transaction")))
            raise
        finally:
            self._current = None
            if backend.is_closed:
                self._is_dirty = True
                self._drop()
            elif self._has_begun and not backend.in_transaction:
                await self._begin_again(backend)

    async def _begin_again(self, backend: Backend) -> None:
        """Go on after the server has committed by itself, as MariaDB does at CREATE TABLE.

        What was written so far is stored, as it would be in production. The test's end cannot undo
        it, and the database is made anew. Elsewhere a transaction that is gone was rolled back, and
        what other sessions had committed with it.
        """
        self._is_dirty = True
        if not backend.commits_by_itself:
            self._drop(_ROLLED_BACK)
            return
        await backend.send("BEGIN", *self._ledger.restart())

    async def _send(self, statements: Sequence[str]) -> None:
        if not statements:
            return
        backend = self.backend
        try:
            await backend.send(*statements)
        except Exception as error:
            if not backend.is_closed:
                raise
            self._is_dirty = True
            self._drop()
            raise SharedConnectionError(_LOST) from error
