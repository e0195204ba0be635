"""What a statement's text tells of what it does to its transaction."""

import pytest

from hawkapi_sqlalchemy.pytest.isolation.statements import Kind, understand


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("SELECT 1", Kind.READ),
        ("  select 1", Kind.READ),
        ("/* a hint */ SELECT 1", Kind.READ),
        ("-- a remark\nSELECT 1", Kind.READ),
        ("(SELECT 1) UNION (SELECT 2)", Kind.READ),
        ("WITH a AS (SELECT 1) SELECT * FROM a", Kind.READ),
        ("SHOW TABLES", Kind.READ),
        ("EXPLAIN SELECT 1", Kind.READ),
        ("INSERT INTO users VALUES (1)", Kind.WRITE),
        ("WITH gone AS (DELETE FROM users RETURNING id) SELECT * FROM gone", Kind.WRITE),
        ("EXPLAIN ANALYZE INSERT INTO users VALUES (1)", Kind.WRITE),
        ("CALL something()", Kind.WRITE),
        ("{call something()}", Kind.WRITE),
        ("", Kind.WRITE),
        ("SET SESSION foreign_key_checks = 0", Kind.SETTING),
        ("PRAGMA query_only=ON", Kind.SETTING),
        ('PRAGMA main.table_info("users")', Kind.READ),
        ("CREATE TABLE a (id int)", Kind.SCHEMA),
        ("TRUNCATE users", Kind.SCHEMA),
        ("BEGIN", Kind.BEGIN),
        ("BEGIN IMMEDIATE", Kind.BEGIN),
        ("START TRANSACTION READ ONLY", Kind.BEGIN),
        ("COMMIT", Kind.COMMIT),
        ("commit work;", Kind.COMMIT),
        ("END", Kind.COMMIT),
        ("ROLLBACK", Kind.ROLLBACK),
        ("ABORT TRANSACTION", Kind.ROLLBACK),
        # A prepared transaction is none that could be shared.
        ("COMMIT PREPARED 'a'", Kind.WRITE),
    ],
)
def test_a_statement_is_understood(text, kind):
    assert understand(text).kind is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("SAVEPOINT sp_1", Kind.SAVEPOINT),
        ('SAVEPOINT "sp_1"', Kind.SAVEPOINT),
        ("ROLLBACK TO sp_1", Kind.ROLLBACK_TO),
        ("ROLLBACK TO SAVEPOINT sp_1", Kind.ROLLBACK_TO),
        ("ROLLBACK TRANSACTION TO SAVEPOINT `sp_1`", Kind.ROLLBACK_TO),
        ("RELEASE sp_1", Kind.RELEASE),
        ("release savepoint sp_1;", Kind.RELEASE),
    ],
)
def test_a_statement_about_a_savepoint_names_it(text, kind):
    assert understand(text).kind is kind
    assert understand(text).savepoint == "sp_1"
