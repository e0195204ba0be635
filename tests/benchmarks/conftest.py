"""A small file of results: the numbers in it are invented."""

from pathlib import Path

import pytest

from harness.results import Results


@pytest.fixture
def sample_file() -> Path:
    return Path(__file__).with_name("sample.json")


@pytest.fixture
def sample(sample_file: Path) -> Results:
    return Results.read(sample_file)
