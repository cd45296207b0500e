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


GROUP = """\
# of the platform team
apiVersion: drsorch/v1
kind: ProtectionGroup
metadata: {{name: {name}}}
spec:
  region: us-east-1
  description: {description}
"""


def test_a_directory_is_one_document_and_applied_whole_or_not_at_all(
    stage: Stage, programs: Programs, tmp_path: Path
) -> None:
    program = programs("admin")
    folder = tmp_path / "dr"
    (folder / "groups").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "config.yaml").write_text("not: ours")
    (folder / "README.md").write_text("# Groups")
    (folder / "nothing.yaml").write_text("# still to be written\n\n")
    ids = [{"hostname": "web-01"}, {"hostname": "web-02"}]
    for number, match in enumerate(ids):
        spec = {"region": "us-east-1", "match": match}
        group = {"kind": "ProtectionGroup", "metadata": {"name": f"Group ü {number}"}, "spec": spec}
        (folder / "groups" / f"{number}.json").write_text(json.dumps([group], indent=2), encoding="utf-8")
    plan = "---\nkind: RecoveryPlan\nmetadata: {name: Web}\nspec:\n  waves:\n"
    plan += "".join(f"  - {{waveName: W{each}, protectionGroups: [Group ü {each}]}}\n" for each in range(2))
    (folder / "a plan.yaml").write_text(plan.rstrip("\n"))  # before its groups, and without an end of its last line
    stage.ids("web-01\nweb-02")

    (folder / "z.yaml").write_text(GROUP.format(name="Zoo", description="[a, b]"))
    wrong = program.ok("apply", "dr", code=3)
    assert "dr/z.yaml, line 7: " in " ".join(wrong["details"]["fields"]["document[3].spec.description"]), wrong
    assert not RecoveryPlan.objects.exists()
    (folder / "z.yaml").unlink()
    done = program.ok("apply", "dr")
    assert {each["name"] for each in done["changes"]} == {"Group ü 0", "Group ü 1", "Web"}
    assert program.run("diff", "dr").out == "Nothing differs.\n"

    for number in range(3):
        name, long = f"Long {number}", "x" * 400_000
        (folder / f"long {number}.yaml").write_text(GROUP.format(name=name, description=long))
    large = program.ok("apply", "dr", code=3)
    assert (large["error"], large["details"]["maxBytes"]) == ("PAYLOAD_TOO_LARGE", 1_048_576)
    for said in ("dr is too large: 1,2", "Nothing was changed.", "in parts of whole objects", "--prune"):
        assert said in large["message"], large
    (tmp_path / "none").mkdir()
    none = program.run("diff", "none")
    assert (none.code, "none has no documents" in none.err) == (2, True), none
