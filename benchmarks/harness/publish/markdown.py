"""Markdown's tables, tabs and numbers."""

from collections.abc import Iterable, Sequence

from harness.spread import Spread

NOTHING = "–"
NOT_MEASURED = "*Not measured in this run.*"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int = 1) -> str:
    """Make a table.

    Args:
        header: The columns' names.
        rows: The cells.
        numbers_from: The first column that is aligned to the right.
    """
    rule = ["---" if index < numbers_from else "---:" for index in range(len(header))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *rows))


def tabs(parts: Iterable[tuple[str, str]]) -> str:
    """Put texts behind tabs.

    Args:
        parts: Title and text.
    """
    return "\n\n".join(f'=== "{title}"\n\n{indented(text)}' for title, text in parts)


def folded(title: str, text: str) -> str:
    """Hide a text behind its title."""
    return f'??? note "{title}"\n\n{indented(text)}'


def indented(text: str) -> str:
    """Move a text four columns to the right."""
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())


def sections(parts: Iterable[tuple[str, str]], *, level: int) -> str:
    """Give texts headings."""
    return "\n\n".join(f"{'#' * level} {title}\n\n{text}" for title, text in parts)


def spread(value: Spread | None) -> str:
    """Write a ratio, with its quartiles below it."""
    if value is None:
        return NOTHING
    return f"{value.median:.2f}<br><small>{value.q1:.2f}–{value.q3:.2f}</small>"


def number(value: float | None, digits: int = 0) -> str:
    """Write a number with thousands apart."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def short(value: float | None) -> str:
    """Write a number with three significant digits, and no more than it has."""
    if value is None:
        return NOTHING
    if value == round(value):
        return number(value)
    return number(value, 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2)


def clients(count: int) -> str:
    """Write how many clients there are."""
    return "1 client" if count == 1 else f"{count} clients"
