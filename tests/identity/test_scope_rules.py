"""What a role for a part is worth: nobody widens it by labels, groups or plans; several add up; lists stay quick; and
who has which is an administrator's, journaled, and counts from the next request on."""

from typing import Any, cast

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.actor import SYSTEM
from audit.models import AuditEntry
from executions.models import Execution, LaunchJob
from executions.states import ExecutionStatus
from identity.models import ScopedRole
from identity.provider.cognito import Provider
from identity.scoped.services import give
from plans.fields import WaveSpec
from plans.models import PlanLabel, RecoveryPlan
from plans.services import create_plan
from protection.models import GroupLabel, ProtectionGroup
from tests.console import world
from tests.identity.provider.minting import claims, mint
from tests.identity.provider.test_api_bearer import call
from tests.identity.test_accounts import claims_of
from tests.support.api_client import Api, answer, make_user, refusal

PAYMENTS, LEDGER = {"app": "payments"}, {"app": "ledger"}


def member(*roles: tuple[str, str], everywhere: str = "") -> User:
    """Somebody with these roles, each for a label (`app=payments`) or an account (its number)."""
    user = make_user(*filter(None, [everywhere]))
    for role, scope in roles:
        name = f"{role} of {scope}"
        group = Group.objects.filter(name=name).first()
        if group is None:
            account, text = (scope, "") if scope.isdigit() else ("", scope)
            group = give(actor=SYSTEM, group=name, role=role, label=text, account_id=account).group
        user.groups.add(group)
    return user


def label(plan: RecoveryPlan, labels: dict[str, str], *, groups: bool = True) -> RecoveryPlan:
    for key, value in labels.items():
        PlanLabel.objects.create(plan=plan, key=key, value=value)
        for group in ProtectionGroup.objects.filter(waves__plan=plan).distinct() if groups else ():
            GroupLabel.objects.create(group=group, key=key, value=value)
    return plan


@pytest.fixture
def payments(db: None) -> RecoveryPlan:
    return label(world.plan("Payments"), PAYMENTS)


@pytest.fixture
def ledger(db: None) -> RecoveryPlan:
    return label(world.plan("Ledger"), LEDGER)


def waves_of(plan: RecoveryPlan) -> Any:
    return answer(Api(make_user("viewer")).get(f"/recovery-plans/{plan.pk}"))["waves"]


def test_nobody_widens_a_scope_by_labels_groups_or_plans(payments: RecoveryPlan, ledger: RecoveryPlan) -> None:
    planner = Api(member(("planner", "app=payments"), ("operator", "tier=1")))
    mine, group = f"/recovery-plans/{payments.pk}", ProtectionGroup.objects.filter(waves__plan=payments)[0]
    assert answer(planner.put(mine, {"description": "x", "labels": {**PAYMENTS, "team": "a"}}))["labels"]["team"] == "a"
    for labels in ({}, LEDGER, {"team": "a"}):
        refused = refusal(planner.put(mine, {"labels": labels}), 403, "FORBIDDEN")
        assert refused == {"right": "plans.change_recoveryplan", "scope": "app=payments"}
    for path in (mine, f"/protection-groups/{group.pk}"):
        body = answer(planner.put(path, {"labels": {**PAYMENTS, "tier": "1"}}), 403)  # it would make them its operator
        assert "with the label tier=1 here, only for app=payments" in body["message"]
    refusal(planner.put(f"/recovery-plans/{ledger.pk}", {"labels": PAYMENTS}), 404, "NOT_FOUND")
    refusal(planner.delete(f"/recovery-plans/{ledger.pk}"), 404, "NOT_FOUND")
    # Servers of others: not seen they are not there, seen they are not theirs to use.
    kept = ("waveName", "protectionGroupIds", "serverIds")
    foreign = [{name: wave[name] for name in kept} for wave in waves_of(ledger)]
    fields = refusal(planner.put(mine, {"waves": foreign}), 400, "VALIDATION_ERROR")["fields"]
    assert "There is no protection group" in str(fields)
    refusal(
        planner.post("/recovery-plans", {"planName": "N", "waves": foreign, "labels": PAYMENTS}),
        400,
        "VALIDATION_ERROR",
    )
    sees_all = Api(member(("planner", "app=payments"), everywhere="viewer"))
    told = answer(sees_all.put(mine, {"waves": foreign}), 403)["message"]
    assert "with servers of “Ledger group" in told
    refusal(sees_all.put(f"/recovery-plans/{ledger.pk}", {"description": "x"}), 403, "FORBIDDEN")
    own = [
        {name: wave[name] for name in ("waveName", "protectionGroupIds", "serverIds")} for wave in waves_of(payments)
    ]
    refusal(planner.post("/recovery-plans", {"planName": "N", "waves": own}), 403, "FORBIDDEN")
    made = answer(planner.post("/recovery-plans", {"planName": "N", "waves": own, "labels": PAYMENTS}), 201)
    answer(planner.delete(f"/recovery-plans/{made['planId']}"))
    assert {str(each) for each in PlanLabel.objects.filter(plan=payments)} == {"app=payments", "team=a"}
    everywhere = Api(make_user("planner"))
    assert answer(everywhere.put(mine, {"labels": {"tier": "1"}}))["labels"] == {"tier": "1"}


def test_a_plan_with_servers_of_others_is_not_launched(payments: RecoveryPlan) -> None:
    GroupLabel.objects.filter(group__name__endswith="group 1").delete()
    operator = Api(member(("operator", "app=payments")))
    body = {"PlanId": str(payments.pk), "ExecutionType": "DRILL", "DryRun": True}
    told = answer(operator.post("/executions", body), 403)
    assert "You may not start drills with servers of “Payments group 1” here, only for app=payments." in told["message"]
    assert not Execution.objects.exists()
    failed = world.ended(ExecutionStatus.PARTIAL, "Failed", fail="no capacity")
    assert failed.plan
    label(failed.plan, PAYMENTS, groups=False)
    refusal(operator.post(f"/executions/{failed.pk}/retry", {}), 403, "FORBIDDEN")
    label(payments, {}, groups=False)
    for group in ProtectionGroup.objects.filter(waves__plan=payments):
        GroupLabel.objects.get_or_create(group=group, key="app", value="payments")
    answer(operator.post("/executions", body), 202)


def test_several_roles_add_up(payments: RecoveryPlan, ledger: RecoveryPlan) -> None:
    """A plan in two accounts takes a role for each; what one role gives is not given where another holds."""
    second = ProtectionGroup.objects.filter(waves__plan=payments).order_by("name_key")[1]
    ProtectionGroup.objects.filter(pk=second.pk).update(account_id="444455556666")
    one, both = (("operator", world.ACCOUNT),), (("operator", world.ACCOUNT), ("operator", "444455556666"))
    path = f"/recovery-plans/{payments.pk}"
    refusal(Api(member(*one)).get(path), 404, "NOT_FOUND")
    answer(Api(member(*both)).get(path))
    answer(Api(member(*both)).post(f"{path}/execute", {"ExecutionType": "DRILL", "DryRun": True}), 202)
    mixed = Api(member(("viewer", "app=payments"), ("operator", "app=ledger")))
    assert {each["planName"] for each in answer(mixed.get("/recovery-plans"))["plans"]} == {"Payments", "Ledger"}
    body = {"ExecutionType": "DRILL", "DryRun": True}
    refusal(mixed.post(f"{path}/execute", body), 403, "FORBIDDEN")
    answer(mixed.post(f"/recovery-plans/{ledger.pk}/execute", body), 202)
    unscoped = Api(member(("operator", "app=payments"), everywhere="viewer"))
    assert answer(unscoped.get("/recovery-plans"))["count"] == 2
    refusal(unscoped.post(f"/recovery-plans/{ledger.pk}/execute", body), 403, "FORBIDDEN")


def test_pages_offer_what_one_may_do_there(payments: RecoveryPlan, ledger: RecoveryPlan, client: Client) -> None:
    client.force_login(member(("recovery-manager", "app=payments"), everywhere="viewer"))
    page = client.get(reverse("plans")).content.decode()
    assert reverse("start-recovery", args=[payments.pk]) in page
    assert reverse("start-recovery", args=[ledger.pk]) not in page
    run, other = world.start(payments), world.start(ledger)
    assert "Cancel run" in client.get(reverse("execution", args=[run.pk])).content.decode()
    for pk, allowed in ((run.pk, True), (other.pk, False)):
        body = answer(Api(User.objects.get(username=client_user(client))).get(f"/executions/{pk}"))
        assert body["actions"]["cancel"]["allowed"] is allowed
    listed = answer(Api(User.objects.get(username=client_user(client))).get("/executions"))["items"]
    assert {each["planName"]: each["actions"]["cancel"]["allowed"] for each in listed} == {
        "Payments": True,
        "Ledger": False,
    }
    assert client.post(reverse("cancel-execution", args=[other.pk])).status_code == 403
    only = Client()
    only.force_login(member(("viewer", "app=payments")))
    page = only.get(reverse("dashboard")).content.decode()
    assert "Payments" in page
    assert "Ledger" not in page
    assert reverse("journal") not in page
    assert "seeing only app=payments" in only.get(reverse("settings")).content.decode()
    refused = only.get(reverse("journal"))
    assert (refused.status_code, "your role is for app=payments" in refused.content.decode()) == (403, True)


def client_user(client: Client) -> str:
    return User.objects.get(pk=client.session["_auth_user_id"]).username


def test_instances_are_terminated_by_those_to_whom_they_belong(db: None) -> None:
    mine, other = (world.ended(ExecutionStatus.COMPLETED, name) for name in ("Payments", "Ledger"))
    for run, labels in ((mine, PAYMENTS), (other, LEDGER)):
        assert run.plan
        label(run.plan, labels)
    api = Api(member(("operator", "app=payments")))
    items = answer(api.get("/recovery-instances"))["items"]
    assert {each["planName"] for each in items} == {"Payments"}
    strange = other.waves.all()[0].servers.all()[0].recovery_instance_id
    done = answer(api.post("/recovery-instances/terminate", {"recoveryInstanceIds": [strange]}))
    assert [each["recoveryInstanceId"] for each in done["unknown"]] == [strange]
    assert not other.terminations.exists()


@pytest.mark.both
def test_lists_of_one_account_stay_within_what_one_sees(db: None) -> None:
    """A plan is listed once, of each account that it has a group in; instances, of the one that they run in."""
    mine, _ = (world.ended(ExecutionStatus.COMPLETED, name) for name in ("Payments", "Ledger"))
    label(cast("RecoveryPlan", mine.plan), PAYMENTS)
    second = ProtectionGroup.objects.filter(waves__plan=mine.plan).order_by("name_key")[1]
    ProtectionGroup.objects.filter(pk=second.pk).update(account_id="444455556666")
    last = LaunchJob.objects.filter(wave__execution=mine).order_by("pk")[1]
    LaunchJob.objects.filter(pk=last.pk).update(account_id="444455556666")
    within, everywhere = Api(member(("viewer", "app=payments"))), Api(make_user("viewer"))

    def plans(api: Api, account: str) -> list[str]:
        return [each["planName"] for each in answer(api.get(f"/recovery-plans?accountId={account}"))["plans"]]

    def instances(api: Api, account: str) -> set[tuple[str, str]]:
        items = answer(api.get(f"/recovery-instances?accountId={account}"))["items"]
        return {(each["planName"], each["accountId"]) for each in items}

    assert (plans(within, world.ACCOUNT), plans(everywhere, world.ACCOUNT)) == (["Payments"], ["Ledger", "Payments"])
    assert plans(everywhere, "444455556666") == ["Payments"]
    assert instances(within, world.ACCOUNT) == {("Payments", world.ACCOUNT)}
    assert instances(everywhere, world.ACCOUNT) == {(name, world.ACCOUNT) for name in ("Payments", "Ledger")}
    assert instances(everywhere, "444455556666") == {("Payments", "444455556666")}
    for path in ("/recovery-plans", "/recovery-instances"):  # as of protection groups
        assert answer(everywhere.get(f"{path}?accountId=")) == answer(everywhere.get(path))
        refusal(everywhere.get(f"{path}?account={world.ACCOUNT}"), 400, "VALIDATION_ERROR")
    assert plans(everywhere, "999988887777") == []
    assert instances(everywhere, "999988887777") == set()


def test_lists_take_no_more_queries_for_more_roles(payments: RecoveryPlan) -> None:
    few = Api(member(("viewer", "app=payments")))
    many = Api(member(*[("viewer", f"app={number}") for number in range(30)], ("operator", "app=payments")))
    for path in ("/recovery-plans", "/protection-groups", "/executions", f"/recovery-plans/{payments.pk}"):
        counts = []
        for api in (few, many):
            with CaptureQueriesContext(connection) as queries:
                answer(api.get(path))
            counts.append(len(queries))
        assert counts[0] == counts[1], path
    assert answer(many.get("/recovery-plans"))["count"] == 1


def test_the_provider_says_who_is_in_a_group_and_an_administrator_what_for(
    cognito: Provider, payments: RecoveryPlan, ledger: RecoveryPlan
) -> None:
    from identity.provider.users import signed_in

    told = {"cognito:groups": ["payments-on-call"]}

    def listed() -> set[str]:
        plans = call(mint(claims(**told)), path="/recovery-plans").json()["plans"]
        return {each["planName"] for each in plans}

    assert listed() == {"Payments", "Ledger"}, "nobody has given it a role: the default one"
    role = give(actor=SYSTEM, group="payments-on-call", role="operator", label="app=payments")
    assert listed() == {"Payments"}
    user = signed_in(claims_of(cognito, **told), cognito)
    assert user.has_perm("executions.start_drill") is False, "not everywhere"
    assert [group.name for group in user.groups.all()] == ["payments-on-call"]
    assert not signed_in(claims_of(cognito, **{"cognito:groups": []}), cognito).groups.exists()
    ScopedRole.objects.filter(pk=role.pk).delete()
    assert listed() == {"Payments", "Ledger"}


@pytest.mark.both
def test_an_administrator_gives_and_takes_roles_and_the_journal_says_so(db: None) -> None:
    admin, page = make_user("admin"), Client()
    page.force_login(admin)
    sent = {"group": "payments-ops", "role": "operator", "label": "app=payments", "account_id": ""}
    assert page.post(reverse("roles"), sent).status_code == 302
    shown = page.get(reverse("roles")).content.decode()
    assert "payments-ops" in shown
    assert "app=payments" in shown
    again = page.post(reverse("roles"), sent)
    assert (again.status_code, "has the role operator for that already" in again.content.decode()) == (400, True)
    api = Api(admin)
    for wrong, field in (
        ({"label": "a=b", "accountId": world.ACCOUNT}, "label"), ({}, "label"), ({"accountId": "12"}, "accountId"),
        ({"label": "a=b, c=d"}, "label"), ({"label": "=b"}, "label"), ({"label": "a=b", "group": "operator"}, "group"),
        ({"label": "a=b", "role": "admin"}, "role"), ({"label": "a=b", "group": ""}, "group"),
    ):  # fmt: skip
        refused = refusal(api.post("/roles", {"group": "g", "role": "viewer", **wrong}), 400, "VALIDATION_ERROR")
        assert list(refused["fields"]) == [field], wrong
    refusal(
        api.post("/roles", {"group": "payments-ops", "role": "operator", "label": "app=payments"}), 409, "ROLE_GIVEN"
    )
    made = answer(api.post("/roles", {"group": "g", "role": "viewer", "accountId": world.ACCOUNT}), 201)
    assert [each["accountId"] for each in answer(api.get("/roles"))["roles"]] == [world.ACCOUNT, None]
    answer(api.delete(f"/roles/{made['roleId']}"))
    refusal(api.delete(f"/roles/{made['roleId']}"), 404, "NOT_FOUND")
    key = ScopedRole.objects.get().pk
    assert "default one, viewer" in page.get(reverse("take-role", args=[key])).content.decode()
    assert page.post(reverse("take-role", args=[key])).status_code == 302
    kept = list(AuditEntry.objects.filter(verb__startswith="role.", refused=False).order_by("pk"))
    assert [(each.verb, each.before or each.after) for each in kept] == [
        ("role.give", {"group": "payments-ops", "role": "operator", "scope": "app=payments"}),
        ("role.give", {"group": "g", "role": "viewer", "scope": f"account {world.ACCOUNT}"}),
        ("role.take", {"group": "g", "role": "viewer", "scope": f"account {world.ACCOUNT}"}),
        ("role.take", {"group": "payments-ops", "role": "operator", "scope": "app=payments"}),
    ]


def test_a_run_of_a_plan_that_is_gone_is_seen_by_those_who_see_everything(payments: RecoveryPlan) -> None:
    run = world.start(payments)
    Execution.objects.filter(pk=run.pk).update(ended_at=run.started_at, status="CANCELLED")
    RecoveryPlan.objects.filter(pk=payments.pk).delete()
    refusal(Api(member(("viewer", "app=payments"))).get(f"/executions/{run.pk}"), 404, "NOT_FOUND")
    answer(Api(make_user("viewer")).get(f"/executions/{run.pk}"))
    assert not PlanLabel.objects.exists()


def test_another_plan_for_servers_of_ones_own_is_no_way_around(payments: RecoveryPlan) -> None:
    """A plan of somebody else that uses a group of mine is not mine."""
    group = ProtectionGroup.objects.filter(waves__plan=payments)[0]
    servers = list(group.assignments.values_list("source_server_id", flat=True))
    other = create_plan(actor=SYSTEM, name="Other", waves=[WaveSpec("One", [group.pk], servers)])
    api = Api(member(("recovery-manager", "app=payments")))
    refusal(api.get(f"/recovery-plans/{other.pk}"), 404, "NOT_FOUND")
    refusal(api.post("/executions", {"PlanId": str(other.pk), "ExecutionType": "DRILL"}), 404, "NOT_FOUND")
    answer(api.get(f"/protection-groups/{group.pk}"))
