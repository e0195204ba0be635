"""SQLAlchemy by hand, on a pool as large as the reference's that keeps all its connections."""

from shared.by_hand import create_app
from shared.settings import URL

app = create_app(URL, pool_size=15, max_overflow=0)
