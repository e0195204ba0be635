"""What the command line asks for is what is planned."""

import pytest

from harness.catalogue import NO_DATABASE, ONE_ROW, PEERS, WORKLOADS
from harness.command_line import parser as make_parser
from harness.command_line import plan_of, run
from harness.plan import FULL, SHORT, Plan


def plan(*arguments: str) -> Plan:
    return plan_of(make_parser().parse_args(arguments))


def test_without_options_the_run_is_short() -> None:
    assert plan().mode == "short"
    assert plan("--full").mode == "full"


def test_options_change_what_the_mode_says() -> None:
    changed = plan(
        *("--full", "--database", "sqlite", "--workload", "insert", "--rounds", "2"),
        *("--clients", "3", "--clients", "5", "--seed", "9", "--no-http"),
    )

    assert changed.databases == ("sqlite",)
    assert changed.workloads == ("insert",)
    assert changed.clients == (3, 5)
    assert (changed.rounds, changed.runs, changed.seed) == (2, FULL.runs, 9)
    assert not changed.http


def test_a_seed_of_zero_is_a_seed() -> None:
    assert plan("--seed", "0").seed == 0


def test_the_reference_is_always_there() -> None:
    assert plan("--peer", "published").peers == ("raw", "published")


def test_nothing_is_served_over_http_on_a_database_that_is_left_out() -> None:
    assert not plan("--database", "mariadb").http
    assert plan("--database", "postgresql").http


def test_a_full_run_measures_every_peer_wherever_it_can_be_used() -> None:
    cells = FULL.cells()
    played = {
        (cell.database, peer.name, workload.name)
        for cell in cells
        for peer, workload in cell.contestants
        if workload is not NO_DATABASE
    }

    assert played == {
        (database, peer.name, name)
        for peer in PEERS.values()
        for database in peer.databases
        for name in peer.workloads
        if name != NO_DATABASE.name
    }


def test_read_only_reads_are_measured_in_the_rounds_of_reads() -> None:
    (cell,) = [
        each
        for each in SHORT.cells()
        if (each.database, each.workload.cell, each.clients) == ("sqlite", ONE_ROW.name, 1)
    ]

    assert [(peer.name, workload.name) for peer, workload in cell.contestants] == [
        ("raw", "one_row"),
        ("ours", "one_row"),
        ("ours", "one_row_read_only"),
    ]


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_paths_lead_to_rows_that_are_there(name: str) -> None:
    paths = WORKLOADS[name].paths
    keys = {int(path.rpartition("/")[2]) for path in paths if path.rpartition("/")[2].isdigit()}

    assert not keys or keys == set(range(1, 1001))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--short", "--full"],
        ["--database", "oracle"],
        ["--rounds", "0"],
        ["--seconds", "60"],
        ["--output", "no/such/folder/results.json"],
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)

    assert ended.value.code == 2
    assert "python benchmarks: error:" in capsys.readouterr().err


def test_help_names_options_peers_and_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--help"])

    shown = capsys.readouterr().out
    for word in ("--full", "--output", "--no-http", "--seed", "exit status", *PEERS):
        assert word in shown
