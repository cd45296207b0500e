"""Hostile texts everywhere, on every page: they are shown as what they are."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import timezone

from audit.models import AuditEntry
from contract.names import visible
from drs_simulator.testing import RunningSimulator
from drsorch_verify.visible import hidden
from executions.models import Execution, JobEvent, WaveRun
from plans.models import RecoveryPlan, Wave
from protection.models import ProtectionGroup, SourceServer
from reports.documents.pdf import as_pdf
from reports.services import report
from tests.console import world
from tests.security.hostile import PAYLOADS, is_json, marks, populate
from tests.security.routes import pages, routes
from tests.security.test_methods import ASKING_DRS
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


HARMLESS = (
    "",
    "text/plain",
    "text/javascript",
    "image/svg+xml",
    "application/vnd.oai.openapi",
)  # with no text of anybody's


def _name_as_before(run: Execution) -> None:
    """Names with what nobody sees, which could be given once."""
    name = "Pay\u202erollxssmark\x1b[2J\n\u200b"
    Execution.objects.filter(pk=run.pk).update(plan_name=name)
    RecoveryPlan.objects.filter(executions=run).update(name=name)
    Wave.objects.filter(plan__executions=run).update(name=name)
    WaveRun.objects.filter(execution=run).update(name=name)
    ProtectionGroup.objects.filter(pk=ProtectionGroup.objects.earliest("name").pk).update(name=name)


def _nothing_hides_in_files(client: Client, run: Execution, folder: Path) -> None:
    """Text, CSV, PDF, and the verifier's words."""
    text = b"".join(client.get(f"/executions/{run.pk}/job-logs.txt")).decode()
    assert not hidden("\t\n").search(text)
    assert "\\u202e" in text
    assert not [line for line in text.splitlines() if line.startswith("2026-11-28 23:59:58 UTC\tFORGED")]
    table = client.get(f"/executions/{run.pk}/report?format=csv").content.decode()
    rows = list(csv.reader(io.StringIO(table)))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert not any(hidden().search(cell) for row in rows for cell in row)
    assert "\\u202e" in table
    record = report(run.pk, timezone.now())
    spelled = json.loads(json.dumps(record), object_pairs_hook=_spelled_out)
    assert spelled != record
    assert as_pdf(record) == as_pdf(spelled)
    pack = folder / "pack.zip"
    pack.write_bytes(client.post(f"/executions/{run.pk}/evidence").content)
    for environment in ({"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "utf-8"}):
        command = [sys.executable, "-m", "drsorch_verify", str(pack)]
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
        assert done.returncode == 0, done.stdout.decode()
        assert not hidden("\n").search(done.stdout.decode())


def _spelled_out(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: visible(each) if isinstance(each, str) else _each(each) for name, each in pairs}


def _each(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [visible(each) if isinstance(each, str) else _each(each) for each in value]


def test_hostile_texts_stay_texts_on_every_page_and_in_every_file(stage: Stage, tmp_path: Path) -> None:
    ContentType.objects.clear_cache()
    admin = Api(make_user("admin"))
    User.objects.update(is_superuser=True, first_name=PAYLOADS[0], email=f"{PAYLOADS[1][:20]}@example.com")
    run = populate(stage, admin)
    _name_as_before(run)
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
    shown = spelled = 0
    for address in list(pages(known)):
        for headers in ({}, {"HX-Request": "true"}):
            response = client.get(address, headers=headers)
            assert response.status_code < 500 or address.endswith(("/readyz", *ASKING_DRS)), address
            body = response.content if not response.streaming else b""
            kind = response.headers.get("Content-Type", "")
            if kind.startswith("text/html"):
                assert marks(body.decode()) == [], address
                assert not hidden("\t\n\r").search(body.decode()), address
                shown += b"xssmark" in body
                spelled += b"\\u202e" in body
            elif kind.startswith("application/json"):
                assert is_json(body), address
            elif kind == "application/yaml":
                assert yaml.safe_load(body), address
                assert response.headers["X-Content-Type-Options"] == "nosniff"
            else:
                assert kind.partition(";")[0] in HARMLESS, kind
                assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert shown > 20
    assert spelled > 20
    one_each = {entry.verb: entry for entry in AuditEntry.objects.all()}
    for entry in one_each.values():
        assert marks(client.get(f"/journal/{entry.pk}").content.decode()) == []
    assert len(list(routes())) > 60
    _nothing_hides_in_files(client, run, tmp_path)


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
            filters = ("q", "name", "actor", "subject", "verb", "region", "status", "next")
            response = client.get(address, dict.fromkeys(filters, text))
            assert response.status_code < 500, address
            assert marks(response.content.decode()) == [], (address, text)
        for address in ("/journal", "/executions"):  # a bad place in the list hides the rest
            response = client.get(address, {"after": text, "page": text})
            assert response.status_code < 500, address
            assert marks(response.content.decode()) == [], (address, text)
        assert marks(client.get(f"/nothing/{text}").content.decode()) == []
