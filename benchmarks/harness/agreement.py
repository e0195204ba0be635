"""All peers answer the same, or nothing is measured."""

import json
from typing import Any

from harness import schema
from harness.catalogue import (
    HUNDRED_ROWS,
    INSERT,
    NO_DATABASE,
    ONE_ROW,
    ONE_ROW_READ_ONLY,
    TWO_DEPENDENCIES,
)
from harness.errors import BenchmarkError
from harness.plan import Cell
from harness.rounds import Arena

_HUNDRED = 100
_EXPECTED: dict[str, Any] = {
    ONE_ROW.name: schema.item(1),
    ONE_ROW_READ_ONLY.name: schema.item(1),
    HUNDRED_ROWS.name: [schema.item(number) for number in range(1, _HUNDRED + 1)],
    TWO_DEPENDENCIES.name: {"first": schema.item(1), "second": schema.item(2)},
    NO_DATABASE.name: {"ok": True},
}


def check_answers(arena: Arena, cell: Cell) -> None:
    """Ask each contestant of a cell once, before the clock runs.

    Raises:
        BenchmarkError: One answers something else than it should.
    """
    for peer, workload in cell.contestants:
        status, body = arena.worker(cell.database, peer).once(workload)
        answer = json.loads(body) if status == workload.status else None
        right = isinstance(answer, dict) and set(answer) == {"id"}  # pyright: ignore[reportUnknownArgumentType]
        if workload is not INSERT:
            right = answer == _EXPECTED[workload.name]
        if not right:
            raise BenchmarkError(
                f"{peer.name!r} answers {workload.method} {workload.paths[0]} on {cell.database} "
                f"with {status} {body[:500]!r}"
            )
