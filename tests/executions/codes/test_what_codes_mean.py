"""One truth for codes: whatever the product can write is in the table, and nothing else is."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest

from contract.rest.schema import STATUSES
from drs.errors import BY_CODE, DrsError, Trouble
from drsorch_verify.derive import GIVEN_UP
from executions import states
from executions.codes.aws import AWS_REASONS, UNKNOWN
from executions.codes.entry import OurCode, Where
from executions.codes.explain import EVERY_CODE, explain, of_end
from executions.codes.ours import Code
from executions.console.live_page.event_feed import EVENTS
from executions.observing.server_outcome import FAILURES
from executions.readiness.assessment import CURRENT, CUT_OFF, OF_SERVERS, WITHOUT_SNAPSHOT
from protection import states as server_states
from protection.inventory.drs_refusals import drs_trouble
from reports.history.states import Exercise
from tests.support import codes_table
from tests.support.processes import ROOT

SHOUTED = re.compile(r"[A-Z]{2,}(?:_[A-Z]+)+")
VALUES = {each.value for each in EVERY_CODE}
# Rooms that may import the table; what is below them is written as text.
ABOVE = ("executions", "reports", "drsorch_site")
# Words in capitals that are no codes: statuses, events of a DRS job, requests, headers of HTTP.
OTHERS = {
    *(name for module in (states, server_states) for kind in vars(module).values() if isinstance(kind, type)
      for name in getattr(kind, "__members__", ())),
    *EVENTS, *WITHOUT_SNAPSHOT, *CUT_OFF, *CURRENT,
    *(set(STATUSES) - VALUES),
    "START_DRILL", "START_RECOVERY", "NOT_LISTED_YET", *Exercise.__members__,
}  # fmt: skip


@cache
def texts(room: str) -> list[tuple[str, str]]:
    """Every string in a room's sources, with its file; not those of the table itself, nor of settings."""
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not re.search(r"/migrations/|^executions/codes/|settings\.py|/configuration/", name):
            nodes = ast.walk(ast.parse(path.read_text()))
            found += [(name, each.value) for each in nodes if isinstance(each, ast.Constant)]
    return [(name, value) for name, value in found if isinstance(value, str)]


def used(room: str) -> Iterator[str]:
    for path in (ROOT / room).rglob("*.py"):
        if "executions/codes" not in str(path):
            yield from re.findall(r"\b(?:Code|Against)\.([A-Z_]+)\b", path.read_text())


@pytest.mark.parametrize("code", EVERY_CODE, ids=str)
def test_it_says_what_it_means_and_what_to_try(code: OurCode) -> None:
    for sentence in (code.meaning, code.advice):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
    assert code.entry.where
    assert code.name == code.value


def test_no_code_is_declared_twice() -> None:
    assert len(VALUES) == len(EVERY_CODE)
    reasons = [each.explanation for each in AWS_REASONS]
    assert len(set(reasons)) == len(reasons)


def test_who_can_read_the_table_writes_no_code_as_text() -> None:
    """A word in capitals is a member of the table, which the type checker knows, or it is something else."""
    said = {(name, text) for room in ABOVE for name, text in texts(room) if text in VALUES}
    assert said == set()
    unknown = {(name, text) for name, text in texts("executions") + texts("reports") if SHOUTED.fullmatch(text)}
    assert {each for each in unknown if each[1] not in OTHERS} == set()


def test_nothing_is_in_the_table_that_nobody_writes() -> None:
    written = {each for room in ABOVE for each in used(room)} | {text for _, text in texts("protection")}
    assert VALUES - written == set()


def test_every_refusal_of_a_run_has_its_status() -> None:
    refusals = {each.value for each in EVERY_CODE if Where.START in each.entry.where}
    assert refusals - set(STATUSES) == {"PRODUCTION_NOT_CHECKED", "NATIVE_RUNS_NOT_CHECKED"}  # warnings beside a start


@pytest.mark.parametrize("trouble", Trouble)
def test_a_region_that_could_not_be_asked_to_terminate_is_explained(trouble: Trouble) -> None:
    error = DrsError(trouble, code="X", message="x", region="us-east-1", operation="Y")
    assert Where.TERMINATION in Code[drs_trouble(error).code].entry.where


@pytest.mark.parametrize("code", BY_CODE)
def test_every_code_of_aws_that_we_sort_is_explained(code: str) -> None:
    assert explain("", code) is not UNKNOWN
    assert explain(f"{code}: some words", Code.LAUNCH_REJECTED) is not Code.LAUNCH_REJECTED.explanation


CALLED = "LAUNCH_FAILED: An error occurred ({}) when calling the RunInstances operation: {}"


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("Unsupported", "Your requested instance type (m7i.large) is not supported in your requested", "instance type"),
        ("InvalidParameterCombination", "Enhanced networking with the Elastic Network Adapter", "instance type"),
        ("InvalidKeyPair.NotFound", "The key pair 'ops' does not exist", "names a key pair"),
        ("InvalidAMIID.NotFound", "The image id '[ami-0]' does not exist", "names a key pair, image"),
        ("InvalidParameterValue", "Value (web) for parameter iamInstanceProfile.name is invalid", "instance profile"),
        ("InsufficientHostCapacity", "There is not enough capacity on the Dedicated Host", "Dedicated Host"),
        ("OptInRequired", "In order to use this AWS Marketplace product you need to accept terms", "Marketplace"),
        ("OptInRequired", "You are not subscribed to this service", "region is not enabled"),
        ("InvalidSnapshot.NotFound", "The snapshot 'snap-0' does not exist", "no usable copy"),
        ("InvalidKeyId.NotFound", "The key does not exist", "encrypts the volumes"),
        ("InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist", "names a network"),
        ("InvalidLaunchTemplateId.NotFound", "The specified launch template does not exist", "launch template is"),
    ],
)
def test_what_ec2_says_of_a_changed_launch_template_is_explained(code: str, text: str, expected: str) -> None:
    assert expected in explain(CALLED.format(code, text)).meaning


def test_findings_of_servers_have_the_words_before_their_names() -> None:
    assert {each for each in EVERY_CODE if each.entry.heading} == set(OF_SERVERS)


def test_the_evidence_pack_knows_the_waves_that_aws_goes_on_with() -> None:
    assert {Code.WAVE_TIMEOUT.value, Code.AWS_NOT_ANSWERING.value} == set(GIVEN_UP)


def test_causes_are_explained_and_unknown_ones_admitted() -> None:
    assert "launch template" in explain("InvalidSubnetID.NotFound: the subnet ID 'subnet-1' does not exist").meaning
    assert "may not do" in explain("UnauthorizedOperation: You are not authorized").meaning
    assert explain("something new") == UNKNOWN
    assert explain("something new", Code.SERVER_LAUNCH_FAILED) == UNKNOWN
    for event in FAILURES:
        assert (explain(f"{event}: AWS gave no reason.") is UNKNOWN) == (event == "LAUNCH_FAILED")


def test_aws_text_says_more_than_a_code_that_is_no_reason() -> None:
    full = "LAUNCH_FAILED: InsufficientInstanceCapacity"
    assert "no free machine" in explain(full, Code.WAVE_TIMEOUT).meaning
    assert "no free machine" in explain(full, Code.SERVER_LAUNCH_FAILED).meaning
    assert explain("ResourceNotFoundException: s-1", Code.SERVER_GONE) is Code.SERVER_GONE.explanation
    assert explain("new words", Code.LAUNCH_REJECTED) is Code.LAUNCH_REJECTED.explanation


def test_a_whole_wave_is_explained_by_its_sum() -> None:
    assert of_end("1 of 3 servers did not launch.", Code.SERVER_LAUNCH_FAILED) is Code.SERVER_LAUNCH_FAILED.explanation
    assert of_end("", "") is None


def test_the_table_needs_no_django() -> None:
    text = "import sys, executions.codes.explain; print(any(each.startswith('django') for each in sys.modules))"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_runbook_has_the_table() -> None:
    page = codes_table.PAGE.read_text()
    assert codes_table.written(page) == page, "run: python -m tests.environment python -m tests.support.codes_table"
