"""`python -m hawkapi_sqlalchemy.alembic.command_line`, where scripts are not on the path."""

from hawkapi_sqlalchemy.alembic.command_line import main

main(prog_name="hawkapi-migrate")
