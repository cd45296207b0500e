"""What tags and names suggest, who may make it, and when the dashboard stops showing the way."""

import pytest
from django.test import Client

from audit.actor import SYSTEM, person
from contract.errors import Conflict, Forbidden
from doctor.first_steps import services, steps
from doctor.first_steps.suggestions import placed, suggestions
from drs_simulator.testing import RunningSimulator
from executions.states import ExecutionStatus
from plans.models import RecoveryPlan
from protection.inventory.source_servers import read_region
from protection.models import RegionInventory, SourceServer
from tests.console import world
from tests.support.api_client import make_user
from tests.support.stage import Stage

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("hostname", "tags", "application", "tier"),
    [
        ("x", {"Application": "Payroll", "Tier": "database"}, "Payroll", "database"),
        ("x", {"app": "crm", "Role": "web"}, "crm", "web"),
        ("erp-db-01.example.com", {}, "erp", "db"),
        ("erp-web-02", {"Tier": "front"}, "erp", "front"),
        ("db-01", {}, "", "db"),
        ("web01", {}, "", "web"),
        ("i-am-a-name", {"Application": " "}, "i", "servers"),
        ("", {"Service": "mail"}, "mail", "servers"),
    ],
)
def test_where_a_server_belongs(hostname: str, tags: dict[str, str], application: str, tier: str) -> None:
    assert placed(SourceServer(hostname=hostname, tags=tags)) == (application, tier)


def test_an_application_is_a_plan_with_its_tiers_in_order(simulator: RunningSimulator) -> None:
    read_region("us-east-1")
    found = {each.key: each for each in suggestions()}
    payments = found["us-east-1/payments"]
    assert [tier.name for tier in payments.tiers] == ["database", "application", "web"]
    assert "us-east-1/crm" not in {each.key for each in suggestions(["us-east-1/crm"])}
    kept = [each.pk for each in payments.servers if each.hostname != "web-02"]
    plan = services.accept(actor=SYSTEM, suggestion=payments, name="Payments", server_ids=kept)
    waves = list(plan.waves.order_by("number"))
    assert [wave.name for wave in waves] == ["Database", "Application", "Web"]
    assert [list(wave.depends_on.values_list("number", flat=True)) for wave in waves] == [[], [0], [1]]
    left = {each.key: each for each in suggestions()}["us-east-1/payments"]
    assert [each.hostname for each in left.servers] == ["web-02"]


def test_a_suggestion_that_was_half_accepted_goes_on(simulator: RunningSimulator) -> None:
    read_region("us-east-1")
    [payments] = [each for each in suggestions() if each.key == "us-east-1/payments"]
    RecoveryPlan.objects.create(name="Taken", name_key="taken", owner="x")
    with pytest.raises(Conflict):
        services.accept(actor=SYSTEM, suggestion=payments, name="Taken", server_ids=[e.pk for e in payments.servers])
    [again] = [each for each in suggestions() if each.key == "us-east-1/payments"]
    plan = services.accept(actor=SYSTEM, suggestion=again, name="Payments", server_ids=[e.pk for e in again.servers])
    assert plan.waves.count() == 3


def test_the_scan_finds_every_region_with_servers(simulator: RunningSimulator) -> None:
    services.scan(actor=SYSTEM)
    counted = {each.region: each.servers for each in steps.regions() if each.servers}
    assert counted == {"us-east-1": 22, "us-west-2": 18}
    assert RegionInventory.objects.filter(initialized=False).count() > 20


def test_who_may_not_make_groups_makes_none(simulator: RunningSimulator, client: Client) -> None:
    read_region("us-east-1")
    client.force_login(make_user("viewer"))
    assert client.post("/first-steps/scan").status_code == 403
    for suggestion in ("us-east-1/payments", "nothing"):
        assert client.post("/first-steps/accept", {"suggestion": suggestion}).status_code == 403
    assert not RecoveryPlan.objects.exists()
    with pytest.raises(Forbidden):
        services.scan(actor=person(make_user("viewer")))


def test_a_demo_has_one_step(simulator: RunningSimulator) -> None:
    stage = Stage(simulator)
    plan = stage.plan("web-01", name="Demo plan")
    assert plan.owner == SYSTEM.name
    client = Client()
    client.force_login(make_user("operator"))
    reader = Client()
    reader.force_login(make_user("viewer"))
    page = reader.get("/first-steps").content.decode()
    assert "No drill has completed yet. You may not start drills. Ask an administrator for the right." in page
    assert f"/recovery-plans/{plan.pk}/start-drill" not in page
    page = client.get("/first-steps").content.decode()
    assert "Start your first drill" in page
    assert f"/recovery-plans/{plan.pk}/start-drill" in page
    assert 'hx-get="/first-steps"' in client.get("/").content.decode()
    run = stage.start(plan)
    page = client.get("/first-steps").content.decode()
    assert f'<a href="/executions/{run.pk}">Demo plan</a> is running.' in page
    assert "Start your first drill" not in page
    stage.until(run, "COMPLETED")
    assert "hidden" in client.get("/first-steps").content.decode().partition("<header>")[0]


def test_the_page_of_who_needs_no_first_steps_is_not_empty(client: Client, db: None) -> None:
    client.force_login(make_user("viewer"))
    assert "All done" not in client.get("/first-steps").content.decode()
    world.ended(ExecutionStatus.COMPLETED)
    assert "All done: a drill has completed." in client.get("/first-steps").content.decode()
