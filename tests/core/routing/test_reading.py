"""Which statements are known to do nothing but read; all others go to the primary."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from sqlalchemy import (
    ClauseElement,
    ForeignKey,
    Integer,
    Select,
    Sequence,
    String,
    TypeDecorator,
    and_,
    case,
    cast,
    column,
    delete,
    distinct,
    exists,
    extract,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    table,
    text,
    true,
    tuple_,
    type_coerce,
    union,
    union_all,
    update,
    values,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.mysql import aiomysql
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    column_property,
    foreign,
    joinedload,
    mapped_column,
    query_expression,
    relationship,
    selectinload,
    with_expression,
    with_loader_criteria,
)
from sqlalchemy.sql.expression import ColumnElement, lateral
from sqlalchemy.sql.functions import FunctionElement, GenericFunction
from sqlalchemy.types import NullType

from hawkapi_sqlalchemy.core.routing.reading import only_reads_surely
from schema import Order, User

OTHER = aliased(User)
EMAILS = select(User.email)
LOCKED = select(User.id).with_for_update()
INSERTED = insert(User).values(email="ada").returning(User.id)
NEXT = func.nextval("users_id_seq")


class Stamp(FunctionElement[Any]):
    """A function of somebody's own, compiled to whatever they like."""

    inherit_cache = True
    name = "lower"


@compiles(Stamp)
def stamp(*_: Any, **__: Any) -> str:
    return "charge()"


class Odd(GenericFunction[Any]):
    """A function that has a class of its own and a name that nobody knows."""

    inherit_cache = True
    name = "odd"


class Raw(ColumnElement[Any]):
    """An expression of somebody's own, compiled to whatever they like."""

    inherit_cache = True


@compiles(Raw)
def raw(*_: Any, **__: Any) -> str:
    return "nextval('users_id_seq')"


class Sealed(TypeDecorator[str]):
    """A type that the server has to open."""

    impl = String
    cache_ok = True

    def column_expression(self, column: Any) -> Any:
        return func.unseal(column, type_=self)

    def bind_expression(self, bindparam: Any) -> Any:
        return func.seal(bindparam, type_=self)


class Base(DeclarativeBase):
    pass


class Numbered(Base):
    __tablename__ = "numbered"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = column_property(func.nextval("numbers"))


class Counted(Base):
    __tablename__ = "counted"

    id: Mapped[int] = mapped_column(primary_key=True)
    numbered_id: Mapped[int] = mapped_column(ForeignKey(Numbered.id))
    size: Mapped[int] = column_property(func.abs(numbered_id))
    given: Mapped[int | None] = query_expression()
    sealed: Mapped[str] = mapped_column(Sealed, deferred=True)
    numbered: Mapped[Numbered] = relationship()
    orders: Mapped[list[Order]] = relationship(
        Order, primaryjoin=lambda: foreign(Order.user_id) == Counted.id, viewonly=True
    )


READS: dict[str, Any] = {
    "a table": select(User),
    "columns": select(User.id, User.email),
    "core columns": select(User.__table__.c.id),
    "a light table": select(column("id")).select_from(table("users", column("id"))),
    "criteria": select(User).where(User.email.like("a%"), User.id.between(1, 9)),
    "order and limit": select(User).order_by(User.id.desc()).limit(10).offset(5),
    "groups": select(User.email, func.count()).group_by(User.email).having(func.count() > 1),
    "distinct": select(func.count(distinct(User.email))),
    "a join": select(User, Order).join(Order, Order.user_id == User.id),
    "an outer join": select(User).outerjoin(Order, Order.user_id == User.id),
    "an alias": select(OTHER).where(OTHER.id == 1),
    "an alias of a subquery": select(aliased(User, select(User).subquery())),
    "a subquery": select(EMAILS.subquery()),
    "a scalar subquery": select(EMAILS.limit(1).scalar_subquery()),
    "in": select(User).where(User.id.in_(select(Order.user_id))),
    "in values": select(User).where(User.id.in_([1, 2])),
    "exists": select(User).where(exists().where(Order.user_id == User.id)),
    "only exists": select(exists(EMAILS)),
    "lateral": select(User, lateral(select(Order.id).where(Order.user_id == User.id))),
    "a CTE": select(EMAILS.cte("emails")),
    "a recursive CTE": select(
        (start := select(literal(1).label("n")).cte("numbers", recursive=True)).union_all(
            select(start.c.n + 1).where(start.c.n < 9)
        )
    ),
    "a union": union(EMAILS, EMAILS),
    "a union in a subquery": select(union_all(EMAILS, EMAILS).subquery()),
    "count": select(func.count()),
    "count of": select(func.count(User.id)).select_from(User),
    "lower": select(func.lower(User.email)),
    "upper case": select(func.LOWER(User.email)),
    "nested functions": select(func.coalesce(func.max(func.length(User.email)), 0)),
    "now": select(func.now()),
    "a window": select(func.row_number().over(partition_by=User.email, order_by=User.id)),
    "a filter": select(func.count(User.id).filter(User.id > 3)),
    "within a group": select(func.percentile_cont(0.5).within_group(User.id)),
    "case": select(case((User.id > 1, "many"), else_="one")),
    "cast": select(cast(User.id, String), type_coerce(User.id, Integer)),
    "extract": select(extract("year", func.now())),
    "literals": select(literal(1), null(), true()),
    "tuples": select(User).where(tuple_(User.id, User.email).in_([(1, "ada")])),
    "values": select(values(column("n", Integer), name="numbers").data([(1,), (2,)])),
    "an operator": select(User.id + 1, User.email.op("||")("x"), -User.id),
    "a collation": select(User.email.collate("C")),
    "options": select(User).options(selectinload("*"), joinedload("*")),
    "a prefix of a CTE": select(EMAILS.cte().prefix_with("MATERIALIZED")),
    "a part of a name": select(func.substring(User.email, 1, 3)),
    "names that are keywords": select(table("t", column("update"), column("lock"))),
    "a name that calls": select(User.email.label("nextval(1)")),
    "a harmless property": select(Counted),
    "a harmless criterion": select(User).options(with_loader_criteria(User, User.id > func.abs(3))),
    "execution options": select(User).execution_options(yield_per=10),
}

MAY_WRITE: dict[str, Any] = {
    "nothing": None,
    "insert": insert(User),
    "insert from select": insert(User).from_select(["email"], EMAILS),
    "insert returning": INSERTED,
    "update": update(User).values(email="x"),
    "delete": delete(User),
    "text": text("SELECT 1"),
    "text with columns": text("SELECT id FROM users").columns(User.id),
    "a subquery of text": select(text("SELECT 1 AS n").columns(column("n")).subquery()),
    "a text column": select(text("1")),
    "a text criterion": select(User).where(text("id = 1")),
    "a text order": select(User).order_by(text("id")),
    "a text table": select(column("id")).select_from(text("users")),
    "a literal column": select(literal_column("nextval('users_id_seq')")),
    "a literal column in criteria": select(User).where(User.id == literal_column("1")),
    "for update": select(User).with_for_update(),
    "for share": select(User).with_for_update(read=True),
    "for update skip locked": select(User).with_for_update(skip_locked=True),
    "for update in a subquery": select(LOCKED.subquery()),
    "for update in a scalar subquery": select(LOCKED.limit(1).scalar_subquery()),
    "for update in a CTE": select(LOCKED.cte()),
    "for update in criteria": select(User).where(User.id.in_(LOCKED)),
    "for update in exists": select(exists(LOCKED)),
    "for update in a union": union_all(LOCKED, LOCKED),
    "for update in a lateral": select(User, LOCKED.lateral()),
    "for update in an alias": select(aliased(User, select(User).with_for_update().subquery())),
    "a suffix": select(User).suffix_with("FOR UPDATE"),
    "a prefix": select(User).prefix_with("/*+ anything */"),
    "a statement hint": select(User).with_statement_hint("FOR UPDATE"),
    "a suffix in a subquery": select(EMAILS.suffix_with("FOR UPDATE").subquery()),
    "a CTE that inserts": select(INSERTED.cte()),
    "a CTE that updates": select(update(User).values(email="x").returning(User.id).cte()),
    "a CTE that deletes": select(delete(User).returning(User.id).cte()),
    "an independent CTE that inserts": EMAILS.add_cte(INSERTED.cte()),
    "nextval": select(NEXT),
    "a sequence": select(Sequence("users_id_seq").next_value()),
    "nextval in criteria": select(User).where(User.id == NEXT),
    "nextval in an order": select(User).order_by(NEXT),
    "nextval in a group": select(func.count()).group_by(NEXT),
    "nextval in a limit": select(User).limit(NEXT),
    "nextval in a join": select(User).join(Order, and_(Order.user_id == NEXT)),
    "nextval in an outer join": select(User).outerjoin(Order, Order.user_id == NEXT),
    "nextval in a function": select(func.count(func.abs(NEXT))),
    "nextval in a window": select(func.sum(User.id).over(order_by=NEXT)),
    "nextval in a filter": select(func.count().filter(NEXT > 1)),
    "nextval within a group": select(func.percentile_cont(0.5).within_group(NEXT)),
    "nextval in a case": select(case((NEXT > 1, 1), else_=2)),
    "nextval in a cast": select(cast(NEXT, String)),
    "nextval under a label": select(NEXT.label("n")),
    "nextval in a distinct": select(func.count(distinct(NEXT))),
    "nextval as a table": select(NEXT.table_valued("n")),
    "nextval as an alias": select(column("n")).select_from(NEXT.alias("n")),
    "nextval among values": select(values(column("n", Integer), name="v").data([(NEXT,)])),
    "a lock": select(func.pg_advisory_xact_lock(1)),
    "a notification": select(func.pg_notify("channel", "payload")),
    "a setting": select(func.set_config("app.tenant", "1", True)),
    "a function of a schema": select(func.pg_catalog.lower(User.email)),
    "a function of somebody's own": select(func.charge(User.id)),
    "a class of somebody's own": select(Stamp()),
    "a generic class of somebody's own": select(Odd()),
    "an expression of somebody's own": select(User).where(User.id == Raw()),
    "an operator of text": select(User.id.op("+ nextval('users_id_seq') +")(1)),
    "an assignment": select(User.id.op(":=")(1)),
    "a comment": select(User.id.op("/*! INTO @x */ +")(1)),
    "a property of the mapping": select(Numbered),
    "a property of a joined mapping": select(Counted).options(joinedload(Counted.numbered)),
    "a property that is given": select(Counted).options(with_expression(Counted.given, NEXT)),
    "a type that calls": select(Counted.sealed),
    "a type that is compared": select(Counted.id).where(Counted.sealed == "x"),
    "a criterion for all": select(User).options(with_loader_criteria(User, User.id == NEXT)),
    "a criterion of a joined load": select(Counted).options(
        joinedload(Counted.orders.and_(Order.id == NEXT))
    ),
    "from text": select(User).from_statement(text("SELECT * FROM users")),
    "from an insert": select(User).from_statement(INSERTED),
    "a string": "SELECT 1",
}


@pytest.fixture(params=[asyncpg, aiomysql], ids=["postgresql", "mariadb"])
def kind(request: pytest.FixtureRequest) -> Dialect:
    return request.param.dialect()


@pytest.mark.parametrize("statement", READS.values(), ids=READS)
def test_it_only_reads(statement, kind):
    assert only_reads_surely(statement, kind)


@pytest.mark.parametrize("statement", MAY_WRITE.values(), ids=MAY_WRITE)
def test_it_may_do_more(statement, kind):
    assert not only_reads_surely(statement, kind)


@pytest.mark.skipif(not hasattr(Select, "ext"), reason="SQLAlchemy 2.0 has no such extensions")
def test_an_extension_of_the_syntax_may_do_more(kind):
    from sqlalchemy.sql.base import SyntaxExtension

    class Lock(SyntaxExtension, ClauseElement):
        _traverse_internals: ClassVar[Any] = []

        def apply_to_select(self, select_stmt: Any) -> None:
            select_stmt.apply_syntax_extension_point(lambda given: [*given, self], "post_body")

    @compiles(Lock)
    def lock(*_: Any, **__: Any) -> str:
        return "FOR UPDATE"

    assert not only_reads_surely(select(User).ext(Lock()), kind)


def test_a_lock_that_sqlite_does_not_show_is_one():
    assert not only_reads_surely(select(User).with_for_update(), sqlite.dialect())


def test_what_nobody_can_compile_may_do_anything(kind):
    assert not only_reads_surely(select(User).with_hint(User, "FOR UPDATE"), asyncpg.dialect())
    assert not only_reads_surely(select(column("x", NullType()).cast(NullType())), kind)


def test_this_sqlalchemy_has_the_private_names():
    """A statement's key, and whether it locks."""
    assert select(User)._generate_cache_key() is not None
    assert select(User)._for_update_arg is None
    assert select(User).with_for_update()._for_update_arg is not None
