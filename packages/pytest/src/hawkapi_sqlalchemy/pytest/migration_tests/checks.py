"""What is tested; the docstrings' lines are shown to people who run the tests."""

from hawkapi_sqlalchemy.alembic.program import Migrations
from hawkapi_sqlalchemy.pytest.migration_tests.databases import FreshDatabase
from hawkapi_sqlalchemy.pytest.migration_tests.failures import CommandFailed, MigrationTestFailed
from hawkapi_sqlalchemy.pytest.migration_tests.migrated import migrated
from hawkapi_sqlalchemy.pytest.migration_tests.project import Project

__all__ = ["CHECKS"]


def one_head(project: Project, _: FreshDatabase) -> None:
    """The revisions end in one that is the newest."""
    try:
        heads = Migrations(project.file).heads()
    except Exception as error:
        # Whatever a revision's file raises when it is loaded.
        raise CommandFailed("the migration scripts cannot be read", error) from error
    if not heads:
        raise MigrationTestFailed(
            "there is no revision",
            remedy="write the first: `hawkapi-migrate revision -m 'first tables'`",
        )
    if len(heads) > 1:
        raise MigrationTestFailed(
            f"there are {len(heads)} heads:",
            [f"{each.revision} ({each.message}; {project.shown(each.path)})" for each in heads],
            remedy="join them: `hawkapi-migrate merge`; or let one follow the other, in its file",
        )


def up_down_and_up_again(project: Project, database: FreshDatabase) -> None:
    """An empty database can be migrated to the newest revision, down to nothing, and up again."""
    with migrated(project, database) as subject:
        subject.upgrade()
        subject.downgrade()
        subject.upgrade()


def models_match_the_schema(project: Project, database: FreshDatabase) -> None:
    """The schema that the migrations make is that of the models."""
    with migrated(project, database) as subject:
        subject.upgrade()
        differences = subject.compare().differences
    if differences:
        raise MigrationTestFailed(
            "the migrated schema differs from the models; to match them it would have to",
            differences,
            remedy="write the missing migration (`hawkapi-migrate revision -m ...`), or correct "
            "the models",
        )


def downgrade_leaves_no_trace(project: Project, database: FreshDatabase) -> None:
    """Once all revisions are undone, the schema is as it was before them."""
    with migrated(project, database) as subject:
        before = subject.schema()
        subject.upgrade()
        subject.downgrade()
        traces = before.traces_in(subject.schema())
    if traces:
        raise MigrationTestFailed(
            "after the downgrade to base",
            traces,
            remedy="each_step_leaves_no_trace names revisions",
        )


def each_step_leaves_no_trace(project: Project, database: FreshDatabase) -> None:
    """Each revision, once undone, leaves the schema as it was before it."""
    with migrated(project, database) as subject:
        before = [subject.schema()]
        for revision in subject.revisions:
            subject.upgrade(revision.revision)
            before.append(subject.schema())
        found: list[str] = []
        known: set[str] = set()
        for revision, schema in zip(subject.revisions[::-1], before[-2::-1], strict=True):
            try:
                subject.undo(revision)
            except CommandFailed as error:
                if not found:
                    raise
                # Most likely for what those before it have left.
                found.append(f"then {error}")
                break
            traces = schema.traces_in(subject.schema())
            new = [each for each in traces if each not in known]
            if new:
                found += [f"after the downgrade of {subject.named(revision.revision)}"]
                found += [f"  {each}" for each in new]
            known = set(traces)
    if found:
        raise MigrationTestFailed(
            "a downgrade does not undo its upgrade",
            found,
            remedy="let its downgrade() undo all that its upgrade() does",
        )


CHECKS = (
    one_head,
    up_down_and_up_again,
    models_match_the_schema,
    downgrade_leaves_no_trace,
    each_step_leaves_no_trace,
)
"""All of them, in the order in which they run."""
