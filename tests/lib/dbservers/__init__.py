"""What this project's own tests need of servers, beyond what the package starts for its users.

Replicas, PgBouncer, and servers that a test may stop, kill and pause. `plugin` and `fixtures` are
pytest plugins; all else works without pytest. For annotations tests import
`server.DatabaseServer`, `replication.Replicated` and `replication.PostgreSQLPair`.
"""
