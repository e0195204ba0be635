"""The books of a shared transaction: what is sent to the server, and what is refused."""

import random
from dataclasses import dataclass, field

import pytest

from hawkapi_sqlalchemy.pytest.isolation.errors import CrossedTransactionsError
from hawkapi_sqlalchemy.pytest.isolation.units import GUARD, Ledger, Unit


@dataclass
class Server:
    """A server that knows savepoints, and of rows only that somebody wrote one."""

    stack: list[tuple[str, set[str]]] = field(default_factory=lambda: [(GUARD, set())])
    rows: set[str] = field(default_factory=set)

    def send(self, statements: list[str]) -> None:
        for statement in statements:
            *verb, name = statement.split()
            if verb == ["SAVEPOINT"]:
                self.stack.append((name, set(self.rows)))
                continue
            at = max(i for i, (each, _) in enumerate(self.stack) if each == name)
            if verb == ["ROLLBACK", "TO", "SAVEPOINT"]:
                self.rows = set(self.stack[at][1])
                del self.stack[at + 1 :]
            else:
                assert verb == ["RELEASE", "SAVEPOINT"]
                del self.stack[at:]


@dataclass
class Session:
    """A transaction on that server, through the books."""

    name: str
    ledger: Ledger
    server: Server
    unit: Unit = field(init=False)

    def __post_init__(self) -> None:
        self.unit = self.ledger.begin(self.name, of_test=False)
        self.server.send([f"SAVEPOINT {self.unit.name}"])

    def write(self, row: str) -> None:
        self.ledger.note_write(self.unit)
        self.server.rows.add(row)

    def commit(self) -> None:
        self.server.send(self.ledger.commit(self.unit))

    def rollback(self) -> None:
        self.server.send(self.ledger.rollback(self.unit))

    def savepoint(self, name: str) -> None:
        self.server.send(self.ledger.savepoint(self.unit, name))

    def rollback_to(self, name: str) -> None:
        self.server.send(self.ledger.rollback_to(self.unit, name))

    def release(self, name: str) -> None:
        self.server.send(self.ledger.release(self.unit, name))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def begin(server: Server):
    ledger = Ledger(1)
    return lambda name: Session(name, ledger, server)


def test_one_inside_the_other_may_be_rolled_back_alone(begin, server):
    outer = begin("outer")
    outer.write("a")
    inner = begin("inner")
    inner.write("b")
    inner.rollback()
    outer.write("c")
    outer.commit()
    assert server.rows == {"a", "c"}
    assert [name for name, _ in server.stack] == [GUARD]


def test_a_commit_in_the_middle_of_the_stack_waits_for_those_above(begin, server):
    lower, upper = begin("lower"), begin("upper")
    lower.write("a")
    lower.commit()
    assert len(server.stack) == 3
    upper.write("b")
    upper.commit()
    assert server.rows == {"a", "b"}
    assert [name for name, _ in server.stack] == [GUARD]


def test_a_rollback_in_the_middle_sets_the_savepoints_above_anew(begin, server):
    lower = begin("lower")
    lower.write("a")
    upper = begin("upper")
    upper.savepoint("inner")
    lower.rollback()
    upper.write("b")
    upper.rollback_to("inner")
    upper.write("c")
    upper.commit()
    assert server.rows == {"c"}


def test_a_rollback_that_would_undo_what_another_one_committed_is_refused(begin):
    outer = begin("outer")
    outer.write("a")
    inner = begin("inner")
    inner.write("b")
    inner.commit()
    with pytest.raises(CrossedTransactionsError, match=r"of outer .* inner has written"):
        outer.rollback()


def test_a_rollback_that_would_undo_what_another_one_is_writing_is_refused(begin):
    lower, upper = begin("lower"), begin("upper")
    lower.write("a")
    upper.write("b")
    with pytest.raises(CrossedTransactionsError, match=r"of lower .* upper has written"):
        lower.rollback()


def test_a_rollback_to_a_savepoint_that_would_undo_another_ones_writes_is_refused(begin):
    lower = begin("lower")
    lower.savepoint("inner")
    lower.write("a")
    begin("upper").write("b")
    with pytest.raises(CrossedTransactionsError):
        lower.rollback_to("inner")


def test_who_wrote_nothing_may_roll_back_whatever_others_wrote(begin, server):
    """A session that only reads is rolled back at its end, and must not take writes along."""
    reader = begin("reader")
    writer = begin("writer")
    writer.write("a")
    writer.commit()
    reader.rollback()
    assert server.rows == {"a"}
    assert [name for name, _ in server.stack] == [GUARD]


def test_who_failed_is_rolled_back_though_nothing_was_written(begin, server):
    """PostgreSQL refuses everything until it is."""
    failed = begin("failed")
    failed.ledger.note_failure(failed.unit)
    assert failed.ledger.rollback(failed.unit)[0] == f"ROLLBACK TO SAVEPOINT {failed.unit.name}"


def test_savepoints_of_two_units_do_not_share_names(begin, server):
    """MariaDB deletes the older of two savepoints with one name."""
    first, second = begin("first"), begin("second")
    first.savepoint("sp_1")
    second.savepoint("sp_1")
    names = [name for name, _ in server.stack]
    assert len(set(names)) == len(names) == 5


def test_the_release_of_a_savepoint_below_others_is_left_to_the_end(begin, server):
    lower = begin("lower")
    lower.savepoint("sp_1")
    upper = begin("upper")
    lower.release("sp_1")
    upper.write("a")
    upper.rollback()
    lower.commit()
    assert server.rows == set()
    assert [name for name, _ in server.stack] == [GUARD]


def test_a_commit_leaves_the_savepoints_of_others_that_stand_above(begin, server):
    """The server would give them up with the savepoint of the one that commits."""
    outer, inner = begin("outer"), begin("inner")
    inner.write("a")
    outer.savepoint("sp_1")
    inner.commit()
    outer.write("b")
    outer.rollback_to("sp_1")
    outer.commit()
    assert server.rows == {"a"}
    assert [name for name, _ in server.stack] == [GUARD]


def test_what_was_stored_alone_cannot_be_undone_by_another_one_s_rollback(begin):
    outer = begin("outer")
    outer.write("a")
    outer.ledger.note_write_alone("AUTOCOMMIT")
    with pytest.raises(CrossedTransactionsError, match="AUTOCOMMIT has written"):
        outer.rollback()


def test_others_go_on_after_a_failure_that_is_not_yet_rolled_back(begin, server):
    """PostgreSQL refuses all statements until then: those of others must not be among them."""
    failed = begin("failed")
    failed.write("a")
    failed.savepoint("sp_1")
    failed.write("b")
    failed.ledger.note_failure(failed.unit)
    server.send(failed.ledger.heal(None))
    other = begin("other")
    other.write("c")
    other.commit()
    assert server.rows == {"a", "c"}
    assert failed.unit.has_failed
    with pytest.raises(CrossedTransactionsError):
        failed.rollback()


def test_names_are_used_again(begin):
    """A driver keeps a prepared statement for each text."""
    names = set()
    for _ in range(5):
        session = begin("one after the other")
        names.add(session.unit.name)
        session.commit()
    assert len(names) == 1


def test_after_a_commit_of_the_servers_own_all_savepoints_are_set_anew(begin, server):
    first = begin("first")
    first.savepoint("sp_1")
    second = begin("second")
    first.write("a")
    server.stack.clear()
    server.send(first.ledger.restart())
    second.write("b")
    second.rollback()
    first.rollback_to("sp_1")
    assert server.rows == {"a"}
    assert server.stack[0][0] == GUARD


@pytest.mark.parametrize("seed", range(200))
def test_what_is_committed_is_kept_and_what_is_rolled_back_is_not_or_it_is_refused(
    begin, server, seed
):
    """Random sessions, which begin, write and end in any order."""
    dice = random.Random(seed)
    sessions: list[tuple[Session, set[str]]] = []
    kept: set[str] = set()
    for step in range(60):
        action = dice.choice("bwwwcrst")
        if action == "b" or not sessions:
            if len(sessions) < 4:
                sessions.append((begin(f"session {step}"), set()))
            continue
        session, rows = dice.choice(sessions)
        if action == "w":
            session.write(f"row {step}")
            rows.add(f"row {step}")
            continue
        if action == "s":
            session.savepoint("inner")
            continue
        if action == "t":
            if session.unit.savepoints:
                session.release("inner")
            continue
        if action == "c":
            session.commit()
            kept |= rows
        else:
            try:
                session.rollback()
            except CrossedTransactionsError:
                return
        sessions.remove((session, rows))
    for session, rows in reversed(sessions):
        session.commit()
        kept |= rows
    assert server.rows == kept
    assert [name for name, _ in server.stack] == [GUARD]
