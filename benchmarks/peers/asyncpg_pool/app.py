"""asyncpg's own pool, with its defaults."""

from shared.by_asyncpg import create_app
from shared.settings import URL

app = create_app(URL)
