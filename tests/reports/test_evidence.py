"""The evidence pack: it verifies offline as it is, and not with anything changed."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from audit import append_only
from audit.actor import SYSTEM
from audit.journal import record
from audit.models import AuditEntry, AuditSeal, SealMark, UnsealedEntry
from drsorch_verify import archive, chain
from drsorch_verify.check import JOURNAL, MANIFEST, REPORT, digest, document, manifest, problems
from reports import services
from tests.reports.runs import OPERATOR, drilled, payments, trouble
from tests.support.api_client import Api, refusal
from tests.support.still import StillStage

Files = dict[str, bytes]


def troubled(still: StillStage) -> Any:
    plan = payments(still)
    trouble(still)
    record(SYSTEM, "plan.update", subject_kind="plan", subject_id="before", subject_name="Somebody else's")
    return drilled(still, plan)


_made: list[bytes] = []


@pytest.fixture
def fresh(still: StillStage) -> bytes:
    """A pack whose journal is in the database."""
    return services.evidence(actor=OPERATOR, execution_id=troubled(still).pk, clock=still.clock)


@pytest.fixture
def pack(request: pytest.FixtureRequest) -> bytes:
    """A pack, made once: whoever checks one needs no database."""
    if not _made:
        _made.append(request.getfixturevalue("fresh"))
    return _made[0]


def changed(pack: bytes, work: Callable[[Files], None]) -> bytes:
    files = archive.read(pack)
    work(files)
    return archive.build(files)


def with_manifest(files: Files) -> None:
    """The manifest made anew, as a forger would."""
    files[MANIFEST] = document(manifest(files, json.loads(files[JOURNAL])))


def forged(pack: bytes, work: Callable[[dict[str, Any]], None]) -> bytes:
    """Another report with everything that vouches for it made anew: the anchor, its seal, the manifest."""

    def forge(files: Files) -> None:
        report, journal = json.loads(files[REPORT]), json.loads(files[JOURNAL])
        work(report)
        files[REPORT] = document(report)
        last, before = journal["links"][-1], journal["links"][-2]
        last["entry"]["detail"]["files"][REPORT] = digest(files[REPORT])
        last["digest"] = chain.seal_digest(before["digest"], chain.content_digest(last["entry"]))
        files[JOURNAL] = document(journal)
        with_manifest(files)

    return changed(pack, forge)


def test_the_slice_shows_the_runs_entries_and_of_others_a_digest(still: StillStage) -> None:
    run = troubled(still)
    record(SYSTEM, "plan.update", subject_kind="plan", subject_id="after", subject_name="Somebody else's")
    pack = services.evidence(actor=OPERATOR, execution_id=run.pk, clock=still.clock)
    assert problems(pack) == []
    files = archive.read(pack)
    links = json.loads(files[JOURNAL])["links"]
    own = [link["entry"] for link in links if "entry" in link]
    assert [link["seq"] for link in links] == list(range(links[0]["seq"], links[0]["seq"] + len(links)))
    assert (own[0]["verb"], own[-1]["verb"]) == ("execution.start", "execution.evidence")
    assert {entry["subject_id"] for entry in own} == {str(run.pk)}
    assert len(own) < len(links)
    assert b"Somebody else" not in files[JOURNAL]
    assert all("actor_id" in entry for entry in own)
    again = services.evidence(actor=OPERATOR, execution_id=run.pk, clock=still.clock)
    assert problems(again) == []
    assert AuditEntry.objects.filter(verb="execution.evidence", outcome="ok").count() == 2


def test_entries_of_an_earlier_version_verify(still: StillStage) -> None:
    """A run that began before an upgrade: its first entries name no actor's id."""
    run = troubled(still)
    append_only.unguard(connection)
    AuditEntry.objects.filter(subject_id=str(run.pk)).update(actor_id=None)
    AuditSeal.objects.all().delete()
    SealMark.objects.all().delete()
    unsealed = [UnsealedEntry(entry=each.pk) for each in AuditEntry.objects.all()]
    UnsealedEntry.objects.bulk_create(unsealed, ignore_conflicts=True)
    append_only.guard(connection)
    pack = services.evidence(actor=OPERATOR, execution_id=run.pk, clock=still.clock)
    assert problems(pack) == []
    own = [link["entry"] for link in json.loads(archive.read(pack)[JOURNAL])["links"] if "entry" in link]
    assert ["actor_id" in entry for entry in own] == [False] * (len(own) - 1) + [True]
    call_command("audit_verify")


def flip(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << dice.randrange(8))]) + content[at + 1 :]


def flip_in_a_file(pack: bytes, dice: random.Random) -> bytes:
    def work(files: Files) -> None:
        name = dice.choice(sorted(files))
        files[name] = flip(files[name], dice)

    return changed(pack, work)


def flip_and_make_the_manifest_anew(pack: bytes, dice: random.Random) -> bytes:
    def work(files: Files) -> None:
        name = dice.choice(sorted(set(files) - {JOURNAL, MANIFEST}))
        files[name] = flip(files[name], dice)
        with_manifest(files)

    return changed(pack, work)


def change_the_journal(pack: bytes, dice: random.Random) -> bytes:
    """Remove, hide or rewrite an entry, and make the manifest anew."""

    def work(files: Files) -> None:
        journal = json.loads(files[JOURNAL])
        links = journal["links"]
        own = [at for at, link in enumerate(links[:-1]) if "entry" in link]
        at, what = dice.choice(own), dice.randrange(5)
        if what == 0:
            del links[at]
        elif what == 1:
            links[at] = {"seq": links[at]["seq"], "digest": links[at]["digest"],
                         "content": chain.content_digest(links[at]["entry"])}  # fmt: skip
        elif what == 2:
            links[at]["entry"]["actor"] = "somebody else"
        elif what == 3:
            del links[at]["entry"]["actor_id"]  # as in entries of an earlier version
        else:  # the beginning cut off, so that what remains is a chain in itself
            journal["previous"], journal["links"] = links[at]["digest"], links[at + 1 :]
        files[JOURNAL] = document(journal)
        with_manifest(files)

    return changed(pack, work)


def flip_anywhere(pack: bytes, dice: random.Random) -> bytes:
    return flip(pack, dice)


@pytest.mark.django_db(transaction=True)
def test_it_refuses_a_tampered_pack_100_times_of_100(pack: bytes) -> None:
    assert problems(pack) == []
    for tamper in (flip_in_a_file, flip_anywhere, flip_and_make_the_manifest_anew, change_the_journal):
        dice = random.Random(tamper.__name__)
        tries = [tamper(pack, dice) for _ in range(100)]
        assert pack not in tries
        assert sum(bool(problems(each)) for each in tries) == 100, tamper


LIES: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda report: report["measured"]["rto"].update(seconds=1), "rto of the run"),
    (lambda report: report["measured"]["rto"].update(reached="MET"), "rto of the run"),
    (lambda report: report["waves"][0]["servers"][0]["rpo"].update(seconds=9), "rpo of wave 1, db-primary-01"),
    (lambda report: report["waves"][0]["split"].update(snapshot=0), "split of wave 1"),
    (lambda report: report["waves"][1].update(waitedSeconds=1), "waitedSeconds of wave 2"),
    (lambda report: report.update(status="COMPLETED"), "the run's status is COMPLETED"),
    (lambda report: report["waves"][1].update(status="COMPLETED"), "wave 2 is COMPLETED, but"),
    (lambda report: report["waves"][0]["jobs"][0].update(jobId="drsjob-x"), "does not know the job drsjob-x"),
    (lambda report: report["journal"][0].update(actor="nobody"), "journal line"),
]


@pytest.mark.django_db(transaction=True)
def test_it_derives_figures_and_statuses_by_itself(pack: bytes) -> None:
    """A lie is found even where everything that vouches for the report was made anew."""
    for lie, named in LIES:
        found = problems(forged(pack, lie))
        assert any(named in problem for problem in found), (named, found)


def test_making_one_takes_a_finished_run_and_is_in_the_journal(still: StillStage, admin: Api) -> None:
    run = still.start(still.plan("app-01"))
    refusal(admin.post(f"/executions/{run.pk}/evidence", {}), 400, "EXECUTION_STILL_RUNNING")
    refused = AuditEntry.objects.get(verb="execution.evidence")
    assert (refused.refused, refused.outcome, refused.actor) == (True, "EXECUTION_STILL_RUNNING", admin.user.email)
    still.until(run, "COMPLETED", step=15)
    made = admin.post(f"/executions/{run.pk}/evidence", {})
    assert (made.status_code, made["Content-Type"]) == (200, "application/zip")
    assert problems(made.content) == []
    assert AuditEntry.objects.filter(verb="execution.evidence", refused=False).get().actor == admin.user.email
