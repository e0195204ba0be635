"""`hawkapi-migrate`, as a process of its own."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from migrate_shell import LONG_ENOUGH, MODELS, Shell


def test_from_nothing_to_a_migrated_database(shop: Shell) -> None:
    assert "status" in shop("--help")
    assert "primary: -, up to date" in shop("status")
    written = shop("revision", "-m", "first tables")
    assert re.search(r"written: migrations/versions/\d{8}_\d{6}_first_tables_\w+\.py", written)
    assert "primary: -, 1 migration pending" in shop("status")
    shop("status", "--check", status=3)
    assert "(1 migration)" in shop("upgrade")
    assert "up to date" in shop("status", "--check")
    assert "nothing to do" in shop("upgrade")
    assert "primary: as the models" in shop("check")
    assert "nothing written" in shop("revision", "-m", "nothing")
    assert "head" in shop("heads")
    assert "current of primary" in shop("history", "--current")
    assert "-> -" in shop("downgrade", "base")
    assert "primary: -" in shop("current")
    shop("check", status=1)


def test_as_a_process_it_answers_its_status_and_nothing_but_the_document(shop: Shell) -> None:
    shop("revision", "-m", "first tables")
    for words, status in ((["upgrade"], 0), (["upgrade", "nosuch"], 1), (["nosuch"], 2)):
        process = shop.start(*words, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = process.communicate(timeout=LONG_ENOUGH)
        assert process.returncode == status
        assert status == 2 or json.loads(output)["ok"] is (status == 0)
        assert "Traceback" not in errors


def test_the_project_that_is_made_passes_its_own_lint(shop: Shell, dialect: str) -> None:
    shop("revision", "-m", "first tables")
    assert "0 findings in 1 migration" in shop("lint")
    assert "0 findings in 1 migration" in shop("lint", "--all")
    shop("upgrade")
    assert "0 findings in 0 migrations" in shop("lint")
    text = shop("sql")
    assert "CREATE TABLE pets" in text
    if dialect != "mariadb":
        assert "CONSTRAINT fk_toys_pet_id_pets FOREIGN KEY" in text


def test_results_can_be_read_by_programs(shop: Shell) -> None:
    written = shop.json("revision", "-m", "first tables")["written"]
    assert Path(written[0]).is_file()
    (revision,) = shop.json("history")["revisions"]
    assert (revision["message"], revision["is_head"]) == ("first tables", True)
    name = revision["revision"]
    (state,) = shop.json("status", "--check", status=3)["databases"]
    assert (state["current"], state["pending"]) == ([], [name])
    (result,) = shop.json("upgrade")["results"]
    assert (result["from"], result["to"], result["applied"]) == ([], [name], [name])
    assert result["error"] is None
    assert shop.json("current")["databases"] == [
        {"database": "primary", "current": [name], "error": None}
    ]
    (check,) = shop.json("check")["databases"]
    assert check["differences"] == []
    assert "CREATE TABLE pets" in shop.json("sql")["sql"]
    assert shop.json("lint", "--all")["findings"] == []
    failed = shop.json("upgrade", "nosuch", status=1)
    assert (failed["ok"], failed["error"]["type"]) == (False, "UnknownRevisionError")


def test_a_check_that_finds_a_difference_ends_with_3(shop: Shell) -> None:
    shop("revision", "-m", "first tables")
    shop("upgrade")
    models = shop.folder / "shop_models.py"
    models.write_text(f"{MODELS}    name: Mapped[str | None] = mapped_column(String(9))\n")
    output = shop("check", status=3)
    assert "primary: differs from the models" in output
    assert "add column toys.name" in output


def test_branches_are_joined(shop: Shell) -> None:
    for name in ("left", "right"):
        shop("revision", "--empty", "-m", name, "--rev-id", name, "--head", "base", "--splice")
    shop("upgrade", status=1)
    assert "2 heads: left, right" in shop.errors
    shop("merge")
    (merge, *_) = shop.json("history")["revisions"]
    assert set(merge["down_revisions"]) == {"left", "right"}
    shop("upgrade")
    assert "one head" in (shop("merge", status=1) or shop.errors)


def test_stamp_and_a_revision_of_ones_own(shop: Shell) -> None:
    shop("revision", "--empty", "-m", "one", "--rev-id", "one")
    shop("revision", "--empty", "-m", "two", "--rev-id", "two")
    assert "- -> one" in shop("stamp", "one")
    assert "one -> two" in shop("stamp")
    assert "two -> one" in shop("downgrade", "-1")
    shop("stamp", "two")
    assert "two -> -" in shop("downgrade", "--quiet", "-2")
    for wrong in ("--nosuch", "-x1", ""):
        shop("downgrade", wrong, status=2)
    assert "no revision 'nope'" in (shop("stamp", "one", "nope", status=1) or shop.errors)
    assert "no revision 'nope'" in (shop("upgrade", "nope+1", status=1) or shop.errors)


@pytest.mark.dialects("sqlite")
def test_sql_goes_into_a_file(shop: Shell) -> None:
    shop("revision", "--empty", "-m", "one", "--rev-id", "one")
    assert "written: all.sql" in shop("sql", "-o", "all.sql")
    assert "Running upgrade  -> one" in (shop.folder / "all.sql").read_text()


def test_what_is_under_way_is_told_on_the_error_output(shop: Shell) -> None:
    shop("revision", "-m", "first tables", "--rev-id", "one")
    shop("upgrade")
    assert "primary: 1 migration to run" in shop.errors
    assert re.search(r"primary: one \(\d+\.\d\d s\)", shop.errors)
    shop("downgrade", "base", "--quiet")
    assert shop.errors == ""
    shop("upgrade", "--verbose")
    assert "Running upgrade  -> one" in shop.errors


@pytest.fixture
def shards(shell: Shell, new_database_url: Callable[[], str]) -> Shell:
    """A project on three databases, with a revision that fails on the second."""
    urls = {f"shard_{number}": new_database_url() for number in range(3)}
    shell("init")
    (shell.folder / "migrations/env.py").write_text(
        f"from hawkapi_sqlalchemy.alembic import run_migrations\nrun_migrations(None, {urls!r})\n"
    )
    (shell.folder / "migrations/versions/one.py").write_text(
        'import sqlalchemy as sa\nfrom alembic import op\nrevision = "one"\n'
        "down_revision = None\n\ndef upgrade():\n"
        f"    if op.get_bind().engine.url.database == {database_of(urls['shard_1'])!r}:\n"
        '        raise RuntimeError("no space left")\n'
        '    op.create_table("log", sa.Column("id", sa.Integer, primary_key=True))\n'
        '\ndef downgrade():\n    op.drop_table("log")\n'
    )
    return shell


def database_of(url: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).database or ""


def test_of_several_databases_the_broken_one_is_named(shards: Shell) -> None:
    output = shards("upgrade", status=1)
    assert "shard_0: - -> one (1 migration)" in output
    assert "shard_1: FAILED, at revision one: RuntimeError: no space left" in output
    assert "shard_2: - -> one (1 migration)" in output
    assert "3 databases: 2 changed, 0 up to date, 1 failed" in output
    assert "error: 1 of 3 databases failed" in shards.errors
    results = shards.json("upgrade", status=1)
    assert [each["error"] is None for each in results["results"]] == [True, False, True]
    assert results["results"][1]["error"] == {
        "type": "RuntimeError",
        "message": "RuntimeError: no space left",
    }
    assert "nothing to do" in shards("upgrade", "-d", "shard_0", "-d", "shard_2")
    shards("status", "--check", status=3)
    assert 'raise RuntimeError("no space left")' not in shards.errors
    shards("upgrade", "--verbose", status=1)
    assert 'raise RuntimeError("no space left")' in shards.errors


@pytest.mark.dialects("sqlite")
def test_one_that_cannot_be_asked_is_named_by_every_command(shards: Shell) -> None:
    env = shards.folder / "migrations/env.py"
    env.write_text(
        "import sqlalchemy\nfrom hawkapi_sqlalchemy.alembic import run_migrations\n"
        "run_migrations(sqlalchemy.MetaData(), {'here': 'sqlite+aiosqlite:///here.db',"
        " 'gone': 'sqlite+aiosqlite:////nowhere/at/all.db'})\n"
    )
    shards("upgrade", "-d", "here")
    assert "gone: cannot connect to " in (shards("revision", "-m", "x", status=1) or shards.errors)
    for words in (["status"], ["current"], ["check"], ["revision", "-m", "x"]):
        answer = shards.json(*words, status=1)
        assert (answer["ok"], answer["error"]["type"]) == (False, "DatabasesFailedError")
        assert "gone" in json.dumps(answer)
        # One that looks answers for the others all the same.
        found = answer["results" if words[0] == "revision" else "databases"]
        assert [each["error"] is None for each in found] == [True, False]


def test_a_canary_that_fails_ends_it(shards: Shell) -> None:
    output = shards("upgrade", "--canary", "shard_1", status=1)
    assert "shard_0: not attempted" in output
    assert "3 databases: 0 changed, 0 up to date, 1 failed, 2 not attempted" in output


def test_an_error_of_a_single_database_names_the_place(shards: Shell) -> None:
    output = shards("upgrade", "-d", "shard_1", status=1)
    assert "FAILED, at revision one: RuntimeError: no space left" in output
    assert "RuntimeError: no space left (migrations/versions/one.py, line 8)" in shards.errors


@pytest.mark.dialects("sqlite")
def test_interrupted_it_tells_what_was_done(shards: Shell) -> None:
    (shards.folder / "migrations/versions/two.py").write_text(
        'import pathlib, time\nfrom alembic import op\nrevision = "two"\ndown_revision = "one"\n'
        "\ndef upgrade():\n    pathlib.Path('begun').touch()\n"
        "    for _ in range(600):\n        op.execute('SELECT 1')\n        time.sleep(0.1)\n"
    )
    process = shards.start(
        "upgrade", "-d", "shard_0", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for((shards.folder / "begun").exists)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LONG_ENOUGH)
    assert process.returncode == 130
    assert "shard_0: interrupted; `status` tells where it is" in errors
    assert "error: interrupted" in errors


@pytest.mark.dialects("sqlite")
def test_interrupted_while_it_waits_for_its_turn_it_ends_at_once(shards: Shell) -> None:
    database = shards.json("status", "-d", "shard_0")  # makes the file
    assert database["ok"]
    (file,) = shards.folder.parent.glob("number-1.db")
    with FileLock(file.with_name(f"{file.name}.migration-lock")):
        process = shards.start("upgrade", "-d", "shard_0", stderr=subprocess.PIPE)
        assert process.stderr is not None
        assert "waiting for its end" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LONG_ENOUGH)
    assert process.returncode == 130
    assert "error: interrupted" in errors
    assert "Traceback" not in errors


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG_ENOUGH
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.dialects("sqlite")
def test_what_is_there_is_not_overwritten(shell: Shell) -> None:
    (shell.folder / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    shell("init", "db")
    text = (shell.folder / "pyproject.toml").read_text()
    content = tomllib.loads(text)
    assert content["project"] == {"name": "shop"}
    assert content["tool"]["alembic"]["script_location"] == "%(here)s/db"
    shell("init", "other", status=1)
    assert "has a section [tool.alembic] already" in shell.errors
    shell("init", "db", status=1)
    assert "is there already" in shell.errors
    assert (shell.folder / "pyproject.toml").read_text() == text
    assert not (shell.folder / "other").exists()
    shell.env["DATABASE_URL"] = "sqlite+aiosqlite:///app.db"
    shell("status")


@pytest.mark.dialects("sqlite")
def test_models_that_cannot_be_read_are_refused_and_nothing_is_written(shell: Shell) -> None:
    for models in ("shop models:Base", "shop_models", "shop_models:"):
        shell("init", "--models", models, status=1)
        assert "MODULE:NAME" in shell.errors
    assert sorted(each.name for each in shell.folder.iterdir()) == ["shop_models.py"]


class Terminal:
    """A terminal of 100 columns in which the command runs."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def __call__(self, *words: str) -> tuple[str, int]:
        """Answer what was shown, with its colours, and the status."""
        ours, theirs = pty.openpty()
        self._shell.env |= {"COLUMNS": "100", "TERM": "xterm-256color"}
        process = self._shell.start(*words, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b""
        deadline = time.monotonic() + LONG_ENOUGH
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1.0)[0]:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        os.close(ours)
        return shown.decode(), process.wait(LONG_ENOUGH)


@pytest.fixture
def terminal(shards: Shell) -> Terminal:
    return Terminal(shards)


@pytest.mark.dialects("sqlite")
def test_on_a_terminal_there_are_tables_and_progress(terminal: Terminal) -> None:
    shown, status = terminal("upgrade")
    assert status == 1
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "\x1b[32m✓" in shown
    assert "\x1b[31m✗" in shown
    assert re.search(r"✓ +shard_0 +- +one +1 ", plain)
    assert re.search(r"✗ +shard_1 +- +- +- ", plain)
    assert "✗ shard_1 failed at revision one: RuntimeError: no space left" in plain
    assert "databases" in plain
    assert "3/3" in plain
    for command in (["status"], ["current"], ["history"]):
        shown, _ = terminal(*command)
        assert "one" in shown
        assert "Traceback" not in shown
