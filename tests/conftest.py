"""The fixtures that all tests share: real database servers, and pytest's own tester."""

pytest_plugins = [
    "pytester",
    "left_open",
    "dbservers.plugin",
    "dbservers.fixtures",
    "dbservers.cluster_fixtures",
    "replica_service.fixtures",
]
