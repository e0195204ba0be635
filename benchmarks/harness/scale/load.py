"""Calls an ASGI application from many tasks, in its own process."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from harness.scale.statistics import percentile

_FIRST_FAILURE = 400

type Route = tuple[str, str]
"""Method and path."""

READ: Route = ("GET", "/one-row")
INSERT: Route = ("POST", "/insert")


async def run(
    app: Any, routes: Sequence[Route], *, clients: int, requests: int, deadline: float
) -> dict[str, Any]:
    """Make requests, and tell how long they took.

    Args:
        app: The application.
        routes: What is asked for, in turn.
        clients: How many requests are under way at a time.
        requests: How many in all.
        deadline: Seconds after which what is left is given up, and counted as failed.

    Returns:
        `seconds`, `completed`, `failures`, and where any completed `p50` and `p99` in
        milliseconds.
    """
    todo = iter(range(requests))
    times: list[float] = []
    failures = 0

    async def client() -> None:
        nonlocal failures
        for number in todo:
            begin = time.perf_counter()
            status = await call(app, routes[number % len(routes)])
            times.append(time.perf_counter() - begin)
            failures += status >= _FIRST_FAILURE

    begin = time.perf_counter()
    try:
        async with asyncio.timeout(deadline), asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
    except TimeoutError:
        pass
    seconds = time.perf_counter() - begin
    times.sort()
    found: dict[str, Any] = {
        "seconds": seconds,
        "completed": len(times),
        "failures": failures + requests - len(times),
    }
    if times:
        found["p50"] = percentile(times, 0.50) * 1000
        found["p99"] = percentile(times, 0.99) * 1000
    return found


async def call(app: Any, route: Route) -> int:
    """Make one request.

    Returns:
        The response's status.
    """
    method, path = route
    status = 0
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            # The client says nothing more, and stays.
            await asyncio.get_running_loop().create_future()
        sent = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    await app(
        {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "headers": [(b"host", b"127.0.0.1")],
        },
        receive,
        send,
    )
    return status
