"""A report as a file: its cover, and a name that says of which run it is and is safe wherever it is kept."""

import re
from typing import Any

import pytest
from django.utils import timezone
from reportlab.graphics.shapes import Drawing
from reportlab.platypus import PageBreak, Paragraph

from executions.models import Execution
from executions.states import ExecutionStatus
from reports.documents import pdf
from reports.documents.downloads import disposition, name_of, safe
from reports.services import report
from tests.console import world
from tests.support.api_client import Api


def test_its_name_has_plan_run_and_day(admin: Api) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "Zahlungen & Löhne/2 «A»")
    day = f"{run.started_at:%Y-%m-%d}"
    admin.client.force_login(admin.user)
    for address, client in (
        (f"/executions/{run.pk}/report", admin.client.get),
        (f"/executions/{run.pk}/report", admin.get),
    ):
        head = client(f"{address}?format=pdf")["Content-Disposition"]
        assert head == (
            f'attachment; filename="report-Zahlungen-Lohne-2-A-run-{run.number}-{day}.pdf";'
            f" filename*=UTF-8''report-Zahlungen-L%C3%B6hne-2-A-run-{run.number}-{day}.pdf"
        )
    pack = admin.client.post(f"/executions/{run.pk}/evidence")["Content-Disposition"]
    assert f'filename="evidence-Zahlungen-Lohne-2-A-run-{run.number}-{day}.zip"' in pack


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ('a"; filename="b.exe', "a-filename-b-exe"),
        ("line\r\nSet-Cookie: x=1", "line-Set-Cookie-x-1"),
        ("CON: <x> | ?*", "CON-x"),
        ("\u202egnp.exe", "gnp-exe"),
        ("決済", "決済"),
        ("🙂", ""),
        ("x" * 200, "x" * 80),
    ],
)
def test_a_plans_name_is_only_a_name(plan: str, expected: str) -> None:
    assert safe(plan) == expected
    run = Execution(plan_name=plan, number=7, started_at=timezone.now())
    name = name_of("report", run, "pdf")
    assert name == f"report-{expected}{'-' if expected else ''}run-7-{run.started_at:%Y-%m-%d}.pdf"
    head = disposition(name)
    assert re.fullmatch(r"attachment; filename=\"[\w.-]+\"(; filename\*=UTF-8''[\w.%-]+)?", head, re.ASCII), head
    assert "--" not in head


def test_the_cover_has_verdict_picture_and_signatures(admin: Api) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, "Payments", fail="No capacity")
    record = report(run.pk, timezone.now())
    story = pdf._story(record)
    end = next(at for at, each in enumerate(story) if isinstance(each, PageBreak))
    cover = [each for whole in story[:end] for each in getattr(whole, "_content", [whole])]
    told = [each.getPlainText() for each in cover if isinstance(each, Paragraph)]
    assert told[:4] == [f"Report of run {run.number}", "Drill: Payments", "Partial", record["verdict"]]
    assert [each for each in told if each in ("Waves and phases over time", "Signatures")] == told[-3::2]
    (picture,) = [each for each in cover if isinstance(each, Drawing)]
    drawn = [each.text for each in picture.contents if hasattr(each, "text")]
    assert [each.split(",")[0] for each in drawn] == ["Wave 1", "Wave 2"]
    assert "failed" in drawn[1]
    made = pdf.as_pdf(record)
    assert made == pdf.as_pdf(record)
    many: Any = {**record, "waves": record["waves"] * 40}
    assert pdf.as_pdf(many).count(b"/Type /Page\n") > made.count(b"/Type /Page\n") >= 2
