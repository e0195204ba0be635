"""Whether a statement only reads is judged once, as long as its SQL stays the same."""

from __future__ import annotations

import gc
import weakref

import pytest
from sqlalchemy import column, func, select
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.engine import Dialect

from hawkapi_sqlalchemy.core.routing import reading
from hawkapi_sqlalchemy.core.routing.harmless import is_harmless
from hawkapi_sqlalchemy.core.routing.reading import only_reads_surely
from schema import User


@pytest.fixture
def kind() -> Dialect:
    return asyncpg.dialect()


def test_a_verdict_is_found_again_for_other_values_and_not_for_another_statement(kind, monkeypatch):
    judged: list[str] = []

    def judge(sql: str) -> bool:
        judged.append(sql)
        return is_harmless(sql)

    monkeypatch.setattr(reading, "is_harmless", judge)
    for number in range(5):
        assert only_reads_surely(select(User).where(User.id == number), kind)
    assert len(judged) == 1
    assert not only_reads_surely(select(User).where(User.id == func.nextval("users_id_seq")), kind)
    assert len(judged) == 2


def test_verdicts_do_not_pile_up(kind, monkeypatch):
    monkeypatch.setattr(reading, "_MOST_VERDICTS", 10)
    for number in range(35):
        assert only_reads_surely(select(column(f"c{number}")), kind)
    assert len(reading._verdicts[kind]) <= 10


def test_verdicts_go_with_their_engine():
    dialect = asyncpg.dialect()
    assert only_reads_surely(select(User), dialect)
    gone = weakref.ref(dialect)
    del dialect
    gc.collect()
    assert gone() is None
