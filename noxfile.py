"""Everything that is checked, each in an environment of its own: `nox`, or `nox -s NAME`."""

import os

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
# On a laptop a Python that is not there is skipped; under CI that would be a hole.
nox.options.error_on_missing_interpreters = bool(os.environ.get("CI"))

PYTHONS = ["3.12", "3.13"]
SQLALCHEMY = {"2.0": "sqlalchemy[asyncio]>=2.0.53,<2.1", "2.1": "sqlalchemy[asyncio]>=2.1,<2.2"}
EXTRAS = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]

# Our own packages, always from this tree: an index knows another package of the same name.
OURS = [
    "./packages/core[postgres,mysql]",
    "./packages/mixins",
    "./packages/alembic[postgres,mysql]",
    "./packages/pytest[postgres,mysql]",
    "./packages/meta",
]
EDITABLE = [word for path in OURS for word in ("-e", path)]


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Style and format."""
    session.install(*(each for each in EXTRAS["dev"] if each.startswith("ruff")))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """Strict types."""
    session.install(*EDITABLE, *EXTRAS["dev"], "-r", "benchmarks/requirements.txt")
    session.run("pyright", "--pythonpath", f"{session.bin}/python")


@nox.session(python=PYTHONS)
@nox.parametrize("sqlalchemy", list(SQLALCHEMY))
def tests(session: nox.Session, sqlalchemy: str) -> None:
    """Behaviour, on real servers."""
    session.install(*EDITABLE, *EXTRAS["dev"], SQLALCHEMY[sqlalchemy])
    # Building and installing wheels does not depend on the versions of this matrix.
    ignored = ["--ignore=tests/meta/test_packaging.py"]
    session.run("pytest", "-q", "-n", "3", *ignored, *session.posargs)


@nox.session(python=PYTHONS[0])
def packaging(session: nox.Session) -> None:
    """The wheels, built and installed as a user would."""
    session.install(*EDITABLE, *EXTRAS["dev"])
    session.run("pytest", "-q", "tests/meta/test_packaging.py", *session.posargs)


@nox.session(python=PYTHONS[0])
def plots(session: nox.Session) -> None:
    """The plots of the benchmarks, drawn anew and compared with those in the repository."""
    session.install(*EDITABLE, *EXTRAS["dev"], "-r", "benchmarks/requirements.txt")
    session.run("pytest", "-q", "tests/benchmarks/test_plots.py", *session.posargs)


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """The site, where every warning is an error. The reference is read from the source."""
    session.install(*EXTRAS["docs"])
    # A folder below the session's own: mkdocs empties it, and temporary files lie beside it.
    session.run("mkdocs", "build", "--strict", "--site-dir", f"{session.create_tmp()}/site")


# Inside a workspace uv installs its members editable; pip installs them as users get them.
@nox.session(python=PYTHONS[0], venv_backend="virtualenv")
def quickstart(session: nox.Session) -> None:
    """The example of the README, checked over HTTP."""
    session.install("-r", "examples/quickstart/requirements.txt")
    session.run("python", "examples/quickstart", "--check")


# As above: installed by pip, as a user's project would be.
@nox.session(python=PYTHONS[0], venv_backend="virtualenv")
def tested(session: nox.Session) -> None:
    """The example of a tested project, on each database by one option."""
    session.install("-r", "examples/tested/requirements.txt")
    for database in ("sqlite", "postgresql", "mariadb"):
        session.run("pytest", "-q", "examples/tested", f"--hawkapi-database={database}")


# It makes the environments that it needs, one a peer.
@nox.session(python=PYTHONS[0])
def benchmark(session: nox.Session) -> None:
    """A short benchmark: its counts are checked, its times are only shown."""
    session.run("python", "benchmarks", "--short", *session.posargs)
    # Every way to keep tests apart has to run all of its tests.
    session.run("python", "benchmarks", "isolation")
