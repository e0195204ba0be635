"""A whole run, as small as one can be, with real processes and a real file."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.budgets import broken_counts
from harness.catalogue import INSERT, ONE_ROW, OURS, PEERS, REFERENCE
from harness.errors import BenchmarkError
from harness.plan import SHORT
from harness.progress import Progress
from harness.results import Results
from harness.running import Benchmark, steps
from harness.servers import Servers
from harness.spread import Spread
from harness.workers import Worker
from hawkapi_sqlalchemy.pytest.servers.process import is_alive
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until
from own_environment import OwnEnvironment

TINY = replace(
    SHORT,
    databases=("sqlite",),
    peers=(REFERENCE, OURS),
    workloads=("one_row", "one_row_read_only", "insert", "no_database"),
    clients=(2,),
    rounds=2,
    per_client=3,
    seconds=0.001,
    http=False,
    import_rounds=0,
    seed=1,
)


@pytest.fixture(scope="module", autouse=True)
def own_environments() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("running", "workers"):
            patch.setattr(f"harness.{module}.peer_environment", OwnEnvironment)
        yield


def test_a_run_measures_everybody_and_breaks_no_count(tmp_path: Path) -> None:
    results = Benchmark(TINY, Progress(steps(TINY))).run()

    found = {(each.peer, each.workload): each for each in results.measurements}
    assert set(found) == {
        *((REFERENCE, name) for name in ("one_row", "insert", "no_database")),
        *((OURS, name) for name in TINY.workloads),
    }
    for each in found.values():
        assert each.failures == 0
        assert each.ratio is not None
        assert each.ratio.median > 0
    assert found[REFERENCE, "one_row"].ratio == Spread(1.0, 1.0, 1.0)
    assert broken_counts(results.budgets) == []
    for name, workload in (("rows_lost", "insert"), ("connections_left", "shut_down")):
        assert results.count(name, database="sqlite", workload=workload, peer=OURS) == 0
    assert results.conditions["packages"][OURS]["hawkapi-sqlalchemy"] == results.version
    assert re.match(r"\d+\.\d+", results.conditions["servers"]["sqlite"])
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results


class TestWorker:
    @pytest.fixture
    def url(self) -> Iterator[str]:
        with Servers() as servers:
            self.target = servers.target("sqlite", REFERENCE)
            yield self.target.url

    def test_it_answers_requests_and_counts_those_that_fail(self, url: str, tmp_path: Path) -> None:
        with Worker(PEERS[REFERENCE], url, tmp_path / "log") as worker:
            good = worker.measure(ONE_ROW, clients=2, requests=6)
            bad = worker.measure(replace(INSERT, path="/nowhere"), clients=2, requests=6)

        assert (good.requests, good.held, good.failures, good.unanswered) == (6, 10, 0, 0)
        assert (bad.held, bad.failures, bad.hung) == (0, 10, False)

    def test_what_was_inserted_is_counted_and_removed(self, url: str, tmp_path: Path) -> None:
        with Worker(PEERS[REFERENCE], url, tmp_path / "log") as worker:
            sample = worker.measure(INSERT, clients=1, requests=3)

            assert self.target.entries() == sample.held
            assert self.target.connections(worker.process) > 0
            worker.stop()
            assert self.target.connections(worker.process) == 0
        self.target.empty()
        assert self.target.entries() == 0

    def test_requests_that_hang_end_at_the_deadline(self, url: str, tmp_path: Path) -> None:
        with Worker(PEERS[REFERENCE], url, tmp_path / "log") as worker:
            sample = worker.measure(ONE_ROW, clients=1, requests=10_000, deadline=0.01)

        assert sample.hung
        assert sample.failures > 0

    def test_an_application_that_does_not_start_says_why(self, tmp_path: Path) -> None:
        with pytest.raises(BenchmarkError, match=r"'raw' has ended; it said last:(?s:.*)oracle"):
            Worker(PEERS[REFERENCE], "oracle+nothing://", tmp_path / "log")

    def test_it_ends_with_whoever_started_it(self, url: str, tmp_path: Path) -> None:
        """Also with one that was killed, and could tell it nothing."""
        script = tmp_path / "starter.py"
        script.write_text(
            "import sys, time\n"
            f"sys.path[:0] = {sys.path!r}\n"
            "from pathlib import Path\n"
            "import harness.workers\n"
            "from harness.catalogue import PEERS\n"
            "from own_environment import OwnEnvironment\n"
            "harness.workers.peer_environment = OwnEnvironment\n"
            f"log = Path({str(tmp_path / 'log')!r})\n"
            f"worker = harness.workers.Worker(PEERS['raw'], {url!r}, log)\n"
            "print(worker.process.pid, flush=True)\n"
            "time.sleep(1000)\n"
        )
        with psutil.Popen([sys.executable, str(script)], stdout=-1) as starter:
            worker = psutil.Process(int(starter.stdout.readline()))
            assert is_alive(worker)
            starter.kill()

        wait_until(lambda: not is_alive(worker), what="the worker has ended")
