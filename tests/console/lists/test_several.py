"""Several are ticked and acted on: by the same commands as one, told for each, and with nothing done unseen."""

import json
import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from executions.models import Execution, PlanReadiness, TerminationJob
from executions.states import ExecutionStatus, Kind
from identity.scoped.services import give
from plans.models import PlanLabel, RecoveryPlan
from plans.services import update_plan
from protection.models import GroupLabel, ProtectionGroup
from tests.console import world
from tests.console.test_pages import look, words
from tests.support.api_client import make_user

pytestmark = [pytest.mark.both, pytest.mark.django_db]


def told(client: Client, page: str) -> list[str]:
    """What the page says of what was just done, each thing by itself."""
    html = look(client, page)
    return [words(each).strip() for each in re.findall(r'(?s)<p class="banner"[^>]*role="status">.*?</p>', html)]


def running() -> list[str]:
    return sorted(Execution.objects.filter(ended_at=None).values_list("plan_name", flat=True))


def test_drills_of_several_plans_start_but_for_those_that_are_refused(
    console: Client, simulator: RunningSimulator
) -> None:
    world.region()
    ready, other, busy = world.plan("Alpha"), world.plan("Beta"), world.start(world.plan("Busy"))
    shared = world.sharing(world.start(ready), "Gamma")
    Execution.objects.filter(plan=ready).delete()  # its servers are free again
    Execution.objects.filter(plan=shared).delete()
    produced = world.ended(ExecutionStatus.COMPLETED, "Production")
    Execution.objects.filter(pk=produced.pk).update(kind=Kind.RECOVERY)
    chosen = [ready, other, shared, RecoveryPlan.objects.get(name="Busy"), RecoveryPlan.objects.get(name="Production")]
    ids = [str(each.pk) for each in chosen]
    weighed = {"verdict": "READY_WITH_WARNINGS", "reasons": ["The last drill is 100 days old."], "checked_at": now()}
    PlanReadiness.objects.create(plan=ready, plan_version=1, expires_at=now() + timedelta(minutes=5), **weighed)
    html = look(console, "drill-plans", plan=ids)
    said = words(html)
    assert "Start 2 drills?" in said
    assert "8 instances will be launched" in said
    assert "Ready with warnings The last drill is 100 days old." in said
    assert "3 of the ticked plans would not be started" in said
    assert "Gamma : It has servers of “Alpha”, which starts before it." in said
    assert "Busy : “Busy” is already running" in said
    assert "Production : Its drill would end 4 recovery instances that may run production." in said
    assert sorted(re.findall(r'name="plan" value="([^"]+)"', html)) == sorted([str(ready.pk), str(other.pk)])
    assert running() == ["Busy"]
    assert console.post(reverse("drill-plans"), {"plan": ids})["Location"] == reverse("executions")
    assert running() == ["Alpha", "Beta", "Busy"]
    first, *refused = told(console, "executions")
    assert re.fullmatch(r"2 drills started: run \d+ of Alpha, run \d+ of Beta\.", first)
    assert [each.split(" was not started: ")[0] for each in refused] == ["Gamma", "Busy", "Production"]
    assert "terminate" in refused[2], "without the right to end recoveries it is the single start's refusal"
    journaled = AuditEntry.objects.filter(verb="execution.start", refused=True).values_list("outcome", flat=True)
    assert sorted(journaled) == ["FORBIDDEN", "PLAN_ALREADY_EXECUTING", "SERVER_CONFLICT"]
    console.post(reverse("drill-plans"), {"plan": ids[:2]})  # the second click
    assert running() == ["Alpha", "Beta", "Busy"]
    assert busy.pk in Execution.objects.values_list("pk", flat=True)


def test_who_may_do_nothing_has_nothing_to_tick(onlooker: Client, console: Client) -> None:
    world.ended(ExecutionStatus.COMPLETED, "Alpha")
    for page in ("plans", "groups"):
        assert "checkbox" not in look(onlooker, page), page
    assert 'name="plan"' in look(console, "plans")
    assert "Terminate the drills’ instances" not in look(onlooker, "executions")


def test_asking_does_nothing_and_tells_what_is_too_much(chief: Client) -> None:
    plan = world.plan("Alpha")
    ids = [str(plan.pk), *(str(uuid.UUID(int=at)) for at in range(60))]
    for page, name, most in (("drill-plans", "plan", 50), ("terminate-runs", "run", 50), ("label-plans", "plan", 100)):
        asked = chief.post(reverse(page), {name: ids * 2, "ask": "1"})
        assert asked.status_code == 200
        said = words(asked.content.decode())
        assert ("11 more are ticked and left out: at most 50 at a time." in said) == (most == 50), page
    assert running() == []


def test_it_shows_nothing_to_start_where_nothing_is_ticked(console: Client) -> None:
    assert "No plan is ticked." in words(look(console, "drill-plans", plan="x"))
    assert console.post(reverse("drill-plans")).status_code == 200
    assert running() == []


def test_drills_are_cleaned_up_together_and_recoveries_never(
    console: Client, operator: User, simulator: RunningSimulator
) -> None:
    operator.user_permissions.add(*Permission.objects.filter(codename__startswith="terminate_"))
    one, two = (world.ended(ExecutionStatus.COMPLETED, name, sizes=(2,)) for name in ("One", "Two"))
    recovery = world.ended(ExecutionStatus.COMPLETED, "Three")
    Execution.objects.filter(pk=recovery.pk).update(kind=Kind.RECOVERY)
    html = look(console, "executions")
    boxes = sorted(re.findall(r'name="run" value="([^"]+)"', html))
    assert boxes == sorted(str(each.pk) for each in (one, two, recovery)), "recoveries can be compared, too"
    ids = [str(each.pk) for each in (one, two, recovery, world.paused("Four"))]
    said = words(look(console, "terminate-runs", run=ids))
    assert "Terminate 4 instances of 2 drills?" in said
    assert "of Three : A recovery is never terminated with others." in said
    assert "of Four : Instances can be terminated when the run has ended." in said
    for typed in ("", "terminate", "terminate 8"):
        wrong = console.post(reverse("terminate-runs"), {"run": ids, "confirm": typed})
        assert wrong.status_code == 422
    assert not TerminationJob.objects.exists()
    console.post(reverse("terminate-runs"), {"run": ids, "confirm": "Terminate 4", "comment": "Friday"})
    jobs = TerminationJob.objects.values_list("execution__plan_name", flat=True)
    asked = AuditEntry.objects.filter(verb="execution.terminate", refused=False)
    assert set(jobs) | set(asked.values_list("subject_name", flat=True)) <= {"One", "Two"}
    assert {each.detail["comment"] for each in asked} <= {"Friday"}
    assert len(told(console, "executions")) >= 1
    assert not TerminationJob.objects.filter(execution=recovery).exists()


def test_a_label_is_set_and_removed_where_that_is_allowed(chief: Client) -> None:
    free, busy = world.plan("Free"), world.start(world.plan("Busy")).plan
    assert busy
    update_plan(actor=SYSTEM, plan_id=free.pk, labels=[("app", "old"), ("tier", "1")])
    ids = [str(free.pk), str(busy.pk)]
    said = words(look(chief, "label-plans", plan=ids))
    assert "Free app=old, tier=1" in said
    assert "Busy: “Busy” is being run (pending). It can be changed when the run is over." in said
    for wrong in ("", "a=1, b=2", "=x", "k" * 64):
        refused = chief.post(reverse("label-plans"), {"plan": ids, "label": wrong, "do": "set"})
        assert refused.status_code == 422, wrong
    chief.post(reverse("label-plans"), {"plan": ids, "label": "app=new", "do": "set"})
    assert told(chief, "plans") == ["The label app=new was set on 1 plan."]
    assert dict(PlanLabel.objects.filter(plan=free).values_list("key", "value")) == {"app": "new", "tier": "1"}
    chief.post(reverse("label-plans"), {"plan": ids, "label": "tier", "do": "remove"})
    assert list(PlanLabel.objects.values_list("plan__name", "key", "value")) == [("Free", "app", "new")]
    chief.post(reverse("label-plans"), {"plan": ids, "label": "tier", "do": "remove"})
    assert told(chief, "plans")[-1] == "1 plan had nothing to change."
    update_plan(actor=SYSTEM, plan_id=free.pk, labels=[(f"k{at}", "") for at in range(20)])
    chief.post(reverse("label-plans"), {"plan": ids, "label": "one=more", "do": "set"})
    assert told(chief, "plans") == ["Free: At most 20 labels; this has 21."]
    groups = [str(each.pk) for each in ProtectionGroup.objects.filter(name__startswith="Free")]
    chief.post(reverse("label-groups"), {"group": groups, "label": "site", "do": "set"})
    assert told(chief, "groups") == [f"The label site was set on {len(groups)} groups."]
    assert GroupLabel.objects.filter(key="site").count() == len(groups)


def test_somebody_with_a_part_acts_on_that_part(client: Client, simulator: RunningSimulator) -> None:
    world.region()
    mine, other = world.plan("Mine"), world.plan("Other")
    update_plan(actor=SYSTEM, plan_id=mine.pk, labels=[("app", "payments")])
    user = make_user()
    user.groups.add(give(actor=SYSTEM, group="Payments people", role="operator", label="app=payments").group)
    client.force_login(user, backend="identity.auth.RoleBackend")
    ids = [str(mine.pk), str(other.pk)]
    said = words(look(client, "drill-plans", plan=ids))
    assert "Mine : You may not start drills with servers of “Mine group" in said, "as the start itself would say"
    groups = ProtectionGroup.objects.filter(name__startswith="Mine")
    GroupLabel.objects.bulk_create(GroupLabel(group=each, key="app", value="payments") for each in groups)
    said = words(look(client, "drill-plans", plan=ids))
    assert "Start 1 drill?" in said
    assert "Other" not in said
    client.post(reverse("drill-plans"), {"plan": ids})
    assert running() == ["Mine"]
    assert "Other" not in json.dumps(told(client, "executions"))
