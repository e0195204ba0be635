"""One Alembic command at a time in a process."""

import threading

alembic_lock = threading.RLock()
"""Hold it around Alembic commands that several threads of a process run.

Alembic keeps the environment that `env.py` and the migrations see in module
globals. `run_migrations` takes this lock, so migrations do not run into one
another; a whole command sets and removes the globals too, which only its
caller can guard:

    with alembic_lock:
        command.upgrade(config, "head")
"""
