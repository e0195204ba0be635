"""How autogenerate writes column types of this project into a migration."""

from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext

_NAMESPACE = "hawkapi_sqlalchemy."


def render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write our column types with the import that they need, leave the rest to Alembic.

    Alembic writes the type's module in front of its name, and no import for it:
    the migration would fail with a NameError.

    Args:
        kind: What `item` is: "type", "column", "server_default" and so on.
        item: What to write.
        autogen_context: Collects the migration's imports.

    Returns:
        The Python expression, or `False` for Alembic's own way.
    """
    module = type(item).__module__
    if kind != "type" or not module.startswith(_NAMESPACE):
        return False
    autogen_context.imports.add(f"from {module} import {type(item).__name__}")
    return repr(item)
