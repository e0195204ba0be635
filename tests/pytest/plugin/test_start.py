"""What the plugin costs a run that uses none of it."""

import json
import sys


def test_nothing_but_small_modules_is_imported_at_pytest_s_start(project):
    """What is imported then, coverage does not measure, and every run waits for it."""
    project.makepyfile(
        """
        import json, sys

        def test_one():
            with open("modules.json", "w") as file:
                json.dump(sorted(sys.modules), file)
        """
    )
    project.makeini("[pytest]\n")
    arguments = ("-p", "no:asyncio", "-p", "no:anyio", "-p", "no:xdist", "-p", "no:cacheprovider")
    imported = []
    for more in ((), ("-p", "no:hawkapi_sqlalchemy")):
        project.runpytest_subprocess(*arguments, *more).assert_outcomes(passed=1)
        imported.append(set(json.loads((project.path / "modules.json").read_text())))
    ours = imported[0] - imported[1] - set(sys.stdlib_module_names)
    assert ours <= {
        "hawkapi_sqlalchemy",
        "hawkapi_sqlalchemy.pytest",
        "hawkapi_sqlalchemy.pytest.migration_tests",
        "hawkapi_sqlalchemy.pytest.migration_tests.hooks",
        "hawkapi_sqlalchemy.pytest.migration_tests.options",
        "hawkapi_sqlalchemy.pytest.plugin",
        "hawkapi_sqlalchemy.pytest.run",
        "hawkapi_sqlalchemy.pytest.settings",
    }


def test_the_coverage_of_a_project_is_what_it_is_without_the_plugin(project):
    """A module that was imported before pytest-cov began counts as never run."""
    project.makepyfile(
        """
        def test_all(hawkapi_client):
            assert hawkapi_client.post("/users?email=ada").status_code == 201
            assert hawkapi_client.post("/refused?email=joan").status_code == 409
            assert hawkapi_client.get("/count").json() == {"count": 1}
        """
    )
    result = project.runpytest_subprocess("--cov=shop", "--cov-report=term")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["shop.py * 100%"])
