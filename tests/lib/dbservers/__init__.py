"""Real, private database servers for one test run.

`plugin` and `fixtures` are pytest plugins; all else works without pytest. For
annotations tests import `server.DatabaseServer`, `replication.Replicated` and
`replication.PostgreSQLPair`.
"""

# Nothing is imported here: the supervisor starts from this package for every run,
# and needs neither SQLAlchemy nor a driver.
