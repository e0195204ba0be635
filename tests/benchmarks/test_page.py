"""The page shows what the results hold, and says so where they hold nothing."""

import re
from dataclasses import replace

import pytest

from harness import catalogue
from harness.publish import budgets, conditions, growth, markdown, names, peers
from harness.publish.page import render
from harness.results import IN_PROCESS, NoDatabase, Results
from harness.spread import Spread


def test_a_budget_is_shown_with_what_was_measured_its_limit_and_the_verdict(
    sample: Results,
) -> None:
    assert budgets.budgets(sample).splitlines() == [
        "**1 of 2 hold.** 1 was not measured in this run.",
        "",
        "| Work | Measured | Limit |  |",
        "| --- | ---: | ---: | ---: |",
        "| PostgreSQL, one row, 64 clients | 0.75 | at\u00a0most\u00a00.78 | ✓\u00a0holds |",
        "| New connections for 1,000 requests | 2.50 | at\u00a0most\u00a01 | ✗\u00a0**missed** |",
        "| Requests a second over HTTP | – | at\u00a0least\u00a01.80 | not measured |",
    ]


def test_peers_stand_in_one_order_ours_first_and_unknown_ones_last(sample: Results) -> None:
    text = peers.ratios(sample, IN_PROCESS)
    first = text[text.index("### PostgreSQL") :]
    one, many = first.index('=== "1 client"'), first.index('=== "64 clients"')
    assert re.findall(r"^    \| (\S.*?) \|", first[one:many], re.MULTILINE) == [
        "---",
        "**hawkapi-sqlalchemy**",
        "newcomer",
    ]
    assert re.findall(r"^    \| (\S.*?) \|", first[many : first.index("???")], re.MULTILINE) == [
        "---",
        "**hawkapi-sqlalchemy**",
        "raw",
        "hawkapi-sqlalchemy 0.2.0",
    ]


def test_a_ratio_has_its_quartiles_and_failures_beside_it(sample: Results) -> None:
    text = peers.ratios(sample, IN_PROCESS)
    assert "0.50<br><small>0.40–0.62</small>" in text
    assert "1.25<br><small>1.10–1.50</small><br><small>1,200 failed</small>" in text


def test_a_route_without_a_database_stands_apart(sample: Results) -> None:
    assert "no database" not in peers.ratios(sample, IN_PROCESS)
    text = peers.no_database(sample)
    assert "| In process, microseconds more | 0.75 |" in text
    assert "| Relative to raw | time,<br>1 client |" in text
    assert "| **hawkapi-sqlalchemy** | 1.00<br><small>0.99–1.01</small> |" in text


def test_what_a_peer_was_not_asked_is_left_open(sample: Results) -> None:
    assert "| raw | – | 1.00<br><small>1.00–1.00</small> |" in peers.ratios(sample, IN_PROCESS)


def test_times_and_percentiles_are_below_the_ratios(sample: Results) -> None:
    text = peers.ratios(sample, IN_PROCESS)
    assert "| **hawkapi-sqlalchemy** | 30.00 / 60.00 | 40.00 / 99.50 |" in text


def test_cpu_time_is_shown_where_it_was_measured(sample: Results) -> None:
    assert "CPU time" not in peers.ratios(sample, IN_PROCESS)
    measured = [replace(each, cpu_ratio=Spread(0.9, 0.8, 0.95)) for each in sample.measurements]
    text = peers.ratios(replace(sample, measurements=measured), IN_PROCESS)
    assert '??? note "CPU time of the application, relative to raw"' in text
    assert "0.90<br><small>0.80–0.95</small>" in text


def test_counts_have_a_table_for_each_kind(sample: Results) -> None:
    text = peers.counts(sample)
    assert text.index("### Round trips") < text.index("### New connections")
    assert "| **hawkapi-sqlalchemy** | 3 | 1 |" in text
    assert "| raw | 3 | – |" in text
    assert "| **hawkapi-sqlalchemy** | 0.25 |" in text
    assert "| raw | 125 |" in text


def test_the_run_is_described(sample: Results) -> None:
    text = conditions.conditions(sample)
    assert "2001-02-03T04:05:06+00:00" in text
    assert "An invented processor, 2 cores" in text
    assert "PostgreSQL 15.5, MariaDB 10.11" in text
    assert "| raw | asyncpg 0.32.0, sqlalchemy 2.1.9 |" in conditions.packages(sample)


def test_a_pool_has_a_row_for_each_number_of_clients_and_peer(sample: Results) -> None:
    text = growth.pool(sample)
    assert text.startswith("#### PostgreSQL")
    assert '=== "5 + 10"' in text
    rows = [line.strip() for line in text.splitlines() if re.match(r" +\| \d", line)]
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| 1", "**hawkapi-sqlalchemy**"],
        ["| 1", "raw"],
        ["| 512", "**hawkapi-sqlalchemy**"],
        ["| 512", "raw"],
    ]
    assert rows[-1].endswith("| 1,500 | 300 / 900 | 15.2 | 7 |")


def test_memory_that_grows_is_called_so(sample: Results) -> None:
    lines = growth.memory(sample).splitlines()
    flat, grows = (next(x for x in lines if x.startswith(f"| {n}")) for n in ("Postgre", "SQLite"))
    assert flat.endswith("| ✓\u00a0flat |")
    assert "| 2,000 | 55.0 | 57.0 | +1024.0<br><small>limit 20</small> |" in grows
    assert grows.endswith("| ✗\u00a0**grows** |")


def test_databases_are_counted_upwards_and_each_further_one_has_its_memory(
    sample: Results,
) -> None:
    rows = growth.databases(sample).splitlines()[2:]
    assert rows[0].startswith("| 1 | 1.00")
    assert rows[1].startswith("| 64 | 1.00")
    assert "| 5,496 | 65 |" in rows[1]


def test_every_section_of_a_run_without_measurements_says_so(sample: Results) -> None:
    empty = replace(
        sample,
        measurements=[],
        counts=[],
        imports=[],
        no_database=NoDatabase(),
        budgets=[],
        scale={},
        isolation={},
    )
    assert render(empty).count(markdown.NOT_MEASURED) == 10
    assert ".svg" not in render(empty)


def test_no_place_of_the_template_is_left_open(sample: Results) -> None:
    assert "{{" not in render(sample)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (3.0, "3"), (125.0, "125"), (1234.5, "1,234"), (0.25, "0.25"), (15.25, "15.2")],
)
def test_numbers_have_no_more_digits_than_they_are_worth(value: float | None, text: str) -> None:
    assert markdown.short(value) == text


def test_every_peer_and_workload_has_a_name_for_readers() -> None:
    assert set(catalogue.PEERS) <= set(names.PEERS)
    assert set(catalogue.WORKLOADS) <= set(names.WORKLOADS)


def test_a_peer_that_hung_is_said_to(sample: Results) -> None:
    hung = [replace(each, hung=True, ratio=None) for each in sample.measurements]
    text = peers.ratios(replace(sample, measurements=hung), IN_PROCESS)
    assert "| hawkapi-sqlalchemy 0.2.0 | – | hung<br><small>1,200 failed</small> |" in text
