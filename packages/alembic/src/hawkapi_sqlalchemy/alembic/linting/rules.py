"""Our own few rules, for every kind of database."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hawkapi_sqlalchemy.alembic.linting.findings import Finding
from hawkapi_sqlalchemy.alembic.linting.statements import Statement

__all__ = ["RULES", "SOURCE", "apply_rules"]

SOURCE = "hawkapi-migrate"

_WORD = r"""(?:"[^"]+"|`[^`]+`|\[[^\]]+\]|[\w$]+)"""
_NAME = rf"(?:{_WORD}\.)?(?P<name>{_WORD})"
_TRUNCATE = re.compile(r"TRUNCATE\b", re.IGNORECASE)
_RENAME = re.compile(r"RENAME TABLE\b", re.IGNORECASE)
_ALTER = re.compile(rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME} (?P<action>.+)", re.IGNORECASE)
_CREATE = re.compile(rf"CREATE (?:\w+ )*?TABLE (?:IF NOT EXISTS )?{_NAME}", re.IGNORECASE)
_DROP = re.compile(rf"DROP TABLE (?:IF EXISTS )?{_NAME}", re.IGNORECASE)
_INDEX = re.compile(
    rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY).*?\bON (?:ONLY )?{_NAME}", re.IGNORECASE
)
_ADD_COLUMN = re.compile(
    r"ADD (?:COLUMN )?(?!(?:CONSTRAINT|FOREIGN|UNIQUE|CHECK|PRIMARY|INDEX|KEY)\b)"
    rf"(?:IF NOT EXISTS )?{_WORD} (?P<kind>.*)",
    re.IGNORECASE,
)
_FILLED = re.compile(
    r"\b(DEFAULT|GENERATED|IDENTITY|SERIAL|BIGSERIAL|AUTO_INCREMENT)\b", re.IGNORECASE
)
_UNNAMED = re.compile(
    r"(?P<named>CONSTRAINT\s+\S+\s+)?\b(?P<kind>FOREIGN KEY|UNIQUE|CHECK)\s*\(", re.IGNORECASE
)
_BATCH = "_alembic_tmp_"
"""How Alembic calls the copy of a table that takes its place on SQLite."""

type Dialects = frozenset[str] | None


@dataclass(frozen=True)
class _Action:
    """A rule about what ALTER TABLE does."""

    rule: str
    pattern: re.Pattern[str]
    message: str
    remedy: str
    dialects: Dialects = None


_POSTGRESQL = frozenset({"postgresql"})
_MYSQL = frozenset({"mysql", "mariadb"})

_ACTIONS = (
    _Action(
        "type-change",
        re.compile(r"ALTER (COLUMN )?\S+ (SET DATA )?TYPE\b", re.IGNORECASE),
        "changing a type rewrites the table, and nobody reads or writes it meanwhile",
        "add a column of the new type, fill it in portions, and change over",
        _POSTGRESQL,
    ),
    _Action(
        "type-change",
        re.compile(r"(MODIFY|CHANGE)\b", re.IGNORECASE),
        "changing a column can copy the table, and writers wait meanwhile",
        "check with ALGORITHM=INSTANT, or add a new column and change over",
        _MYSQL,
    ),
    _Action(
        "set-not-null",
        re.compile(r"ALTER (COLUMN )?\S+ SET NOT NULL", re.IGNORECASE),
        "NOT NULL reads the whole table, and nobody else reads or writes it meanwhile",
        "add CHECK (... IS NOT NULL) NOT VALID, VALIDATE it, and set NOT NULL then",
        _POSTGRESQL,
    ),
    _Action(
        "constraint-validates",
        re.compile(
            r"ADD (CONSTRAINT \S+ )?(FOREIGN KEY|CHECK)\b(?!.*\bNOT VALID\b)", re.IGNORECASE
        ),
        "a new constraint reads the whole table under a lock",
        "add it NOT VALID, and VALIDATE CONSTRAINT in a migration of its own",
        _POSTGRESQL,
    ),
    _Action(
        "index-locks-table",
        re.compile(r"ADD (CONSTRAINT \S+ )?(UNIQUE|PRIMARY KEY)\b(?! USING)", re.IGNORECASE),
        "writers and readers of the table wait until the constraint's index is built",
        "create a unique index CONCURRENTLY, and add the constraint USING INDEX",
        _POSTGRESQL,
    ),
    _Action(
        "drop-column",
        re.compile(
            r"DROP (COLUMN |(?!(CONSTRAINT|INDEX|KEY|PRIMARY|FOREIGN|CHECK|PARTITION|DEFAULT)\b))",
            re.IGNORECASE,
        ),
        "the data is gone, and an application that still runs asks for the column",
        "release code that does not use the column first, and drop it with the next release",
    ),
    _Action(
        "rename-column",
        re.compile(r"(RENAME COLUMN\b|RENAME (?!TO\b)\S+ TO\b)", re.IGNORECASE),
        "an application that still runs asks for the old name",
        "add a column, write both, and drop the old one with a later release",
    ),
    _Action(
        "rename-column",
        re.compile(r"CHANGE (COLUMN )?+(?P<old>\S+) (?!(?P=old) )", re.IGNORECASE),
        "an application that still runs asks for the old name",
        "add a column, write both, and drop the old one with a later release",
        _MYSQL,
    ),
    _Action(
        "rename-table",
        re.compile(r"RENAME TO\b", re.IGNORECASE),
        "an application that still runs asks for the old name",
        "leave a view of the old name, or keep the name",
    ),
)

RULES: Mapping[str, str] = {
    "adding-required-column": "NOT NULL without a default, on a table that has rows",
    "constraint-validates": "a foreign key or CHECK that is not NOT VALID (PostgreSQL)",
    "drop-column": "a column that the running release may use",
    "drop-table": "a table that the running release may use",
    "index-locks-table": "an index that is not built CONCURRENTLY (PostgreSQL)",
    "rename-column": "a name that the running release may use",
    "rename-table": "a name that the running release may use",
    "set-not-null": "NOT NULL on a column that has rows (PostgreSQL)",
    "truncate-table": "all rows of a table",
    "type-change": "a type whose change rewrites the table",
    "unnamed-constraint": "a constraint that no later migration can name",
}


def apply_rules(
    revision: str,
    statements: Sequence[Statement],
    dialect: str,
    *,
    only: frozenset[str] | None = None,
) -> list[Finding]:
    """Judge the statements of a revision.

    Args:
        revision: The revision.
        statements: Them.
        dialect: The kind of database.
        only: The rules to apply; `None` for all.

    Returns:
        What is dangerous. Nothing is, for a table that the same revision makes.
    """
    new = {_bare(found["name"]) for each in statements if (found := _CREATE.match(each.text))}
    replaced = {name.removeprefix(_BATCH) for name in new if name.startswith(_BATCH)}
    findings: list[Finding] = []
    for each in statements:
        for rule, message, remedy in _judge(each.text, dialect, new, replaced):
            if rule not in each.ignored and (only is None or rule in only):
                findings.append(Finding(revision, rule, message, remedy, each.text, SOURCE))
    return findings


type _Judgement = tuple[str, str, str]


def _judge(text: str, dialect: str, new: set[str], replaced: set[str]) -> Iterator[_Judgement]:
    yield from _unnamed(text)
    if found := _DROP.match(text):
        if _bare(found["name"]) not in replaced:
            yield (
                "drop-table",
                "the data is gone, and an application that still runs asks for the table",
                "release code that does not use the table first",
            )
    elif found := _INDEX.match(text):
        if dialect == "postgresql" and _bare(found["name"]) not in new:
            yield (
                "index-locks-table",
                "writers of the table wait until the index is built",
                "postgresql_concurrently=True inside op.get_context().autocommit_block()",
            )
    elif _TRUNCATE.match(text):
        yield ("truncate-table", "the data is gone", "delete what is not wanted, in portions")
    elif _RENAME.match(text):
        yield from _actions("RENAME TO", dialect)
    elif (found := _ALTER.match(text)) and _bare(found["name"]) not in new:
        judgements = [
            judgement
            for action in _split(found["action"])
            for judgement in _actions(action, dialect)
        ]
        yield from dict.fromkeys(judgements)


def _bare(name: str) -> str:
    """Take the quotes off a name."""
    return name.strip('"`[]')


def _split(actions: str) -> Iterator[str]:
    """Tell the actions of one ALTER TABLE: commas in brackets and quotes separate none."""
    depth, quote, begin = 0, "", 0
    for position, letter in enumerate(actions):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"`":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == "," and depth == 0:
            yield actions[begin:position].strip()
            begin = position + 1
    yield actions[begin:].strip()


def _actions(action: str, dialect: str) -> Iterator[_Judgement]:
    if (
        (found := _ADD_COLUMN.match(action))
        and re.search(r"\bNOT NULL\b", found["kind"], re.IGNORECASE)
        and not _FILLED.search(found["kind"])
    ):
        yield (
            "adding-required-column",
            "a new column that is NOT NULL has no value for the rows that are there",
            "give it a server_default, or add it nullable, fill it, and set NOT NULL later",
        )
    for each in _ACTIONS:
        if each.pattern.match(action) and (each.dialects is None or dialect in each.dialects):
            yield each.rule, each.message, each.remedy


def _unnamed(text: str) -> Iterator[_Judgement]:
    if not re.match(r"(CREATE|ALTER) (\w+ )*?TABLE\b", text, re.IGNORECASE):
        return
    kinds = [found["kind"].upper() for found in _UNNAMED.finditer(text) if not found["named"]]
    if kinds:
        yield (
            "unnamed-constraint",
            f"{' and '.join(dict.fromkeys(kinds))} without the name that a later change needs",
            "give the metadata a naming_convention; Base of hawkapi_sqlalchemy.mixins has one",
        )
