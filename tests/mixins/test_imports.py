"""What importing the portion loads."""

import json
import subprocess
import sys


def test_models_load_sqlalchemy_alone():
    """A migration container has no web framework, and a worker no pytest."""
    code = (
        "import json, sys; import hawkapi_sqlalchemy.mixins;"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    loaded = set(json.loads(output.stdout))
    assert "sqlalchemy" in loaded
    assert not loaded & {
        "hawkapi",
        "pytest",
        "alembic",
        "aiosqlite",
        "asyncpg",
        "aiomysql",
        "msgspec",
    }
