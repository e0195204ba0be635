"""The peers' folders, and that they are compared on the same ground."""

import re
from pathlib import Path

import pytest

from harness.catalogue import OURS, PEERS
from harness.environments import Environment
from harness.paths import BENCHMARKS
from harness.paths import PEERS as FOLDER


def requirements(file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in file.read_text().splitlines():
        if included := re.fullmatch(r"-r (\S+)", line):
            found |= requirements((file.parent / included[1]).resolve())
        elif pinned := re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?==(\S+)", line):
            found[pinned[1]] = pinned[2]
        else:
            assert line.startswith("#"), f"{file.name}: {line!r} is not pinned"
    return found


ALL = {name: requirements(FOLDER / name / "requirements.txt") for name in PEERS}


def test_every_folder_is_a_peer() -> None:
    folders = {each.parent.name for each in FOLDER.glob("*/app.py")}

    assert folders == set(PEERS)


def test_what_peers_share_they_have_in_the_same_version() -> None:
    versions: dict[str, set[str]] = {}
    for pinned in ALL.values():
        for package, version in pinned.items():
            versions.setdefault(package, set()).add(version)

    assert {package: found for package, found in versions.items() if len(found) > 1} == {}
    for package in ("sqlalchemy", "asyncpg", "aiomysql", "aiosqlite", "granian"):
        assert all(package in pinned for pinned in ALL.values())


def test_isolated_tests_run_on_what_ours_has() -> None:
    isolation = requirements(BENCHMARKS / "isolation" / "requirements.txt")

    assert ALL[OURS].items() <= isolation.items()


def test_the_published_package_is_in_no_environment_but_its_own() -> None:
    assert [name for name, pinned in ALL.items() if "hawkapi-sqlalchemy" in pinned] == ["published"]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """One whose requirements include another file, made already."""
    monkeypatch.setattr("harness.environments.ENVIRONMENTS", tmp_path / "environments")
    (tmp_path / "common.txt").write_text("one==1\n")
    (tmp_path / "requirements.txt").write_text("-r common.txt\ntwo==2\n")
    environment = Environment("any", tmp_path / "requirements.txt")
    environment.folder.mkdir(parents=True)
    (environment.folder / "benchmark-stamp").write_text(environment.fingerprint)
    assert environment.is_current
    return environment


@pytest.mark.parametrize("name", ["requirements.txt", "common.txt"])
def test_an_environment_is_made_again_when_its_requirements_change(
    environment: Environment, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    file.write_text(file.read_text() + "three==3\n")

    assert not environment.is_current


def test_our_environment_is_made_again_when_a_package_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "packages" / "core" / "src" / "module.py"
    source.parent.mkdir(parents=True)
    source.write_text("before")
    (tmp_path / "packages" / "core" / "pyproject.toml").write_text("")
    (tmp_path / "requirements.txt").write_text("")
    monkeypatch.setattr("harness.environments.PACKAGES", tmp_path / "packages")
    ours = Environment(OURS, tmp_path / "requirements.txt", ours=True)
    other = Environment("other", tmp_path / "requirements.txt")
    before = ours.fingerprint, other.fingerprint

    source.write_text("after")

    assert ours.fingerprint != before[0]
    assert other.fingerprint == before[1]
