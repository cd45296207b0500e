"""drsorch-verify, installed by itself as its README says: it judges packs, and nothing of a pack runs."""

import csv
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from drsorch_verify import archive, chain, check
from reports import services
from tests.reports.runs import OPERATOR, drilled, payments, trouble
from tests.support.api_client import make_user
from tests.support.still import StillStage

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SHELL_DIGEST = "sha256sum *.py | LC_ALL=C sort | sha256sum"
# Whatever Python might take from the folder or the archive that it is started beside.
MODULES = ("sitecustomize", "usercustomize", "__main__", "__init__", "json", "argparse", "zlib", "struct", "conftest")
OWN = ("__init__", "__main__", "check", "archive")
BAIT = [*(f"{name}.py" for name in MODULES), *(f"drsorch_verify/{name}.py" for name in OWN), "a.pth", "setup.py"]


@dataclass
class Installed:
    """An environment with the verifier and nothing else."""

    folder: Path

    @property
    def sources(self) -> Path:
        return next(self.folder.glob("lib/python3*/site-packages/drsorch_verify"))

    def run(self, *words: str, cwd: Path, most_bytes: int = 1 << 31) -> tuple[int, str]:
        command = f'ulimit -v {most_bytes // 1024}; exec "$@"'
        program = str(self.folder / "bin" / "drsorch-verify")
        done = subprocess.run(
            ["sh", "-c", command, "sh", program, *words],
            cwd=cwd, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("verifier")
    source = folder / "drsorch_verify"
    shutil.copytree(ROOT / "drsorch_verify", source, ignore=shutil.ignore_patterns("__pycache__"))
    python, quiet = sys.executable, ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    for command in (
        [python, "-m", "pip", "wheel", *quiet, "--no-build-isolation", "-w", str(folder), str(source)],
        [python, "-m", "venv", "--without-pip", str(folder / "env")],
        [python, "-m", "pip", "--python", str(folder / "env"), "install", *quiet, "--find-links", str(folder),
         "drsorch-verify"],
    ):  # fmt: skip
        subprocess.run(command, check=True)
    return Installed(folder / "env")


_made: list[bytes] = []


@pytest.fixture
def fresh(still: StillStage) -> bytes:
    """A pack whose journal is in the database."""
    plan = payments(still)
    trouble(still)
    return services.evidence(actor=OPERATOR, execution_id=drilled(still, plan).pk, clock=still.clock)


@pytest.fixture
def pack(request: pytest.FixtureRequest) -> bytes:
    if not _made:
        _made.append(request.getfixturevalue("fresh"))
    return _made[0]


def forged(pack: bytes, work: Callable[[dict[str, bytes]], None]) -> bytes:
    """A pack with other files, of which everything that vouches for them was made anew."""
    files = archive.read(pack)
    work(files)
    journal = json.loads(files.pop(check.JOURNAL))
    files.pop(check.MANIFEST)
    last = journal["links"][-1]
    last["entry"]["detail"]["files"] = {name: check.digest(content) for name, content in files.items()}
    last["digest"] = chain.seal_digest(journal["links"][-2]["digest"], chain.content_digest(last["entry"]))
    files[check.JOURNAL] = check.document(journal)
    files[check.MANIFEST] = check.document(check.manifest(files, journal))
    return archive.build(files)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


@pytest.mark.field("B10")
def test_it_verifies_by_itself_with_the_standard_library_alone(
    installed: Installed, fresh: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "pack.zip"
    path.write_bytes(fresh)
    assert {each.name for each in installed.sources.parent.iterdir()} >= {"drsorch_verify"}
    assert not (installed.sources.parent / "django").exists()
    status, said = installed.run(str(path), cwd=tmp_path)
    assert (status, "The pack holds" in said, "3 of 4 servers launched" in said) == (0, True, True), said
    head = json.loads(archive.read(fresh)[check.MANIFEST])["head"]
    assert installed.run(str(path), "--head", head, cwd=tmp_path)[0] == 0
    call_command("audit_verify", head=head)  # the installation knows it, too
    assert installed.run(str(path), "--head", f"{head.split(':')[0]}:{'0' * 64}", cwd=tmp_path)[0] == 1
    path.write_bytes(forged(fresh, lambda files: files.update({"README.txt": b"Trust me."})))
    assert installed.run(str(path), "--head", head, cwd=tmp_path)[0] == 1  # it holds in itself, not beside the head
    assert installed.run(str(tmp_path / "none.zip"), cwd=tmp_path)[0] == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.field("B10")
def test_there_is_no_program_in_a_pack_and_none_that_is_forged_in_runs(
    installed: Installed, pack: bytes, tmp_path: Path
) -> None:
    """Run in the folder where the pack was unpacked, with code wherever Python would look for some."""
    assert set(archive.read(pack)) == check.NAMES
    trace = tmp_path / "ran"
    code = f"open({str(trace)!r}, 'a').write(__name__)\n".encode()
    (tmp_path / "bait.py").write_bytes(code)
    subprocess.run([sys.executable, str(tmp_path / "bait.py")], check=True)
    assert trace.read_text() == "__main__"  # it would tell
    trace.unlink()
    for bait in BAIT:
        place = tmp_path / "unpacked" / bait
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(code)
    evil = forged(pack, lambda files: files.update(dict.fromkeys(BAIT, code)))
    (tmp_path / "unpacked" / "pack.zip").write_bytes(evil)
    before = snapshot(tmp_path)
    status, said = installed.run("pack.zip", cwd=tmp_path / "unpacked")
    assert (status, "sitecustomize.py is no file of an evidence pack" in said) == (1, True), said
    assert snapshot(tmp_path) == before
    assert not trace.exists()


@pytest.mark.django_db(transaction=True)
def test_a_pack_of_an_earlier_version_holds_and_its_program_is_told_of(
    installed: Installed, pack: bytes, tmp_path: Path
) -> None:
    code = f"open({str(tmp_path / 'ran')!r}, 'w')\n".encode()

    def before(files: dict[str, bytes]) -> None:
        files |= {f"drsorch_verify/{name}.py": code for name in ("__main__", "check")}
        bare = io.StringIO()  # quotes only where they had to be
        csv.writer(bare).writerows(csv.reader(io.StringIO(files[check.TABLE].decode())))
        assert files[check.TABLE] != bare.getvalue().encode()
        files[check.TABLE] = bare.getvalue().encode()

    old = forged(pack, before)
    (tmp_path / "pack.zip").write_bytes(old)
    status, said = installed.run("pack.zip", cwd=tmp_path)
    assert (status, "It was not run; do not run it." in said) == (0, True), said
    assert [each.name for each in tmp_path.iterdir()] == ["pack.zip"]


def zipped(*members: tuple[str, bytes], how: int = zipfile.ZIP_STORED, mode: int = 0o100644) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as made:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, how
            made.writestr(info, content)
    return out.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "bomb": lambda: zipped(("report.json", bytes(400_000_000)), how=zipfile.ZIP_DEFLATED),
    "link": lambda: zipped(("report.json", b"/etc/passwd"), mode=0o120777),
    "up": lambda: archive.build({"../../up.py": b"x", "report.json": b"{}"}),
    "absolute": lambda: archive.build({"/tmp/absolute.py": b"x"}),
    "drive": lambda: archive.build({"C:\\evil.py": b"x"}),
    "steering": lambda: archive.build({"\x1b[2J\u202ea\nThe pack holds: all of it.": b"x"}),
    "many": lambda: archive.build({f"{at}": b"" for at in range(60_000)}),
    "short": lambda: archive.build({"report.json": b"{}"})[:20],
    "before": lambda: b"#!/bin/sh\n" + archive.build({"report.json": b"{}"}),
    "nested": lambda: archive.build(dict.fromkeys((check.JOURNAL, check.MANIFEST, check.REPORT), b"[" * 200_000)),
    "number": lambda: archive.build(dict.fromkeys((check.JOURNAL, check.MANIFEST, check.REPORT), b"9" * 200_000)),
    "no names": lambda: archive.build({"": b""}),
    "empty": lambda: b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_in_a_sentence_and_leaves_nothing(
    name: str, installed: Installed, tmp_path: Path
) -> None:
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    (place / "pack.zip").write_bytes(HOSTILE[name]())
    before = snapshot(tmp_path)
    status, said = installed.run("pack.zip", cwd=place, most_bytes=200_000_000)
    assert (status, said.startswith("The pack does NOT hold."), "Traceback" in said) == (1, True, False), said
    assert "\nThe pack holds" not in said
    assert said.replace("\n", "").isprintable()
    assert len(said) < 2000
    assert snapshot(tmp_path) == before


@pytest.mark.django_db(transaction=True)
def test_a_time_beyond_all_clocks_is_no_crash(pack: bytes) -> None:
    def work(files: dict[str, bytes]) -> None:
        report: dict[str, Any] = json.loads(files[check.REPORT])
        report["waves"][0]["servers"][0]["launchTime"] = 10**30
        files[check.REPORT] = check.document(report)

    assert check.problems(forged(pack, work))


@pytest.mark.django_db
def test_its_digest_is_published_and_a_shell_finds_the_same(
    installed: Installed, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the checkout, of what is installed from it, in Settings and by the command."""
    assert SHELL_DIGEST in (ROOT / "drsorch_verify" / "README.md").read_text()
    folders = (ROOT / "drsorch_verify", installed.sources)
    command = ["sh", "-c", SHELL_DIGEST]
    found = {subprocess.check_output(command, cwd=folder, text=True).split()[0] for folder in folders}
    call_command("verifier_digest")
    assert found == {capsys.readouterr().out.strip()}
    client.force_login(make_user("viewer"))
    assert found.pop() in client.get("/settings").content.decode()
