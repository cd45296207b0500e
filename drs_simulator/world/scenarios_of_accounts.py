"""Scenarios of accounts that are entered by a role: each can be of one `account`."""

from __future__ import annotations

from collections.abc import Mapping

from drs_simulator.world.scenario_kinds import LAUNCHERS, Acts, Kind

ASSUMING = ("AssumeRole",)

OF_ACCOUNTS: Mapping[str, Kind] = {
    "assume_role_denied": Kind(
        Acts.INSTEAD,
        "the role is gone, does not trust us any more, or asks for another external id: 403, no effect; sessions that"
        " were handed out stay good",
        "known: STS's documentation; which of the three it is, STS does not tell",
        operations=ASSUMING,
        error="AccessDeniedException",
    ),
    "scp_denied": Kind(
        Acts.INSTEAD,
        "a service control policy denies it: 403 with `message`, no effect",
        "known: the words of IAM's documentation",
        {
            "code": "AccessDeniedException",
            "message": "User is not authorized, with an explicit deny in a service control policy",
        },
        LAUNCHERS,
    ),
    "account_suspended": Kind(
        Acts.INSTEAD,
        "every call, and AssumeRole, is refused with `code` and `message`, no effect",
        "unknown: with which code services refuse what is signed by sessions of a suspended account",
        {"code": "AccessDeniedException", "message": "The account is suspended"},
        ("*",),
    ),
    "short_credentials": Kind(
        Acts.VIEW,
        "credentials of a role expire after `seconds` real seconds",
        "not of DRS: for tests; the least of STS is 900",
        {"seconds": 30.0},
        ASSUMING,
    ),
}
