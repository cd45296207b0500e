"""The journal as it is read: the API list and the page, with the same filters."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.actor import Actor
from audit.journal import record
from audit.models import AuditEntry
from contract.clock import unix
from tests.console.world import EVIL
from tests.support.api_client import Api, answer, make_user, refusal, sign_in

pytestmark = [pytest.mark.both, pytest.mark.django_db]


def write(actor: str = "ann@example.com", verb: str = "plan.update", name: str = "Payments", **more: Any) -> AuditEntry:
    return record(
        Actor(actor, address="192.0.2.7"), verb, subject_kind="plan", subject_id="p-1", subject_name=name, **more
    )


@pytest.fixture
def reader() -> Client:
    return sign_in(Client(), make_user("viewer"))


def verbs(api: Api, query: str) -> list[str]:
    return [each["verb"] for each in answer(api.get(f"/audit-entries?{query}"))["items"]]


def test_it_lists_entries_newest_first_with_everything(admin: Api) -> None:
    write(verb="plan.create", after={"planName": "Payments"})
    entry = write(before={"planName": "Payments"}, after={"planName": "Pay"}, detail={"k": 1})
    body = answer(admin.get("/audit-entries"))
    assert body["nextToken"] is None
    assert [each["verb"] for each in body["items"]] == ["plan.update", "plan.create"]
    assert body["items"][0] == {
        "entryId": entry.pk,
        "at": unix(entry.at),
        "actor": "ann@example.com",
        "actorId": "",
        "actorKind": "person",
        "verb": "plan.update",
        "subjectKind": "plan",
        "subjectId": "p-1",
        "subjectName": "Payments",
        "outcome": "ok",
        "refused": False,
        "detail": {"k": 1},
        "before": {"planName": "Payments"},
        "after": {"planName": "Pay"},
        "address": "192.0.2.7",
        "requestId": "",
    }


def test_it_filters(admin: Api) -> None:
    write(verb="plan.create")
    write(actor="bob@example.com", verb="group.create", name="Web", outcome="PG_NAME_EXISTS", refused=True)
    assert verbs(admin, "actor=BOB") == ["group.create"]
    assert verbs(admin, "verb=plan") == ["plan.create"]
    assert verbs(admin, "verb=plan.create") == ["plan.create"]
    assert verbs(admin, "verb=pla") == []
    assert verbs(admin, "subject=web") == ["group.create"]
    assert verbs(admin, "subject=p-1") == ["group.create", "plan.create"]
    assert verbs(admin, "outcome=refused") == ["group.create"]
    assert verbs(admin, "outcome=PG_NAME_EXISTS") == ["group.create"]
    assert verbs(admin, "outcome=ok") == ["plan.create"]
    now = int(timezone.now().timestamp())
    assert verbs(admin, f"from={now + 60}") == []
    assert len(verbs(admin, f"from={now - 60}&to={now + 60}")) == 2
    assert verbs(admin, f"to={now - 60}") == []


@pytest.mark.parametrize(
    "query",
    ["from=yesterday", "to=-1", "limit=0", "limit=101", "nextToken=x", "who=ann", "actor=a&actor=b", "from=9" * 3],
)
def test_it_refuses_what_it_cannot_read(admin: Api, query: str) -> None:
    refusal(admin.get(f"/audit-entries?{query}"), 400, "VALIDATION_ERROR")


def test_it_pages_by_key(admin: Api) -> None:
    entries = [write(name=str(number)) for number in range(5)]
    first = answer(admin.get("/audit-entries?limit=2"))
    write(name="later")
    second = answer(admin.get(f"/audit-entries?limit=2&nextToken={first['nextToken']}"))
    third = answer(admin.get(f"/audit-entries?limit=2&nextToken={second['nextToken']}"))
    found = [each["entryId"] for page in (first, second, third) for each in page["items"]]
    assert found == [each.pk for each in reversed(entries)]
    assert third["nextToken"] is None


def test_it_is_read_and_never_written_over_http(admin: Api) -> None:
    for method in ("POST", "PUT", "DELETE"):
        refusal(admin.send(method, "/audit-entries", {}), 405, "METHOD_NOT_ALLOWED")
    assert Client().get("/api/v1/audit-entries").status_code == 401


def test_the_page_shows_entries_and_one_of_them(reader: Client) -> None:
    assert "There are no entries yet" in reader.get("/journal").content.decode()
    entry = write(before={"planName": "Old"}, after={"planName": "New", "waves": [1]}, detail={"why": "because"})
    write(outcome="PLAN_HAS_ACTIVE_EXECUTION", refused=True)
    html = reader.get("/journal").content.decode()
    assert "Refused: PLAN_HAS_ACTIVE_EXECUTION" in html
    assert f'href="/journal/{entry.pk}"' in html
    page = reader.get(f"/journal/{entry.pk}").content.decode()
    for text in ("192.0.2.7", "Old", "New", "[1]", "because", "ann@example.com"):
        assert text in page
    assert reader.get("/journal/999999").status_code == 404
    assert Client().get("/journal").status_code == 302


def test_the_page_filters_by_its_address_and_loads_more(reader: Client) -> None:
    for number in range(51):
        write(name=f"Plan {number}")
    write(actor="bob@example.com", name="Other")
    full = reader.get("/journal").content.decode()
    assert full.count("<tr>") == 51  # a head and fifty rows
    assert "Load more" in full
    filtered = reader.get("/journal?actor=bob&verb=plan&subject=oth&outcome=ok&since=2020-01-01&until=2099-01-01")
    assert "Other" in filtered.content.decode()
    assert "Plan 1" not in filtered.content.decode()
    assert "No entry matches" in reader.get("/journal?outcome=refused").content.decode()
    assert "Plan 1" in reader.get("/journal?since=nonsense&outcome=nonsense").content.decode()
    part = reader.get("/journal", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert 'id="entries"' in part


def test_the_page_shows_evil_text_as_text(reader: Client) -> None:
    entry = write(actor=EVIL, name=EVIL, detail={EVIL: EVIL}, before={EVIL: EVIL}, after={EVIL: [EVIL]})
    for address in ("/journal", f"/journal/{entry.pk}", "/journal?actor=%3Cb+onclick%3Dx()%3E"):
        html = reader.get(address).content.decode()
        assert "<b onclick" not in html
        assert "&lt;b onclick" in html


def test_the_list_asks_as_many_questions_for_many_as_for_few(
    admin: Api, reader: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(100):
        write(name=str(number))
    with django_assert_max_num_queries(6):
        admin.get("/audit-entries?limit=100")
    with django_assert_max_num_queries(8):
        reader.get("/journal")
