"""What a server has beside the tables, and SQLAlchemy does not reflect."""

from sqlalchemy import Connection

from hawkapi_sqlalchemy.pytest.migration_tests.parts import Part

__all__ = ["list_objects"]

_POSTGRESQL = """
    SELECT 'trigger', t.tgname, s.nspname, c.relname, pg_get_triggerdef(t.oid)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        JOIN pg_namespace s ON s.oid = c.relnamespace
    WHERE NOT t.tgisinternal
    UNION ALL
    SELECT CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
        p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
        s.nspname, NULL, p.prosrc
    FROM pg_proc p JOIN pg_namespace s ON s.oid = p.pronamespace
    WHERE s.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e'
    )
    UNION ALL
    SELECT 'materialized view', c.relname, s.nspname, NULL, pg_get_viewdef(c.oid)
    FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.relkind = 'm'
    UNION ALL
    SELECT 'sequence', c.relname, s.nspname, NULL, ''
    FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
    WHERE c.relkind = 'S' AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'e', 'i')
    )
"""
"""Without what extensions bring, and the sequences that are part of a column."""

_MYSQL = """
    SELECT 'trigger', trigger_name, NULL, event_object_table, action_statement
    FROM information_schema.triggers WHERE trigger_schema = DATABASE()
    UNION ALL
    SELECT LOWER(routine_type), routine_name, NULL, NULL, routine_definition
    FROM information_schema.routines WHERE routine_schema = DATABASE()
    UNION ALL
    SELECT 'sequence', table_name, NULL, NULL, ''
    FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'SEQUENCE'
"""

_SQLITE = """
    SELECT type, name, NULL, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'
    UNION ALL
    SELECT type, name, NULL, tbl_name, '' FROM sqlite_master WHERE type = 'index' AND sql NOT NULL
"""
"""Indexes too: SQLAlchemy leaves those of expressions out."""

_QUERIES = {
    "postgresql": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "sqlite": _SQLITE,
}


def list_objects(connection: Connection) -> dict[Part, str]:
    """List triggers, routines, sequences, materialized views, with their definitions.

    Args:
        connection: The database; of other kinds nothing is listed.
    """
    query = _QUERIES.get(connection.dialect.name)
    if query is None:
        return {}
    usual = connection.dialect.default_schema_name
    found: dict[Part, str] = {}
    for kind, name, schema, table, definition in connection.exec_driver_sql(query):
        prefix = "" if schema in {None, usual} else f"{schema}."
        part = Part(kind, f"{prefix}{name}", f"{prefix}{table}" if table else None)
        found[part] = " ".join((definition or "").split())
    return found
