"""The configuration by `drsorch`: what was shown is what is applied, and no secret is printed."""

import json
from pathlib import Path

import pytest

from notify.models import Subscription
from plans.models import RecoveryPlan
from tests.cli.conftest import Programs
from tests.support.stage import Stage

pytestmark = pytest.mark.slow

HOOK = """
apiVersion: drsorch/v1
kind: Subscription
metadata: {name: Pager}
spec: {channel: WEBHOOK, target: "https://93.184.215.14/hook", events: [PAUSED]}
"""


def test_a_document_goes_out_is_compared_and_applied(stage: Stage, programs: Programs, tmp_path: Path) -> None:
    program = programs("admin")
    stage.plan("web-01", name="Payments")
    written = program.ok("export", "--output", "all.yaml")
    document = (tmp_path / written["file"]).read_text()
    assert program.run("export").out == document
    assert program.run("diff", "all.yaml").out == "Nothing differs.\n"
    assert program.ok("apply", "all.yaml")["applied"] is False
    assert [each["kind"] for each in program.ok("export")["document"]] == ["ProtectionGroup", "RecoveryPlan"]

    (tmp_path / "all.yaml").write_text(document.replace("Payments", "Payouts"))
    shown = program.run("diff", "all.yaml", "--prune", "--exit-code")
    assert shown.code == 1
    assert "+ RecoveryPlan “Payouts”" in shown.out
    assert "- RecoveryPlan “Payments”" in shown.out
    digest = program.ok("diff", "all.yaml", "--prune")["digest"]
    RecoveryPlan.objects.update(version=7)  # somebody else saves first
    late = program.ok("apply", "all.yaml", "--prune", "--digest", digest, code=3)
    assert late["error"] == "VERSION_CONFLICT"
    done = program.ok("apply", "-", "--prune", typed=(tmp_path / "all.yaml").read_text())
    assert {(each["action"], each["name"]) for each in done["changes"]} == {
        ("CREATE", "Payouts"),
        ("DELETE", "Payments"),
    }
    assert list(RecoveryPlan.objects.values_list("name", flat=True)) == ["Payouts"]
    assert programs("viewer").run("apply", "all.yaml").code == 0  # nothing differs: nothing is refused
    wrong = program.run("diff", "-", typed="kind: [")
    assert (wrong.code, "column" in wrong.err) == (3, True), wrong


def test_waves_come_in_as_csv(stage: Stage, programs: Programs, tmp_path: Path) -> None:
    program = programs("planner")
    stage.plan("web-01", "web-02", name="Payments")
    program.ok("export", "--format", "csv", "--output", "waves.csv")
    table = (tmp_path / "waves.csv").read_bytes().decode()
    (tmp_path / "waves.csv").write_text(table.replace("Tier 2", "Second"))
    done = program.ok("import-csv", "waves.csv")
    assert [(each["kind"], each["action"]) for each in done["changes"]] == [("RecoveryPlan", "UPDATE")]
    assert RecoveryPlan.objects.get().waves.filter(name="Second").exists()
    program.ok("export", "--output", "all.yaml")
    wrong = program.run("import-csv", "all.yaml", "--prune")
    assert (wrong.code, "is no table of waves" in wrong.err) == (2, True), wrong


def test_signing_keys_go_to_a_file_of_their_own(stage: Stage, programs: Programs, tmp_path: Path) -> None:
    program = programs("admin")
    ended = program.run("apply", "-", "--json", typed=HOOK)
    assert ended.code == 0, ended
    kept = Path(ended.record["secretsFile"])
    assert kept.parent == tmp_path
    assert kept.stat().st_mode & 0o777 == 0o600
    (secret,) = json.loads(kept.read_text())
    assert secret["name"] == Subscription.objects.get().name
    assert secret["secret"] not in ended.out + ended.err
