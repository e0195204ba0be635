"""Private PostgreSQL and MariaDB servers for one test run, without containers.

`run.Run` starts a server when it is first asked for, on a free port of the
loopback interface and in a temporary folder. All processes of the run share it.
A supervisor ends it with the run, also when the test process is killed.

What it needs beyond the package comes with the extras `postgres` and `mysql`;
`tools.require_tools` tells whether it is there, and imports none of it.
"""

# Nothing is imported here: the supervisor starts from this package for every run,
# and needs neither SQLAlchemy nor a driver.
