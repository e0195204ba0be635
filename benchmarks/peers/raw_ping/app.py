"""SQLAlchemy by hand, with its ping before each use of a connection."""

from shared.by_hand import create_app
from shared.settings import URL

app = create_app(URL, pool_pre_ping=True)
