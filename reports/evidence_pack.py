"""The evidence pack: report and journal in one archive whose digests stand in the journal's hash chain."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from audit.actor import Actor
from audit.journal_excerpt import seals_of, slice_of
from audit.models import AuditEntry
from drsorch_verify import archive
from drsorch_verify.check import EVIDENCE, JOURNAL, MANIFEST, REPORT, TABLE, digest, document, manifest, own_digest
from executions.models import Execution
from executions.runs.attempts import attempts_among
from executions.runs.journal import note
from reports.aws_calls import CallsShape, calls
from reports.made.forms import Form, in_form
from reports.made.keeping import is_large, kept
from reports.parts.journal_entries import entries_of
from reports.report_data import record

FILES = {REPORT: Form.DOCUMENT, TABLE: Form.CSV, "report.pdf": Form.PDF}  # a report in a pack

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
    """A run at one moment: its report as files, what AWS was asked, and the journal entries of it and of the attempts
    before."""

    execution: Execution
    files: Mapping[str, bytes]
    calls: CallsShape
    entries: Sequence[int]


def make(actor: Actor, execution_id: uuid.UUID, now: datetime, *, at_once: bool = False) -> bytes:
    """The pack of a run that is over. Writes the journal entry that vouches for it, and has it sealed. Of a large run
    it holds the report that an engine has made (else raises BeingMade), unless it is to be made `at_once`."""
    with unchanging(execution_id) as execution:
        if at_once or not is_large(execution):
            found = record(Execution.objects.with_waves().get(pk=execution_id), now)
            told = _account(execution, {})
        else:
            found = None
            told = _account(execution, {name: kept(execution, form, now) for name, form in FILES.items()})
    if found is not None:
        told = replace(told, files={name: in_form(found, form) for name, form in FILES.items()})
    return vouched(actor, told, {"README.txt": README.encode()})


@contextmanager
def unchanging(execution_id: uuid.UUID) -> Iterator[Execution]:
    """The run while nobody can write it: whoever changes anything of a run changes its row in the same transaction, so
    that report and journal are of one moment."""
    with transaction.atomic():
        execution = Execution.objects.get(pk=execution_id)
        list(attempts_among(execution).select_for_update().order_by("pk").values_list("pk"))
        execution.refresh_from_db()
        yield execution


def account(execution_id: uuid.UUID, now: datetime) -> Account:
    """Read a run, and make its report, without the document for reading."""
    with unchanging(execution_id):
        execution = Execution.objects.with_waves().get(pk=execution_id)
        found = record(execution, now)
        return _account(execution, {name: in_form(found, FILES[name]) for name in (REPORT, TABLE)})


def _account(execution: Execution, files: Mapping[str, bytes]) -> Account:
    return Account(execution, files, calls(execution), [entry.pk for entry in entries_of(*_lineage(execution))])


def vouched(actor: Actor, found: Account, files: Mapping[str, bytes]) -> bytes:
    """The archive of the account and these files, with the entry that has their digests."""
    execution = found.execution
    whole = dict(sorted({**files, **found.files, "calls.json": document(found.calls)}.items()))
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
