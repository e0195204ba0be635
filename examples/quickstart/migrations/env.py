"""What Alembic runs for each of its commands."""

from hawkapi_sqlalchemy.alembic import run_migrations

from models import User
from settings import database_url

run_migrations(target_metadata=User.metadata, url=database_url())
