"""Databases for test runs; the names are loaded on first use.

pytest imports this package at start-up, before coverage measures anything, to
reach the plugin: whatever it loaded here would never be measured.
"""

from typing import TYPE_CHECKING

__all__ = ["temporary_database", "temporary_session"]

if TYPE_CHECKING:
    from hawkapi_sqlalchemy.pytest.temporary import temporary_database as temporary_database
    from hawkapi_sqlalchemy.pytest.temporary import temporary_session as temporary_session
else:
    # Hidden from type checkers: with `__getattr__` a misspelt import passes.
    from importlib import import_module

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.temporary"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
