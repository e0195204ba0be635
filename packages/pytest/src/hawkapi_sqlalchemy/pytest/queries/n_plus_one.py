"""Finding what was loaded piece by piece."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterable, Sequence

from hawkapi_sqlalchemy.pytest.queries.records import Kind, Statement
from hawkapi_sqlalchemy.pytest.queries.reporting import (
    describe_line,
    parameter_sets,
    shortened,
)

__all__ = ["find_n_plus_one"]


def find_n_plus_one(statements: Sequence[Statement], threshold: int) -> list[str]:
    """Find relationships loaded parent by parent, and statements sent in a loop.

    Args:
        statements: All that was sent.
        threshold: How many times make a finding.

    Returns:
        A text for each finding.
    """
    return [
        *(_of_relationship(name, each) for name, each in _lazy_loads(statements, threshold)),
        *(_of_loop(each) for each in _loops(statements, threshold)),
    ]


def _lazy_loads(
    statements: Iterable[Statement], threshold: int
) -> Iterable[tuple[str, list[Statement]]]:
    # By session: that two requests load the same relationship, once each, is nothing to remedy.
    by_session: dict[tuple[str, Hashable], list[Statement]] = {}
    for each in statements:
        if each.query.relationship is not None:
            key = each.query.relationship, each.unit
            by_session.setdefault(key, []).append(each)
    found: dict[str, list[Statement]] = {}
    for (name, _), loads in by_session.items():
        if len(_parents(loads)) >= threshold:
            found.setdefault(name, []).extend(loads)
    return found.items()


def _parents(loads: Iterable[Statement]) -> set[Hashable]:
    return {(each.unit, each.load.parent) for each in loads if each.load is not None}


def _of_relationship(name: str, loads: Sequence[Statement]) -> str:
    sources = dict.fromkeys(describe_line(each.query.source) for each in loads)
    counts = f"{len(loads)} queries for {len(_parents(loads))} parents"
    lines = [
        f"{name} was loaded parent by parent: {counts}",
        *(f"    {source}" for source in sources),
        f"    {shortened(loads[0].query.sql)}",
        f"    remedy: load it with its parents, .options(selectinload({name}))",
    ]
    return "\n".join(lines)


def _loops(statements: Iterable[Statement], threshold: int) -> Iterable[list[Statement]]:
    # What led to the statement is compared as a whole: a helper that is called from two places is
    # no loop.
    groups: dict[Hashable, list[Statement]] = {}
    for each in statements:
        if each.kind is Kind.PLAIN and each.callers:
            key = each.unit, each.query.database, each.query.sql, each.callers
            groups.setdefault(key, []).append(each)
    for group in groups.values():
        # A flush, or an insert of many rows, sends several in one call.
        if len({each.operation for each in group}) >= threshold:
            yield group


def _of_loop(group: Sequence[Statement]) -> str:
    query = group[0].query
    text = [
        f"the same statement was sent {len(group)} times from one line",
        f"    {describe_line(query.source)}",
        f"    {shortened(query.sql)}",
    ]
    if shown := parameter_sets(group):
        text.append(f"    {shown}")
    text.append("    remedy: one statement for all of them, with .in_() for instance")
    return "\n".join(text)


def report(findings: Iterable[str]) -> str:
    """Put findings into one text.

    Args:
        findings: A text for each.
    """
    return "N+1 queries:\n" + textwrap.indent("\n".join(findings), "  ")
