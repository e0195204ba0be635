"""The limits that the design sets, and whether they hold."""

from harness.publish import markdown, names
from harness.results import Results, Verdict

_COMPARISONS = {"at_most": "at\u00a0most", "at_least": "at\u00a0least"}


def budgets(results: Results) -> str:
    """Make the table of the budgets, below a line that sums it up."""
    return verdicts(results.budgets) if results.budgets else markdown.NOT_MEASURED


def verdicts(found: list[Verdict]) -> str:
    """Make a table of limits, below a line that sums it up."""
    rows = [
        (
            _named(each.name),
            markdown.short(each.measured),
            f"{_COMPARISONS[each.comparison]}\u00a0{markdown.short(each.limit)}",
            _verdict(each),
        )
        for each in found
    ]
    header = ("Work", "Measured", "Limit", "")
    return f"{_sum(found)}\n\n{markdown.table(header, rows)}"


def _named(name: str) -> str:
    """Write the keys in a budget's name for readers."""
    known = names.DATABASES | names.WORKLOADS
    return ", ".join(known.get(part, part) for part in name.split(", "))


def _verdict(budget: Verdict) -> str:
    if budget.holds is None:
        return "not measured"
    return "✓\u00a0holds" if budget.holds else "✗\u00a0**missed**"


def _sum(found: list[Verdict]) -> str:
    known = [each for each in found if each.holds is not None]
    held = sum(each.holds is True for each in known)
    text = f"**{held} of {len(known)} hold.**"
    if unknown := len(found) - len(known):
        text += f" {unknown} {'was' if unknown == 1 else 'were'} not measured in this run."
    return text
