"""Memory over many requests, which must not grow with them."""

from pathlib import Path

from harness.scale.load import INSERT, READ
from harness.scale.modes import Mode
from harness.scale.process import worker_process
from harness.scale.results import Memory, MemorySample
from harness.scale.statistics import last_half, slope

CLIENTS = 8
RSS_LIMIT = 20.0
"""KiB for 1,000 requests: 20 bytes a request, less than any object that Python keeps."""
OBJECTS_LIMIT = 1.0
"""Objects for 1,000 requests: the caches that fill up for good are warm before."""

_DEADLINE = 300.0
_PATIENCE = 330.0


def measure(name: str, url: str, python: Path, mode: Mode) -> Memory:
    """Watch our application's memory on a database.

    Args:
        name: What the database is called in the results.
        url: Its URL.
        python: The interpreter of our environment.
        mode: How many requests.

    Raises:
        RuntimeError: A request failed.
    """
    samples: list[MemorySample] = []
    step = mode.memory_requests // mode.memory_samples
    with worker_process(python) as worker:
        worker.ask("schema", url=url)
        worker.ask("start", peer="ours", url=url, size=5, overflow=10)
        for requests in (mode.memory_warm_up, *[step] * mode.memory_samples):
            answer = worker.ask(
                "load",
                within=_PATIENCE,
                routes=[READ, INSERT],
                clients=CLIENTS,
                requests=requests,
                deadline=_DEADLINE,
            )
            if answer["failures"]:
                raise RuntimeError(f"{answer['failures']} of {requests} requests failed on {name}")
            samples.append(MemorySample(len(samples) * step, **worker.ask("memory")))
    return judge(name, samples)


def judge(name: str, samples: list[MemorySample]) -> Memory:
    """Tell from samples whether memory is flat.

    Args:
        name: The database.
        samples: After the warm-up and at equal distances, three at least.
    """
    half = last_half(samples)
    rss = 1000 * slope([(each.requests, each.rss_mib * 1024) for each in half])
    objects = 1000 * slope([(each.requests, float(each.objects)) for each in half])
    return Memory(
        database=name,
        samples=samples,
        rss_kib_per_1000=rss,
        objects_per_1000=objects,
        rss_limit=RSS_LIMIT,
        objects_limit=OBJECTS_LIMIT,
        flat=rss <= RSS_LIMIT and objects <= OBJECTS_LIMIT,
    )
