"""Lay the portions of the namespace into one folder, for the reference."""

import shutil
import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority

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
    handlers = config.plugins["mkdocstrings"].config["handlers"]
    handlers["python"]["paths"] = [folder.name]


def on_shutdown() -> None:
    """Remove the folder."""
    while _folders:
        _folders.pop().cleanup()
