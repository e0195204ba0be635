"""What stands for the driver's connection, which belongs to another event loop."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from sqlalchemy.util import await_only

from hawkapi_sqlalchemy.pytest.isolation.errors import SharedConnectionError
from hawkapi_sqlalchemy.pytest.isolation.statements import Kind, Statement
from hawkapi_sqlalchemy.pytest.isolation.transaction import SharedTransaction
from hawkapi_sqlalchemy.pytest.portal import Portal

if TYPE_CHECKING:
    from hawkapi_sqlalchemy.pytest.isolation.members import Member

__all__ = ["DriverStandIn"]


class DriverStandIn:
    """What stands for the driver's connection, which belongs to another event loop.

    Its coroutine functions run there and are awaited here. What would bind objects of one loop to
    the other is refused.

    Args:
        member: The connection that it is the driver's of.
        transaction: The test's transaction.
        portal: Runs its loop.

    Attributes:
        hawkapi_member: The connection that it is the driver's of.
    """

    def __init__(self, member: Member, transaction: SharedTransaction, portal: Portal) -> None:
        self.hawkapi_member = member
        self._transaction = transaction
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._transaction.backend.driver, name)
        if iscoroutinefunction(value):

            async def bridged(*args: Any, **kwargs: Any) -> Any:
                if name in _PREPARES:
                    lent = self._transaction.lend(lambda: value(*args, **kwargs))
                    return await self._portal.bridge(lent)
                answer: list[Any] = []
                await self.hawkapi_member.send(
                    Statement(Kind.WRITE),
                    lambda _: answer.append(await_only(value(*args, **kwargs))),
                )
                return answer[0]

            return bridged
        if name in _NEEDS_ITS_LOOP:
            raise SharedConnectionError(f"{name}() was called on the driver's connection")
        return value


_PREPARES = frozenset({"set_type_codec", "set_builtin_type_codec", "reset_type_codec"})
"""What is done when a connection is opened, and is no part of a transaction."""
_NEEDS_ITS_LOOP = frozenset(
    {"transaction", "cursor", "add_listener", "remove_listener", "add_log_listener"}
)
