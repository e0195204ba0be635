"""SQL that is known to do nothing but read, by its text."""

from __future__ import annotations

import pytest

from hawkapi_sqlalchemy.core.routing.harmless import is_harmless


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'it''s'",
        "SELECT count(*) FROM t",
        'SELECT "nextval(1)" FROM t',
        "SELECT x FROM t WHERE y = $1::VARCHAR(30)",
        "WITH RECURSIVE n(a) AS (SELECT 1) SELECT a FROM n",
        "SELECT d #>> '{a}' FROM t",
        "SELECT t.update FROM t",
        "SELECT SUBSTRING(x FROM %s FOR %s) FROM t",
    ],
)
def test_sql_that_is_harmless(sql):
    assert is_harmless(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "UPDATE t SET x = 1",
        "SELECT x INTO y FROM t",
        "SELECT nextval ('s')",
        "SELECT NEXT VALUE FOR s",
        "SELECT s.nextval FROM dual",
        "SELECT own.lower('x')",
        "SELECT \"lower\"('x')",
        "SELECT 1 FOR UPDATE",
        "SELECT 1 for no key update",
        "SELECT 1 FOR SHARE",
        "SELECT 1 LOCK IN SHARE MODE",
        "SELECT 1; DELETE FROM t",
        "SELECT 'a\\' , charge('b')",
        "SELECT $$a$$",
        "SELECT 1 -- nothing",
        "SELECT 1 /* nothing */",
        "SELECT 1 # nothing",
        "SELECT @x := 1",
        "SELECT 'open",
        "WITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x",
    ],
)
def test_sql_that_may_do_more(sql):
    assert not is_harmless(sql)
