"""Use the application as a client would, over HTTP, and look at what comes back."""

from typing import Any
from uuid import uuid4

import httpx
from hawkapi import HawkAPI

from server import serving

_REQUEST_TIMEOUT = 15.0


class CheckError(Exception):
    """The application did not answer as it should."""


async def check(app: HawkAPI) -> None:
    """Serve the application on a free port, drive it, and stop it.

    Raises:
        CheckError: An answer differs from what it should be.
    """
    async with (
        serving(app) as url,
        httpx.AsyncClient(base_url=url, timeout=_REQUEST_TIMEOUT) as client,
    ):
        print(f"Serving on {url}")
        await _use(client)


async def _use(client: httpx.AsyncClient) -> None:
    # The database may be used again and again, so the address is a new one each time.
    ada = {"email": f"ada-{uuid4().hex[:12]}@example.org", "name": "Ada"}

    ready = await _ask(client, "GET", "/readyz", expect=200)
    _same("the readiness", ready["status"], "ready")

    created = await _ask(client, "POST", "/users", json=ada, expect=201)
    _same("the user created", {key: created[key] for key in ada}, ada)

    refused = await _ask(client, "POST", "/users", json=ada, expect=409)
    _same("the refusal's title", refused["title"], "Conflict")

    read = await _ask(client, "GET", f"/users/{created['id']}", expect=200)
    _same("the user read", read, created)

    page = f"/users?after={created['id'] - 1}&limit=1"
    listed = await _ask(client, "GET", page, expect=200)
    _same("the list", listed, [created])


async def _ask(
    client: httpx.AsyncClient, method: str, path: str, *, expect: int, json: Any = None
) -> Any:
    try:
        response = await client.request(method, path, json=json)
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise CheckError(f"{method} {path} got no answer: {reason}") from error
    sent = f" {httpx.Request(method, path, json=json).content.decode()}" if json else ""
    print(f"\n{method} {path}{sent}\n  {response.status_code} {response.text}")
    if response.status_code != expect:
        raise CheckError(f"{method} {path} answered {response.status_code}, not {expect}")
    return response.json()


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise CheckError(f"{what} is {found!r}, not {expected!r}")
