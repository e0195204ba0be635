"""How tests are multiplied by dialect, and what happens where a server is missing."""

import os
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parent.parent / "lib"
PLUGINS = ("-p", "dbservers.plugin", "-p", "dbservers.fixtures", "-p", "no:cacheprovider")


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A pytester whose subprocesses find the plugins under test."""
    path = os.pathsep.join(filter(None, (str(LIBRARY), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    return pytester


def test_the_mark_leaves_no_trace_of_other_dialects(inner: pytest.Pytester) -> None:
    inner.makepyfile(
        """
        import pytest

        def test_all(dialect): ...

        @pytest.mark.dialects("sqlite", "mariadb")
        def test_two(database_url): ...

        @pytest.mark.dialects("postgresql")
        def test_own(own_server): ...

        def test_servers(replicated): ...
        """
    )
    result = inner.runpytest_subprocess(*PLUGINS, "--collect-only", "-q")
    assert [line.partition("::")[2] for line in result.outlines if "::" in line] == [
        "test_all[sqlite]",
        "test_all[postgresql]",
        "test_all[mariadb]",
        "test_two[sqlite]",
        "test_two[mariadb]",
        "test_own[postgresql]",
        "test_servers[postgresql]",
        "test_servers[mariadb]",
    ]


def test_a_misspelt_dialect_is_an_error(inner: pytest.Pytester) -> None:
    inner.makepyfile(
        """
        import pytest

        @pytest.mark.dialects("postgres")
        def test_one(dialect): ...
        """
    )
    result = inner.runpytest_subprocess(*PLUGINS)
    assert result.ret != 0
    assert "no dialects ['postgres']" in result.stdout.str() + result.stderr.str()


@pytest.fixture
def without_servers(inner: pytest.Pytester) -> pytest.Pytester:
    """A project of four tests on a machine without server programs."""
    inner.makeconftest(
        """
        from hawkapi_sqlalchemy.pytest.servers import binaries

        binaries.DAEMON_PLACES = binaries.POSTGRESQL_PLACES = ()
        binaries.POSTGRESQL_WHEEL = "no_such_wheel"
        binaries.shutil.which = lambda *args, **kwargs: None
        """
    )
    inner.makepyfile(
        """
        def test_database(database_url): ...

        def test_pgbouncer(pgbouncer_url): ...
        """
    )
    return inner


@pytest.mark.parametrize("ci", ["", "false"])
def test_a_missing_server_is_a_skip_with_its_remedy(
    without_servers: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    result = without_servers.runpytest_subprocess(*PLUGINS, "-rs")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines_random(
        ["*package postgresql*", "*package mariadb-server*", "*package pgbouncer*"]
    )


def test_a_missing_server_is_a_failure_under_ci(
    without_servers: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    result = without_servers.runpytest_subprocess(*PLUGINS)
    result.assert_outcomes(passed=1, errors=3)
    result.stdout.fnmatch_lines(["*package pgbouncer*"])
