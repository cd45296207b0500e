"""Findings and sign-offs: filed, owned, closed by a run or a reason; told by journal, report, pack and ledger."""

import csv
import io
import re
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.actor import SYSTEM, Actor, person
from audit.models import AuditEntry
from contract.errors import Forbidden, Invalid
from drsorch_verify.check import problems
from executions.models import Execution
from executions.states import ExecutionStatus
from findings import services
from findings.models import Finding
from findings.services import Wanted
from identity.scoped.services import give
from reports import evidence_pack
from tests.console import world
from tests.console.test_pages import HX
from tests.executions.conftest import stage
from tests.reports.test_ended_instances import Json, forged
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage

__all__ = ["stage"]


def body(**of: object) -> dict[str, Any]:
    return {"text": "DNS was switched by hand", "owner": "ann@example.com", "severity": "HIGH", **of}


@pytest.mark.both
@pytest.mark.django_db
def test_a_finding_is_filed_shown_and_closed_once_by_a_later_run(admin: Api) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "ERP")
    made = answer(admin.post("/findings", body(executionId=str(run.pk), dueDate="2999-12-31")), 201)
    assert (made["status"], made["planName"], made["runNumber"]) == ("OPEN", "ERP", run.number)
    Finding.objects.update(due=date(2026, 1, 31))
    assert answer(admin.get(f"/findings/{made['findingId']}"))["status"] == "OVERDUE"
    of_plan = answer(admin.post("/findings", body(planId=str(run.plan_id), severity="LOW")), 201)
    assert (of_plan["status"], of_plan["executionId"], of_plan["dueDate"]) == ("OPEN", None, None)
    listed = [each["findingId"] for each in answer(admin.get("/findings?limit=1"))["items"]]
    assert listed == [of_plan["findingId"]]
    overdue = answer(admin.get(f"/findings?status=OVERDUE&planId={run.plan_id}"))["items"]
    assert [each["findingId"] for each in overdue] == [made["findingId"]]
    (told,) = [each for each in answer(admin.get("/ledger"))["plans"] if each["planName"] == "ERP"]
    assert (told["openFindings"], told["overdueFindings"]) == (2, 1)
    close = f"/findings/{made['findingId']}/close"
    refusal(admin.post(close, {}), 400, "VALIDATION_ERROR")
    refusal(admin.post(close, {"executionId": str(run.pk)}), 400, "VALIDATION_ERROR")  # it is not a later one
    other = world.ended(ExecutionStatus.COMPLETED, "Shop")
    refusal(admin.post(close, {"executionId": str(other.pk)}), 400, "VALIDATION_ERROR")
    Execution.objects.filter(pk=other.pk).update(plan=run.plan_id, started_at=timezone.now() + timedelta(minutes=1))
    closed = answer(admin.post(close, {"executionId": str(other.pk)}))
    assert (closed["status"], closed["closedByExecutionId"]) == ("CLOSED", str(other.pk))
    refusal(admin.post(close, {"reason": "again"}), 400, "VALIDATION_ERROR")
    answer(admin.post(f"/findings/{of_plan['findingId']}/close", {"reason": "Was a rumour."}))
    assert answer(admin.get("/findings?status=OPEN"))["items"] == []
    verbs = AuditEntry.objects.filter(verb__startswith="finding.", refused=False).order_by("pk")
    assert [(each.verb, each.subject_kind) for each in verbs] == [
        ("finding.filed", "execution"), ("finding.filed", "plan"),
        ("finding.closed", "execution"), ("finding.closed", "plan"),
    ]  # fmt: skip


@pytest.mark.both
@pytest.mark.django_db
def test_an_open_finding_is_changed_and_the_journal_says_what_it_was(admin: Api) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "ERP")
    filed = admin.post("/findings", body(executionId=str(run.pk)))
    path = f"/findings/{answer(filed, 201)['findingId']}"
    changed = admin.put(path, {"owner": "bob", "dueDate": "2999-12-31"}, If_Match=filed["ETag"])
    assert (answer(changed)["owner"], answer(changed)["version"]) == ("bob", 2)
    refusal(admin.put(path, {"text": "Stale"}, If_Match=filed["ETag"]), 412, "VERSION_CONFLICT")
    assert answer(admin.put(path, answer(admin.get(path))))["version"] == 2, "nothing changes: nothing is written"
    wrong = refusal(admin.put(path, {"dueDate": "2020-01-01", "owner": " ", "text": ""}), 400, "VALIDATION_ERROR")
    assert set(wrong["fields"]) == {"dueDate", "owner", "text"}
    assert "2020-01-01 is over." in wrong["fields"]["dueDate"][0]
    Finding.objects.update(due=date(2026, 1, 31))  # it has become overdue: what it says may still be corrected
    late = answer(admin.put(path, {"text": "DNS was switched by hand, late"}))
    assert (late["status"], late["version"], late["dueDate"]) == ("OVERDUE", 3, "2026-01-31")
    assert answer(admin.put(path, {"dueDate": None}))["dueDate"] is None
    entries = AuditEntry.objects.filter(verb="finding.changed", refused=False, subject_id=str(run.pk)).order_by("pk")
    assert [each.detail["was"] for each in entries] == [
        {"owner": "ann@example.com", "dueDate": None},
        {"text": "DNS was switched by hand"},
        {"dueDate": "2026-01-31"},
    ]
    answer(admin.post(f"{path}/close", {"reason": "Automated."}))
    assert "has closed it" in refusal(admin.put(path, {"text": "x"}), 400, "VALIDATION_ERROR")["fields"]["text"][0]


@pytest.mark.django_db
def test_what_cannot_be_filed_or_signed(sign_in: Callable[..., Api], admin: Api) -> None:
    going = world.start(world.plan("ERP"))
    over = world.ended(ExecutionStatus.COMPLETED, "Shop")
    refusal(admin.post("/findings", body(executionId=str(going.pk))), 400, "EXECUTION_STILL_RUNNING")
    refusal(admin.post(f"/executions/{going.pk}/sign-offs", {"lookedAt": "x"}), 400, "EXECUTION_STILL_RUNNING")
    refusal(admin.post("/findings", body()), 400, "VALIDATION_ERROR")
    refusal(admin.post("/findings", body(planId=str(over.plan_id), dueDate="soon")), 400, "VALIDATION_ERROR")
    past = body(planId=str(over.plan_id), owner=" ", dueDate="2020-01-01")
    faults = refusal(admin.post("/findings", past), 400, "VALIDATION_ERROR")["fields"]
    assert set(faults) == {"owner", "dueDate"}
    refusal(admin.post("/findings", body(planId=str(uuid.uuid4()))), 404, "NOT_FOUND")
    viewer = sign_in("viewer")
    refusal(viewer.post("/findings", body(executionId=str(over.pk))), 403, "FORBIDDEN")
    assert answer(admin.post(f"/executions/{over.pk}/sign-offs", {"lookedAt": "The report."}), 201)["by"]
    refusal(admin.post(f"/executions/{over.pk}/sign-offs", {"lookedAt": "Again."}), 400, "VALIDATION_ERROR")
    assert answer(viewer.get(f"/executions/{over.pk}/sign-offs"))["count"] == 1
    program = Actor("service:nightly", kind="service", principal=make_user("operator"))
    with pytest.raises(Forbidden, match="No program signs off"):
        services.sign_off(actor=program, execution_id=over.pk, looked_at="x")
    Execution.objects.filter(pk=over.pk).update(dry_run=True)
    with pytest.raises(Invalid):
        services.sign_off(actor=SYSTEM, execution_id=over.pk, looked_at="x")


@pytest.mark.django_db
def test_who_sees_a_part_has_the_findings_of_that_part() -> None:
    mine, theirs = (world.ended(ExecutionStatus.COMPLETED, name) for name in ("ERP", "Shop"))
    made = [
        services.file(actor=SYSTEM, wanted=Wanted("x", "ann", "LOW"), execution_id=each.pk) for each in (mine, theirs)
    ]
    assert mine.plan
    mine.plan.labels.create(key="app", value="erp")
    user = make_user()
    user.groups.add(give(actor=SYSTEM, group="ERP people", role="operator", label="app=erp").group)
    api = Api(user)
    assert [each["findingId"] for each in answer(api.get("/findings"))["items"]] == [str(made[0].pk)]
    refusal(api.get(f"/findings/{made[1].pk}"), 404, "NOT_FOUND")
    refusal(api.post(f"/findings/{made[1].pk}/close", {"reason": "x"}), 404, "NOT_FOUND")
    refusal(api.post("/findings", body(executionId=str(theirs.pk))), 404, "NOT_FOUND")
    answer(api.post(f"/findings/{made[0].pk}/close", {"reason": "x"}))


def test_report_pack_and_ledger_tell_them_and_nobody_words_them_otherwise(stage: Stage, admin: Api) -> None:
    ann = person(make_user("operator"))
    run = stage.start(stage.plan("app-01", name="ERP"))
    stage.until(run, "COMPLETED")
    about: dict[str, Any] = {"actor": ann, "clock": stage.clock}
    filed = services.file(wanted=Wanted("DNS by hand\nand slow", "bob", "HIGH"), execution_id=run.pk, **about)
    still = services.file(wanted=Wanted("Stil open", "bob", "HIGH"), execution_id=run.pk, **about)
    services.change(wanted=Wanted("Still open", "carl", "LOW"), finding_id=still.pk, **about)
    services.close(finding_id=filed.pk, reason="Automated.", **about)
    services.sign_off(execution_id=run.pk, looked_at="Report and application.", **about)
    pack = evidence_pack.vouched(SYSTEM, evidence_pack.account(run.pk, stage.clock()), {})
    assert problems(pack) == []

    def judged(change: Callable[[Json], None]) -> list[str]:
        return problems(forged(pack, lambda report, _: change(report)))

    assert "report: its findings are not those of the journal" in judged(lambda report: report["findings"].pop())
    assert judged(lambda report: report["findings"][1].update(closedTime=1, closedBy="bob", closedReason="x"))
    assert judged(lambda report: report["findings"][0].update(text="Nothing"))
    assert judged(lambda report: report["findings"][1].update(text="Stil open"))
    signed = "report: its sign-offs are not those of the journal"
    assert signed in judged(lambda report: report["signOffs"].append({"by": "eve", "time": 1, "lookedAt": "x"}))
    report = answer(admin.get(f"/executions/{run.pk}/report"))
    assert [each["text"] for each in report["findings"]] == ["DNS by hand\nand slow", "Still open"]
    page = admin.get(f"/executions/{run.pk}/report?format=pdf")
    assert page.content.startswith(b"%PDF")
    (plan,) = answer(admin.get("/ledger"))["plans"]
    assert (plan["openFindings"], plan["signedOffBy"]) == (1, [ann.name])
    rows = list(csv.DictReader(io.StringIO(admin.get("/ledger?format=csv").content.decode())))
    assert (rows[0]["planOpenFindings"], rows[0]["planSignedOffBy"]) == ("1", ann.name)
    assert "DORA" in rows[0]["evidenceFor"]
    assert admin.get("/ledger?format=pdf").content.startswith(b"%PDF")


@pytest.mark.django_db
def test_pages_file_close_and_sign_off(client: Client) -> None:
    client.force_login(make_user("operator"))
    run = world.ended(ExecutionStatus.COMPLETED, "ERP")
    there = f"/findings?execution={run.pk}"
    assert f'href="{there}"' in client.get(f"/executions/{run.pk}").content.decode()
    empty = client.get(there).content.decode()
    assert "Nobody has signed off this run yet." in empty
    assert "No findings here." in empty
    new = f"/findings/new?execution={run.pk}"
    wrong = client.post(new, {"text": "", "owner": "bob", "severity": "HIGH"})
    assert (wrong.status_code, "Nothing was saved" in wrong.content.decode()) == (422, True)
    given = {"text": "DNS by hand", "owner": "bob", "severity": "HIGH", "due": "2020-01-31"}
    past = client.post(new, given)
    assert (past.status_code, "Due: 2020-01-31 is over." in past.content.decode()) == (400, True)
    assert client.post(new, {**given, "due": ""})["Location"] == there
    finding = Finding.objects.get()
    edit = f"/findings/{finding.pk}"
    assert '<option value="bob">' in client.get(edit).content.decode()
    moved = client.post(edit, {**given, "due": "2999-01-31", "owner": "carl", "version": "1"}, follow=True)
    assert "The finding was changed." in moved.content.decode()
    stale = client.post(edit, {**given, "due": "", "version": "1"})
    assert stale.status_code == 412
    Finding.objects.update(due=date(2026, 1, 31))
    assert "Overdue" in client.get(there).content.decode()
    for page, of in (("/", ""), (f"/executions/{run.pk}", f"execution={run.pk}&amp;"),
                     (f"/recovery-plans/{run.plan_id}", f"plan={run.plan_id}&amp;")):  # fmt: skip
        html = client.get(page).content.decode()
        assert f'href="/findings?{of}state=OPEN">1 open finding</a>' in html
        assert f'href="/findings?{of}state=OVERDUE">1 overdue</a>' in html
    mark = re.search(r'hx-get="(/live[^"]+)"', client.get("/").content.decode())
    assert mark
    poll = mark[1].replace("&amp;", "&")
    assert client.get(poll, headers=HX).status_code == 204
    neither = client.post(f"/findings/{finding.pk}/close", {"run": "", "reason": ""}).content.decode()
    assert "give a reason: one of the two" in neither
    client.post(f"/findings/{finding.pk}/close", {"run": "", "reason": "Automated."})
    assert "overdue" not in client.get(poll, headers=HX).content.decode(), "an open dashboard learns of it"
    assert "closed by" in client.get("/findings?state=CLOSED").content.decode()
    assert "Findings of ERP" in client.get(f"/findings?plan={run.plan_id}").content.decode()
    assert client.post(f"/executions/{run.pk}/sign-off", {"looked_at": "The report."})["Location"] == there
    assert "The report." in client.get(there).content.decode()
    assert "Last signed off" in client.get(f"/recovery-plans/{run.plan_id}").content.decode()
    assert client.get(f"/findings?plan={uuid.uuid4()}").status_code == 404
