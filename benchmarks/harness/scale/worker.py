"""A process with one application in it: `python -m harness.scale.worker`.

It reads a command from each line of its input and answers each with a line. It runs in the
environment of a peer, so it may use what every peer has, and nothing else.
"""

import asyncio
import gc
import json
import os
import sys
import time
import weakref
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from harness.scale import apps, load
from harness.scale.lifespan import Lifespan

_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") / 1024
_MANY_TIMERS = 1000
_RESIDENT = 1
"""The place of the resident pages in Linux's `/proc/self/statm`."""


def rss_kib() -> float:
    """Answer the resident memory of this process, in KiB."""
    pages = Path("/proc/self/statm").read_text("ascii").split()[_RESIDENT]
    return int(pages) * _PAGE_KIB


async def _forget_cancelled_timers() -> None:
    """Make the event loop forget the time-outs that were not needed.

    It keeps a cancelled timer, and its context, until it is due or until more than half of a
    hundred are cancelled. How many there are at a moment would hide what grows.
    """
    loop = asyncio.get_running_loop()
    for _ in range(_MANY_TIMERS):
        loop.call_later(_MANY_TIMERS, gc.collect).cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class Worker:
    """The application, and what may be asked of it."""

    def __init__(self) -> None:
        self._app: Any = None
        self._lifespan: Lifespan | None = None

    async def packages(self) -> dict[str, str]:
        """Tell what is installed here."""
        return {each.name.lower().replace("_", "-"): each.version for each in distributions()}

    async def schema(self, url: str) -> dict[str, Any]:
        """Make the table anew."""
        await apps.create_schema(url)
        return {}

    async def start(self, peer: str, url: str, size: int, overflow: int) -> dict[str, Any]:
        """Start a peer's application on one database."""
        return await self._start(lambda: apps.BUILDERS[peer](url, apps.Pool(size, overflow)))

    async def start_databases(self, urls: dict[str, str]) -> dict[str, Any]:
        """Start our application on several databases."""
        return await self._start(lambda: apps.with_databases(urls))

    async def _start(self, build: Any) -> dict[str, Any]:
        gc.collect()
        before = rss_kib()
        begin = time.perf_counter()
        self._app = build()
        self._lifespan = Lifespan(self._app)
        await self._lifespan.start()
        return {"seconds": time.perf_counter() - begin, "kib": rss_kib() - before}

    async def load(
        self, routes: list[load.Route], clients: int, requests: int, deadline: float
    ) -> dict[str, Any]:
        """Make requests."""
        return await load.run(
            self._app, routes, clients=clients, requests=requests, deadline=deadline
        )

    async def memory(self) -> dict[str, Any]:
        """Tell what is used once the garbage is gone."""
        await _forget_cancelled_timers()
        gc.collect()
        # Not the weak references: an SQLite connection keeps one for each of its last 200 cursors,
        # and drops them all at once.
        objects = sum(type(each) is not weakref.ref for each in gc.get_objects())
        return {"rss_mib": rss_kib() / 1024, "objects": objects}

    async def stop(self) -> dict[str, Any]:
        """Shut the application down."""
        if self._lifespan is not None:
            await self._lifespan.stop()
            self._lifespan = None
        return {}

    async def serve(self) -> None:
        """Answer until the input ends, or `stop` is answered."""
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command: dict[str, Any] = json.loads(line)
            name = command.pop("do")
            answer = await getattr(self, name)(**command)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
            if name == "stop":
                return


if __name__ == "__main__":
    asyncio.run(Worker().serve())
