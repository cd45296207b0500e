"""A run of which AWS tells nothing, although it may answer: it says so, an alarm goes off, and a person can end it."""

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.clock import unix
from contract.errors import DomainError
from executions.commands import control
from executions.commands.abandon import abandon
from executions.engine.sweep import Sweep
from executions.metrics import figures
from executions.models import Execution, LaunchJob, ServerHold, ServerRun, TerminationJob
from notify.models import Notice, Subscription
from tests.support.api_client import Api, make_user
from tests.support.stage import NEVER, Stage

pytestmark = pytest.mark.slow


def shown(run: Execution) -> int | None:
    answer = Api(make_user("viewer")).get(f"/executions/{run.pk}").json()
    listed = Api(make_user("viewer")).get("/executions").json()["items"]
    assert next(each for each in listed if each["executionId"] == str(run.pk))["stalledSince"] == answer["stalledSince"]
    found: int | None = answer["stalledSince"]
    return found


def page_of(run: Execution) -> str:
    client = Client()
    client.force_login(make_user("admin"))
    return client.get(reverse("execution", args=[run.pk])).content.decode()


def stalled_count(stage: Stage) -> int:
    return figures.read(stage.clock(), stage.clock()).stalled


def pass_by(stage: Stage, seconds: int) -> None:
    for _ in range(seconds // 15):
        stage.advance(15)
        stage.look()


@pytest.fixture
def hidden(stage: Stage) -> Execution:
    """DRS answers, shows other jobs, and not the one of this run; nor do its instances come up meanwhile."""
    stage.simulator.scenario("slow_server", servers=["app-01", "app-02"], factor=10)
    other = stage.start(stage.plan("web-01"))
    run = stage.start(stage.plan("app-01 app-02"))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").count() == 2, run, step=5)
    stage.simulator.scenario("slow_server", servers=["web-01"], factor=4)
    stage.simulator.scenario("jobs_deleted", servers=["app-01", "app-02"], running=True)
    assert other.pk != run.pk
    return run


@pytest.mark.field("A15")
def test_it_is_said_after_three_polls_and_ended_by_a_person_after_ten_minutes(stage: Stage, hidden: Execution) -> None:
    pass_by(stage, 30)
    assert (stage.fresh(hidden).stalled_since, stalled_count(stage)) == (None, 0)
    with pytest.raises(DomainError, match="No silence of AWS"):
        abandon(actor=SYSTEM, execution_id=hidden.pk, clock=stage.clock)
    pass_by(stage, 60)
    run = stage.fresh(hidden)
    heard = LaunchJob.objects.get(wave__execution=run)
    assert shown(run) == unix(heard.seen_at or heard.recorded_at)
    assert "Stalled: AWS has not shown this run" in page_of(run)
    assert "Give up on AWS" not in page_of(run)
    assert stalled_count(stage) == 1
    with pytest.raises(DomainError, match="less than 10 minutes"):
        abandon(actor=SYSTEM, execution_id=hidden.pk, clock=stage.clock)
    pass_by(stage, 600)
    run = abandon(actor=SYSTEM, execution_id=hidden.pk, clock=stage.clock)
    assert (run.status, run.error_code, run.stalled_since) == ("FAILED", "AWS_NOT_ANSWERING", None)
    assert "answers, but has not shown the job of this launch since" in run.error_message
    assert not ServerHold.objects.filter(execution=run).exists()
    assert stalled_count(stage) == 0


@pytest.mark.field("A15")
def test_it_goes_on_by_itself_when_the_job_shows_again(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").exists(), run, step=5)
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    pass_by(stage, 90)
    assert stage.fresh(run).stalled_since is not None
    revision = stage.fresh(run).revision
    stage.simulator.clear_scenarios()
    stage.wait(lambda: stage.fresh(run).stalled_since is None, run, step=15)
    assert stage.fresh(run).revision > revision
    verbs = list(AuditEntry.objects.filter(verb__in=["execution.stalled", "execution.heard_of"]).order_by("pk"))
    assert [each.verb for each in verbs] == ["execution.stalled", "execution.heard_of"]
    stage.until(run, "COMPLETED")


@pytest.mark.parametrize("died", [True, False], ids=["died", "stood still"])
def test_what_no_engine_asked_for_is_no_silence_of_aws(stage: Stage, died: bool) -> None:
    run = stage.start(stage.plan("app-01"))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").exists(), run, step=5)
    pass_by(stage, 30)
    stage.simulator.scenario("throttle", operation="DescribeJobs", times=1)
    stage.advance(900)
    if died:
        stage.sweep = Sweep(clock=stage.clock)
        stage.sweep.next_inventory_check = NEVER
    stage.look(times=1)
    assert stage.fresh(run).stalled_since is None
    stage.advance(settings.POLL_SECONDS)  # one poll is asked, and its answer is still under way
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage.sweep.poller, "start", lambda _: None)
        stage.look(times=1)
    stage.until(run, "COMPLETED")
    assert not AuditEntry.objects.filter(verb="execution.stalled").exists()


@pytest.mark.field("A27")
def test_what_comes_up_after_it_was_given_up_is_told_of_and_can_be_terminated(stage: Stage) -> None:
    Subscription.objects.create(
        name="Night shift", channel="WEBHOOK", target="https://example.com/night", events=["FAILED", "LATE"]
    )
    run = stage.start(stage.plan("app-01 app-02"))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").exists(), run, step=5)
    stage.simulator.scenario("internal_error_before", operation="DescribeJobs")
    pass_by(stage, 690)
    abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert "came up after" not in page_of(run)
    stage.simulator.clear_scenarios()
    stage.wait(lambda: not ServerRun.objects.exclude(launch_status="LAUNCHED").exists(), run, step=60)
    notice = Notice.objects.get(event="LATE")
    assert notice.subject.endswith("launched 2 instances late: the wave had been given up")
    assert "app-01, app-02" in notice.text
    assert notice.data["servers"] == stage.ids("app-01 app-02")
    assert "2 servers came up after the wave had been given up: app-01, app-02." in page_of(run)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert len(TerminationJob.objects.get().instance_ids) == 2
    stage.wait(lambda: stage.fresh(run).termination_status == "COMPLETED", run, step=60)
    assert "came up after" not in page_of(run)


@pytest.mark.field("A27")
def test_one_that_comes_up_after_the_others_were_terminated_stands_again(stage: Stage) -> None:
    stage.simulator.scenario("slow_server", servers=["app-02"], factor=16)
    run = stage.until(stage.start(stage.plan("app-01", "app-02")), "PARTIAL", limit=7200)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.wait(lambda: ServerRun.objects.get(hostname="app-01").launch_status == "TERMINATED", run, step=60)
    stage.wait(lambda: ServerRun.objects.get(hostname="app-02").launch_status == "LAUNCHED", run, limit=20000)
    assert stage.fresh(run).termination_status == "PARTIAL"
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.wait(lambda: stage.fresh(run).termination_status == "COMPLETED", run, step=60)
