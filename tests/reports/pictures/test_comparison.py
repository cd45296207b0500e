"""Two runs side by side: what differs, and for whom."""

import re
from html import unescape

from django.contrib.auth.models import Group
from django.test import Client

from audit.actor import SYSTEM
from executions.models import Execution, ServerRun, WaveRun
from executions.states import ExecutionStatus
from identity.scoped.services import give
from plans.models import PlanLabel, RecoveryPlan
from tests.console import world
from tests.support.api_client import Api, make_user


def ended_again(plan: RecoveryPlan) -> Execution:
    run = world.start(plan)
    for wave in run.waves.all():
        world.launch(wave)
    run.holds.all().delete()
    return world.change(run, status=ExecutionStatus.COMPLETED, ended_at=run.started_at, next_step_at=None)


def words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub("<[^>]+>", " ", html)))


def section(html: str, name: str) -> str:
    return words(html.partition(f'aria-labelledby="{name}-title"')[2].partition("</section>")[0])


def page_of(client: Client, *runs: Execution) -> str:
    response = client.get(f"/executions/compare?a={runs[0].number}&b={runs[1].pk}")
    assert response.status_code == 200
    html: str = response.content.decode()
    return html


def two_runs() -> tuple[Execution, Execution]:
    """Of one plan: between them a server went and another came, one failed, and settings were changed."""
    one = world.ended(ExecutionStatus.COMPLETED, "Payments <b>")
    assert one.plan is not None
    plan = one.plan
    wave = plan.waves.get(number=1)
    wave.on_failure, wave.wait_minutes_before = "CONTINUE", 5
    wave.save()
    RecoveryPlan.objects.filter(pk=plan.pk).update(version=2, drill_lease_hours=8)
    other = ended_again(RecoveryPlan.objects.get(pk=plan.pk))
    first, second = ServerRun.objects.filter(wave__execution=other, wave__number=0).order_by("position")
    ServerRun.objects.filter(pk=first.pk).update(source_server_id="s-00000000000000fff", hostname="new-01")
    ServerRun.objects.filter(pk=second.pk).update(launch_status="FAILED", error="No capacity <i>", launched_at=None)
    WaveRun.objects.filter(execution=one, number=1).update(
        paused_at=one.started_at, resumed_at=one.started_at, resumed_by="ada@example.com"
    )
    return Execution.objects.get(pk=one.pk), other


def test_it_says_what_differs(admin: Api) -> None:
    one, other = two_runs()
    admin.client.force_login(admin.user)
    html = page_of(admin.client, one, other)
    assert "<b>&" not in html
    assert "No capacity &lt;i&gt;" in html
    servers = section(html, "servers")
    gone = ServerRun.objects.get(wave__execution=one, wave__number=0, position=0).hostname
    for told in ("Only in the first run: 1", gone, "Only in the second run: 1 ", "new-01", "Another outcome: 1",
                 "Failed: No capacity", "2 in both, with the same outcome"):  # fmt: skip
        assert told in servers
    settings = section(html, "settings")
    for told in ("Drill lease", "no lease 8 hours", "Wave 2: On failure", "Stop the plan Continue with the next wave",
                 "Wave 2: Wait before", "0 minutes 5 minutes"):  # fmt: skip
        assert told in settings
    assert "Resumed by ada@example.com" in section(html, "gates")
    assert "not asked" in section(html, "gates")
    assert "0 s" in section(html, "wave-1")  # no time, and not nothing
    facts = section(html, "facts")
    assert "not compared: not every server launched" in facts
    assert "Recovery time achieved (RTA)" in facts
    assert "version 1" in facts
    assert "version 2" in facts
    assert "different plans" not in html
    turned = section(page_of(admin.client, other, one), "servers")
    assert "Only in the first run: 1" in turned
    assert turned.index("new-01") < turned.index(gone)
    same = page_of(admin.client, one, one)
    assert "one run beside itself" in same
    assert "Nothing was set otherwise." in same


def test_runs_of_two_plans_are_compared_and_it_is_said(admin: Api) -> None:
    one, other = world.ended(ExecutionStatus.COMPLETED, "Payments"), world.ended(ExecutionStatus.COMPLETED, "Orders")
    admin.client.force_login(admin.user)
    assert "These are runs of different plans." in page_of(admin.client, one, other)


def test_two_are_chosen_and_what_cannot_be_shown_is_said(admin: Api) -> None:
    one, running = world.ended(ExecutionStatus.COMPLETED, "Payments"), world.paused("Orders")
    other = ended_again(RecoveryPlan.objects.get(name="Payments"))
    admin.client.force_login(admin.user)
    client = admin.client
    offer = client.get("/executions/compare").content.decode()
    assert f'href="/executions/compare?a={one.pk}"' in offer
    assert str(running.pk) not in offer
    assert f'href="/executions/compare?a={one.pk}&amp;b={other.pk}"' in (
        client.get(f"/executions/compare?a={one.pk}").content.decode()
    )
    refused = client.get(f"/executions/compare?a={one.pk}&b=run {running.number}")
    assert refused.status_code == 400
    assert f"Run {running.number} of Orders is paused: it can be compared" in refused.content.decode()
    listed = client.get("/executions").content.decode()
    button = re.search(r'<form id="chosen"[^>]* method="post".*?formaction="([^"]+)"', listed, re.DOTALL)
    assert button
    ticked = client.post(button[1], {"ask": "1", "run": [other.pk, one.pk]})  # lists are newest first
    assert ticked["Location"] == f"/executions/compare?a={one.pk}&b={other.pk}"
    assert client.post(button[1], {"run": [one.pk]})["Location"] == f"/executions/compare?a={one.pk}"
    many = client.post(button[1], {"run": [running.pk, other.pk, one.pk]}).content.decode()
    assert "You ticked 3" in many
    assert re.findall(r'name="[ab]" value="(\d+)"', many) == [str(other.number), str(running.number)]
    assert "You ticked none." in client.post(button[1], {"ask": "1"}).content.decode()
    for wrong in ("999999", "x", "-1", "9" * 40, "\u0663", str(one.pk)[:-1]):
        missing = client.get("/executions/compare", {"a": str(one.pk), "b": wrong})
        assert (missing.status_code, "There is no run" in missing.content.decode()) == (404, True), wrong
    for page in (f"/executions/{one.pk}", f"/executions/{one.pk}/report"):
        assert f'href="/executions/compare?a={one.pk}"' in client.get(page).content.decode()
    assert 'href="/executions/compare"' in client.get("/executions").content.decode()


def test_the_rights_of_both_runs_are_needed(client: Client, db: None) -> None:
    mine, other = world.ended(ExecutionStatus.COMPLETED, "Payments"), world.ended(ExecutionStatus.COMPLETED, "Secret")
    PlanLabel.objects.create(plan=RecoveryPlan.objects.get(name="Payments"), key="app", value="payments")
    give(actor=SYSTEM, group="Payments people", role="viewer", label="app=payments")
    user = make_user()
    user.groups.add(Group.objects.get(name="Payments people"))
    client.force_login(user)
    for query in (f"a={mine.pk}&b={other.pk}", f"a={other.number}&b={mine.number}", f"a={other.pk}"):
        answer = client.get(f"/executions/compare?{query}")
        assert answer.status_code == 404
        assert "Secret" not in answer.content.decode()
    assert client.get(f"/executions/compare?a={mine.pk}&b={mine.pk}").status_code == 200
