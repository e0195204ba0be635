"""What the README and its neighbours promise."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TEXTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("packages/*/README.md")),
]

RUN = (
    "python3.12 -m venv .venv"
    " && .venv/bin/pip install -q -r examples/quickstart/requirements.txt"
    " && .venv/bin/python examples/quickstart --check"
)
TEST = "python3.12 -m venv .venv && .venv/bin/pip install -q nox uv && .venv/bin/nox"


@pytest.mark.parametrize("command", [RUN, TEST], ids=["run", "test"])
def test_a_command_stands_on_a_line_of_its_own(command: str) -> None:
    assert f"\n$ {command}\n" in README


def test_the_files_of_the_first_command_exist() -> None:
    """Local paths in the requirements are looked up from the root, where the command is run."""
    requirements = (ROOT / "examples" / "quickstart" / "requirements.txt").read_text().splitlines()
    paths = [line.partition("[")[0] for line in requirements if line.startswith("./")]

    assert sorted(paths) == sorted(f"./packages/{name}" for name in _packages())
    assert (ROOT / "examples" / "quickstart" / "__main__.py").exists()


def _packages() -> list[str]:
    return [file.parent.name for file in ROOT.glob("packages/*/pyproject.toml")]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text.relative_to(ROOT)))
def test_relative_links_lead_to_files(text: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text.read_text()):
        assert (text.parent / target).exists(), target


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text.relative_to(ROOT)))
def test_no_badge_and_no_other_server_is_loaded(text: Path) -> None:
    """A page needs nothing from the network to be read."""
    assert not re.search(
        r"!\[[^\]]*\]\(https?://|<(?:img|script|link)\b[^>]*https?://", text.read_text()
    )
