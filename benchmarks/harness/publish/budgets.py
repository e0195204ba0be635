"""The limits that the design sets, and whether they hold."""

from harness.publish import markdown
from harness.results import Results, Verdict

_COMPARISONS = {"at_most": "at most", "at_least": "at least"}


def budgets(results: Results) -> str:
    """Make the table of the budgets, below a line that sums it up."""
    if not results.budgets:
        return markdown.NOT_MEASURED
    rows = [
        (
            each.name,
            markdown.short(each.measured),
            f"{_COMPARISONS[each.comparison]} {markdown.short(each.limit)}",
            _verdict(each),
        )
        for each in results.budgets
    ]
    header = ("Work", "Measured", "Limit", "")
    return f"{_sum(results.budgets)}\n\n{markdown.table(header, rows)}"


def _verdict(budget: Verdict) -> str:
    if budget.holds is None:
        return "not measured"
    return "✓ holds" if budget.holds else "✗ **missed**"


def _sum(found: list[Verdict]) -> str:
    known = [each for each in found if each.holds is not None]
    held = sum(each.holds is True for each in known)
    text = f"**{held} of {len(known)} hold.**"
    if unknown := len(found) - len(known):
        text += f" {unknown} {'was' if unknown == 1 else 'were'} not measured in this run."
    return text
