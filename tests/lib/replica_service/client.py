"""A user of the service, who keeps what it tells of positions, over kept-alive connections."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from http.cookies import SimpleCookie
from typing import Any, Literal, Self

import httpx

__all__ = ["COOKIE", "HEADER", "Client"]

HEADER = "X-Database-Position"
COOKIE = "hawkapi_db_position"


class Client:
    """One user, whose requests go to the processes of a service in turn.

    Args:
        urls: Where the processes answer.
        carry: How what was told of positions is sent back: as the `header`, as a `cookie`, or not
            at all. A browser would not send a Secure cookie over plain HTTP, this does.
        header: The header's name.
        timeout: Seconds for each request.
        transport: What sends the requests, instead of connections of its own.
        **headers: Sent with every request, `_` for `-`: `x_user="ada"`.

    Attributes:
        token: What the service told last in the header, and is sent back with `carry="header"`.
        cookies: What the service set, by name, and is sent back with `carry="cookie"`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        carry: Literal["header", "cookie"] | None = "header",
        header: str = HEADER,
        timeout: float = 20.0,
        transport: httpx.AsyncBaseTransport | None = None,
        **headers: str,
    ) -> None:
        self.token: str | None = None
        self.cookies: dict[str, str] = {}
        self._urls = list(urls)
        self._turns = itertools.cycle(range(len(self._urls)))
        self._carry = carry
        self._header = header
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=timeout,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            # What the machine's environment says of proxies is not for the loopback interface,
            # and to read its certificates takes longer than all the rest.
            trust_env=False,
            verify=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def store(self, key: str, value: str, *, at: int | None = None) -> httpx.Response:
        """Store an item with `POST /items`."""
        return await self.send("POST", "/items", at=at, key=key, value=value)

    async def read(self, key: str, *, at: int | None = None) -> httpx.Response:
        """Read an item with `GET /items`, from a replica."""
        return await self.send("GET", "/items", at=at, key=key)

    async def visit(self, key: str, value: str, *, at: int | None = None) -> httpx.Response:
        """Store an item with a GET."""
        return await self.send("GET", "/visits", at=at, key=key, value=value)

    async def replicas(self, *, at: int | None = None) -> Any:
        """Ask a process what it knows of the replicas."""
        return (await self.send("GET", "/replicas", at=at)).json()["replicas"]

    async def send(
        self,
        method: str,
        path: str,
        *,
        at: int | None = None,
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> httpx.Response:
        """Send a request.

        Args:
            method: GET, POST, ...
            path: The path.
            at: The process that gets it, by its place. By default the next in turn.
            headers: Headers of this request, which win.
            **query: What follows the question mark.

        Raises:
            httpx.TransportError: The process is not there, or gave no answer.
        """
        url = self._urls[next(self._turns) if at is None else at]
        response = await self._http.request(
            method, f"{url}{path}", params=query, headers={**self._carried(), **(headers or {})}
        )
        # The jar would send what is not Secure a second time.
        self._http.cookies.clear()
        self._keep(response)
        return response

    def _carried(self) -> dict[str, str]:
        if self._carry == "header" and self.token is not None:
            return {self._header: self.token}
        if self._carry == "cookie" and self.cookies:
            return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        return {}

    def _keep(self, response: httpx.Response) -> None:
        self.token = response.headers.get(self._header, self.token)
        for line in response.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
