"""A driver that is not installed, and what an import loads."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

import hawkapi_sqlalchemy.core
from hawkapi_sqlalchemy.core import ConfigurationError, Database, DatabaseConfig


@pytest.mark.parametrize(
    ("url", "driver", "remedy"),
    [
        ("postgresql+asyncpg://host/app", "asyncpg", "hawkapi-sqlalchemy[postgres]"),
        ("mysql+aiomysql://host/app", "aiomysql", "hawkapi-sqlalchemy[mysql]"),
        ("mariadb+aiomysql://host/app", "aiomysql", "hawkapi-sqlalchemy[mysql]"),
        ("sqlite+aiosqlite://", "aiosqlite", "aiosqlite"),
    ],
)
def test_a_missing_driver_is_reported_with_the_extra_that_installs_it(
    url: str, driver: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec

    def without_driver(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == driver else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_driver)
    database = Database()
    with pytest.raises(ConfigurationError) as caught:
        database.add("primary", DatabaseConfig(url))
    assert repr(driver) in str(caught.value)
    assert f"pip install '{remedy}'" in str(caught.value)
    assert database.engines == {}


_OPTIONAL = frozenset({"asyncpg", "aiomysql", "pymysql"})


def _needed(name: str, seen: dict[str, Distribution]) -> None:
    """Collect a distribution and all that it needs, without the optional drivers."""
    from packaging.requirements import Requirement

    if name in seen or name in _OPTIONAL:
        return
    seen[name] = distribution(name)
    for text in seen[name].requires or ():
        requirement = Requirement(text)
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", "asyncio")
        )
        if wanted:
            _needed(requirement.name.lower(), seen)


@pytest.fixture
def bare_environment(tmp_path: Path) -> dict[str, str]:
    """An environment with the core and what it needs, but no server's driver.

    Made of links to what is installed here, so that no network is needed.
    """
    site = tmp_path / "site"
    site.mkdir()
    needed: dict[str, Distribution] = {}
    _needed("hawkapi-sqlalchemy-core", needed)
    for each in needed.values():
        for file in each.files or ():
            top = file.parts[0]
            source = Path(str(each.locate_file(top)))
            if top not in {"..", "__pycache__"} and not (site / top).exists() and source.exists():
                (site / top).symlink_to(source)
    portion = site / "hawkapi_sqlalchemy"
    if not portion.exists():
        portion.mkdir()
        (portion / "core").symlink_to(Path(hawkapi_sqlalchemy.core.__file__).parent)
    for leftover in site.glob("*.pth"):
        leftover.unlink()
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(site)}


def _run_bare(environment: dict[str, str], script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_any_server_driver_sqlite_works_and_the_others_name_their_extra(
    bare_environment: dict[str, str],
) -> None:
    script = """
import asyncio
import importlib.util
from sqlalchemy import text
from hawkapi_sqlalchemy.core import ConfigurationError, Database, DatabaseConfig

assert importlib.util.find_spec("asyncpg") is None
assert importlib.util.find_spec("aiomysql") is None

async def main():
    database = Database()
    database.add("primary", DatabaseConfig("sqlite+aiosqlite://"))
    async with database.session() as session:
        print(await session.scalar(text("SELECT 42")))
    await database.dispose()
    for url in ("postgresql+asyncpg://host/app", "mysql+aiomysql://host/app"):
        try:
            database.add("other", DatabaseConfig(url))
        except ConfigurationError as error:
            print(error)

asyncio.run(main())
"""
    answer, *refusals = _run_bare(bare_environment, script).splitlines()
    assert answer == "42"
    assert "hawkapi-sqlalchemy[postgres]" in refusals[0]
    assert "hawkapi-sqlalchemy[mysql]" in refusals[1]


def test_no_module_below_the_web_layer_imports_hawkapi() -> None:
    core = Path(hawkapi_sqlalchemy.core.__file__).parent
    below = [*core.glob("*.py"), *core.joinpath("dialects").glob("*.py")]
    guilty = [
        f"{file.name}: {line}"
        for file in below
        if file.name != "__init__.py"
        for line in file.read_text().splitlines()
        if re.match(r"\s*(from|import) (hawkapi\b(?!_)|hawkapi_sqlalchemy\.core\.web)", line)
    ]
    assert guilty == []
