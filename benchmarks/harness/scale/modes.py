"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mode:
    """One amount of work.

    Args:
        rounds: How often everything is measured.
        pool_requests: Requests of a run on a pool, at least.
        pool_requests_each: The same, for each client.
        memory_requests: Requests over which memory is watched.
        memory_warm_up: Requests before that.
        memory_samples: How often memory is looked at, after the first time.
        databases_requests: Requests of a run with several databases.
        starts: How often each application with several databases is started.
    """

    rounds: int
    pool_requests: int
    pool_requests_each: int
    memory_requests: int
    memory_warm_up: int
    memory_samples: int
    databases_requests: int
    starts: int


MODES = {
    "short": Mode(
        rounds=2,
        pool_requests=100,
        pool_requests_each=2,
        memory_requests=4_000,
        memory_warm_up=1_000,
        memory_samples=8,
        databases_requests=100,
        starts=1,
    ),
    "full": Mode(
        rounds=9,
        pool_requests=400,
        pool_requests_each=4,
        memory_requests=100_000,
        memory_warm_up=10_000,
        memory_samples=10,
        databases_requests=400,
        starts=5,
    ),
}
