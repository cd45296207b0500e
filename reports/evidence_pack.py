"""The evidence pack: report and journal in one archive whose digests stand in the journal's hash chain."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from audit.actor import Actor
from audit.journal_excerpt import seals_of, slice_of
from audit.models import AuditEntry
from drsorch_verify import archive
from drsorch_verify.check import EVIDENCE, JOURNAL, MANIFEST, REPORT, TABLE, digest, document, manifest, own_digest
from drsorch_verify.tables import as_csv
from executions.models import Execution
from executions.runs.attempts import attempts_among
from executions.runs.journal import note
from reports.aws_calls import CallsShape, calls
from reports.documents.pdf import as_pdf
from reports.report_data import RecordShape, entries_of, record

README = """This is the evidence of one run of DRS Orchestration.

report.pdf     for reading
report.json    the same with every event, for programs; times are Unix seconds
report.csv     a line for each server
calls.json     what was asked of AWS: find it in CloudTrail and DescribeJobs
journal.json   the journal of the run as a piece of the hash chain; entries of others are digests alone
manifest.json  SHA-256 of every file, and the head of the chain

Check it offline, with Python 3.11 or later and a verifier that you have from somebody else than this pack:

    drsorch-verify pack.zip

It is in the folder drsorch_verify of DRS Orchestration (pipx install ./drsorch_verify). Its digest is in the release
notes, and where the product runs: under Settings, and python manage.py verifier_digest; its README.md says how to
compare it. No program is in this pack. If there is one, do not run it: whoever forges a pack forges that, too.

A chain that was made anew from end to end would hold. So compare the head with one that was noted elsewhere
(--head SEQ:DIGEST), or have it confirmed where the product runs: python manage.py audit_verify --head SEQ:DIGEST
"""


@dataclass(frozen=True)
class Account:
    """A run at one moment: its report, what AWS was asked, and the journal entries of it and of the attempts before."""

    execution: Execution
    report: RecordShape
    calls: CallsShape
    entries: Sequence[int]


def make(actor: Actor, execution_id: uuid.UUID, now: datetime) -> bytes:
    """The pack of a run that is over. Writes the journal entry that vouches for it, and has it sealed."""
    found = account(execution_id, now)
    return vouched(actor, found, {"README.txt": README.encode(), "report.pdf": as_pdf(found.report)})


def account(execution_id: uuid.UUID, now: datetime) -> Account:
    """Read a run while nobody can write it: whoever changes anything of a run changes its row in the same transaction,
    so that report and journal are of one moment."""
    with transaction.atomic():
        attempts = attempts_among(Execution.objects.get(pk=execution_id))
        list(attempts.select_for_update().order_by("pk").values_list("pk"))
        execution = Execution.objects.with_waves().get(pk=execution_id)
        entries = [entry.pk for entry in entries_of(*_lineage(execution))]
        return Account(execution, record(execution, now), calls(execution), entries)


def vouched(actor: Actor, found: Account, files: Mapping[str, bytes]) -> bytes:
    """The archive of the account and these files, with the entry that has their digests."""
    execution = found.execution
    told = {REPORT: document(found.report), TABLE: as_csv(found.report).encode(), "calls.json": document(found.calls)}
    whole = dict(sorted({**files, **told}.items()))
    first = seals_of(found.entries)[0]
    anchor = note(
        execution,
        EVIDENCE,
        actor=actor,
        files={name: digest(content) for name, content in whole.items()},
        firstSeal=first.seq,
        previous=first.previous,
        entries=own_digest([*found.entries]),
    )
    (last,) = seals_of([anchor.pk])
    journal = slice_of(first, last, {*found.entries, anchor.pk})
    whole[JOURNAL] = document(journal)
    whole[MANIFEST] = document(manifest(whole, {**journal}))
    return archive.build(whole)


def _lineage(execution: Execution) -> list[str]:
    """The run and the attempts before it, as the journal tells: it outlives rows."""
    ids = [str(execution.pk)]
    retries = AuditEntry.objects.filter(verb="execution.retry", subject_kind="execution", refused=False)
    while entry := retries.filter(subject_id=ids[-1]).first():
        ids.append(entry.detail["retryOf"])
    return ids
