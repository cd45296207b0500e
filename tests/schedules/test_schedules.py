"""Schedules over HTTP and in the console."""

import re
from typing import Any

import pytest
from django.utils import timezone

from audit.models import AuditEntry
from schedules.models import Schedule
from tests.console import world
from tests.support.api_client import Api, answer, refusal

WHEN = {"rule": "FREQ=MONTHLY;BYDAY=1SU", "startsOn": "2026-01-01", "time": "02:30", "timeZone": "Europe/Berlin"}


def made(api: Api, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = answer(api.post("/schedules", {"planId": str(world.plan().pk), **WHEN, **changes}), 201)
    return body


@pytest.mark.both
def test_it_is_made_changed_and_deleted(admin: Api) -> None:
    body = made(admin, blackouts=[{"from": "2026-12-20", "to": "2027-01-03"}])
    assert (body["rule"], body["time"], len(body["upcoming"])) == (WHEN["rule"], "02:30", 5)
    assert body["nextTime"] == body["upcoming"][0]
    path = f"/schedules/{body['scheduleId']}"
    changed = answer(admin.put(path, {"time": "04:00", "enabled": False}))
    assert (changed["time"], changed["rule"], changed["nextTime"], changed["upcoming"]) == (
        "04:00",
        WHEN["rule"],
        None,
        [],
    )
    refusal(admin.put(path, {"version": 1, "time": "05:00"}), 412, "VERSION_CONFLICT")
    assert answer(admin.put(path, answer(admin.get(path))))["version"] == 3
    assert answer(admin.get(f"/schedules?planId={body['planId']}"))["count"] == 1
    answer(admin.delete(path))
    assert not Schedule.objects.exists()
    done = AuditEntry.objects.filter(subject_kind="schedule", refused=False).order_by("id")
    assert [each.verb for each in done] == ["schedule.create", "schedule.update", "schedule.update", "schedule.delete"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": "FREQ=HOURLY"}, {"startsOn": "soon"}, {"time": "25:00"}, {"time": "02:30+01:00"},
        {"timeZone": "Mars/Base"}, {"blackouts": [{"from": "2026-12-20"}]}, {"blackouts": [{"from": "b", "to": "a"}]},
        {"blackouts": [{"from": "2026-12-20", "to": "2026-12-01"}]}, {"rule": "FREQ=DAILY;UNTIL=20200101"},
        {"startsOn": "soon", "time": "25:00", "timeZone": "Mars/Base", "rule": "x"}, {"timeZone": "", "rule": "x"},
        {"startsOn": "9999-12-31"}, {"startsOn": "0001-01-01"}, {"time": "02:30:15"},
    ],
)  # fmt: skip
def test_it_says_what_is_wrong(admin: Api, wrong: dict[str, Any]) -> None:
    sent = {"planId": str(world.plan().pk), **WHEN, **wrong}
    assert set(refusal(admin.post("/schedules", sent), 400, "VALIDATION_ERROR")["fields"]) == set(wrong)
    assert not Schedule.objects.exists()


def test_the_console_makes_shows_and_deletes_one(admin: Api) -> None:
    plan = world.plan("Payments")
    admin.client.force_login(admin.user)
    page = admin.client.get(f"/schedules/new?plan={plan.pk}").content.decode()
    assert re.search('name="plan" value="Payments"', page)
    assert '<datalist id="plan-names"><option value="Payments">' in page
    assert 'name="plan" value' not in admin.client.get("/schedules/new").content.decode(), "nobody has chosen one"
    today = f"{timezone.now():%Y-%m-%d}"
    assert re.search(rf'name="starts_on"[^>]* value="{today}"|value="{today}"[^>]* name="starts_on"', page)
    sent = {"plan": "payments", "often": "M1", "which": "1", "day": "SU", "starts_on": "2026-01-01"}
    sent |= {"time": "02:30", "time_zone": "UTC"}
    wrong = admin.client.post("/schedules/new", {**sent, "time_zone": "Mars/Base", "time": "", "starts_on": ""})
    told = wrong.content.decode()
    unknown = admin.client.post("/schedules/new", {**sent, "plan": "Pay"}).content.decode()
    assert "Drills of: There is no plan of this name." in unknown
    assert wrong.status_code == 422
    for fault in ("Time zone: Use a time zone such as", "At: This field is required.", "Not before: This field is"):
        assert fault in told
    own = {**sent, "often": "OWN", "rule": "FREQ=HOURLY"}
    assert "Rule: FREQ is needed" in admin.client.post("/schedules/new", own).content.decode()
    done = admin.client.post("/schedules/new", {**sent, "blackouts": "2026-12-20 2027-01-03", "enabled": "on"})
    assert done["Location"] == "/schedules"
    row = Schedule.objects.get()
    assert row.rule == WHEN["rule"]
    assert row.blackouts == [{"from": "2026-12-20", "to": "2027-01-03"}]
    listed = admin.client.get("/schedules").content.decode()
    assert "The schedule of “Payments” was made." in listed
    assert "Every month, on the first Sunday at 02:30 UTC" in listed
    assert "not 2026-12-20 to 2027-01-03" in listed
    assert 'href="/schedules"' in admin.client.get("/recovery-plans").content.decode()
    assert 'value="02:30"' in admin.client.get(f"/schedules/{row.pk}").content.decode()
    admin.client.post(f"/schedules/{row.pk}", {**own, "rule": "FREQ=YEARLY;BYMONTH=3;BYDAY=1SU", "version": "1"})
    assert re.search('<option value="OWN" selected', admin.client.get(f"/schedules/{row.pk}").content.decode())
    assert "<code>FREQ=YEARLY;BYMONTH=3;BYDAY=1SU</code>" in admin.client.get("/schedules").content.decode()
    admin.client.post(f"/schedules/{row.pk}/delete")
    assert "No drill starts by itself" in admin.client.get("/schedules").content.decode()
