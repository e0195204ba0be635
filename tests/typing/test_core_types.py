"""What a strict type checker makes of the core's public names."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import hawkapi_sqlalchemy.core

API = Path(__file__).with_name("core_api.py")

_SETTINGS = {"include": ["."], "typeCheckingMode": "strict", "pythonVersion": "3.12"}
_MISSPELT = """\
from hawkapi_sqlalchemy.core import Database, DatabaseConfig, get_sesion
DatabaseConfig("sqlite+aiosqlite://", pool_sice=5)
Database().sesion()
print(get_sesion)
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[int]]:
    """Check both files with pyright, strictly; answer the lines that it complains of.

    Once for both: it reads all of SQLAlchemy each time.
    """
    pytest.importorskip("pyright", reason="pip install pyright")
    folder = tmp_path_factory.mktemp("typed")
    shutil.copy(API, folder)
    (folder / "misspelt.py").write_text(_MISSPELT)
    (folder / "pyrightconfig.json").write_text(json.dumps(_SETTINGS))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pyright", "--outputjson"),
            *("--pythonpath", sys.executable, "--project", str(folder)),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 2
    found: dict[str, list[int]] = {API.name: [], "misspelt.py": []}
    for each in report["generalDiagnostics"]:
        found[Path(each["file"]).name].append(each["range"]["start"]["line"] + 1)
    return found


@pytest.mark.timeout(300)
def test_an_application_that_uses_every_public_name_is_strictly_typed(
    lines: Mapping[str, list[int]],
) -> None:
    assert lines[API.name] == []


@pytest.mark.timeout(300)
def test_a_misspelt_name_argument_or_method_is_reported(lines: Mapping[str, list[int]]) -> None:
    assert {1, 2, 3} <= set(lines["misspelt.py"])


def test_the_checked_application_imports_every_public_name_and_uses_it() -> None:
    tree = ast.parse(API.read_text())
    imported = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "hawkapi_sqlalchemy.core"
        for alias in node.names
    ]
    assert sorted(imported) == hawkapi_sqlalchemy.core.__all__
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set(imported) <= used
