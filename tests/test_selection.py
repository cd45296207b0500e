"""Which tests are found to be about what has changed."""

from tests.selection import related

TESTS = {
    "tests/a/test_launch.py": "from executions.launching import launch, refusals\n",
    "tests/a/test_sweep.py": "import pytest\n\nfrom executions.engine.sweep import Sweep\n",
    "tests/b/test_late.py": "def test() -> None:\n    from executions.engine.sweep import Sweep\n",
    "tests/b/test_stage.py": "from tests.support.stage import Stage\n",
    "tests/b/test_words.py": '"""It says executions.engine.sweep, from executions.launching import launcher."""\n',
}


def test_a_module_leads_to_the_tests_that_import_it() -> None:
    assert related(["executions/launching/launch.py"], TESTS) == ["tests/a/test_launch.py"]
    assert related(["executions/engine/sweep.py", "README.md"], TESTS) == [
        "tests/a/test_sweep.py",
        "tests/b/test_late.py",
    ]


def test_a_test_leads_to_itself_and_a_helper_to_who_uses_it() -> None:
    assert related(["tests/b/test_words.py", "tests/support/stage.py"], TESTS) == [
        "tests/b/test_stage.py",
        "tests/b/test_words.py",
    ]


def test_what_no_test_imports_leads_nowhere() -> None:
    assert related(["manage.py", "templates/base.html", "executions/launching/lau.py"], TESTS) == []
