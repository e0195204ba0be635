"""The core's public names: listed, documented, and light to import."""

from __future__ import annotations

import ast
import functools
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hawkapi_sqlalchemy import core

INIT = Path(core.__file__)


def imported_names() -> list[str]:
    return [
        alias.asname or alias.name
        for node in ast.parse(INIT.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


def test_the_list_of_names_is_sorted_and_has_no_name_twice() -> None:
    assert core.__all__ == sorted(set(core.__all__))


@pytest.mark.parametrize("name", core.__all__)
def test_every_name_in_the_list_exists_and_is_public(name: str) -> None:
    assert not name.startswith("_")
    assert getattr(core, name) is not None


def test_every_public_import_is_in_the_list() -> None:
    assert sorted(name for name in imported_names() if not name.startswith("_")) == core.__all__


def test_nothing_public_is_defined_beside_the_list() -> None:
    """What the module has and does not list is one of its own submodules."""
    rest = {name for name in vars(core) if not name.startswith("_")} - set(core.__all__)
    assert all(inspect.ismodule(getattr(core, name)) for name in rest), rest


@pytest.mark.parametrize("name", core.__all__)
def test_a_name_is_listed_by_the_module_that_defines_it_too(name: str) -> None:
    module = sys.modules[getattr(core, name).__module__]
    assert name in vars(module)["__all__"]


def public_callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every function of the public API, and every public method of its classes."""
    for name in core.__all__:
        value = getattr(core, name)
        if inspect.isfunction(value):
            yield name, value
            continue
        for attribute, member in vars(value).items():
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if not attribute.startswith("_") and inspect.isfunction(function):
                yield f"{name}.{attribute}", function


CALLABLES = dict(public_callables())


def sections(text: str) -> dict[str, str]:
    """The sections of a docstring, Google's way, by their titles."""
    found: dict[str, str] = {}
    title = ""
    for line in inspect.cleandoc(text).splitlines():
        if line.endswith(":") and line[:-1].isalpha() and line[:1].isupper():
            title = line[:-1]
        else:
            found[title] = found.get(title, "") + line + "\n"
    return found


def documented(text: str, title: str) -> set[str]:
    """The entries of a section: `name: ...`, indented once."""
    lines = sections(text).get(title, "").splitlines()
    return {
        line.strip().partition(":")[0].lstrip("*")
        for line in lines
        if line.startswith("    ") and line[4:5].strip()
    }


def parameters(function: Callable[..., Any]) -> set[str]:
    names = set(inspect.signature(function).parameters) - {"self", "cls"}
    # What begins with an underscore is for HawkAPI to fill, as a dependency of the dependency.
    return {name for name in names if not name.startswith("_")}


def raised(function: Callable[..., Any]) -> set[str]:
    """The names of exceptions that a function itself raises."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    return {
        node.exc.func.id
        for node in ast.walk(definition)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
    }


@pytest.mark.parametrize("name", core.__all__)
def test_every_public_name_has_a_docstring_that_begins_with_a_sentence(name: str) -> None:
    text = vars(getattr(core, name)).get("__doc__") or getattr(core, name).__doc__
    assert text
    first = inspect.cleandoc(text).splitlines()[0]
    assert first[0].isupper()
    assert first[-1] in ".?!:"


@pytest.mark.parametrize("name", CALLABLES)
def test_every_public_function_documents_its_parameters_and_no_others(name: str) -> None:
    function = CALLABLES[name]
    text = function.__doc__ or ""
    assert text, f"{name} has no docstring"
    assert documented(text, "Args") == parameters(function)


@pytest.mark.parametrize("name", CALLABLES)
def test_every_public_function_documents_what_it_raises(name: str) -> None:
    function = CALLABLES[name]
    told = documented(function.__doc__ or "", "Raises")
    owner = getattr(core, name.partition(".")[0])
    if isinstance(inspect.getattr_static(owner, function.__name__, None), property):
        # What a property checks has been checked when the object was made.
        told |= documented(owner.__doc__ or "", "Raises")
    assert raised(function) <= told


@pytest.mark.parametrize("name", ["Database", "DatabaseConfig", "Engine", "ReadYourWrites"])
def test_every_public_class_documents_its_parameters(name: str) -> None:
    value = getattr(core, name)
    assert documented(value.__doc__ or "", "Args") == parameters(value)


@pytest.mark.parametrize(
    "name", [name for name in core.__all__ if name.endswith(("Error", "Warning"))]
)
def test_every_exception_documents_the_data_that_it_carries(name: str) -> None:
    kind = getattr(core, name)
    initialiser = vars(kind).get("__init__")
    carried: set[str] = set()
    if initialiser is not None:
        definition = ast.parse(textwrap.dedent(inspect.getsource(initialiser)))
        carried = {
            node.attr
            for node in ast.walk(definition)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        }
    assert documented(kind.__doc__ or "", "Attributes") == carried


def test_every_error_can_be_caught_as_one_family() -> None:
    for name in core.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(core, name), core.HawkAPISQLAlchemyError), name


@functools.cache
def loaded_by(module: str) -> frozenset[str]:
    """The top-level packages that a fresh interpreter has after an import."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return frozenset(done.stdout.split())


def test_importing_the_core_loads_no_driver_no_migrations_and_no_tests() -> None:
    """Not even SQLite's: each driver is looked for when its database is configured."""
    loaded = loaded_by("hawkapi_sqlalchemy.core")
    assert {"hawkapi", "sqlalchemy"} <= loaded
    unwanted = {"asyncpg", "aiomysql", "pymysql", "aiosqlite", "alembic", "pytest", "_pytest"}
    assert loaded & unwanted == set()


def test_importing_the_core_loads_nothing_that_only_tokens_need() -> None:
    assert "itsdangerous" not in loaded_by("hawkapi_sqlalchemy.core")
