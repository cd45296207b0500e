"""Every time has its date and its seconds, on every page and in every file: a run over midnight keeps its order."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.models import AuditEntry
from console.templatetags import console as tags
from contract.clock import utc
from executions.models import Execution, JobEvent, LaunchJob, WaveRun
from executions.states import ExecutionStatus
from tests.console import world
from tests.console.test_pages import look, words
from tests.support.api_client import make_user

# Two seconds before midnight, and three after it; neither is today.
BEFORE = datetime(2026, 3, 1, 23, 59, 58, tzinfo=UTC)
AFTER = BEFORE + timedelta(seconds=5)
TIME = re.compile(r"\d\d:\d\d(?::\d\d)?")
WHOLE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")


@pytest.fixture
def run(db: None) -> Execution:
    """A drill that began before midnight and ended after it, days ago."""
    made = world.ended(ExecutionStatus.COMPLETED, "Payments")
    Execution.objects.update(started_at=BEFORE, ended_at=AFTER)
    WaveRun.objects.update(started_at=BEFORE, ended_at=AFTER)
    first, second = LaunchJob.objects.all()
    JobEvent.objects.filter(job=first).update(at=BEFORE)
    JobEvent.objects.filter(job=second).update(at=AFTER)
    for at in (BEFORE, AFTER):
        AuditEntry.objects.create(
            at=at, actor="ann@example.com", actor_kind="user", verb="execution.pause", subject_kind="execution",
            subject_id=str(made.pk), subject_name="Payments",
        )  # fmt: skip
    return made


def bare(html: str) -> list[str]:
    """Times of day that stand without their date or without seconds."""
    return TIME.findall(WHOLE.sub("", words(html)))


@pytest.mark.parametrize("page", ["dashboard", "executions", "journal", "execution", "job-logs", "report", "plan"])
def test_a_page_shows_each_time_with_its_date_and_seconds(chief: Client, run: Execution, page: str) -> None:
    args = {"plan": [run.plan_id]}.get(page, [] if page in ("dashboard", "executions", "journal") else [run.pk])
    html = look(chief, page, *args)
    assert not bare(html)
    assert utc(BEFORE) in html
    assert f'datetime="{BEFORE:%Y-%m-%dT%H:%M:%SZ}" title="{utc(BEFORE)}"' in html or page == "report"


@pytest.mark.parametrize("page", ["execution", "job-logs", "report"])
def test_what_happened_before_and_after_midnight_is_told_apart(chief: Client, run: Execution, page: str) -> None:
    html = look(chief, page, run.pk)
    assert utc(BEFORE) in html
    assert utc(AFTER) in html


def test_a_time_of_today_and_of_yesterday_have_one_format() -> None:
    now = datetime.now(UTC)
    for moment in (now, now - timedelta(days=1), BEFORE):
        assert tags.clock(moment) == (
            f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}" title="{utc(moment)}">{utc(moment)}</time>'
        )


def test_an_entry_of_the_journal_and_a_file_of_logs_show_it_alike(chief: Client, run: Execution) -> None:
    entry = AuditEntry.objects.filter(at=BEFORE).get()
    assert f">{utc(BEFORE)}</time>" in look(chief, "journal-entry", entry.pk)
    answer = chief.get(reverse("job-logs-text", args=[run.pk]))
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]  # a streamed answer has it
    assert [line.split("\t")[0] for line in text.splitlines() if "LAUNCH_START" in line] == [utc(BEFORE), utc(AFTER)]


def test_the_administration_shows_it_too(db: None, client: Client, run: Execution) -> None:
    client.force_login(User.objects.create_superuser("root", "root@example.com"))
    html = client.get(reverse("admin:executions_execution_changelist")).content.decode()
    assert utc(BEFORE) in html
    assert not bare(html)


def test_the_end_of_a_session_is_told_to_the_second(db: None, client: Client) -> None:
    client.force_login(make_user("admin"))
    told = client.get(reverse("session"))["X-Session-End"]
    assert re.fullmatch(r"idle \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told)
