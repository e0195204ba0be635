"""Draw what `hawkapi-migrate` shows on a terminal: `python docs/terminal.py`.

It runs the command on 32 databases, of which one is broken, and writes the picture
of the guide.
"""

import io
import os
import pty
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent / "assets" / "hawkapi-migrate-upgrade.svg"
COLUMNS = 100
ENV = """
from hawkapi_sqlalchemy.alembic import run_migrations

url = "sqlite+aiosqlite:///{}.db"
run_migrations(None, {f"shard_{each:02}": url.format(each) for each in range(32)})
"""
REVISION = """
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {down!r}


def upgrade():
    {upgrade}
"""
COMMANDS = ["upgrade", "upgrade --database shard_17", "status --database shard_17"]


def main() -> None:
    """Run the commands and write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make_project(folder)
        shown = ""
        for words in COMMANDS:
            shown += (
                f"\x1b[1m$ hawkapi-migrate {words}\x1b[0m\r\n{_run(folder, words)}"
            )
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in shown.splitlines():
        console.print(Text.from_ansi(line))
    picture = console.export_svg(title="hawkapi-migrate")
    # Fonts would be loaded from another server; the site needs nothing but itself.
    plain = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    PICTURE.write_text(plain)


def _make_project(folder: Path) -> None:
    _run(folder, "init")
    (folder / "migrations/env.py").write_text(ENV)
    tables = 'op.create_table({!r}, sa.Column("id", sa.Integer, primary_key=True))'
    for revision, down, upgrade in (
        ("0001", None, tables.format("users")),
        ("0002", "0001", tables.format("orders")),
    ):
        text = REVISION.format(revision=revision, down=down, upgrade=upgrade)
        (folder / f"migrations/versions/{revision}.py").write_text(text)
    with sqlite3.connect(folder / "17.db") as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")


def _run(folder: Path, words: str) -> str:
    """Answer what the command shows on a terminal, its errors at the end."""
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "hawkapi_sqlalchemy.alembic.command_line",
        *words.split(),
        # On a terminal the progress is gone at the end.
        "--quiet",
    ]
    env = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    process = subprocess.Popen(  # noqa: S603  # no shell, and words of ours
        command,
        cwd=folder,
        env=env,
        stdout=theirs,
        stderr=subprocess.PIPE,
        close_fds=True,
    )
    os.close(theirs)
    shown = b""
    while part := _read(ours):
        shown += part
    errors = process.communicate()[1]
    os.close(ours)
    return (shown + errors.replace(b"\n", b"\r\n")).decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""


if __name__ == "__main__":
    main()
