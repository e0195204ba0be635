"""Databases for test runs, and assertions; the names are loaded on first use.

pytest imports this package at start-up, before coverage measures anything, to
reach the plugin: whatever it loaded here would never be measured.
"""

from typing import TYPE_CHECKING

__all__ = [
    "CapturedCallback",
    "QueryRecorder",
    "RecordedQuery",
    "SourceLine",
    "capture_on_commit",
    "temporary_database",
    "temporary_session",
]

if TYPE_CHECKING:
    from hawkapi_sqlalchemy.pytest.callbacks import CapturedCallback as CapturedCallback
    from hawkapi_sqlalchemy.pytest.callbacks import capture_on_commit as capture_on_commit
    from hawkapi_sqlalchemy.pytest.queries import QueryRecorder as QueryRecorder
    from hawkapi_sqlalchemy.pytest.queries import RecordedQuery as RecordedQuery
    from hawkapi_sqlalchemy.pytest.queries import SourceLine as SourceLine
    from hawkapi_sqlalchemy.pytest.temporary import temporary_database as temporary_database
    from hawkapi_sqlalchemy.pytest.temporary import temporary_session as temporary_session
else:
    # Hidden from type checkers: with `__getattr__` a misspelt import passes.
    from importlib import import_module

    _MODULES = {
        "CapturedCallback": "callbacks",
        "QueryRecorder": "queries",
        "RecordedQuery": "queries",
        "SourceLine": "queries",
        "capture_on_commit": "callbacks",
        "temporary_database": "temporary",
        "temporary_session": "temporary",
    }

    def __getattr__(name: str) -> object:
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
