"""How `script/test` spreads the tests over its lanes; called by hand, pytest runs everything.

Whatever touches a constraint, a lock, a query or the engine runs on both databases; what no database can make a
difference to runs on one. Each database has two lanes: one of them has the long tests of killed processes, faults and
races, which wait much. Browsers have a lane of their own.
"""

import gc
import os
from pathlib import Path

import pytest

LONG = (
    "tests/console/test_scale.py",
    "tests/contract/test_queries.py",
    "tests/contract/test_races.py",
    "tests/deploy/test_restart.py",
    "tests/deploy/test_silent_database.py",
    "tests/executions/test_brokers.py",
    "tests/executions/test_clocks.py",
    "tests/executions/test_commands_race.py",
    "tests/executions/test_crash_points.py",
    "tests/executions/test_engine_process.py",
    "tests/executions/test_forecast.py",
    "tests/executions/test_frozen_process.py",
    "tests/executions/test_launch_faults.py",
    "tests/executions/test_many_servers.py",
    "tests/executions/test_outages.py",
    "tests/executions/test_state_machine.py",
    "tests/executions/test_thousands.py",
    "tests/executions/test_timeouts.py",
    "tests/reports/test_every_end.py",
)
BROWSER = "_browser.py"
ONLY = {
    "sqlite": (
        "tests/console/test_before_and_again.py",
        "tests/console/test_contrast.py",
        "tests/console/test_dashboard.py",
        "tests/console/test_live.py",
        "tests/console/test_pages.py",
        "tests/console/test_truth.py",
        "tests/contract/test_api_token.py",
        "tests/contract/test_codes.py",
        "tests/contract/test_json.py",
        "tests/contract/test_linear_bodies.py",
        "tests/contract/test_refusals.py",
        "tests/contract/test_region_not_enabled.py",
        "tests/contract/test_requirements_table.py",
        "tests/contract/test_schema.py",
        "tests/contract/test_spelling.py",
        "tests/contract/test_srs_examples.py",
        "tests/contract/test_web_limits.py",
        "tests/deploy/test_bytecode.py",
        "tests/deploy/test_container.py",
        "tests/deploy/test_operations.py",
        "tests/drs/",
        "tests/executions/test_decide.py",
        "tests/executions/test_dry_run.py",
        "tests/executions/test_forecast.py",
        "tests/executions/test_forecast_kept.py",
        "tests/executions/test_measure.py",
        "tests/executions/test_readiness.py",
        "tests/identity/test_accounts.py",
        "tests/identity/test_api_bearer.py",
        "tests/identity/test_break_glass.py",
        "tests/identity/test_doors.py",
        "tests/identity/test_jwks.py",
        "tests/identity/test_local_sign_in.py",
        "tests/identity/test_provider_settings.py",
        "tests/identity/test_renewal_provider.py",
        "tests/identity/test_sessions.py",
        "tests/identity/test_token_corpus.py",
        "tests/keep/test_runbook.py",
        "tests/notify/test_events.py",
        "tests/notify/test_page.py",
        "tests/observe/test_log_context.py",
        "tests/observe/test_web_lines.py",
        "tests/plans/test_targets.py",
        "tests/reports/",
        "tests/security/test_admin.py",
        "tests/security/test_asvs.py",
        "tests/security/test_headers.py",
        "tests/security/test_iam.py",
        "tests/security/test_launch_rights.py",
        "tests/security/test_logs.py",
        "tests/security/test_methods.py",
        "tests/security/test_policy.py",
        "tests/security/test_settings.py",
        "tests/security/test_throttles.py",
        "tests/test_architecture.py",
        "tests/test_docs.py",
        "tests/test_simulator_fixture.py",
    ),
    "postgresql": (
        "tests/contract/test_api_page.py",
        "tests/contract/test_fuzz.py",
        "tests/contract/test_rights.py",
        "tests/deploy/test_migrator.py",
        "tests/deploy/test_silent_database.py",
        "tests/deploy/test_stack_parts.py",
        "tests/deploy/test_stacks.py",
        "tests/identity/test_rights.py",
        "tests/notify/test_channels.py",
        "tests/security/test_stored_xss.py",
    ),
}


def is_elsewhere(path: str, lane: str) -> bool:
    """Whether another lane runs the test at this path. A lane is a database, or that and the kind of tests it has."""
    database, _, kind = lane.partition("-")
    if path.endswith(BROWSER):
        return lane != "sqlite-browser"
    other = "postgresql" if database == "sqlite" else "sqlite"
    return path.startswith(ONLY[other]) or kind != ("long" if path.startswith(LONG) else "")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave what another lane runs to that lane, without importing it."""
    lane = os.environ.get("TEST_LANE", "")
    path = collection_path.relative_to(config.rootpath).as_posix()
    return True if lane and collection_path.suffix == ".py" and is_elsewhere(path, lane) else None


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not walk it again and again."""
    gc.collect()
    gc.freeze()
