"""Plans and groups of a thousand servers go through their editors: each server is a field, and none is lost."""

from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from drs_simulator.testing import RunningSimulator
from plans.models import RecoveryPlan, WaveServer
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
    form = sent(chief.get(address).content.decode())
    assert sum(map(len, form.values())) > 1000
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
