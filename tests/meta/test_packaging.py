"""The five wheels, built and installed as users install them."""

import email
import email.message
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import hawkapi_sqlalchemy

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
VERSION = hawkapi_sqlalchemy.__version__
PORTIONS = ("alembic", "core", "mixins", "pytest")
TOOLS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
UV = shutil.which("uv", path=TOOLS)


def run(*command: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command and answer its output; a failure shows it."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={key: value for key, value in (env or os.environ).items() if key != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


MAKO = """
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}

def upgrade():
    ${upgrades if upgrades else "pass"}

def downgrade():
    ${downgrades if downgrades else "pass"}
"""


@dataclass
class Environment:
    """A virtual environment of its own."""

    folder: Path

    @property
    def programs(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python_path(self) -> Path:
        return self.programs / "python"

    @classmethod
    def new(cls, folder: Path, *wheels: Path | str) -> "Environment":
        """Make one with these wheels and what they need from the index."""
        new = cls(folder)
        if UV:
            run(UV, "venv", "--python", sys.executable, folder)
        else:
            run(sys.executable, "-m", "venv", folder)
        new.pip("install", *wheels)
        return new

    def pip(self, action: str, *arguments: object) -> None:
        if UV:
            run(UV, "pip", action, "--python", self.python_path, *arguments)
        else:
            yes = ["--yes"] if action == "uninstall" else []
            run(self.python_path, "-m", "pip", action, *yes, *arguments)

    def python(self, code: str, *, cwd: Path | None = None) -> str:
        return run(self.python_path, "-c", textwrap.dedent(code), cwd=cwd)

    def distributions(self) -> dict[str, str]:
        """Answer the installed distributions, name to version."""
        output = self.python(
            """
            from importlib.metadata import distributions
            for each in distributions():
                print(each.name.lower().replace("_", "-"), each.version)
            """
        )
        return dict(line.split() for line in output.splitlines())


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The built wheels, by folder of the package."""
    built: dict[str, Path] = {}
    for package in ("meta", *PORTIONS):
        folder = tmp_path_factory.mktemp(f"wheel-{package}")
        source = ROOT / "packages" / package
        if UV:
            run(UV, "build", "--wheel", "--out-dir", folder, source)
        else:
            run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, source)
        (built[package],) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def everything(wheels: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with all five."""
    return Environment.new(tmp_path_factory.mktemp("everything") / "env", *wheels.values())


@pytest.fixture(scope="module")
def alembic_alone(
    wheels: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """An environment as a migration container has it."""
    return Environment.new(tmp_path_factory.mktemp("alone") / "env", wheels["alembic"])


@pytest.fixture(scope="module")
def alembic_with_drivers(
    wheels: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """The same with the drivers of the servers."""
    drivers = f"hawkapi-sqlalchemy-alembic[postgres,mysql] @ {wheels['alembic'].as_uri()}"
    return Environment.new(tmp_path_factory.mktemp("drivers") / "env", drivers)


def contents(wheel: Path) -> list[str]:
    return zipfile.ZipFile(wheel).namelist()


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


# pytest wants a module at the top of a plugin's distribution.
MARKER = "hawkapi_sqlalchemy_pytest.py"


@pytest.mark.parametrize("package", ["meta", *PORTIONS])
def test_a_wheel_holds_the_namespace_alone(wheels, package):
    tops = {name.partition("/")[0] for name in contents(wheels[package])}
    distribution = "hawkapi_sqlalchemy" + ("" if package == "meta" else f"_{package}")
    more = {MARKER} if package == "pytest" else set()
    assert tops == {"hawkapi_sqlalchemy", f"{distribution}-{VERSION}.dist-info", *more}


@pytest.mark.parametrize("package", PORTIONS)
def test_the_wheel_of_a_portion_holds_its_subpackage_alone_and_is_typed(wheels, package):
    names = contents(wheels[package])
    code = [name for name in names if ".dist-info/" not in name and name != MARKER]
    assert {name.split("/")[1] for name in code} == {package}
    assert f"hawkapi_sqlalchemy/{package}/__init__.py" in code
    assert f"hawkapi_sqlalchemy/{package}/py.typed" in code


def test_the_wheel_of_meta_holds_the_root_alone_and_is_typed(wheels):
    code = {name for name in contents(wheels["meta"]) if ".dist-info/" not in name}
    assert code == {"hawkapi_sqlalchemy/__init__.py", "hawkapi_sqlalchemy/py.typed"}


@pytest.mark.parametrize("package", ["meta", *PORTIONS])
def test_a_wheel_has_the_common_version_a_license_and_a_description(wheels, package):
    described = metadata(wheels[package])
    assert described["Version"] == VERSION
    assert described["License-Expression"] == "MIT"
    assert len(str(described.get_payload())) > 200
    assert any(name.endswith("LICENSE") for name in contents(wheels[package]))


def test_meta_needs_the_four_portions_in_its_own_version(wheels):
    needed = metadata(wheels["meta"]).get_all("Requires-Dist") or []
    plain = {each for each in needed if "extra ==" not in each}
    assert plain == {f"hawkapi-sqlalchemy-{portion}=={VERSION}" for portion in PORTIONS}
    for extra in ("mysql", "postgres"):
        of_extra = {each.partition(";")[0].strip() for each in needed if f"'{extra}'" in each}
        assert of_extra == {
            f"hawkapi-sqlalchemy-{portion}[{extra}]=={VERSION}"
            for portion in ("alembic", "core", "pytest")
        }


def test_who_tests_on_sqlite_installs_neither_drivers_nor_what_servers_need(wheels):
    needed = metadata(wheels["pytest"]).get_all("Requires-Dist") or []
    plain = {re.split(r"[=>]", each)[0] for each in needed if "extra ==" not in each}
    assert plain == {"greenlet", "hawkapi-sqlalchemy-core", "pytest", "pytest-asyncio"}


def test_a_private_server_without_its_extra_is_refused_with_the_remedy(everything):
    everything.python(
        """
        from hawkapi_sqlalchemy.pytest.servers.errors import ServerMissingError
        from hawkapi_sqlalchemy.pytest.servers.tools import require_tools
        for kind, extra in {"postgresql": "postgres", "mariadb": "mysql"}.items():
            try:
                require_tools(kind)
            except ServerMissingError as error:
                assert error.remedy == f"pip install 'hawkapi-sqlalchemy-pytest[{extra}]'", error
                assert "psutil" in error.reason, error
            else:
                raise AssertionError(f"{kind} needs nothing")
        """
    )


@pytest.mark.dialects("postgresql", "mariadb")
def test_a_private_server_starts_from_the_wheels(wheels, dialect, tmp_path, database_server):
    """With nothing of this tree on the path; `database_server` makes sure of the programs."""
    extra = {"postgresql": "postgres", "mariadb": "mysql"}[dialect]
    environment = Environment.new(
        tmp_path / "env",
        wheels["core"],
        f"hawkapi-sqlalchemy-pytest[{extra}] @ {wheels['pytest'].as_uri()}",
    )
    environment.python(
        f"""
        from hawkapi_sqlalchemy.pytest.servers.run import Run
        run = Run.new()
        try:
            server = run.{dialect}()
            assert server.execute("SELECT 1") == [(1,)]
            assert run.workspace.root.is_dir()
        finally:
            run.close()
        assert not run.workspace.root.exists()
        """,
        cwd=tmp_path,
    )


def test_what_is_installed_are_our_own_builds(everything):
    """An index has another package of this name."""
    installed = everything.distributions()
    ours = {name: version for name, version in installed.items() if "hawkapi-sql" in name}
    assert ours == {
        "hawkapi-sqlalchemy": VERSION,
        **{f"hawkapi-sqlalchemy-{portion}": VERSION for portion in PORTIONS},
    }
    origins = everything.python(
        """
        from importlib.metadata import distributions
        for each in distributions():
            if each.name.lower().replace("_", "-").startswith("hawkapi-sqlalchemy"):
                print(each.read_text("direct_url.json") or "from an index")
        """
    )
    assert len(origins.splitlines()) == 5
    assert all('"file://' in line for line in origins.splitlines())


def test_everything_installed_offers_every_name(everything):
    everything.python(
        """
        from hawkapi_sqlalchemy import Base, TimestampMixin, get_session, init_database
        from hawkapi_sqlalchemy import DatabaseConfig, session_for
        from hawkapi_sqlalchemy import get_replica_session
        from hawkapi_sqlalchemy import DataclassBase, UUIDMixin
        from hawkapi_sqlalchemy.alembic import run_migrations
        from hawkapi_sqlalchemy import all_healthy, temporary_database, temporary_session
        import hawkapi_sqlalchemy
        for name in hawkapi_sqlalchemy.__all__:
            getattr(hawkapi_sqlalchemy, name)
        try:
            from hawkapi_sqlalchemy import Bass
        except ImportError as error:
            assert "Bass" in str(error)
        else:
            raise AssertionError("a name that does not exist was imported")
        """
    )


def test_a_user_s_application_and_its_tests_work_from_the_wheels(everything, tmp_path):
    """With warnings as errors: pytest judges what is installed, not what is in this tree."""
    (tmp_path / "shop.py").write_text(
        textwrap.dedent(
            """
            from hawkapi import Depends, HawkAPI
            from hawkapi_sqlalchemy import Base, TimestampMixin, all_healthy
            from hawkapi_sqlalchemy import get_replica_session, get_session, init_database
            from sqlalchemy import select
            from sqlalchemy.ext.asyncio import AsyncSession
            from sqlalchemy.orm import Mapped, mapped_column

            class Item(Base, TimestampMixin):
                __tablename__ = "items"
                id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
                name: Mapped[str] = mapped_column(unique=True)

            app = HawkAPI(health_url=None)
            init_database(app, url="sqlite+aiosqlite:///shop.db")

            @app.post("/items")
            async def add(name: str, session: AsyncSession = Depends(get_session)):
                session.add(Item(name=name))
                return {"ok": True}

            @app.get("/items")
            async def names(session: AsyncSession = Depends(get_replica_session)):
                return list(await session.scalars(select(Item.name)))

            @app.get("/healthz")
            async def healthz():
                return await all_healthy(app.state.db)
            """
        )
    )
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").write_text(
        "from hawkapi_sqlalchemy.alembic import run_migrations\n"
        "from shop import Base\n"
        'run_migrations(target_metadata=Base.metadata, url="sqlite+aiosqlite:///shop.db")\n'
    )
    (tmp_path / "migrations" / "script.py.mako").write_text(MAKO)
    (tmp_path / "test_shop.py").write_text(
        textwrap.dedent(
            """
            import pytest
            from hawkapi import testing
            from hawkapi_sqlalchemy import Base, temporary_database
            from shop import Item, app

            @pytest.fixture
            async def db():
                async with temporary_database(Base.metadata) as database:
                    yield database

            async def test_an_item(db):
                async with db.session() as session:
                    session.add(Item(name="pen"))

            @pytest.fixture(name="app")
            def shop():
                return app

            def test_the_fixtures_are_registered(hawkapi_client):
                assert hawkapi_client.post("/items?name=ink").status_code == 201
                assert hawkapi_client.get("/items").json() == ["ink"]

            async def test_the_application():
                client = testing.TestClient(app)
                statuses = [(await client.async_post("/items?name=pen")).status_code for _ in "ab"]
                assert statuses == [201, 409]
                assert (await client.async_get("/items")).json() == ["pen"]
                assert (await client.async_get("/healthz")).json() == {"primary": True}
                await app.state.db.dispose()
            """
        )
    )
    alembic = [everything.python_path, "-m", "alembic"]
    run(*alembic, "revision", "--autogenerate", "-m", "items", cwd=tmp_path)
    run(*alembic, "upgrade", "head", cwd=tmp_path)
    assert "CREATE TABLE items" in run(*alembic, "upgrade", "head", "--sql", cwd=tmp_path)

    pytest_run = [everything.python_path, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider"]
    options = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    assert "3 passed" in run(*pytest_run, *options, cwd=tmp_path)


def test_type_checkers_see_the_names_and_reject_a_misspelt_one(everything, tmp_path):
    pyright = shutil.which("pyright", path=TOOLS)
    assert pyright, "pyright is among the development tools of the project"
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(
        textwrap.dedent(
            """
            from hawkapi_sqlalchemy import Base, DataclassBase, TimestampMixin, UUIDMixin
            from hawkapi_sqlalchemy.alembic import run_migrations
            from sqlalchemy.orm import Mapped, mapped_column

            class Plain(Base, UUIDMixin, TimestampMixin):
                __tablename__ = "plain"
                title: Mapped[str] = mapped_column()

            class Data(DataclassBase, UUIDMixin, TimestampMixin):
                __tablename__ = "data"
                title: Mapped[str] = mapped_column()

            words: list[str] = [Plain(title="a").id, Data(title="a").id, Data("a").title]
            years: list[int] = [Plain(title="a").created_at.year, Data("a").updated_at.year]
            newest = Plain.created_at.desc()
            run_migrations(target_metadata=Base.metadata, url="sqlite://")
            """
        )
    )
    bad.write_text("from hawkapi_sqlalchemy import Bass\nprint(Bass)\n")
    checked = [pyright, "--pythonpath", everything.python_path]
    run(*checked, good, cwd=tmp_path)
    with pytest.raises(AssertionError, match='"Bass" is unknown import symbol'):
        run(*checked, bad, cwd=tmp_path)


def test_alembic_alone_needs_no_web_framework_and_no_pytest(alembic_alone):
    """A migration container: no root package either."""
    installed = alembic_alone.distributions()
    assert installed["hawkapi-sqlalchemy-alembic"] == VERSION
    assert not {"hawkapi", "pytest", "rich", "hawkapi-sqlalchemy", "hawkapi-sqlalchemy-core"} & set(
        installed
    )


def test_alembic_alone_runs_every_command(alembic_with_drivers, database_url, tmp_path):
    env = dict(os.environ, DATABASE_URL=database_url)
    (tmp_path / "shop.py").write_text(
        "import sqlalchemy as sa\n"
        "from sqlalchemy.orm import DeclarativeBase, mapped_column\n"
        "class Base(DeclarativeBase): pass\n"
        "class Pet(Base):\n"
        "    __tablename__ = 'pets'\n"
        "    id = mapped_column(sa.Integer, primary_key=True)\n"
    )

    def call(program: str, *words: str) -> str:
        return run(alembic_with_drivers.programs / program, *words, cwd=tmp_path, env=env)

    call("hawkapi-migrate", "init", "--models", "shop:Base")
    assert "written:" in call("hawkapi-migrate", "revision", "-m", "pets")
    assert "CREATE TABLE pets" in call("alembic", "upgrade", "head", "--sql")
    call("alembic", "upgrade", "head")
    assert "No new upgrade operations" in call("alembic", "check")
    assert "primary: " in call("hawkapi-migrate", "status", "--check")
    assert "up to date" in call("hawkapi-migrate", "status")
    assert "as the models" in call("hawkapi-migrate", "check")


def test_removing_meta_leaves_the_portions_working(wheels, tmp_path):
    environment = Environment.new(tmp_path / "env", *wheels.values())
    environment.pip("uninstall", "hawkapi-sqlalchemy")
    assert "hawkapi-sqlalchemy" not in environment.distributions()
    environment.python(
        """
        from hawkapi_sqlalchemy.alembic import run_migrations
        from hawkapi_sqlalchemy.core import Database
        from hawkapi_sqlalchemy.mixins import Base
        from hawkapi_sqlalchemy.pytest import temporary_database
        import hawkapi_sqlalchemy
        assert hawkapi_sqlalchemy.__file__ is None, "a root package is left"
        """
    )
