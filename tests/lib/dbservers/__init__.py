"""What this project's own tests need of servers, beyond what the package starts for its users.

Replicas, PgBouncer, and servers that a test may stop, kill and pause. `plugin`, `fixtures` and
`cluster_fixtures` are pytest plugins; all else but `missing` works without pytest. For annotations
tests import `server.DatabaseServer`, `replication.Replicated`, `replication.PostgreSQLPair` and
`clusters.Cluster`.
"""
