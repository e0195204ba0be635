"""The ways in which tests are kept apart."""

from dataclasses import dataclass

from harness.catalogue import DATABASES, MARIADB, POSTGRESQL, SQLITE

OUR_PLUGIN = "hawkapi_sqlalchemy"
PLUGINS = (OUR_PLUGIN, "pytest_postgresql")
"""pytest's names of those that are loaded where they are used, and nowhere else."""


@dataclass(frozen=True)
class Way:
    """One way to keep tests apart.

    Attributes:
        name: Of its file in the project, without `test_`.
        title: What tables call it.
        databases: Where it can be used.
        plugin: The pytest plugin that it needs, of `PLUGINS`.
        slow_on: Databases on which fewer tests have to do.
    """

    name: str
    title: str
    databases: tuple[str, ...] = DATABASES
    plugin: str | None = None
    slow_on: tuple[str, ...] = ()


EMPTY = Way("empty", "an empty async test")
OURS = Way("ours", "hawkapi_db", plugin=OUR_PLUGIN)
CREATE_ALL = Way(
    "create_all", "create_all and drop_all, NullPool", slow_on=(POSTGRESQL, MARIADB, SQLITE)
)

WAYS = {
    each.name: each
    for each in (
        EMPTY,
        OURS,
        Way(
            "ours_real_commits",
            "hawkapi_db(real_commits=True)",
            plugin=OUR_PLUGIN,
            slow_on=(POSTGRESQL, MARIADB),
        ),
        CREATE_ALL,
        Way("create_all_in_memory", "create_all, in memory", (SQLITE,), slow_on=(SQLITE,)),
        Way(
            "template_clone",
            "pytest-postgresql, a clone of a template",
            (POSTGRESQL,),
            plugin="pytest_postgresql",
            slow_on=(POSTGRESQL,),
        ),
    )
}


def ways_on(database: str) -> list[Way]:
    """List the ways that can be used on a kind of database."""
    return [each for each in WAYS.values() if database in each.databases]
