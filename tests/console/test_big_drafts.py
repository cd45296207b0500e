"""Plans and groups of a thousand servers go through their editors: each server is a field, and none is lost."""

from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from bench.seed import groups_of, server_id
from drs_simulator.testing import RunningSimulator
from plans.editor.packed import packed, unpacked
from plans.models import RecoveryPlan, Wave, WaveGroup, WaveServer
from plans.services import as_kept
from protection.models import ProtectionGroup, ServerAssignment
from tests.console import world
from tests.console.test_pages import HX

pytestmark = pytest.mark.slow

WAVES, SERVERS = 10, 100


class Form(HTMLParser):
    """What a browser sends of a page's fields: those that are filled, checked or hidden."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fields: dict[str, list[str]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        is_box = given.get("type") == "checkbox"
        if tag == "input" and "name" in given and "disabled" not in given and (not is_box or "checked" in given):
            self.fields.setdefault(given["name"], []).append(given.get("value", "on" if is_box else ""))


def sent(html: str, **fields: str) -> dict[str, Any]:
    return {**Form(html).fields, **fields}


def test_a_plan_of_a_thousand_servers_is_rearranged_and_saved(chief: Client) -> None:
    plan = world.plan("Big", sizes=(SERVERS,) * WAVES, pause=None)
    was = [wave.name for wave in plan.waves.all()]
    servers = set(WaveServer.objects.values_list("assignment", flat=True))
    address = reverse("edit-plan", args=[plan.pk])
    page = chief.get(address).content.decode()
    assert page.count('type="checkbox"') < WAVES * 30  # servers show when somebody asks for them
    form = sent(page)
    for command, waves in (("up:5", WAVES), ("add", WAVES + 1), (f"remove:{WAVES}", WAVES)):
        answer = chief.post(address, {**form, "do": command}, headers=HX)
        html = answer.content.decode()
        assert (answer.status_code, html.count('name="wave"')) == (200, waves), command
        form |= sent(html)
    assert chief.post(address, {**form, "do": "save"})["Location"] == reverse("plan", args=[plan.pk])
    plan = RecoveryPlan.objects.get()
    assert [wave.name for wave in plan.waves.all()] == [*was[:4], was[5], was[4], *was[6:]]
    assert [wave.servers.count() for wave in plan.waves.all()] == [SERVERS] * WAVES
    assert set(WaveServer.objects.values_list("assignment", flat=True)) == servers


def large_plan(waves: int = 10, servers: int = 400) -> RecoveryPlan:
    """As rows: a group for each wave."""
    groups = groups_of(waves, servers)
    plan = RecoveryPlan.objects.create(name="Large", name_key="large", owner="planner@example.com")
    for number, group in enumerate(groups):
        wave = Wave.objects.create(plan=plan, number=number, name=f"Tier {number + 1}")
        WaveGroup.objects.create(wave=wave, group_id=group, position=0)
        WaveServer.objects.bulk_create(
            WaveServer(plan=plan, wave=wave, assignment_id=server_id(number, at), position=at) for at in range(servers)
        )
    return plan


def test_the_pages_of_a_plan_of_four_thousand_servers_are_small(chief: Client) -> None:
    plan = large_plan()
    ProtectionGroup.objects.bulk_create(
        ProtectionGroup(name=f"Other {at}", name_key=f"other {at}", region="us-east-1", account_id="1" * 12)
        for at in range(1000)
    )
    address = reverse("plan", args=[plan.pk])
    page = chief.get(address).content.decode()
    assert len(page) <= 100_000
    assert f'<a href="{address}?wave=3#wave-4">Show 400 servers</a>' in page
    whole = chief.get(f"{address}?wave=3&most=400").content.decode()
    assert whole.count("<code>s-") == 400
    rows = chief.get(reverse("plan-wave-servers", args=[plan.pk, 3]), headers=HX).content.decode()
    assert (rows.count("<code>s-"), "300 more." in rows) == (100, True)
    assert len(chief.get(reverse("edit-plan", args=[plan.pk])).content) <= 100_000
    names = chief.get(f"{reverse('group-names')}?w-0-typed=OTHER 77&w-1-typed=", headers=HX).content.decode()
    assert names.count("<option") == 11


def test_servers_that_are_shown_are_chosen_one_by_one_and_the_others_stay(chief: Client) -> None:
    plan = large_plan(waves=3, servers=100)
    address = reverse("edit-plan", args=[plan.pk])
    WaveServer.objects.filter(assignment__source_server_id=server_id(0, 5)).update(optional=True)
    WaveServer.objects.filter(assignment__source_server_id=server_id(1, 7)).delete()
    form = sent(chief.get(address).content.decode())
    group = form["w-1-group"][0]
    form = sent(chief.post(address, {**form, "do": f"open:1:{group}"}).content.decode())
    assert len(form["w-1-server"]) == 99
    assert "w-1-opened" in form
    form["w-1-server"] = form["w-1-server"][1:]
    assert chief.post(address, {**form, "do": "save"})["Location"] == reverse("plan", args=[plan.pk])
    waves = [[each.source_server_id for each in wave.servers.all()] for wave in plan.waves.all()]
    assert waves[0] == [server_id(0, at) for at in range(100)]
    assert waves[1] == [server_id(1, at) for at in range(100) if at not in (0, 7)]
    assert [each.source_server_id for each in WaveServer.objects.filter(optional=True)] == [server_id(0, 5)]


def test_settings_that_are_not_shown_stay_and_are_told(chief: Client) -> None:
    plan = large_plan(waves=3, servers=350)
    gate = {"approvals": 2, "checklist": ["Network up", "DNS"], "expiresMinutes": 60}
    plan.waves.filter(number=1).update(
        wait_minutes_before=7, gate=gate, on_failure="PAUSE", success_means="STATUS_CHECKS", check_timeout_minutes=20
    )
    plan.waves.filter(number=2).update(pause_before=True)
    plan.waves.get(number=2).depends_on.add(plan.waves.get(number=0))
    was, address = as_kept(plan), reverse("edit-plan", args=[plan.pk])
    html = chief.get(address).content.decode()
    assert 'name="w-1-failure" id' not in html
    assert "Settings as they are at first." in html
    for told in ("these completed: Wave 1, Tier 1.", "before this wave: 2 approvals.", "fails: Pause until somebody"):
        assert told in html
    form = sent(html)
    shown = chief.post(address, {**form, "do": "settings:1"}, headers=HX).content.decode()
    assert shown.count('name="w-1-failure"') == shown.count("autofocus") == 1
    assert ('name="w-2-failure" id' in shown, 'name="w-1-failure" id' in shown) == (False, True)
    for seen in ({}, sent(shown)):
        form |= {**seen, "version": str(RecoveryPlan.objects.get().version)}
        assert chief.post(address, {**form, "do": "save"})["Location"] == reverse("plan", args=[plan.pk])
        assert {**as_kept(RecoveryPlan.objects.get()), "version": was["version"]} == was
    form["version"] = str(RecoveryPlan.objects.get().version)
    assert form.pop("w-1-shown") == ["1"]
    moved = chief.post(address, {**form, "do": "up:1"}, headers=HX).content.decode()
    assert [place in moved for place in ("w-1-gate", "w-1-wait", 'w-1-failure" value="PAUSE"')] == [False, True, True]
    wrong = chief.post(address, {**form, "w-1-wait": "soon", "do": "save"}).content.decode()
    assert 'id="w-1-wait-error"' in wrong
    assert 'name="w-2-failure" id' not in wrong


def test_ids_are_packed_without_loss_and_nonsense_stands_for_itself() -> None:
    ids = [f"s-{at:017x}" for at in (0, 1, 16**17 - 1)]
    odd = [*ids, "s-short", "~", "~x", "~" + "A" * 11, "^", "^x", "^" + "A" * 11, "^" + "/" * 12, ""]
    assert unpacked(packed(odd)) == odd
    assert unpacked([*packed(ids), ids[0]]) == ids
    assert len(packed(ids)) == 1
    for count in range(1, 40):
        many = [f"s-{at * 7919**4:017x}" for at in range(1, count + 1)]
        assert unpacked(packed(many)) == many
    assert unpacked(["~AAAAAAAAAAAAAAAAAAAAAAAB"]) == ids[:2]  # as the version before sent them


def test_a_group_of_a_thousand_servers_is_saved(chief: Client, simulator: RunningSimulator) -> None:
    world.region()
    group = world.group("Big", [world.server() for _ in range(WAVES * SERVERS)])
    address = reverse("edit-group", args=[group.pk])
    form = sent(chief.get(address).content.decode(), name="Bigger", do="save")
    assert len(form["server"]) == WAVES * SERVERS
    assert chief.post(address, form)["Location"] == reverse("group", args=[group.pk])
    assert ProtectionGroup.objects.get().name == "Bigger"
    assert ServerAssignment.objects.count() == WAVES * SERVERS


def test_a_draft_as_large_as_they_get_fits_the_limits_of_a_request(settings: Any) -> None:
    """A hundred waves, each server of a thousand once, every text as long as it may be, in letters of three bytes."""
    server = len("w-99-server=s-0123456789abcdef0&")
    texts = 100 * (128 + 512) * len("%E4%BD%A0")
    assert 1000 * server + texts < settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert settings.DATA_UPLOAD_MAX_NUMBER_FIELDS >= 10 * 1000
