"""Load on an ASGI application, without a socket between."""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Iterator
from time import perf_counter, process_time
from typing import Any

logger = logging.getLogger("worker")

_SERVER = ("127.0.0.1", 8000)
_CLIENT = ("127.0.0.1", 50000)


class Exchange:
    """One request and its response.

    Args:
        scope: The request.
    """

    __slots__ = ("_ended", "_sent", "body", "scope", "status")

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.status = 0
        self.body = b""
        self._sent = False
        self._ended: asyncio.Future[None] | None = None

    async def receive(self) -> dict[str, Any]:
        """Answer the empty body, and afterwards nothing until the response is complete."""
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
        await self._ended
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Take one message of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body", False) and self._ended is not None:
                self._ended.set_result(None)


def request(state: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """Build the scope of a request, all of it fresh."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"accept", b"*/*")],
        "server": _SERVER,
        "client": _CLIENT,
    }
    if state:
        scope["state"] = state.copy()
    return scope


async def once(app: Any, state: dict[str, Any], method: str, path: str) -> tuple[int, bytes]:
    """Make one request; answer its status and body."""
    exchange = Exchange(request(state, method, path))
    await app(exchange.scope, exchange.receive, exchange.send)
    return exchange.status, exchange.body


class Load:
    """Clients that each make the next request as soon as they have the answer to the last.

    Args:
        app: The ASGI application.
        state: What its start-up left for its requests.
        method: The method of all requests.
        paths: The paths, taken in turn.
    """

    def __init__(self, app: Any, state: dict[str, Any], method: str, paths: list[str]) -> None:
        self._app = app
        self._state = state
        self._method = method
        self._paths = itertools.cycle(paths)

    async def run(self, requests: int, how: dict[str, Any]) -> dict[str, Any]:
        """Make requests.

        Args:
            requests: How many.
            how: `clients`, how many at the same time; `status`, what each answers when it holds;
                `deadline`, the seconds after which requests that hang count as failed.

        Returns:
            The `seconds` and this process's `cpu_seconds` that all `requests` took, how many
            `held`, the `failures`, of which how many `unanswered` at the deadline, what failed responses said as `statuses`, and `p50`
            and `p99` of one request in seconds.
        """
        tickets = iter(range(requests))
        times: list[float] = []
        statuses: Counter[int] = Counter()
        cpu_begin, begin = process_time(), perf_counter()
        clients = [
            asyncio.create_task(self._client(tickets, times, statuses))
            for _ in range(min(how["clients"], requests))
        ]
        if clients:
            # Clients that hang are left as they are: the whole process is given up after that.
            await asyncio.wait(clients, timeout=how["deadline"])
        seconds, cpu_seconds = perf_counter() - begin, process_time() - cpu_begin
        held = statuses.pop(how["status"], 0)
        times.sort()
        return {
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "requests": requests,
            "held": held,
            "failures": requests - held,
            "unanswered": requests - len(times),
            "statuses": {str(status): count for status, count in statuses.items()},
            "p50": times[len(times) // 2] if times else None,
            "p99": times[len(times) * 99 // 100] if times else None,
        }

    async def _client(
        self, tickets: Iterator[int], times: list[float], statuses: Counter[int]
    ) -> None:
        app, state, method, paths = self._app, self._state, self._method, self._paths
        for _ in tickets:
            exchange = Exchange(request(state, method, next(paths)))
            begin = perf_counter()
            try:
                await app(exchange.scope, exchange.receive, exchange.send)
            except Exception:  # a server would answer 500, whatever it was
                logger.warning("%s failed", exchange.scope["path"], exc_info=True)
                exchange.status = 0
            times.append(perf_counter() - begin)
            statuses[exchange.status] += 1
