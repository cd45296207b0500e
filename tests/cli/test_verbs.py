"""Each verb of `drsorch`, as a real process against a real server; the engine and the simulated DRS do the work."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from audit.models import AuditEntry
from executions.models import Execution
from executions.states import Kind
from tests.cli.conftest import Programs
from tests.cli.program import Ended, Program, end
from tests.executions.commands.test_gates import TWO
from tests.executions.commands.test_steering import planned
from tests.support.api_client import Api, make_user
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


def meanwhile(stage: Stage, process: "subprocess.Popen[str]") -> Ended:
    """Let the engine work and time pass until the command has ended."""
    deadline = time.monotonic() + 150
    while process.poll() is None and time.monotonic() < deadline:
        stage.advance(300)
        stage.look()
        time.sleep(0.05)
    return end(process)


def test_a_drill_from_its_start_to_its_proof(stage: Stage, programs: Programs, tmp_path: Path) -> None:
    """A nightly job: drill, resume, report, evidence, verify, terminate."""
    program = programs("operator")
    plan = stage.plan("web-01", "web-02", pause={1}, name="Web failover")
    process = program.begin("drill", "web FAILOVER", "--wait", "--initiated-by", "cron", "--json")
    deadline = time.monotonic() + 120
    while not Execution.objects.filter(status="PAUSED").exists() and time.monotonic() < deadline:
        stage.advance(60)
        stage.look()
        time.sleep(0.05)
    run = str(Execution.objects.get().pk)
    number = str(Execution.objects.get().number)
    assert program.run("runs").out.splitlines()[1].startswith(f"{number} ")
    assert program.ok("show", f"#{number}")["executionId"] == run
    nobody = program.ok("show", "2147483647", code=3)
    assert (nobody["error"], program.ok("show", "9" * 10, code=3)["error"]) == ("NOT_FOUND", "VALIDATION_ERROR")
    no_gate = program.run("approve", number)
    assert (no_gate.code, f"drsorch resume {number}" in no_gate.err) == (2, True), no_gate
    shown = program.run("show", number)
    assert shown.code == 0
    assert "Drill of “Web failover”: PAUSED, waits for a person before wave 2, 1 of 2 servers launched" in shown.out
    assert "Possible now: cancel, resume" in shown.out
    listed = program.ok("runs", "--plan", str(plan.pk), "--status", "PAUSED")
    assert [(each["executionId"], each["startedBy"]) for each in listed["items"]] == [(run, "service:test-operator")]
    wrong = program.ok("resume", run, "--wave", "1", code=3)
    assert wrong["error"] == "EXECUTION_NOT_PAUSED"
    assert program.ok("resume", number, "--wave", "2", "--comment", "It answers.")["status"]
    done = meanwhile(stage, process)
    assert (done.code, done.record["status"], done.record["initiatedBy"]) == (0, "COMPLETED", "cron"), done
    assert done.err.endswith("COMPLETED, 2 of 2 servers launched\n")

    Execution.objects.update(hidden_at=Execution.objects.get().ended_at)  # out of the lists, but not gone
    assert program.run("report", number).out.startswith("Drill of “Web failover”: completed, 2 of 2")
    assert program.ok("report", run)["executionId"] == run
    assert program.run("report", run, "--format", "csv").out.startswith('"executionId"')
    file = program.ok("report", run, "--format", "pdf", "--output", "drill.pdf")["file"]
    assert (tmp_path / file).read_bytes().startswith(b"%PDF")
    pack = program.ok("evidence", run)["file"]
    assert pack == f"evidence-{run}.zip"
    assert program.ok("verify", pack)["holds"]
    (tmp_path / "forged.zip").write_bytes((tmp_path / pack).read_bytes().replace(b"COMPLETED", b"CANCELLED"))
    assert program.run("verify", "forged.zip").code == 1
    assert program.run("verify", "nowhere.zip").code == 2
    assert program.run("verify", pack, "--head", "7:abc").code == 2  # mistyped: that says nothing about the pack

    ended = meanwhile(stage, program.begin("terminate", number, "--wait", "--json"))
    assert (ended.code, ended.record["instancesTerminated"]) == (0, True), ended
    assert AuditEntry.objects.filter(verb="execution.evidence", actor="service:test-operator").exists()


def test_a_run_that_falls_short_and_one_that_is_cancelled(stage: Stage, programs: Programs) -> None:
    program = programs("recovery-manager")
    stage.simulator.scenario("launch_failed", servers=["web-01"])
    stage.plan("web-01", name="Falls short")
    ended = meanwhile(stage, program.begin("drill", "Falls short", "--wait"))
    assert ended.code == 1, ended
    assert "web-01" in ended.out
    run = stage.start(stage.plan("app-01", "app-02", pause={1}))
    stage.until(run, "PAUSED")
    waiting = program.begin("resume", str(run.pk), "--wait", "--timeout", "0", "--json")
    timed_out = end(waiting)
    assert (timed_out.code, timed_out.record["error"]) == (5, "TIMED_OUT"), timed_out
    ended = meanwhile(stage, program.begin("cancel", str(run.pk), "--comment", "Enough.", "--wait"))
    assert ended.code in (0, 1), ended
    assert Execution.objects.get(pk=run.pk).state.is_final


def test_a_recovery_and_what_is_refused(stage: Stage, programs: Programs) -> None:
    plan = stage.plan("web-01", name="Payments")
    refused = programs("operator").ok("recover", "Payments", code=3)
    assert (refused["error"], refused["exitCode"]) == ("FORBIDDEN", 3)
    program = programs("recovery-manager")
    long_ago = program.ok("recover", str(plan.pk), "--outage", "2020-02-01T02:10:00Z", "--key", "night-7", code=3)
    assert long_ago["error"] == "VALIDATION_ERROR"
    started = program.ok("recover", "Payments", "--key", "night-7")
    again = program.ok("recover", "Payments", "--key", "night-7")
    assert started == again
    assert Execution.objects.get().kind == Kind.RECOVERY
    assert program.ok("drill", "Payments", code=3)["error"] == "PLAN_ALREADY_EXECUTING"
    assert program.ok("plans", "pay")["plans"][0]["planName"] == "Payments"
    assert program.run("plans").out.splitlines()[1].startswith("Payments  1      1        ")
    nobody = program.run("drill", "Paymens")
    assert (nobody.code, nobody.out) == (3, "")
    assert "There is no recovery plan called “Paymens”. drsorch plans lists them." in nobody.err
    assert program.run("drill", "Payments", "--point-in-time", "yesterday").code == 2
    for wrong in (["drill", "Payments", "--wait", "--timeout", "soon"], ["runs", "--limit", "101"]):
        ended = program.run(*wrong)
        assert (ended.code, f"Argument {wrong[-2]}: '{wrong[-1]}' is no " in ended.err) == (2, True), ended
    points = program.ok("drill", "Payments", "--point-in-time", "web-01=pit-1", "--point-in-time", "x=y", code=3)
    assert points["error"] == "VALIDATION_ERROR"
    told = program.run("drill", "Payments", "--dry-run").out
    assert told.endswith(f"drsorch show {Execution.objects.latest('number').number}\n")
    dry = program.ok("drill", "Payments", "--dry-run")
    assert stage.until(Execution.objects.get(pk=dry["executionId"]), "FAILED").dry_run
    assert "\n1 of 1 server would not launch." in program.run("show", dry["executionId"]).out  # and no code before it


def test_who_ends_a_recovery_at_a_terminal_types_the_plans_name(stage: Stage, programs: Programs) -> None:
    """A wrong number ended production without a question; of a drill nobody is asked."""
    program = programs("recovery-manager")
    recovery = stage.until(stage.start(stage.plan("web-01", name="Payments"), Kind.RECOVERY), "COMPLETED")
    drill = stage.until(stage.start(stage.plan("app-01", name="Orders")), "COMPLETED")
    wrong = program.at_terminal("terminate", str(recovery.number), typed="y")
    assert (wrong.code, "may be production" in wrong.err) == (1, True), wrong
    assert "Nothing was terminated." in wrong.err
    script = program.run("terminate", str(recovery.number))
    assert (script.code, script.out, "gives --yes" in script.err) == (2, "", True), script
    assert not AuditEntry.objects.filter(verb__startswith="execution.terminate").exists()
    assert program.at_terminal("terminate", str(drill.number), typed="").code == 0
    assert program.at_terminal("terminate", str(recovery.number), typed="Payments").code == 0
    assert program.run("terminate", str(recovery.number), "--yes").code == 0
    assert AuditEntry.objects.filter(verb__startswith="execution.terminate", subject_id=str(recovery.pk)).exists()


def test_a_gate_is_approved_by_people_who_looked_and_by_no_program(stage: Stage, programs: Programs) -> None:
    plan = planned(stage, "app-01", "web-01", gate={1: TWO})
    run = stage.until(stage.start(plan), "PAUSED")
    program = programs("recovery-manager")
    looked = program.ok("approve", str(run.pk), code=2)
    digest = looked["details"]["gate"]["digest"]
    assert f"--digest {digest}" in looked["message"]
    refused = program.ok("approve", str(run.pk), "--digest", digest, "--check", "all", code=3)
    assert refused["error"] == "FORBIDDEN"
    people = [Program(program.folder, program.url, Api(make_user("recovery-manager")).token) for _ in range(2)]
    stale = people[0].ok("approve", str(run.pk), "--digest", "0" * 64, "--check", "all", code=3)
    assert stale["error"] == "GATE_CHANGED"
    few = people[0].ok("approve", str(run.pk), "--digest", digest, "--check", "1", code=3)
    assert few["error"] == "VALIDATION_ERROR"
    assert people[0].run("approve", str(run.pk), "--decline", "--reason", "Not yet.").code == 0
    digest = people[0].ok("approve", str(run.pk), code=2)["details"]["gate"]["digest"]
    assert "1 more approval" in people[0].ok("approve", str(run.pk), "--digest", digest, "--check", "all")["message"]
    assert program.ok("resume", str(run.pk), code=3)["error"] == "GATE_NEEDS_APPROVALS"
    done = people[1].ok("approve", str(run.pk), "--digest", digest, "--check", "1", "--check", "2", "--comment", "Yes.")
    assert done["status"] == "RUNNING"


def test_doctor_says_what_fails_and_ends_with_it(stage: Stage, programs: Programs) -> None:
    program = programs("admin")
    found = program.run("doctor", "--json")
    assert found.code == (0 if found.record["ok"] else 1)
    assert found.record["checks"]
    assert programs("viewer").run("doctor").code == 3


def test_login_keeps_a_token_for_its_owner_alone(stage: Stage, programs: Programs, tmp_path: Path) -> None:
    known = programs("viewer")
    program = programs("planner")
    token, program.token = program.token, ""
    assert "drsorch login" in program.run("runs").err
    assert program.run("login", known.url, typed="drsorch_wrong\n").code == 3
    kept = tmp_path / ".config" / "drsorch" / "login.json"
    assert not kept.exists()
    signed_in = program.run("login", f"{known.url}/api/v1/", typed=f"{token}\n")
    assert signed_in.code == 0, signed_in
    assert token not in signed_in.out + signed_in.err
    assert kept.stat().st_mode & 0o777 == 0o600
    assert program.run("runs").out == "There are no such runs.\n"
    elsewhere = program.run("runs", DRSORCH_URL="https://elsewhere.example.com")
    assert (elsewhere.code, "is for http" in elsewhere.err) == (2, True)
    kept.chmod(0o644)
    assert "chmod 600" in program.run("runs").err
    kept.chmod(0o600)
    assert program.ok("login", "--forget") == {"forgotten": True}
    assert program.run("runs").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_completes_verbs_and_options(shell: str, tmp_path: Path) -> None:
    script = Program(tmp_path, "", "").run("completion", shell)
    assert script.code == 0
    assert "import-csv" in script.out
    assert "point-in-time" in script.out
    if shell == "bash":
        (tmp_path / "all waves.csv").touch()
        for typed, found in {
            "dr": ["drill"],
            "drill --rep": ["--replace-production"],
            "completion ''": ["bash", "zsh", "fish"],
            "export --format ''": ["yaml", "json", "csv"],
            "runs --status PA": ["PAUSED", "PARTIAL"],
            "import-csv all": ["all waves.csv"],
        }.items():
            asked = f"COMP_WORDS=(drsorch {typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _drsorch"
            told = f'{script.out}\n{asked}; printf "%s\\n" "${{COMPREPLY[@]}}"'
            done = subprocess.run(["bash", "-c", told], capture_output=True, text=True, check=True, cwd=tmp_path)
            assert done.stdout.splitlines() == found, typed


def test_its_json_is_one_object_whatever_happens(stage: Stage, programs: Programs) -> None:
    program = programs("viewer")
    for arguments in (
        ["runs"],
        ["show", "x"],
        ["drill"],
        ["frob"],
        ["export", "--format", "xml"],
        ["cancel", "0" * 32],
    ):
        ended = program.run(*arguments, "--json")
        assert isinstance(json.loads(ended.out), dict), arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["apply", "all.yaml", "--digest", ""], "--digest is empty. Is a variable not set?"),
        (["apply", "all.yaml", "--digest=", "--yes"], "--digest is empty"),
        (["drill", "Web", "--key", ""], "--key is empty"),
        (["recover", "Web", "--yes", "--point-in-time", ""], "--point-in-time is empty"),
        (["drill", b"caf\xe9".decode(errors="surrogateescape")], "is no text in UTF-8"),
    ],
)
def test_a_variable_that_is_not_set_does_not_mean_anything(
    stage: Stage, programs: Programs, tmp_path: Path, arguments: list[str], said: str
) -> None:
    program = programs("admin")
    stage.plan("web-01", name="Web")
    document = program.run("export").out
    (tmp_path / "all.yaml").write_text(document.replace("name: Web", "name: Other"))
    ended = program.run(*arguments)
    assert (ended.code, said in ended.err) == (2, True), ended
    assert program.run("export").out == document
    assert not Execution.objects.exists()
    assert program.run("drill", "Web", "--initiated-by=", "--dry-run").code == 0
