"""Which statements a piece of code sends: counted, listed, searched for N+1."""

from hawkapi_sqlalchemy.pytest.queries.recorder import QueryRecorder
from hawkapi_sqlalchemy.pytest.queries.records import RecordedQuery, SourceLine

__all__ = ["QueryRecorder", "RecordedQuery", "SourceLine"]
