"""How the keys of the results are written for readers, and in which order."""

from harness import catalogue

OURS = catalogue.OURS
REFERENCE = catalogue.REFERENCE
NO_DATABASE = catalogue.NO_DATABASE.name

PEERS = {
    "ours": "hawkapi-sqlalchemy",
    "raw": "raw",
    "raw_ping": "raw, pre-ping",
    "raw_steady": "raw, 15 + 0",
    "published": "hawkapi-sqlalchemy 0.2.0",
    "advanced_alchemy_litestar": "Advanced Alchemy, Litestar",
    "advanced_alchemy_starlette": "Advanced Alchemy, Starlette",
    "fastapi_sqla": "fastapi-sqla",
    "asyncpg_pool": "asyncpg, its pool",
    "asyncpg_floor": "asyncpg, no RESET",
    "hawkapi": "HawkAPI alone",
}
WORKLOADS = {
    "one_row": "one row",
    "one_row_read_only": "one row, read-only",
    "insert": "insert",
    "hundred_rows": "100 rows",
    "two_dependencies": "two dependencies",
    NO_DATABASE: "no database",
}
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}
COUNTS = {
    "round_trips": "Round trips for one request",
    "connections_per_1000": "New connections for 1,000 requests",
    "rows_lost": "Acknowledged rows that are not there, in process",
    "http_rows_lost": "Acknowledged rows that are not there, over HTTP",
    "failures": "Failed requests, in process",
    "http_failures": "Failed requests, over HTTP",
    "connections_left": "Connections left open after the end",
}
DATABASE_ORDER = ["postgresql", "mariadb", "sqlite"]


def label(names: dict[str, str], key: str) -> str:
    """Write a key for readers; one that is not known is written as it stands."""
    return names.get(key, key.replace("_", " "))


def in_order(known: list[str] | dict[str, str], found: set[str]) -> list[str]:
    """Sort keys as they are listed here, those that are not listed last."""
    return [key for key in known if key in found] + sorted(found.difference(known))
