"""The application's start-up and shut-down, by the ASGI lifespan protocol."""

import asyncio
from typing import Any


class Lifespan:
    """Speaks the lifespan protocol with an application.

    Args:
        app: The ASGI application.

    Attributes:
        state: What its start-up left for its requests.
    """

    def __init__(self, app: Any) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._to_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the start-up.

        Raises:
            RuntimeError: It failed.
        """
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        self._task = asyncio.create_task(self._app(scope, self._to_app.get, self._from_app.put))
        await self._pass("startup")

    async def stop(self) -> None:
        """Run the shut-down.

        Raises:
            RuntimeError: It failed.
        """
        await self._pass("shutdown")

    async def _pass(self, phase: str) -> None:
        assert self._task is not None
        self._to_app.put_nowait({"type": f"lifespan.{phase}"})
        answered = asyncio.create_task(self._from_app.get())
        await asyncio.wait({answered, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            answered.cancel()
            await self._task
            raise RuntimeError(f"the application ended without an answer to its {phase}")
        message = answered.result()
        if message["type"] != f"lifespan.{phase}.complete":
            raise RuntimeError(f"{phase} failed: {message.get('message', message['type'])}")
