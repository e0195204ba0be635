"""A new migration project."""

import tomllib
from importlib.resources import files
from pathlib import Path
from string import Template

from hawkapi_sqlalchemy.alembic.errors import MigrationError

__all__ = ["write_project"]

_PYPROJECT = Path("pyproject.toml")


def write_project(folder: Path, *, models: str | None, variable: str) -> list[Path]:
    """Write the files of a migration project.

    Args:
        folder: Where they go.
        models: The models' declarative base, as `module:name`; `None` to name it later.
        variable: The environment variable that holds the database's URL.

    Returns:
        The files that were written.

    Raises:
        MigrationError: There is a project already, or `models` cannot be read.
            Nothing was written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise MigrationError(f"the folder {folder} is there already, and not empty")
    if _is_configured():
        raise MigrationError(f"{_PYPROJECT} has a section [tool.alembic] already")
    if Path("alembic.ini").exists():
        raise MigrationError("there is an alembic.ini here: this folder has a migration project")
    texts = files(__package__)
    environment = Template((texts / "env.py.txt").read_text(encoding="utf-8")).substitute(
        **_models(models), variable=variable
    )
    section = Template((texts / "pyproject.toml.txt").read_text(encoding="utf-8")).substitute(
        folder=folder.as_posix()
    )
    (folder / "versions").mkdir(parents=True)
    written = [folder / "env.py", folder / "script.py.mako", _PYPROJECT]
    written[0].write_text(environment, encoding="utf-8")
    template = (texts / "script.py.mako").read_text(encoding="utf-8")
    written[1].write_text(template, encoding="utf-8")
    before = _PYPROJECT.read_text(encoding="utf-8") if _PYPROJECT.exists() else ""
    _PYPROJECT.write_text(f"{before.rstrip()}\n\n{section}".lstrip(), encoding="utf-8")
    return [path.absolute() for path in written]


def _is_configured() -> bool:
    if not _PYPROJECT.exists():
        return False
    try:
        content = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise MigrationError(f"{_PYPROJECT} cannot be read: {error}") from error
    return "alembic" in content.get("tool", {})


def _models(models: str | None) -> dict[str, str]:
    if models is None:
        return {
            "imports": "",
            "metadata": "None,  # the models' metadata: Base.metadata",
        }
    module, _, name = models.partition(":")
    if not (all(each.isidentifier() for each in module.split(".")) and name.isidentifier()):
        raise MigrationError(
            f"--models is MODULE:NAME, such as shop.models:Base, and not {models!r}"
        )
    return {"imports": f"\nfrom {module} import {name}\n", "metadata": f"{name}.metadata,"}
