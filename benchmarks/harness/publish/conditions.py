"""What a run was made on."""

from typing import Any

from harness.publish import markdown, names
from harness.results import Results


def conditions(results: Results) -> str:
    """Make the table of the machine and the run."""
    rows = [
        ("Made", results.made_at),
        ("Mode", results.mode),
        ("Version", results.version),
        ("Runs", str(max((each.runs for each in results.measurements), default=0))),
        ("Seed of the order", str(results.seed)),
        *machine(results.conditions),
    ]
    return markdown.table(("", ""), rows, numbers_from=2)


def machine(on: dict[str, Any]) -> list[tuple[str, str]]:
    """Answer the rows that tell of the machine and its servers."""
    servers = ", ".join(
        f"{names.label(names.DATABASES, name)} {_number(version)}"
        for name, version in on["servers"].items()
    )
    return [
        ("Processor", f"{on['cpu']}, {on['cores']} cores"),
        ("Memory", f"{on['memory_gib']:.1f} GiB"),
        ("System", on["system"]),
        ("Load before", f"{on['load_before']:.2f}"),
        ("Python", on["python"]),
        ("Servers", servers or markdown.NOTHING),
    ]


def _number(version: str) -> str:
    """Leave out the build that a server tells with its version."""
    return version.partition(" ")[0].partition("-")[0]


def packages(results: Results) -> str:
    """Make the table of what each peer is made of."""
    found = results.conditions["packages"]
    if not found:
        return markdown.NOT_MEASURED
    rows = [
        (
            names.label(names.PEERS, peer),
            ", ".join(f"{name} {version}" for name, version in sorted(found[peer].items())),
        )
        for peer in names.in_order(names.PEERS, set(found))
    ]
    return markdown.table(("Peer", "Packages"), rows, numbers_from=2)
