"""Starts an ASGI application up, and shuts it down."""

import asyncio
from typing import Any

_DEADLINE = 60.0


class Lifespan:
    """One application's life.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._wanted: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the start-up hooks.

        Raises:
            RuntimeError: One of them failed.
        """
        self._task = asyncio.create_task(
            self._app({"type": "lifespan"}, self._wanted.get, self._answers.put)
        )
        await self._ask("startup")

    async def stop(self) -> None:
        """Run the shut-down hooks.

        Raises:
            RuntimeError: One of them failed.
        """
        await self._ask("shutdown")
        if self._task is not None:
            await self._task

    async def _ask(self, step: str) -> None:
        await self._wanted.put({"type": f"lifespan.{step}"})
        answer = await asyncio.wait_for(self._answers.get(), _DEADLINE)
        if answer["type"] != f"lifespan.{step}.complete":
            raise RuntimeError(f"{step} failed: {answer.get('message', '')}")
