"""Scenarios in which calls are refused, hang or get lost, and those in which new jobs fare differently."""

from __future__ import annotations

from collections.abc import Mapping

from drs_simulator.world.scenario_kinds import (
    EVENTS,
    FAILING,
    JOBS,
    LAUNCHERS,
    MODEL,
    REPORTS,
    SERVERS,
    Acts,
    Kind,
)

REFUSALS: Mapping[str, Kind] = {
    "throttle": Kind(
        Acts.INSTEAD,
        "429, no effect; with `retry_after`, which says for how many seconds not to ask",
        f"{MODEL}, whose ThrottlingException has the header; unknown whether DRS sends it",
        {"retry_after": ""},
        error="ThrottlingException",
        field="A14",
    ),
    "access_denied": Kind(
        Acts.INSTEAD,
        "a right is missing: 403, no effect; of EC2 UnauthorizedOperation",
        "known: the models of DRS and Service Quotas, EC2's code",
        error="AccessDeniedException",
    ),
    "expired_token": Kind(Acts.INSTEAD, "403, no effect", REPORTS, error="ExpiredTokenException"),
    "internal_error_before": Kind(Acts.INSTEAD, "500, no effect", MODEL, error="InternalServerException"),
    "uninitialized": Kind(Acts.INSTEAD, "400, no effect", MODEL, error="UninitializedAccountException"),
    "quota_exceeded": Kind(
        Acts.INSTEAD, "402, no effect", MODEL, operations=LAUNCHERS, error="ServiceQuotaExceededException", field="A18"
    ),
    "conflict": Kind(
        Acts.INSTEAD, "409, no effect", REPORTS, operations=LAUNCHERS, error="ConflictException", field="A2"
    ),
    "refused": Kind(
        Acts.INSTEAD,
        "a 4xx with `code` and `message`, no effect",
        "likely: tag policies and service control policies refuse with codes that no model lists",
        {"code": "TagPolicyException", "message": "The tag policy does not allow the specified value"},
        LAUNCHERS,
        field="A13",
    ),
    "drop_connection_before": Kind(Acts.INSTEAD, "connection closed, no effect", "known: any network"),
    "unreachable": Kind(
        Acts.INSTEAD,
        "held open `seconds` real seconds, then closed, no effect",
        "known: any network; with `region`, one region hangs",
        {"seconds": 60.0},
        field="A19",
    ),
    "late_landing": Kind(
        Acts.INSTEAD,
        "connection closed; the effect lands `seconds` later",
        "likely: nothing says that a request is given up when its connection is",
        {"seconds": 20.0},
        LAUNCHERS,
    ),
    "hang": Kind(
        Acts.BEFORE,
        "answered `seconds` real seconds late; effect at the end, or (`when`: after) at once",
        "known: a StartRecovery of many servers takes 45 s; unknown which of the two",
        {"seconds": 5.0, "when": "before"},
        field="A28",
    ),
    "internal_error_after_effect": Kind(
        Acts.AFTER, "the effect stays, the answer is a 500", "likely: as of every service", operations=LAUNCHERS
    ),
    "drop_connection_after_effect": Kind(
        Acts.AFTER, "the effect stays, no answer", "known: any network", operations=LAUNCHERS
    ),
    "broken_json": Kind(Acts.AFTER, "the effect stays, the answer is half a JSON document", "known: any proxy"),
    "proxy_page": Kind(
        Acts.AFTER,
        "the effect stays, the answer is a proxy's page in HTML, with 200",
        "known: any proxy that wants somebody to sign in",
    ),
    "refuses_instance": Kind(
        Acts.VIEW,
        "TerminateRecoveryInstances with an instance of `servers` is refused with `error`, which names it or not",
        "unknown: all or nothing is likely, the code and the name are not known",
        {"servers": [], "error": "ValidationException", "named": True},
        ("TerminateRecoveryInstances",),
        field="A6",
    ),
    "refusal_style": Kind(
        Acts.VIEW,
        "unknown ids are refused with `code`, busy servers with `busy`; not `named`: refusals of launches name none",
        "unknown: the code, and whether the server is named; a job a server is also a quota of DRS's, L-DD6D028C",
        {"code": "ResourceNotFoundException", "named": True, "busy": "ConflictException"},
        ("StartRecovery",),
        field="A1 A2",
    ),
    "server_refused": Kind(
        Acts.VIEW,
        "a StartRecovery with one of `servers` is refused with `code`, which names it only when `named`",
        "unknown: the code, and whether the server is named",
        {"servers": [], "code": "ValidationException", "named": False},
        ("StartRecovery",),
        field="A1",
    ),
    "poison_id": Kind(
        Acts.VIEW,
        "DescribeJobs that is asked for a job of one of `servers` by its id is refused, with its name when `named`",
        "unknown: whether one id can spoil the answer about others",
        {"servers": [], "code": "ValidationException", "named": False},
        JOBS,
        field="A16",
    ),
}
LIVES_OF_JOBS: Mapping[str, Kind] = {
    "visibility_delay": Kind(
        Acts.CREATION,
        "a new job is in no DescribeJobs for `seconds`",
        "likely: listings of AWS are eventually consistent",
        {"seconds": 30.0},
    ),
    "launch_end_event": Kind(
        Acts.CREATION,
        "new jobs log LAUNCH_END with a targetInstanceID",
        "known: drs-tools reads it; the model lacks it",
        field="A4",
    ),
    "steady_times": Kind(
        Acts.CREATION, "every wait of new jobs takes the middle of its range", "not of DRS: for tests"
    ),
    "launch_failed": Kind(Acts.SERVER, "LAUNCH_FAILED with `raw_error`", EVENTS, FAILING),
    "conversion_fail": Kind(Acts.SERVER, "CONVERSION_FAIL with `raw_error`", EVENTS, FAILING),
    "conversion_retried": Kind(
        Acts.SERVER,
        "CONVERSION_FAIL with attemptCount for the first `fails` attempts of `of`; all of them: FAILED",
        "known: attemptCount and maxAttemptsCount of the model; unknown whether each attempt starts with an event",
        {"servers": [], "raw_error": "", "fails": 1, "of": 3},
        field="A10",
    ),
    "template_gone": Kind(Acts.SERVER, "UPDATE_LAUNCH_TEMPLATE_FAILED: FAILED", EVENTS, FAILING, field="A9"),
    "network_recovery_fails": Kind(
        Acts.SERVER,
        "NETWORK_RECOVERY_FAIL, of no server: `servers` are FAILED",
        "known: the event of the model, with no server; unknown whether its servers are FAILED or launched elsewhere",
        FAILING,
        field="A9",
    ),
    "snapshot_fail_uses_previous": Kind(
        Acts.SERVER, "SNAPSHOT_FAIL, then launched from an older snapshot", EVENTS, FAILING
    ),
    "snapshot_fail_no_previous": Kind(
        Acts.SERVER, "SNAPSHOT_FAIL and no older snapshot: FAILED", EVENTS, FAILING, field="A22"
    ),
    "server_skipped": Kind(Acts.SERVER, "SERVER_SKIPPED: FAILED", EVENTS, FAILING),
    "never_settles": Kind(
        Acts.SERVER, "the job completes, the server's row stays PENDING and nothing runs", REPORTS, SERVERS, field="A4"
    ),
    "slow_server": Kind(
        Acts.SERVER,
        "every phase takes `factor` times as long",
        "known: DRS's own example takes 36 minutes",
        {"servers": [], "factor": 4.0},
        field="A27",
    ),
    "late_instance_id": Kind(
        Acts.SERVER,
        "the job shows the instance id `seconds` (virtual) after LAUNCHED, negative: never",
        "known: the official example of a COMPLETED job has none",
        {"servers": [], "seconds": 60.0},
        field="A4",
    ),
    "dies_at_once": Kind(
        Acts.SERVER,
        "`seconds` after LAUNCHED its instance is `state`: TERMINATED or STOPPED",
        "known: an instance whose disk key is denied ends at once; the launch disposition may be STOPPED",
        {"servers": [], "state": "TERMINATED", "seconds": 0.0},
        field="A8",
    ),
    "termination_protection": Kind(
        Acts.SERVER,
        "instances of `servers` cannot be ended: TERMINATE fails, and so does a launch that would replace one",
        "known: CLEANUP_FAIL of the model, EC2's words; unknown whether such a launch goes on",
        {"servers": [], "goes_on": False},
        field="A9",
    ),
    "terminate_fails": Kind(
        Acts.SERVER, "TERMINATE job: CLEANUP_FAIL, FAILED, the instance stays", EVENTS, FAILING, field="A9"
    ),
}
