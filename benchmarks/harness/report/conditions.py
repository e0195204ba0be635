"""What a run was made on."""

from harness.report import markdown, names
from harness.report.results import Results


def conditions(results: Results) -> str:
    """Make the table of the machine and the run."""
    on = results.conditions
    servers = ", ".join(
        f"{names.label(names.DATABASES, name)} {version}" for name, version in on.servers.items()
    )
    rows = [
        ("Made", results.made_at),
        ("Mode", results.mode),
        ("Version", results.version),
        ("Seed of the order", str(results.seed)),
        ("Processor", f"{on.cpu}, {on.cores} cores"),
        ("Memory", f"{on.memory_gib:.1f} GiB"),
        ("System", on.system),
        ("Python", on.python),
        ("Servers", servers or markdown.NOTHING),
    ]
    return markdown.table(("", ""), rows, numbers_from=2)


def packages(results: Results) -> str:
    """Make the table of what each peer is made of."""
    found = results.conditions.packages
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
