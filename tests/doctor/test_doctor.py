"""Doctor finds what was planted, by its name, and nothing where nothing is wrong."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.migrations.recorder import MigrationRecorder

from contract.clock import db_clock
from doctor.checks import Asked, findings
from doctor.findings import Finding, Level
from doctor.servers import of_replication
from drs import account
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_fleet
from executions.models import Pacemaker
from notify.models import Delivery, Notice, Subscription
from notify.states import Channel, DeliveryStatus, Event
from plans.models import RecoveryPlan
from protection.inventory.source_servers import read_region
from protection.models import ProtectionGroup, SourceServer
from tests.console.test_pages import words
from tests.security.iam.matrix import Policies
from tests.support.api_client import Api, answer
from tests.support.stage import Stage

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

FILES = ("engine", "templates", "terminate", "launch-actions", "check")


@dataclass
class World:
    """A plan whose servers would launch, an engine that beats, somebody who is told."""

    simulator: RunningSimulator
    stage: Stage
    plan: RecoveryPlan
    settings: Any
    now: datetime | None = None
    account: str = ""

    def policies(self, *files: str, without: str = "") -> None:
        """The role has the statements of these files of deploy/iam, but for one."""
        shipped = Policies.shipped().files
        statements = [each for name in files for each in shipped[name] if each["Sid"] != without]
        text = json.dumps(statements).replace("123456789012", "111122223333")
        self.simulator.surroundings(policies=json.loads(text))

    def template(self, **changes: object) -> None:
        """The default version of one server's launch template is another."""
        ids = [self.simulator.client().get_launch_configuration(sourceServerID=self.server("app-01").pk)]
        self.simulator.surroundings(templates={ids[0]["ec2LaunchTemplateID"]: changes})

    def launch(self, **changes: object) -> None:
        self.simulator.surroundings(launch={"app-01": changes})

    def server(self, hostname: str) -> SourceServer:
        return SourceServer.objects.get(hostname=hostname)

    def fleet(self, hostname: str, **changes: object) -> None:
        """One server is otherwise, and was read so."""
        fleet = demo_fleet()
        servers = tuple(
            replace(each, **changes) if each.hostname == hostname else each  # type: ignore[arg-type]
            for each in fleet.servers
        )
        self.simulator.load_fleet(replace(fleet, servers=servers))
        read_region("us-east-1")

    def look(self) -> list[Finding]:
        return list(findings(Asked.read(plan=str(self.plan.pk), account=self.account), self.now))


@pytest.fixture
def world(simulator: RunningSimulator, settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("DJANGO_ALLOW_ASYNC_UNSAFE", raising=False)  # for tests with a browser; a check of Django's
    stage = Stage(simulator)
    plan = stage.plan("app-01 app-02 app-03", "web-01 web-02")
    Pacemaker.objects.update_or_create(pk=1, defaults={"beat_at": db_clock()})
    settings.MAIL = "smtp://localhost"
    settings.STATICFILES_DIRS = []  # the tests collect no files, and have them where they are
    subscribed = subscribe("on call", Channel.EMAIL, "oncall@example.com")
    delivered(subscribed, DeliveryStatus.DELIVERED)
    made = World(simulator, stage, plan, settings)
    made.policies(*FILES)
    return made


def subscribe(name: str, channel: Channel, target: str) -> Subscription:
    return Subscription.objects.create(name=name, channel=channel, target=target, events=["FAILED"], owner="x")


def delivered(to: Subscription, status: DeliveryStatus, error: str = "") -> None:
    now = db_clock()
    notice = Notice.objects.create(event=Event.TEST, subject="x", text="x", happened_at=now)
    Delivery.objects.create(
        notice=notice, subscription=to, channel=to.channel, recipient="x", status=status, error=error,
        attempts=1, created_at=now, tried_at=now, ended_at=now,
    )  # fmt: skip


def test_nothing_fails_where_nothing_is_wrong(world: World) -> None:
    found = world.look()
    assert [each for each in found if each.level in (Level.FAILED, Level.UNKNOWN)] == []
    checks = {each.check for each in found if each.level is Level.OK}
    named = {"settings", "database", "engine", "notifications", "replication", "credentials", "account", "drs"}
    assert checks >= named | {"quotas", "rights", "launch settings"}
    well = {each.subject for each in found if each.level is Level.OK and each.check == "rights"}
    assert well == {"us-east-1: engine", "us-east-1: templates", "us-east-1: terminate"}


def engine_never_ran(world: World) -> None:
    Pacemaker.objects.all().delete()


def engine_is_silent(world: World) -> None:
    Pacemaker.objects.update(beat_at=db_clock() - timedelta(minutes=5))


def clocks_differ(world: World) -> None:
    world.now = datetime.now(UTC) + timedelta(seconds=90)


def a_migration_is_missing(world: World) -> None:
    MigrationRecorder.Migration.objects.filter(app="notify").delete()


def credentials_are_refused(world: World) -> None:
    account._accounts.clear()  # known since the plan was made
    world.simulator.scenario("expired_token", operation="GetCallerIdentity")


def account_is_another(world: World) -> None:
    world.account = "999999999999"


def groups_are_of_another_account(world: World) -> None:
    ProtectionGroup.objects.update(account_id="999999999999")


def drs_is_not_set_up(world: World) -> None:
    world.simulator.scenario("uninitialized", region="us-east-1")


def reading_is_denied(world: World) -> None:
    world.simulator.scenario("access_denied", operation="DescribeSourceServers")


def without(sid: str, *files: str) -> Callable[[World], None]:
    def plant(world: World) -> None:
        world.policies(*(files or FILES), without=sid)

    return plant


def actions_without_rights(world: World) -> None:
    world.policies("engine", "templates", "terminate", "check")
    world.launch(postLaunchEnabled=True)


def key_without_rights(world: World) -> None:
    disks = [{"deviceName": "/dev/sda1", "ebs": {"kmsKeyId": "arn:aws:kms:us-east-1:111122223333:key/mine"}}]
    world.template(blockDeviceMappingSet=disks)


def flexible_without_rights(world: World) -> None:
    world.template(instanceType=None, instanceRequirements={"vCpuCount": {"min": 2}})


def existing_without_rights(world: World) -> None:
    world.launch(launchIntoInstanceProperties={"launchIntoEC2InstanceID": "i-0123456789abcdef0"})


def host_without_rights(world: World) -> None:
    world.template(placement={"hostId": "h-0123456789abcdef0"})


def template_is_gone(world: World) -> None:
    found = world.simulator.client().get_launch_configuration(sourceServerID=world.server("app-01").pk)
    world.simulator.surroundings(templates={found["ec2LaunchTemplateID"]: None})


def tag_is_missing(world: World) -> None:
    world.template(tagSpecificationSet=None)


def no_launch_settings(world: World) -> None:
    world.simulator.scenario("no_launch_settings", servers=["app-01"])


def left_stopped(world: World) -> None:
    world.launch(launchDisposition="STOPPED")


def subnet_is_gone(world: World) -> None:
    world.simulator.surroundings(subnets={"subnet-0123456789abcdef0": None})


def subnet_is_full(world: World) -> None:
    world.simulator.surroundings(subnets={"subnet-0123456789abcdef0": 0})


def type_is_not_offered(world: World) -> None:
    world.simulator.surroundings(offered=["t3.micro"])


def replication_stands(world: World) -> None:
    world.fleet("app-01", state="DISCONNECTED")


def replication_lags(world: World) -> None:
    world.fleet("app-01", state="BACKLOG", lag_seconds=3600)


def server_is_gone(world: World) -> None:
    world.simulator.delete_servers("app-01")
    read_region("us-east-1")


def quota_is_low(world: World) -> None:
    world.simulator.surroundings(quotas={"L-05AFA8C6": 2})


def vcpus_are_few(world: World) -> None:
    world.simulator.surroundings(quotas={"L-1216C47A": 5})


def nobody_is_told(world: World) -> None:
    Subscription.objects.all().delete()


def mail_is_off(world: World) -> None:
    world.settings.MAIL = ""


def message_was_refused(world: World) -> None:
    delivered(subscribe("hook", Channel.WEBHOOK, "https://x.example.com"), DeliveryStatus.GIVEN_UP, "410 Gone")


def deletion_is_open(world: World) -> None:
    world.settings.DELETION_PROTECTION = False


PLANTED: list[tuple[Callable[[World], None], str, str, str]] = [
    (engine_never_ran, "FAILED", "engine", "No engine has run"),
    (engine_is_silent, "FAILED", "engine", "heartbeat"),
    (clocks_differ, "FAILED", "database", "clock"),
    (a_migration_is_missing, "FAILED", "database", "manage.py migrate"),
    (credentials_are_refused, "FAILED", "credentials", "does not accept"),
    (account_is_another, "FAILED", "credentials", "not for 999999999999"),
    (groups_are_of_another_account, "FAILED", "account", "of account 999999999999"),
    (drs_is_not_set_up, "FAILED", "drs", "never been set up"),
    (reading_is_denied, "FAILED", "drs", "may not be read"),
    (without("Start"), "FAILED", "rights", "drs:StartRecovery"),
    (without("RegisterThroughDrs"), "FAILED", "rights", "drs:CreateRecoveryInstanceForDrs"),
    (without("CreateThroughDrs"), "FAILED", "rights", "ec2:CreateVolume"),
    (without("PassDrsRoles"), "FAILED", "rights", "iam:PassRole"),
    (without("LaunchTemplates"), "FAILED", "rights", "deploy/iam/templates.json"),
    (without("", "engine", "templates", "check"), "FAILED", "rights", "drs:TerminateRecoveryInstances"),
    (actions_without_rights, "FAILED", "rights", "deploy/iam/launch-actions.json"),
    (key_without_rights, "FAILED", "rights", "kms:CreateGrant"),
    (flexible_without_rights, "FAILED", "rights", "ec2:CreateFleet"),
    (existing_without_rights, "FAILED", "rights", "deploy/iam/existing-instances.json"),
    (host_without_rights, "FAILED", "rights", "deploy/iam/dedicated-hosts.json"),
    (template_is_gone, "FAILED", "launch settings", "does not exist any more"),
    (no_launch_settings, "FAILED", "launch settings", "no launch settings"),
    (tag_is_missing, "WARNING", "launch settings", "DRS's tag"),
    (left_stopped, "WARNING", "launch settings", "stopped"),
    (subnet_is_gone, "FAILED", "launch settings", "subnet that does not exist"),
    (subnet_is_full, "FAILED", "launch settings", "no free address"),
    (type_is_not_offered, "FAILED", "launch settings", "does not offer"),
    (replication_stands, "FAILED", "replication", "disconnected"),
    (replication_lags, "WARNING", "replication", "lagging"),
    (server_is_gone, "FAILED", "replication", "does not list"),
    (quota_is_low, "FAILED", "quotas", "largest wave"),
    (vcpus_are_few, "WARNING", "quotas", "vCPUs"),
    (nobody_is_told, "WARNING", "notifications", "Nobody is told"),
    (mail_is_off, "FAILED", "notifications", "e-mail"),
    (message_was_refused, "FAILED", "notifications", "410 Gone"),
    (deletion_is_open, "WARNING", "settings", "DeletionProtection"),
]


@pytest.mark.parametrize(
    ("plant", "status", "check", "said"), PLANTED, ids=[f"{each[2]}: {each[3]}" for each in PLANTED]
)
def test_what_was_planted_is_found_by_its_name(
    world: World, plant: Callable[[World], None], status: str, check: str, said: str
) -> None:
    plant(world)
    found = world.look()
    hits = [
        each
        for each in found
        if each.check == check and each.level == status and said in f"{each.subject} {each.message} {each.remedy}"
    ]
    assert hits, [each for each in found if each.level is not Level.OK]
    assert all(each.remedy for each in hits)
    assert {each.check for each in found if each.level is Level.FAILED} <= {check}


def test_a_routine_snapshot_is_no_lag_and_what_was_never_copied_cannot_be_launched() -> None:
    states = ("CONTINUOUS", "CREATING_SNAPSHOT", "RESCAN", "INITIAL_SYNC")
    found = list(of_replication([SourceServer(name=state, replication_state=state) for state in states]))
    assert [(each.level.value, each.subject) for each in found] == [
        ("WARNING", "RESCAN"), ("FAILED", "INITIAL_SYNC"), ("OK", "servers"),
    ]  # fmt: skip
    assert "nothing to launch it from" in found[1].message
    assert found[2].message == "2 servers replicate."


def test_without_the_right_to_ask_it_is_not_known_and_the_command_is_given(world: World) -> None:
    world.simulator.surroundings(simulation=False)
    [first, *_] = [each for each in world.look() if each.check == "rights"]
    assert first.level is Level.UNKNOWN
    assert "aws iam simulate-principal-policy" in first.remedy
    assert "deploy/iam/check.json" in first.remedy


def command(*words: str) -> tuple[int, str]:
    out, code = io.StringIO(), 0
    try:
        call_command("doctor", *words, stdout=out)
    except SystemExit as ended:
        code = int(str(ended.code))
    return code, out.getvalue()


def test_the_command_and_the_api_say_the_same(world: World, admin: Api) -> None:
    code, text = command("--plan", world.plan.name, "--json")
    assert code == 0
    told = json.loads(text)
    assert told["ok"] is True
    assert {*told["checks"][0]} == {"check", "status", "subject", "message", "remedy"}
    asked = answer(admin.get(f"/doctor?plan={world.plan.pk}"))
    assert asked.keys() == told.keys()
    assert [each["subject"] for each in asked["checks"]] == [each["subject"] for each in told["checks"]]
    Pacemaker.objects.all().delete()
    code, text = command("--region", "us-east-1")
    assert code == 1
    assert "FAILED   engine: heartbeat: No engine has run yet" in text
    assert answer(admin.get("/doctor?region=us-east-1"))["ok"] is False


def test_only_administrators_see_it(world: World, sign_in: Callable[..., Api]) -> None:
    for role in ("viewer", "recovery-manager"):
        assert answer(sign_in(role).get("/doctor"), 403)["error"] == "FORBIDDEN"
    api = sign_in("admin")
    assert answer(api.get("/doctor?region=mars-1"), 400)["error"] == "INVALID_REGION"
    assert answer(api.get("/doctor?account=12"), 400)["error"] == "VALIDATION_ERROR"
    assert answer(api.get("/doctor?plan=7"), 404)["error"] == "NOT_FOUND"
    with pytest.raises(CommandError, match="no recovery plan"):
        command("--plan", "nothing")


def test_the_page_has_what_failed_first(world: World, admin: Api) -> None:
    Pacemaker.objects.all().delete()
    admin.client.force_login(admin.user)
    page = admin.client.get(f"/settings/check?plan={world.plan.pk}").content.decode()
    assert re.search(r"Something failed · Failed 1 · Warning \d+ · OK \d+ Asked just now", words(page))
    assert page.index("No engine has run yet") < page.index("Every setting has a value")
    assert 'href="/settings/check"' in admin.client.get("/settings").content.decode()


def test_a_region_that_is_silent_is_asked_twice_and_no_more(world: World) -> None:
    """Or whoever opens the page because AWS is silent waits for every region until a proxy in between gives up."""
    before = len(world.simulator.journal("DescribeSourceServers"))
    world.simulator.scenario("drop_connection_before", operation="DescribeSourceServers")
    assert [each.level for each in world.look() if each.check == "drs"] == [Level.FAILED]
    assert len(world.simulator.journal("DescribeSourceServers")) - before == 2
