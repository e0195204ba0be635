"""The Python examples of the documentation run, page by page.

The blocks of a page share one namespace, as if they were typed one after the other into one
session; `await` may stand at the top. A block with a title is a file of the reader's: it is
written to an empty folder, from which later blocks import it. What a page needs beside its visible
blocks stands in HTML comments that begin with `invisible-code-block: python`.
"""

import ast
import asyncio
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hawkapi import HawkAPI
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase
from sybil import Document, Example
from sybil.parsers.markdown.codeblock import CodeBlockParser
from sybil.parsers.markdown.lexers import DirectiveInHTMLCommentLexer, RawFencedCodeBlockLexer

import hawkapi_sqlalchemy
from hawkapi_sqlalchemy import Database, mixins

ROOT = Path(__file__).parents[2]
# The example of this one is the env.py of an application that does not exist.
NOT_RUNNABLE = ROOT / "packages" / "alembic" / "README.md"
PAGES = [
    ROOT / "README.md",
    *sorted({*ROOT.glob("packages/*/README.md")} - {NOT_RUNNABLE}),
    *sorted((ROOT / "docs").rglob("*.md")),
]

_INFO = re.compile(r'(?P<arguments>python)(?: title="(?P<title>[^"\n]+)")?[ \t]*$\n', re.MULTILINE)


class PythonParser(CodeBlockParser):
    """Finds the Python blocks, those with a title and those in comments among them."""

    def __init__(self, runner: asyncio.Runner) -> None:
        super().__init__("python")
        self._runner = runner
        self.lexers[:] = [
            RawFencedCodeBlockLexer(_INFO),
            DirectiveInHTMLCommentLexer("invisible-code-block", "python"),
        ]

    def evaluate(self, example: Example) -> None:
        """Write the block to its file, or run it where it stands."""
        source = example.parsed
        if title := example.region.lexemes.get("title"):
            file = Path(title)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
            return
        # Tracebacks then show the line of the page.
        source = "\n" * (example.line + source.line_offset) + source
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(source, example.path, "exec", flags=flags, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:
            self._runner.run(eval(code, example.namespace))
        else:
            eval(code, example.namespace)


def fresh_base(base: type[DeclarativeBase]) -> type[DeclarativeBase]:
    """Make a base like one of ours, without its models."""
    convention = base.metadata.naming_convention
    return type(base.__name__, base.__bases__, {"metadata": MetaData(naming_convention=convention)})


@pytest.fixture(autouse=True)
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A reader with an empty folder, and no models but those of the page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    # Bases of the page's own: the real ones carry the models of other tests.
    for name in ("Base", "DataclassBase"):
        fresh = fresh_base(getattr(mixins, name))
        monkeypatch.setattr(mixins, name, fresh)
        # The root looks names up when they are asked for; it may not have this one yet.
        monkeypatch.setitem(vars(hawkapi_sqlalchemy), name, fresh)
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run(page: Path) -> None:
    with asyncio.Runner() as runner:
        document = Document.parse(str(page), PythonParser(runner))
        document.namespace["__name__"] = page.stem
        try:
            for example in document.examples():
                example.evaluate()
        finally:
            runner.run(dispose_databases(document.namespace))


async def dispose_databases(namespace: dict[str, Any]) -> None:
    """Close what the page's applications would close at their shut-down."""
    for value in list(namespace.values()):
        # An application that is mounted in another one may have no state.
        state = getattr(value, "state", None) if isinstance(value, HawkAPI) else None
        database = value if state is None else state.db
        if isinstance(database, Database):
            await database.dispose()


def test_no_python_block_escapes() -> None:
    """A block whose first line is written in a way that is not recognised would never run."""
    opening = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[ \t{.]*(?:py|python)\b.*$", re.MULTILINE)
    for page in PAGES:
        text = page.read_text()
        found = list(RawFencedCodeBlockLexer(_INFO)(Document(text, str(page))))
        assert len(found) == len(opening.findall(text)), page
