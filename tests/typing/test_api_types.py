"""What a strict type checker makes of the public names."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hawkapi_sqlalchemy
from dbservers.plugin import is_ci

API = Path(__file__).with_name("api.py")

_SETTINGS = {
    "typeCheckingMode": "strict",
    "pythonVersion": "3.12",
    "include": ["."],
    # An error that is expected and does not come is an error too.
    "reportUnnecessaryTypeIgnoreComment": "error",
}

# Names that are not there: a root with a visible `__getattr__` would have them all.
_MISSPELT = "from hawkapi_sqlalchemy import Bass, inti_database\n\nprint(Bass, inti_database)\n"


def check(folder: Path) -> list[dict[str, Any]]:
    """Run pyright on a folder, and answer its findings."""
    (folder / "pyrightconfig.json").write_text(json.dumps(_SETTINGS))
    options = ("--pythonpath", sys.executable, "--project", str(folder))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )
    report = json.loads(done.stdout)
    # A checker that looked at nothing has nothing to complain of.
    assert report["summary"]["filesAnalyzed"] == 2, done.stderr
    return report["generalDiagnostics"]


@pytest.mark.timeout(300)
def test_every_use_in_the_api_file_is_typed_and_a_misspelt_import_is_an_error(
    tmp_path: Path,
) -> None:
    """One run for both: the checker reads all of SQLAlchemy each time."""
    if importlib.util.find_spec("pyright") is None and not is_ci():
        pytest.skip("pyright is not installed")
    shutil.copy(API, tmp_path)
    (tmp_path / "misspelt.py").write_text(_MISSPELT)
    found = check(tmp_path)
    assert [each for each in found if Path(each["file"]).name == "api.py"] == []
    unknown = [
        each["message"] for each in found if each.get("rule") == "reportAttributeAccessIssue"
    ]
    assert unknown == [
        '"Bass" is unknown import symbol',
        '"inti_database" is unknown import symbol',
    ]


def test_the_api_file_imports_every_public_name_and_uses_it() -> None:
    tree = ast.parse(API.read_text())
    imported = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "hawkapi_sqlalchemy"
        for alias in node.names
    ]
    assert sorted(imported) == hawkapi_sqlalchemy.__all__
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set(imported) - used == set()
