"""What MySQL's answers, as its manual shows them, are taken for; no server is asked here."""

from __future__ import annotations

from typing import Any, Self

import pymysql
import pytest
from sqlalchemy.exc import OperationalError

from hawkapi_sqlalchemy.core.routing.positions import LARGEST_DUMP, GtidSet
from hawkapi_sqlalchemy.core.routing.replication import PrimaryView, ReplicaView
from hawkapi_sqlalchemy.core.routing.replication.mysql import MySQLReplication

REPLICATION = MySQLReplication()
A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "4350f323-7565-4e59-8763-4b1b83a0ce0e"
EXECUTED = {"@@GLOBAL.gtid_executed": f"{A}:1-77,\n{B}:1-5"}
STATUS = {
    "Replica_IO_State": "Waiting for source to send event",
    "Source_Host": "127.0.0.1",
    "Replica_IO_Running": "Yes",
    "Replica_SQL_Running": "Yes",
    "Seconds_Behind_Source": 3,
    "Retrieved_Gtid_Set": f"{A}:1-80",
    "Executed_Gtid_Set": f"{A}:1-77,\n{B}:1-5",
}


class Result:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def mappings(self) -> Result:
        return self

    def __iter__(self) -> Any:
        return iter(self._rows)

    def one(self) -> Any:
        (row,) = self._rows
        return row

    def scalar_one(self) -> Any:
        (value,) = self.one().values()
        return value


class Connection:
    """A connection whose server has its answers ready."""

    def __init__(self, *answers: list[dict[str, Any]] | Exception) -> None:
        self._answers = list(answers)
        self.statements: list[str] = []

    async def exec_driver_sql(self, statement: str) -> Result:
        self.statements.append(statement)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Result(answer)


class DriverConnection:
    """aiomysql's, whose cursors have one answer."""

    def __init__(self, value: str) -> None:
        self._value = value

    def cursor(self, cls: type) -> DriverConnection:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def execute(self, statement: str) -> None:
        assert statement == "SELECT @@GLOBAL.gtid_executed"

    async def fetchone(self) -> tuple[str]:
        return (self._value,)


def primary_at(text: str) -> PrimaryView:
    return PrimaryView(GtidSet.parse(text), is_primary=True, identity=None)


async def replica(status: list[dict[str, Any]], primary: PrimaryView | None) -> ReplicaView:
    return await REPLICATION.replica(Connection([EXECUTED], status), primary)


async def test_a_capture_is_all_that_the_primary_has_executed() -> None:
    position = await REPLICATION.capture(DriverConnection(f"{A}:1-77,\n{B}:1-5"))
    assert position == GtidSet.parse(f"{A}:1-77,{B}:1-5")


async def test_without_gtids_there_is_no_position() -> None:
    assert await REPLICATION.capture(DriverConnection("")) is None
    row = {"executed": "", "mode": "OFF", "read_only": 0}
    view = await REPLICATION.primary(Connection([row]))
    assert view == PrimaryView(None, is_primary=True, identity=None)


async def test_a_set_that_no_token_takes_is_not_captured() -> None:
    scattered = ":".join(str(number) for number in range(1, LARGEST_DUMP, 2))
    assert await REPLICATION.capture(DriverConnection(f"{A}:{scattered}")) is None


@pytest.mark.parametrize("read_only", [0, 1])
async def test_a_server_that_refuses_writes_is_no_primary(read_only: int) -> None:
    row = {"executed": f"{A}:1-77", "mode": "ON", "read_only": read_only}
    view = await REPLICATION.primary(Connection([row]))
    assert view.position == GtidSet.parse(f"{A}:1-77")
    assert view.is_primary == (not read_only)


async def test_a_replica_that_has_all_of_the_primary_lags_by_nothing() -> None:
    view = await replica([STATUS], primary_at(f"{A}:1-77"))
    assert view == ReplicaView(
        position=GtidSet.parse(f"{A}:1-77,{B}:1-5"), lag_seconds=0.0, receiving=True
    )


async def test_a_replica_that_lags_tells_by_how_much() -> None:
    view = await replica([STATUS], primary_at(f"{A}:1-80"))
    assert (view.lag_seconds, view.problem) == (3, None)
    assert (await replica([STATUS], None)).lag_seconds == 3


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("Replica_SQL_Running", "No", "its SQL thread is stopped"),
        ("Replica_IO_Running", "No", "its I/O thread is stopped"),
        ("Replica_IO_Running", "Connecting", None),
    ],
)
async def test_a_replica_whose_threads_do_not_run_has_an_unknown_lag(
    column: str, value: str, problem: str | None
) -> None:
    status = {**STATUS, column: value, "Seconds_Behind_Source": None}
    view = await replica([status], primary_at(f"{A}:1-80"))
    assert (view.lag_seconds, view.problem) == (None, problem)
    assert view.receiving == (column == "Replica_SQL_Running")


async def test_the_longest_lag_of_several_sources_counts() -> None:
    other = {**STATUS, "Seconds_Behind_Source": 7}
    assert (await replica([STATUS, other], primary_at(f"{A}:1-80"))).lag_seconds == 7


async def test_a_server_that_follows_none_is_no_replica() -> None:
    view = await replica([], primary_at(f"{A}:1-77"))
    assert view.problem == "it follows no server: its role has changed"


async def test_without_the_privilege_the_positions_alone_are_compared() -> None:
    def refused() -> OperationalError:
        message = "Access denied; you need the SUPER, REPLICATION CLIENT privilege(s)"
        return OperationalError("SHOW", None, pymysql.OperationalError(1227, message))

    view = await REPLICATION.replica(Connection([EXECUTED], refused()), primary_at(f"{A}:1-77"))
    assert (view.lag_seconds, view.problem, view.receiving) == (0, None, None)
    view = await REPLICATION.replica(Connection([EXECUTED], refused()), primary_at(f"{A}:1-80"))
    assert (view.lag_seconds, view.problem, view.receiving) == (None, None, None)


async def test_other_errors_are_raised() -> None:
    error = OperationalError("SHOW", None, pymysql.OperationalError(2013, "Lost connection"))
    with pytest.raises(OperationalError):
        await REPLICATION.replica(Connection([EXECUTED], error), None)


async def test_the_cheap_question_is_one_statement() -> None:
    connection = Connection([EXECUTED])
    assert await REPLICATION.replayed(connection, GtidSet()) == GtidSet.parse(f"{A}:1-77,{B}:1-5")
    assert connection.statements == ["SELECT @@GLOBAL.gtid_executed"]
