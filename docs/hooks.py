"""Lay the portions of the namespace into one folder, for the reference."""

import re
import shutil
import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority

# Interactive examples are read as such only under the plural heading.
_EXAMPLE = re.compile(r"^( +)Example:$(?=\n +>>>)", re.MULTILINE)

_folders: list[tempfile.TemporaryDirectory[str]] = []


@event_priority(100)
def on_config(config: MkDocsConfig) -> None:
    """Tell mkdocstrings where the source is, before it starts.

    It finds a package in one folder alone. In the workspace, and in an editable
    installation, each portion has a folder of its own.

    Args:
        config: The site's configuration.
    """
    on_shutdown()
    folder = tempfile.TemporaryDirectory(prefix="reference-")
    _folders.append(folder)
    packages = Path(config.config_file_path).parent / "packages"
    for source in packages.glob("*/src"):
        shutil.copytree(
            source,
            folder.name,
            dirs_exist_ok=True,
            # The portions' empty stubs stand for the package where meta is missing.
            ignore=shutil.ignore_patterns("__pycache__", "__init__.pyi"),
        )
    for module in Path(folder.name).rglob("*.py"):
        module.write_text(_EXAMPLE.sub(r"\1Examples:", module.read_text()))
    handlers = config.plugins["mkdocstrings"].config["handlers"]
    handlers["python"]["paths"] = [folder.name]


def on_shutdown() -> None:
    """Remove the folder."""
    while _folders:
        _folders.pop().cleanup()
