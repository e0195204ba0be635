"""What is found in a migration."""

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """A dangerous statement.

    Attributes:
        revision: The revision whose migration has it.
        rule: The rule it breaks.
        message: What it does.
        remedy: What does no harm, where that is known.
        statement: It, in one line.
        source: Whose rule that is: `hawkapi-migrate` or `squawk`.
    """

    revision: str
    rule: str
    message: str
    remedy: str
    statement: str
    source: str
