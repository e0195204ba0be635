"""The messages that the page quotes are those of the source."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guide" / "troubleshooting.md"

# What stands for a value in the page's headings, and whose messages they are not ours.
_PLACE = "…"
_FOREIGN = {"Route conflict: …", "MissingGreenlet: …", "invalid input for query argument …"}


def quoted_messages() -> list[str]:
    """The messages that head a section, code marks removed."""
    return re.findall(r"^### `(.+)`$", PAGE.read_text(), re.MULTILINE)


def messages_of_the_source() -> list[str]:
    """All texts of the source; a value in a text is a place."""
    found: list[str] = []
    for file in sorted(ROOT.glob("packages/*/src/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append(_text(node))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%\w", _PLACE, node.value))
    return found


def _text(node: ast.JoinedStr) -> str:
    parts = (part.value if isinstance(part, ast.Constant) else _PLACE for part in node.values)
    return "".join(str(part) for part in parts)


def _plain(text: str) -> str:
    """Leave out quotes around places: `repr` adds them at run time."""
    return text.replace(f"'{_PLACE}'", _PLACE)


def test_the_page_quotes_messages() -> None:
    assert len(quoted_messages()) > 15


@pytest.mark.parametrize("quoted", [each for each in quoted_messages() if each not in _FOREIGN])
def test_a_quoted_message_is_in_the_source(quoted: str) -> None:
    assert any(_plain(quoted) in _plain(message) for message in messages_of_the_source())
