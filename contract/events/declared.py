"""Every type of event, declared once: the stream, its schema in docs/schema/ and the tests read this table.

A type is the journal's verb; its data is the detail of the entry, of which more members may come. Whoever adds a verb
declares it here (`tests/audit/test_event_types.py` looks).
"""

from collections.abc import Mapping

from contract.events.members import OBJECT, TEXT, TEXTS, TIME, WHOLE, EventType, known, maybe, says
from contract.events.of_runs import CLEAN_UP, GATES, LEASES, RUNS, WAVES

PLANS: Mapping[str, EventType] = {
    "readiness.changed": says(
        "The verdict of a plan's readiness is another one, which an engine found.", before=TEXT, verdict=TEXT,
        reasons=TEXTS,
    ),
    "drill.overdue": says("The last completed drill of a plan was too long ago.", text=TEXT),
    "schedule.started": says("A drill started by schedule.", scheduleId=TEXT, time=TIME, text=TEXT, executionId=TEXT),
    "schedule.refused": says("A drill could not start by schedule.", scheduleId=TEXT, time=TIME, text=TEXT),
    "schedule.missed": says("A drill by schedule was missed.", scheduleId=TEXT, time=TIME, text=TEXT),
    "schedule.cancelled": says(
        "A drill by schedule that was announced does not start: somebody changed or deleted its schedule, or its plan."
        " `next` is when the next one starts.", scheduleId=TEXT, time=TIME, text=TEXT, next=known(TIME),
    ),
    "drill_request.create": says("A program asked for a drill."),
    "drill_request.confirm": says("A person started the drill that was asked for."),
    "drill_request.decline": says("A person declined the drill that was asked for."),
    "schedule.create": says("A schedule was made."),
    "schedule.update": says("A schedule was changed."),
    "schedule.delete": says("A schedule was deleted."),
    "plan.create": says("A plan was made."),
    "plan.update": says("A plan was changed."),
    "plan.delete": says("A plan was deleted."),
    "plan.native": says("A plan was written to DRS.", version=WHOLE, digest=TEXT),
    "plan.import": says("A plan was made of a recovery plan of DRS."),
    "plan.native_removed": says("Recovery plans of DRS that nobody needs any more were deleted."),
    "runbook.stored": says("The runbook of a plan was stored.", digest=TEXT, where=TEXT),
    "group.create": says("A protection group was made."),
    "group.update": says("A protection group was changed."),
    "group.delete": says("A protection group was deleted."),
    "configuration.apply": says("A configuration was applied."),
    "finding.filed": says(
        "A finding of a run or a plan was filed.", findingId=TEXT, text=TEXT, owner=TEXT, severity=TEXT,
        dueDate=known(TEXT), time=TIME,
    ),
    "finding.changed": says(
        "An open finding was changed; `was` has what it said before.", findingId=TEXT, text=TEXT, owner=TEXT,
        severity=TEXT, dueDate=known(TEXT), time=TIME, was=OBJECT,
    ),
    "finding.closed": says(
        "A finding was closed, by a later run or for a reason.", findingId=TEXT, reason=TEXT, byExecution=known(TEXT),
        time=TIME,
    ),
}  # fmt: skip

INSTALLATION: Mapping[str, EventType] = {
    "aws_account.create": says("An AWS account was added."),
    "aws_account.update": says("An AWS account was changed."),
    "aws_account.delete": says("An AWS account was taken away."),
    "aws_account.check": says("An AWS account was checked."),
    "inventory.scan": says("Regions were looked through for servers."),
    "subscription.create": says("A subscription was made."),
    "subscription.update": says("A subscription was changed."),
    "subscription.delete": says("A subscription was deleted."),
    "subscription.test": says("A test notification was sent."),
    "notification.given_up": says("A notification was given up after a day.", recipient=TEXT, event=TEXT, text=TEXT),
    "service_token.create": says("A token of a program was made."),
    "service_token.revoke": says("A token of a program was revoked."),
    "service_client.create": says("A client of the identity provider was let in as a program."),
    "service_client.revoke": says("A client of the identity provider was shut out."),
    "token.create": says("A token of a person was made.", hours=known(WHOLE)),
    "role.give": says("A role was given."),
    "role.take": says("A role was taken away."),
    "role.add": says("A role was made in the administration."),
    "role.change": says("A role was changed in the administration."),
    "role.delete": says("A role was deleted in the administration."),
    "user.add": says("A user was made."),
    "user.change": says("A user was changed."),
    "user.delete": says("A user was deleted."),
    "user.password": says("A password was changed."),
    "user.switch_off": says("A user was switched off."),
    "user.switch_on": says("A user was switched on."),
    "access.break_glass": says("Somebody got in without the identity provider.", comment=maybe(TEXT)),
    "installation.takeover": says("What a lost installation had was put in here.", madeAt=TEXT, version=TEXT),
    "installation.claim": says("This installation has become the one that may launch.", epoch=WHOLE),
    "database.backup": says("The database was backed up.", bytes=maybe(WHOLE)),
    "database.restore": says("The database was restored from a backup."),
}

TYPES: Mapping[str, EventType] = {**RUNS, **WAVES, **GATES, **CLEAN_UP, **LEASES, **PLANS, **INSTALLATION}


def version_of(name: str) -> int:
    """Of a type; of one that a newer version of this product wrote, 1."""
    return TYPES[name].version if name in TYPES else 1
