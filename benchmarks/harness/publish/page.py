"""The page: a hand-written text, with what was measured in its places."""

import re
from collections.abc import Callable
from pathlib import Path

from harness.publish import budgets, conditions, growth, isolation, peers
from harness.results import HTTP, IN_PROCESS, Results

_TEMPLATE = Path(__file__).with_name("page.md")
_PLACE = re.compile(r"^\{\{ (\w+) \}\}$", re.MULTILINE)


_PLACES: dict[str, Callable[[Results], str]] = {
    "budgets": budgets.budgets,
    "conditions": conditions.conditions,
    "packages": conditions.packages,
    "in_process": lambda results: peers.ratios(results, IN_PROCESS),
    "http": lambda results: peers.ratios(results, HTTP),
    "counts": peers.counts,
    "imports": peers.imports,
    "no_database": peers.no_database,
    "pool": growth.pool,
    "memory": growth.memory,
    "databases": growth.databases,
    "isolation": isolation.isolation,
}


def render(results: Results) -> str:
    """Write the page.

    Args:
        results: The run that it tells of.

    Returns:
        Markdown.

    Raises:
        KeyError: The template names a place that nothing fills.
    """
    return _PLACE.sub(lambda match: _PLACES[match[1]](results), _TEMPLATE.read_text("utf-8"))
