"""What became of a run's instances after it, and of their lease: the verifier derives it from the journal, and refuses
a report or a journal in which they disagree."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection

from audit.actor import SYSTEM, Actor
from drsorch_verify import archive, chain
from drsorch_verify.check import JOURNAL, MANIFEST, REPORT, digest, document, manifest, problems
from executions.commands.lease import extend_lease
from reports import services
from tests.executions.commands.test_production import launched_outside
from tests.executions.terminating.test_leases import leased, pass_hours
from tests.executions.terminating.test_outside_changes import round_of_inventory
from tests.support.stage import Stage

Json = dict[str, Any]

_made: list[bytes] = []


@pytest.fixture
def pack(request: pytest.FixtureRequest) -> bytes:
    """A pack, made once: whoever checks one needs no database."""
    if not _made:
        _made.append(_leased_drill(request.getfixturevalue("stage")))
    return _made[0]


def _leased_drill(stage: Stage) -> bytes:
    """A drill whose lease was extended and ended: of its four instances one was terminated then and one could not be;
    somebody terminated the third before, and launched a recovery over the fourth."""
    run = leased(stage, "app-01 app-02 app-03 web-01")
    stage.advance(600)
    stage.simulator.scenario("ec2_terminated", servers=["app-02"])
    stage.simulator.scenario("terminate_fails", servers=["app-03"])
    launched_outside(stage, "web-01")
    round_of_inventory(stage)
    chief = Actor("chief@example.com", kind="system")
    extend_lease(actor=chief, execution_id=run.pk, hours=5, comment="More tests", clock=stage.clock)
    pass_hours(stage, 4.2)
    pass_hours(stage, 1.1)
    stage.wait(lambda: bool(stage.fresh(run).termination_status == "PARTIAL"), run)
    return services.evidence(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)


def read(pack: bytes) -> tuple[Json, list[Json]]:
    files = archive.read(pack)
    links = json.loads(files[JOURNAL])["links"]
    return json.loads(files[REPORT]), [link["entry"] for link in links if "entry" in link]


def forged(pack: bytes, work: Callable[[Json, Sequence[Json]], object]) -> bytes:
    """Report and journal written anew, with a chain that holds in itself: as whoever owns the installation could."""
    files = archive.read(pack)
    report, journal = json.loads(files[REPORT]), json.loads(files[JOURNAL])
    work(report, [link["entry"] for link in journal["links"] if "entry" in link])
    files[REPORT] = document(report)
    journal["links"][-1]["entry"]["detail"]["files"][REPORT] = digest(files[REPORT])
    previous = journal["previous"]
    for link in journal["links"]:
        content = chain.content_digest(link["entry"]) if "entry" in link else link["content"]
        previous = link["digest"] = chain.seal_digest(previous, content)
    files[JOURNAL] = document(journal)
    files[MANIFEST] = document(manifest(files, journal))
    return archive.build(files)


def server(report: Json, host: str) -> Json:
    return next(each for wave in report["waves"] for each in wave["servers"] if each["hostname"] == host)


def instance(report: Json, host: str) -> str:
    return str(server(report, host)["recoveryInstanceId"])


def entry(entries: Sequence[Json], verb: str) -> Json:
    return next(each for each in entries if each["verb"] == verb)


def move(report: Json, host: str, old: str, new: str) -> None:
    report["cleanup"][old].remove(instance(report, host))
    report["cleanup"][new].append(instance(report, host))


def call_it_ours(report: Json, entries: Sequence[Json]) -> None:
    """Production, terminated by an engine."""
    detail = entry(entries, "lease.ended")["detail"]
    detail["instances"].append(instance(report, "web-01"))
    detail["drsSays"][instance(report, "web-01")] = "RECOVERY"


def without_its_end(report: Json, entries: Sequence[Json]) -> None:
    entry(entries, "lease.ended")["verb"] = "plan.update"


LIES: list[tuple[Callable[[Json, Sequence[Json]], object], str]] = [
    (lambda report, _: move(report, "app-02", "alreadyGone", "accepted"), "among the instances accepted"),
    (lambda report, _: move(report, "app-01", "accepted", "alreadyGone"), "among the instances already gone"),
    (lambda report, _: report["cleanup"]["alreadyGone"].pop(), "among the instances already gone"),
    (lambda report, _: report["cleanup"]["failed"].clear(), "among the instances failed"),
    (lambda report, _: report["cleanup"]["failed"][0].update(code="FORBIDDEN"), "is not what the journal says"),
    (lambda report, _: report["cleanup"].update(stillRunning=0), "still running"),
    (lambda report, _: report["cleanup"].update(status="COMPLETED"), "the clean-up is COMPLETED, but instances of"),
    (lambda report, _: report["cleanup"]["jobs"][0].update(jobId="drsjob-x"), "does not know the termination drsjob-x"),
    (lambda report, _: server(report, "app-03").update(launchStatus="TERMINATED"), "app-03 is TERMINATED, the journal"),
    (lambda report, _: server(report, "app-01").update(launchStatus="LAUNCHED"), "app-01 is LAUNCHED, the journal"),
    (lambda report, _: report["cleanup"]["unknownToDrs"].append(instance(report, "app-01")), "DRS lost sight of"),
    (lambda report, _: report["cleanup"]["replaced"].pop(), "which launch replaced"),
    (lambda report, _: report["cleanup"]["replaced"][0].update(jobId="drsjob-x"), "which launch replaced"),
    (lambda report, _: report["cleanup"]["replaced"][0]["instances"].append("i-1"), "which launch replaced i-1"),
    (lambda report, _: report["cleanup"].update(lease=None), "the report of none"),
    (lambda report, _: report["cleanup"]["lease"].update(endsTime=1), "by the journal it ends"),
    (lambda report, _: report["cleanup"]["lease"].update(warnedTime=None), "by the journal it ends"),
    (lambda report, _: report["cleanup"]["lease"].update(atEnd="TELL"), "the lease is not the plan's"),
    (call_it_ours, "DRS did not call it a drill's"),
    (without_its_end, "by itself, whose lease had not ended"),
    (lambda _, entries: entry(entries, "lease.extend")["detail"].update(hours=9), "not by so many hours"),
    (lambda _, entries: entry(entries, "lease.extend").update(actor_kind="engine"), "by no person"),
    (lambda _, entries: entry(entries, "lease.warned")["detail"].update(leaseEndsTime=1), "not an hour before"),
    (lambda _, entries: entry(entries, "lease.ended")["detail"].update(overTime=1), "before its time"),
    (lambda _, entries: entry(entries, "instance.terminated").update(verb="x"), "does not say that its instance is"),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="nothing of it is the database's")
def test_what_became_of_the_instances_follows_from_the_journal(pack: bytes) -> None:
    report, _ = read(pack)
    shown = report["cleanup"]
    assert problems(pack) == []
    assert problems(forged(pack, lambda report, entries: None)) == []
    assert shown["accepted"] == [instance(report, "app-01")]
    assert sorted(shown["alreadyGone"]) == sorted([instance(report, "app-02"), instance(report, "web-01")])
    assert [each["recoveryInstanceId"] for each in shown["failed"]] == [instance(report, "app-03")]
    (replaced,) = shown["replaced"]
    assert (replaced["instances"], replaced["runNumber"]) == ([instance(report, "web-01")], None)
    assert replaced["by"] == f"DRS job {replaced['jobId']}, started outside this product"
    lease = shown["lease"]
    assert (lease["hours"], lease["atEnd"], lease["overTime"] - lease["warnedTime"] >= 3600) == (5, "TERMINATE", True)
    for lie, named in LIES:
        found = problems(forged(pack, lie))
        assert any(named in problem for problem in found), (named, found)
