"""The stream of events: in order, without gaps or doubles, for whoever comes back."""

import pytest

from audit.actor import SYSTEM
from audit.journal import record
from audit.sealing import seal
from tests.support.api_client import Api, answer, refusal

pytestmark = [pytest.mark.both, pytest.mark.django_db]


def happen(verb: str, kind: str = "execution", *, refused: bool = False) -> None:
    detail = {"wave": 1}
    record(SYSTEM, verb, subject_kind=kind, subject_id="7", subject_name="Payments", detail=detail, refused=refused)


def test_who_asks_for_what_came_after_misses_nothing_and_sees_nothing_twice(admin: Api) -> None:
    seal()
    start = answer(admin.get("/events?limit=100"))["next"]
    for verb in ("execution.start", "wave.completed", "execution.ended"):
        happen(verb)
    assert answer(admin.get(f"/events?after={start}"))["items"] == []  # not sealed: its number is not certain yet
    happen("execution.cancel", refused=True)
    happen("session.start", kind="session")
    seal()
    got, after, more = [], start, True
    while more:
        body = answer(admin.get(f"/events?after={after}&limit=2"))
        got += body["items"]
        after, more = body["next"], body["more"]
    assert [each["type"] for each in got] == ["execution.start", "wave.completed", "execution.ended"]
    assert got == sorted(got, key=lambda each: each["number"])
    assert got[0] | {"number": 0, "time": 0} == {
        "number": 0, "type": "execution.start", "version": 1, "time": 0, "actor": "system", "actorKind": "system",
        "subject": {"kind": "execution", "id": "7", "name": "Payments"}, "outcome": "ok", "data": {"wave": 1},
    }  # fmt: skip
    again = answer(admin.get(f"/events?after={after}"))
    assert (again["items"], again["next"], again["more"]) == ([], after, False)
    refusal(admin.get("/events?after=-1"), 400, "VALIDATION_ERROR")
    # Whoever comes from before a restore would wait in silence, and then miss what has got these numbers since.
    told = refusal(admin.get(f"/events?after={after + 1}"), 400, "VALIDATION_ERROR")
    assert "before a backup was restored" in told["fields"]["after"][0]
