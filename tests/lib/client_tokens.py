"""Applications that note positions, and clients that send back what they are given."""

from __future__ import annotations

from hawkapi import HawkAPI, Request

from asgi import Reply, call
from hawkapi_sqlalchemy.core.routing.freshness import Freshness, current_freshness
from hawkapi_sqlalchemy.core.routing.positions import Position, WalPosition
from hawkapi_sqlalchemy.core.routing.token import Marks, Tokens

SECRET = "s" * 32
COOKIE = "hawkapi_db_position"
HEADER = "x-database-position"


def whose(request: Request) -> str | None:
    """The user, as a middleware would have found out."""
    return request.headers.get("x-user")


def with_routes(app: HawkAPI) -> HawkAPI:
    @app.post("/write")
    async def write(lsn: int) -> dict:
        note(WalPosition(1, lsn))
        return {}

    @app.post("/write-somewhere")
    async def write_somewhere() -> dict:
        note(None)
        return {}

    @app.get("/required")
    async def required() -> dict:
        return {"required": described()}

    @app.get("/untouched")
    async def untouched() -> dict:
        return {}

    return app


def current() -> Freshness:
    freshness = current_freshness.get()
    assert freshness is not None
    return freshness


def note(position: Position | None, cluster: str = "primary") -> None:
    current().note(cluster, position)


def described(cluster: str = "primary") -> str | None:
    required = current().required(cluster)
    return None if required is None else str(required.position)


def pairs(reply: Reply, name: str) -> list[str]:
    return [value.decode() for key, value in reply.start["headers"] if key == name.encode()]


def cookie(reply: Reply) -> str:
    (line,) = pairs(reply, "set-cookie")
    return line.partition(";")[0]


def token(reply: Reply) -> str:
    (value,) = pairs(reply, HEADER)
    return value


async def seen(app: HawkAPI, *headers: tuple[str, str]) -> str | None:
    """What a request with these headers has to see of the primary."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    reply = await call(app, "GET", "/required", headers=raw)
    assert reply.status == 200
    assert pairs(reply, HEADER) == pairs(reply, "set-cookie") == []
    return reply.json()["required"]


async def written(app: HawkAPI, lsn: int = 5, *headers: tuple[str, str]) -> Reply:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return await call(app, "POST", "/write", query=f"lsn={lsn}", headers=raw)


def marks(reply: Reply) -> Marks:
    """What the token of a response tells of all clusters."""
    loaded = Tokens(SECRET, 30).loads(token(reply), None)
    assert loaded is not None
    return loaded[0]
