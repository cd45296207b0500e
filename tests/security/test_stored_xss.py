"""Hostile texts everywhere, on every page: they are shown as what they are."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from executions.models import JobEvent
from protection.models import ProtectionGroup, SourceServer
from tests.console import world
from tests.security.hostile import PAYLOADS, is_json, marks, populate
from tests.security.routes import pages, routes
from tests.support.api_client import Api, make_user
from tests.support.stage import Stage

pytestmark = pytest.mark.postgresql


@pytest.fixture
def stage(transactional_db: None, simulator: RunningSimulator) -> Iterator[Stage]:
    made = Stage(simulator)
    world.beat()
    yield made
    made.sweep.close()


@pytest.mark.parametrize("text", PAYLOADS[:9])
def test_the_judge_sees_a_payload_that_got_through(text: str) -> None:
    inside = {4: f'<input value="{text}">', 5: f"<input value='{text}'>"}.get(PAYLOADS.index(text), f"<p>{text}</p>")
    assert marks(inside)


def test_hostile_texts_stay_texts_on_every_page(stage: Stage) -> None:
    ContentType.objects.clear_cache()
    admin = Api(make_user("admin"))
    User.objects.update(is_superuser=True, first_name=PAYLOADS[0], email=f"{PAYLOADS[1][:20]}@example.com")
    run = populate(stage, admin)
    assert any("xssmark" in str(each.data) for each in JobEvent.objects.all())
    known = {
        "group_id": ProtectionGroup.objects.earliest("name").pk,
        "plan_id": run.plan_id,
        "execution_id": run.pk,
        "entry_id": AuditEntry.objects.filter(verb="plan.create").latest("id").pk,
        "server_id": SourceServer.objects.earliest("pk").pk,
    }
    client = Client()
    client.force_login(admin.user, backend="identity.auth.RoleBackend")
    shown = 0
    for address in list(pages(known)):
        for headers in ({}, {"HX-Request": "true"}):
            response = client.get(address, headers=headers)
            assert response.status_code < 500 or address == "/readyz", address
            body = response.content if not response.streaming else b""
            kind = response.headers.get("Content-Type", "")
            if kind.startswith("text/html"):
                assert marks(body.decode()) == [], address
                shown += b"xssmark" in body
            elif kind.startswith("application/json"):
                assert is_json(body), address
            else:
                assert kind.partition(";")[0] in ("", "text/plain", "text/javascript", "application/vnd.oai.openapi"), (
                    kind
                )
                assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert shown > 20
    one_each = {entry.verb: entry for entry in AuditEntry.objects.all()}
    for entry in one_each.values():
        assert marks(client.get(f"/journal/{entry.pk}").content.decode()) == []
    assert len(list(routes())) > 60


def test_hostile_addresses_and_filters_stay_texts(stage: Stage) -> None:
    client = Client()
    client.force_login(make_user("admin"), backend="identity.auth.RoleBackend")
    for text in PAYLOADS:
        for address in (
            "/journal",
            "/executions",
            "/protection-groups",
            "/recovery-plans",
            "/source-servers",
            "/sign-in",
        ):
            names = ("q", "name", "actor", "subject", "verb", "region", "status", "next", "after", "page")
            response = client.get(address, dict.fromkeys(names, text))
            assert response.status_code < 500, address
            assert marks(response.content.decode()) == [], (address, text)
            response = client.get(address, dict.fromkeys(names[:-2], text))  # a bad cursor hides the rest
            assert response.status_code < 500, address
            assert marks(response.content.decode()) == [], (address, text)
        assert marks(client.get(f"/nothing/{text}").content.decode()) == []
