"""Where Alembic's configuration is, and how it is lent to a command."""

import os
from argparse import Namespace
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from alembic.config import Config

from hawkapi_sqlalchemy.alembic.errors import MigrationError
from hawkapi_sqlalchemy.alembic.invocation import KEY, Invocation

__all__ = ["find_config", "lend"]

INI = "alembic.ini"
PYPROJECT = "pyproject.toml"


def find_config(
    config: Config | str | os.PathLike[str] | None = None, *, x: Sequence[str] = ()
) -> Config:
    """Answer a configuration of Alembic's.

    Args:
        config: It, or its file; `None` looks for `alembic.ini` and for
            `pyproject.toml` in the current folder.
        x: What `env.py` gets from `context.get_x_argument()`.

    Raises:
        MigrationError: There is no such file, or it says nothing of Alembic.
    """
    if isinstance(config, Config):
        return config
    path = Path(INI if Path(INI).is_file() else PYPROJECT) if config is None else Path(config)
    if not path.is_file():
        looked = f"neither {INI} nor {PYPROJECT}" if config is None else f"no file {str(path)!r}"
        raise MigrationError(
            f"there is {looked} here; `hawkapi-migrate init` makes a migration project"
        )
    options = Namespace(x=list(x))
    if path.suffix != ".toml":
        toml = path.parent / PYPROJECT
        return Config(path, toml if toml.is_file() else None, cmd_opts=options)
    found = Config(toml_file=path, cmd_opts=options)
    if not found.toml_alembic_config:
        raise MigrationError(
            f"{path} has no section [tool.alembic]; `hawkapi-migrate init` makes a migration "
            "project"
        )
    return found


@contextmanager
def lend(config: Config, invocation: Invocation) -> Generator[None]:
    """Give a configuration to a command, and take back what was changed for it.

    Nothing is printed meanwhile, and the usual `env.py`, which sets logging up from
    the configuration's file, finds none: that is the program's own affair, and
    would disable the loggers it has.

    Args:
        config: The configuration.
        invocation: What `run_migrations` is told.
    """
    before = (config.stdout, config.output_buffer, config.config_file_name)
    talk = config.messaging_opts
    # Read once, and kept by Alembic.
    _ = config.file_config
    config.stdout = config.output_buffer = StringIO()
    config.config_file_name = None
    # What Alembic says of the files it writes goes past the configuration's output.
    config.messaging_opts = {"quiet": True}
    config.attributes[KEY] = invocation
    try:
        yield
    finally:
        config.stdout, config.output_buffer, config.config_file_name = before
        config.messaging_opts = talk
        del config.attributes[KEY]
