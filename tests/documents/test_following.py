"""Groups that follow a match: what it finds now is proposed, never done, and goes round through documents."""

import re
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from contract.clock import db_clock
from executions.readiness.facts import readiness_of
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup, RegionInventory, ServerAssignment, SourceServer
from tests.documents.test_documents import applied, diff, export, plan, said, wave
from tests.support.api_client import Api, make_user, refusal
from tests.support.stage import Stage


def following(name: str, **spec: Any) -> dict[str, Any]:
    given = {"region": "us-east-1", "match": {"hostname": "app-*"}, "follow": True, **spec}
    return {"apiVersion": "drsorch/v1", "kind": "ProtectionGroup", "metadata": {"name": name}, "spec": given}


def differs(stage: Stage) -> list[str]:
    (found,) = readiness_of([RecoveryPlan.objects.get().pk], db_clock()).values()
    return [each.text for each in found.reasons if each.code == "GROUP_DIFFERS"]


@pytest.mark.both
def test_what_a_match_finds_is_proposed_and_applied_only_by_its_document(stage: Stage, admin: Api) -> None:
    ids = stage.ids("app-01 app-02 app-03")
    document = [following("Apps"), plan("ERP", wave("Apps"))]
    applied(admin, document)
    group = ProtectionGroup.objects.get()
    assert group.match == {"hostname": "app-*"}
    kept = export(admin)
    assert diff(admin, kept)["changes"] == []
    assert "sourceServerIds" not in kept
    assert differs(stage) == []
    SourceServer.objects.filter(pk=ids[2]).update(hostname="web-09", name="web-09", fqdn="")
    SourceServer.objects.filter(pk=stage.ids("db-primary-01")[0]).update(hostname="app-09", name="app-09", fqdn="")
    (text,) = differs(stage)
    new = SourceServer.objects.get(hostname="app-09").pk
    assert text == (
        "“Apps” has not the servers that its match finds now:"
        f" app-09 ({new}) would be added; web-09 ({ids[2]}) would be removed."
    )
    assert set(group.assignments.values_list("source_server_id", flat=True)) == set(ids), "nothing is done by itself"
    refused = refusal(admin.post("/configuration/diff", {"document": document[0]}), 400, "VALIDATION_ERROR")
    assert "would leave its groups" in str(refused), "its plan has to say so, too"
    found = diff(admin, document)
    assert len(said(found)) == 2
    assert found["changes"][0]["fields"]["sourceServerIds"]["after"] == [*ids[:2], new]
    applied(admin, document)
    assert differs(stage) == []
    assert diff(admin, export(admin))["changes"] == []
    kept_now = AuditEntry.objects.filter(verb="group.update").latest("id").after or {}
    assert kept_now["match"] == {"hostname": "app-*"}
    applied(admin, [{**following("Apps"), "spec": {"region": "us-east-1", "sourceServerIds": [ids[0]]}}, document[1]])
    group.refresh_from_db()
    assert group.match is None
    assert differs(stage) == []


def test_of_what_was_never_read_nothing_is_proposed_and_others_servers_are_named(stage: Stage, admin: Api) -> None:
    app, web = stage.ids("app-01 web-01")
    applied(admin, [following("Apps", match={"hostname": "app-01"}), plan("ERP", wave("Apps"))])
    stage.group("web-01", name="Web")
    ProtectionGroup.objects.filter(name="Apps").update(match={"hostname": "web-01"})
    (text,) = differs(stage)
    assert f"({web}) would be added, but are in another group; app-01 ({app}) would be removed" in text
    assert ServerAssignment.objects.get(source_server_id=app).group.name == "Apps"
    RegionInventory.objects.update(as_of=None)
    assert differs(stage) == []


def test_the_page_of_a_group_shows_what_it_follows(stage: Stage, admin: Api) -> None:
    stage.ids("app-01")
    SourceServer.objects.update(tags={"tier": "app"})
    applied(admin, [following("Apps", match={"hostname": "app-*", "tags": {"tier": "app"}})])
    group, reader = ProtectionGroup.objects.get(), Client()
    reader.force_login(make_user("viewer"))
    page = reader.get(f"/protection-groups/{group.pk}").content.decode()
    shown = re.search(r"<dt>Follows</dt>.*?</dd>", page, re.DOTALL)
    assert shown is not None
    assert re.findall(r"<code[^>]*>(.*?)</code>", shown[0]) == ["tier=app", "app-*"]
    ProtectionGroup.objects.update(match=None)
    assert "Follows" not in reader.get(f"/protection-groups/{group.pk}").content.decode()


def test_what_follows_is_its_match_alone(stage: Stage, admin: Api) -> None:
    one = stage.ids("app-01")
    for wrong in (
        following("A", sourceServerIds=one),
        {**following("A"), "spec": {"region": "us-east-1", "follow": True}},
    ):
        refusal(admin.post("/configuration/diff", {"document": wrong}), 400, "VALIDATION_ERROR")
    applied(admin, [following("Apps"), plan("ERP", wave("Apps"))])
    table = export(admin, "csv")
    assert diff(admin, table)["changes"] == []
    outside = table + f'\n"ERP","1","Wave 1","Apps","us-east-1","{stage.ids("web-01")[0]}","no","no"\n'
    refused = refusal(admin.post("/configuration/diff", {"document": outside}), 400, "VALIDATION_ERROR")
    assert "follows its match" in str(refused)
