"""The plugin that pytest loads at start-up."""

import subprocess
import sys

import pytest


def test_the_entry_point_loads_no_sqlalchemy_and_no_other_portion():
    """What is loaded before coverage starts is not measured."""
    code = (
        "import sys\n"
        "from importlib.metadata import entry_points\n"
        "plugin, = entry_points(group='pytest11', name='hawkapi_sqlalchemy')\n"
        "assert plugin.load().__name__ == 'hawkapi_sqlalchemy.pytest.plugin'\n"
        "print(*sorted(name for name in sys.modules if name.startswith('hawkapi')))\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    ours, loaded = (set(line.split()) for line in output.splitlines())
    assert ours == {
        "hawkapi_sqlalchemy",
        "hawkapi_sqlalchemy.pytest",
        "hawkapi_sqlalchemy.pytest.plugin",
    }
    assert "sqlalchemy" not in loaded


def test_a_project_makes_its_own_fixture_of_temporary_database(pytester: pytest.Pytester):
    pytester.makepyfile(
        """
        import pytest
        from sqlalchemy import select
        from sqlalchemy.orm import Mapped, mapped_column
        from hawkapi_sqlalchemy import Base, TimestampMixin, temporary_database

        class City(Base, TimestampMixin):
            __tablename__ = "cities"
            id: Mapped[int] = mapped_column(primary_key=True)

        @pytest.fixture
        async def db():
            async with temporary_database(Base.metadata) as database:
                yield database

        @pytest.mark.parametrize("run", [1, 2])
        async def test_every_test_begins_empty(db, run):
            async with db.session() as session:
                session.add(City())
            async with db.session() as session:
                assert len((await session.scalars(select(City))).all()) == 1
        """
    )
    pytester.makeini(
        """
        [pytest]
        asyncio_mode = auto
        asyncio_default_fixture_loop_scope = function
        filterwarnings = error
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2)
