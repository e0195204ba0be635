"""What a project of a user builds on the portion."""

import pytest


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
