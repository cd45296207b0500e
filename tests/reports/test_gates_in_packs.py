"""Gates in the evidence pack: who approved what they looked at, and that nobody can tell it otherwise."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from audit.actor import SYSTEM, Actor, person
from drsorch_verify import gates as verifier
from drsorch_verify.check import problems
from executions.commands import control, gates, steering
from executions.models import Execution
from executions.runs.gates.looked_at import digest_of
from executions.states import Kind
from plans.fields import WaveSpec
from plans.services import create_plan
from reports import evidence_pack
from tests.reports.test_ended_instances import Json, forged
from tests.support.api_client import make_user
from tests.support.stage import Stage

pytestmark = pytest.mark.django_db(transaction=True)

TWO = {"approvals": 2, "checklist": ["The database is consistent."], "expiresMinutes": 60}
_made: list[bytes] = []


def people() -> tuple[Actor, Actor, Actor]:
    starter, ann, bob = (person(make_user("recovery-manager")) for _ in range(3))
    return starter, ann, bob


def gated(stage: Stage) -> Execution:
    """A run through two gates: one approved at the second try, of which a server was left out, one broken."""
    starter, ann, bob = people()
    tiers = ("db-primary-01", "app-01 app-02", "web-01")
    waves = [
        WaveSpec(
            name=f"Tier {number}",
            group_ids=[stage.group(hosts).pk],
            server_ids=stage.ids(hosts),
            gate=TWO if number else None,  # type: ignore[arg-type]
        )
        for number, hosts in enumerate(tiers)
    ]
    plan = create_plan(actor=SYSTEM, name="Gated", waves=waves)
    run = control.start(actor=starter, plan_id=plan.pk, kind=Kind.DRILL, clock=stage.clock)

    def approve(actor: Actor) -> None:
        how: dict[str, Any] = {"digest": digest_of(run), "checklist": [0], "clock": stage.clock}
        gates.approve(actor=actor, execution_id=run.pk, comment=f"Seen by {actor.name}.", **how)

    stage.until(run, "PAUSED")
    approve(ann)
    gates.decline(actor=bob, execution_id=run.pk, reason="Not yet.", clock=stage.clock)
    out = stage.ids("app-02")[0]
    approve(bob)
    about: dict[str, Any] = {"actor": starter, "execution_id": run.pk, "clock": stage.clock}
    steering.exclude_server(source_server_id=out, reason="Broken.", **about)
    approve(ann)
    approve(bob)
    stage.wait(lambda: stage.fresh(run).status != "PAUSED", run)
    stage.until(run, "PAUSED")
    gates.break_glass(reason="Nobody is awake.", **about)
    stage.until(run, "COMPLETED")
    return stage.fresh(run)


@pytest.fixture
def pack(request: pytest.FixtureRequest) -> bytes:
    """Made once: whoever checks one needs no database."""
    if not _made:
        stage = request.getfixturevalue("stage")
        run = gated(stage)
        _made.append(evidence_pack.vouched(SYSTEM, evidence_pack.account(run.pk, stage.clock()), {}))
    return _made[0]


def of(entries: Sequence[Json], verb: str, at: int = -1) -> Json:
    return [each for each in entries if each["verb"] == verb][at]


def as_starter(report: Json, entries: Sequence[Json]) -> None:
    start, approval = of(entries, "execution.start"), of(entries, "gate.approved", 0)
    approval |= {"actor_id": start["actor_id"]}


def by_engine(report: Json, entries: Sequence[Json]) -> None:
    of(entries, "gate.approved")["actor_kind"] = "service"


def other_state(report: Json, entries: Sequence[Json]) -> None:
    for state in report["lookedAt"].values():
        state["waves"][0][4][0][1] = "FAILED"


def with_digests(report: Json, entries: Sequence[Json], change: Callable[[Json], None]) -> None:
    """Other states with digests made anew everywhere."""
    told: Json = {}
    for old, state in report["lookedAt"].items():
        change(state)
        told[old] = verifier.digest(state)
    report["lookedAt"] = {told[old]: state for old, state in report["lookedAt"].items()}
    for entry in entries:
        if entry["detail"].get("digest") in told:
            entry["detail"]["digest"] = told[entry["detail"]["digest"]]
    for line in (each for wave in report["waves"] for each in wave["gateEntries"]):
        line["digest"] = told.get(line["digest"], line["digest"])


def failed_before(report: Json, entries: Sequence[Json]) -> None:
    def change(state: Json) -> None:
        state["waves"][0][4][0][1] = "FAILED"

    with_digests(report, entries, change)


def not_left_out(report: Json, entries: Sequence[Json]) -> None:
    def change(state: Json) -> None:
        for server in state["waves"][1][4]:
            server[4] = False

    with_digests(report, entries, change)


def other_plan(report: Json, entries: Sequence[Json]) -> None:
    with_digests(report, entries, lambda state: state.update(plan="0" * 64))


def one_alone(report: Json, entries: Sequence[Json]) -> None:
    first, second = of(entries, "gate.approved", -2), of(entries, "gate.approved", -1)
    second |= {"actor": first["actor"], "actor_id": first["actor_id"]}


def starter_by_another_sign_in(report: Json, entries: Sequence[Json]) -> None:
    of(entries, "gate.approved", 0)["actor"] = of(entries, "execution.start")["actor"].upper()


def one_by_two_sign_ins(report: Json, entries: Sequence[Json]) -> None:
    of(entries, "gate.approved", -1)["actor"] = of(entries, "gate.approved", -2)["actor"].upper()


def resumed(report: Json, entries: Sequence[Json]) -> None:
    of(entries, "gate.broken")["verb"] = "execution.resume"


def never_passed(report: Json, entries: Sequence[Json]) -> None:
    of(entries, "gate.broken")["verb"] = "gate.reminded"


def weaker(report: Json, entries: Sequence[Json]) -> None:
    report["waves"][2]["gate"]["approvals"] = 0


def hidden(report: Json, entries: Sequence[Json]) -> None:
    report["waves"][2]["gateEntries"] = []


def declined_by_nobody(report: Json, entries: Sequence[Json]) -> None:
    of(entries, "gate.declined")["verb"] = "gate.reminded"


def _not_ticked(entry: Json) -> None:
    del entry["detail"]["checklist"]


def one_did_not_tick(report: Json, entries: Sequence[Json]) -> None:
    _not_ticked(of(entries, "gate.approved"))
    [wave] = [each for each in report["waves"] if any(line["act"] == "APPROVED" for line in each["gateEntries"])]
    [line for line in wave["gateEntries"] if line["act"] == "APPROVED"][-1]["checklist"] = []


def ticked_in_the_report_alone(report: Json, entries: Sequence[Json]) -> None:
    _not_ticked(of(entries, "gate.approved"))


def resumed_without_ticks(report: Json, entries: Sequence[Json]) -> None:
    """At a gate that asks for no approvals."""
    plan_gate, broken = report["plan"]["waves"][2]["gate"], of(entries, "gate.broken")
    plan_gate["approvals"] = report["waves"][2]["gate"]["approvals"] = 0
    broken["verb"] = "execution.resume"


LIES: list[tuple[Callable[[Json, Sequence[Json]], None], str]] = [
    (as_starter, "approved a gate of the run that they started"),
    (by_engine, "who is no person, approved a gate"),
    (other_state, "does not have the digest that the journal says"),
    (failed_before, "wave 1 was not as"),
    (not_left_out, "wave 2 was not as"),
    (other_plan, "looked at another plan than the run’s"),
    (one_alone, "the gate before wave 2 was passed with 1 of 2 approvals"),
    (starter_by_another_sign_in, "approved a gate of the run that they started"),
    (one_by_two_sign_ins, "the gate before wave 2 was passed with 1 of 2 approvals"),
    (resumed, "the gate before wave 3 was passed without its approvals"),
    (never_passed, "wave 3 was launched before its gate was passed"),
    (weaker, "the gate before wave 3 is not the plan's"),
    (hidden, "what was done at the gate before wave 3 is not as the journal says"),
    (one_did_not_tick, "let wave 2 go on without “The database is consistent.” of its checklist being ticked"),
    (ticked_in_the_report_alone, "what was done at the gate before wave 2 is not as the journal says"),
    (resumed_without_ticks, "let wave 3 go on without “The database is consistent.” of its checklist being ticked"),
    (declined_by_nobody, "what was done at the gate before wave 2 is not as the journal says"),
]


def test_a_run_through_gates_holds_and_no_lie_about_them_does(pack: bytes) -> None:
    assert problems(pack) == []
    for lie, named in LIES:
        found = problems(forged(pack, lie))
        assert any(named in problem for problem in found), (lie, found)
