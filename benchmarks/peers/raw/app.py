"""The reference of all ratios: SQLAlchemy by hand, with its default pool and no ping."""

from shared.by_hand import create_app
from shared.settings import URL

app = create_app(URL)
