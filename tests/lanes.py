"""What `script/test` runs on one of its two databases only, because no database can make a difference to it.

The SQLite lane measures coverage, so what runs much code once is in it; the browsers are in the other.

Whatever touches a constraint, a lock, a query or the engine runs on both; called by hand, pytest runs everything.
"""

import os

import pytest

ONLY = {
    "sqlite": (
        "tests/console/test_contrast.py",
        "tests/console/test_before_and_again.py",
        "tests/contract/test_fuzz.py",
        "tests/contract/test_json.py",
        "tests/contract/test_refusals.py",
        "tests/contract/test_requirements_table.py",
        "tests/contract/test_rights.py",
        "tests/contract/test_schema.py",
        "tests/contract/test_spelling.py",
        "tests/drs/",
        "tests/executions/test_decide.py",
        "tests/executions/test_forecast.py",
        "tests/executions/test_readiness.py",
        "tests/deploy/test_container.py",
        "tests/deploy/test_migrator.py",
        "tests/deploy/test_operations.py",
        "tests/deploy/test_stacks.py",
        "tests/identity/test_jwks.py",
        "tests/identity/test_provider_settings.py",
        "tests/identity/test_renewal_provider.py",
        "tests/identity/test_rights.py",
        "tests/identity/test_token_corpus.py",
        "tests/notify/test_channels.py",
        "tests/plans/test_targets.py",
        "tests/security/test_asvs.py",
        "tests/security/test_headers.py",
        "tests/security/test_iam.py",
        "tests/security/test_logs.py",
        "tests/security/test_methods.py",
        "tests/security/test_settings.py",
        "tests/test_architecture.py",
        "tests/test_simulator_fixture.py",
    ),
    "postgresql": (
        "tests/console/test_drill_browser.py",
        "tests/console/test_flows_browser.py",
        "tests/console/test_pages_browser.py",
        "tests/console/test_trouble_browser.py",
        "tests/contract/test_api_page.py",
        "tests/contract/test_docs_browser.py",
        "tests/identity/test_browser_sign_in.py",
        "tests/security/test_policy_browser.py",
        "tests/security/test_stored_xss.py",
    ),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what the other lane runs to the other lane."""
    lane = os.environ.get("TEST_LANE", "")
    others = tuple(path for name, paths in ONLY.items() if lane and name != lane for path in paths)
    left = [item for item in items if others and item.nodeid.startswith(others)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]
