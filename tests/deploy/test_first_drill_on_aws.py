"""docs/first-drill-on-aws.md, followed line by line: its commands in a shell, its buttons in a browser.

The account's IAM is moto's; DRS, EC2 and the rest are the simulator's, whose role may do what the page had attached.
What cannot be done here is named below, with why; everything else on the page is run as it stands.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from playwright.sync_api import Page, expect

from drs.launch_rights import Rights
from drs_simulator.protocol.iam_policy import Decision, Request, decide
from drs_simulator.testing import RunningSimulator, running_simulator
from drs_simulator.world.demo import demo_fleet
from drs_simulator.world.fleet import Fleet
from tests.console.browsers.browser import PATIENCE_MS, chromium
from tests.support.processes import descendants

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "first-drill-on-aws.md").read_text()
ACCOUNT = "111122223333"
PASSWORD = "correct-horse-battery"
# Lines that are not run, by how they begin.
NOT_HERE = {
    "git clone": "the checkout is this one",
    "script/setup": "what it makes is there",
    "ssh ": "there is no second machine",
}
# What somebody types, as an environment says it.
TYPED = {"manage.py createsuperuser": "manage.py createsuperuser --noinput"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
]

# The AWS command line, as far as the page uses it: any operation of any service, by botocore's own description.
AWS = """
import json, os, sys
import boto3
service, operation, *words = sys.argv[1:]
options = dict(zip(words[::2], words[1::2]))
query = options.pop("--query", ""); options.pop("--output", "")
client = boto3.client(service, region_name=os.environ.get("AWS_REGION", "us-east-1"))
told = ("x-moto-account-id", os.environ["ACCOUNT_ON_MOTO"])
client.meta.events.register("before-sign.*", lambda request, **_: request.headers.add_header(*told))
name = operation.replace("-", "_")
members = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[name]).input_shape.members
names = {each.lower(): each for each in members}
read = lambda text: open(text[7:]).read() if text.startswith("file://") else text
given = {names[key[2:].replace("-", "").lower()]: read(value) for key, value in options.items()}
found = getattr(client, name)(**given); found.pop("ResponseMetadata", None)
print(found[query] if query else json.dumps(found, default=str))
"""


def blocks() -> list[str]:
    """The shell commands of the page, as they are to be run here."""
    found = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return [_here(each) for each in found]


def _here(block: str) -> str:
    lines = []
    for line in block.splitlines():
        begins = next((each for each in NOT_HERE if line.startswith(each)), None)
        for typed, instead in TYPED.items():
            line = line.replace(typed, instead)
        lines.append(f": {NOT_HERE[begins]!r}" if begins else line)
    return "\n".join(lines)


@dataclass
class Shell:
    """One shell that goes on from block to block, as the reader's does."""

    process: "subprocess.Popen[str]"

    def run(self, block: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{block}\necho; echo END-OF-BLOCK\n")
        self.process.stdin.flush()
        said: list[str] = []
        for line in self.process.stdout:
            if line.strip() == "END-OF-BLOCK":
                return "".join(said)
            said.append(line)
        raise AssertionError(f"the shell ended: {''.join(said)}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def iam() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def drs() -> Iterator[RunningSimulator]:
    fleet = demo_fleet()
    [server] = [each for each in fleet.servers if each.hostname == "web-01"]
    with running_simulator(Fleet((server,), ("us-east-1",)), speed=150) as running:
        yield running


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, iam: str, drs: RunningSimulator, port: int) -> Iterator[Shell]:
    """On the host: the product's checkout, and an environment that knows neither this machine's nor other tests'."""
    place = tmp_path_factory.mktemp("host")
    tool = place / "aws"
    tool.write_text(f"#!{sys.executable}\n{textwrap.dedent(AWS)}")
    tool.chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if not re.match("(AWS|DJANGO|DRSORCH|DATABASE|PG)", name)},
        "PATH": f"{place}:{os.environ['PATH']}",
        "DATABASE_URL": f"sqlite:///{place}/drsorch.sqlite3",
        "DRSORCH_CACHE_DIR": str(place / "cache"),
        "DRSORCH_POLL_SECONDS": "0.5",
        "DJANGO_SUPERUSER_USERNAME": "admin",
        "DJANGO_SUPERUSER_EMAIL": "admin@example.com",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "AWS_ACCESS_KEY_ID": "AKIAFIRSTDRILL000000",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ACCOUNT_ON_MOTO": ACCOUNT,
        "AWS_ENDPOINT_URL_IAM": iam,
        **{f"AWS_ENDPOINT_URL_{name}": drs.url for name in ("DRS", "STS", "EC2", "SERVICE_QUOTAS")},
    }
    command = ["bash", "--noprofile", "--norc"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    yield Shell(process)
    for each in reversed(descendants(process.pid)):
        os.kill(each, signal.SIGKILL)
    process.wait(10)
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


@pytest.fixture(scope="module")
def attached_role(shell: Shell, iam: str, drs: RunningSimulator) -> list[Any]:
    """The page's second section: what the role may do when it was followed."""
    made_role(iam)
    said = shell.run(blocks()[0])
    assert "rror" not in said, said
    return attached(iam, "drsorch", drs)


def test_the_role_of_the_page_may_launch_and_terminate(attached_role: list[Any]) -> None:
    rights = Rights(ACCOUNT, "us-east-1")
    asked = [
        (Request(action, resource, question.context), question.policy)
        for question in (*rights.core(), *rights.terminate())
        for action in question.actions
        for resource in question.resources
    ]
    assert [each for each in asked if decide(attached_role, each[0]) is not Decision.ALLOWED] == []
    elsewhere = Request("ec2:DescribeInstances", "*", {"aws:RequestedRegion": "us-west-2"})
    assert decide(attached_role, elsewhere) is not Decision.ALLOWED


@pytest.mark.long
def test_every_command_and_every_button_of_the_page(
    shell: Shell, attached_role: list[Any], drs: RunningSimulator, port: int, tmp_path: Path
) -> None:
    """Two processes and a browser, for a minute; each day what the page attaches is judged, above."""
    _, install, look, tunnel = (each.replace("8000", str(port)) for each in blocks())
    install = install.replace("engine.log", str(tmp_path / "engine.log")).replace("web.log", str(tmp_path / "web.log"))
    shell.run(f"export AWS_ENDPOINT_URL_IAM={drs.url}")  # from here on the product asks, of the role as it is now
    said = shell.run(install)
    assert f'"Account": "{ACCOUNT}"' in said
    assert "Superuser created" in said, said
    wait_until_ready(shell, look)
    said = shell.run(look)
    assert '"status": "ok"' in said, said
    assert "engine: ok" in said
    failed = [line for line in said.splitlines() if line.startswith("FAILED")]
    assert failed == [], said
    assert "OK       rights: us-east-1: engine" in said
    shell.run(tunnel)

    with chromium() as browser:
        page = browser.new_page(base_url=f"http://127.0.0.1:{port}")
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        follow(page)


def in_the_account(iam: str) -> Any:
    client: Any = boto3.client("iam", endpoint_url=iam, region_name="us-east-1")
    name = "x-moto-account-id"
    client.meta.events.register("before-sign.*", lambda request, **_: request.headers.add_header(name, ACCOUNT))
    return client


def made_role(iam: str) -> str:
    """The instance's role, which the page supposes."""
    client = in_the_account(iam)
    trust = {"Version": "2012-10-17", "Statement": []}
    client.create_role(RoleName="drsorch", AssumeRolePolicyDocument=json.dumps(trust))
    return "drsorch"


def attached(iam: str, role: str, drs: RunningSimulator) -> list[Any]:
    """What the page attached is what the role may do, in the account of the servers."""
    client = in_the_account(iam)
    policies = client.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    named = {each["PolicyName"] for each in policies}
    assert named == {f"drsorch-{name}" for name in ("engine", "templates", "web", "terminate", "check")}
    statements = []
    for each in policies:
        document = client.get_policy_version(PolicyArn=each["PolicyArn"], VersionId="v1")["PolicyVersion"]["Document"]
        statements += document["Statement"]
    text = json.dumps(statements)
    assert "123456789012" not in text
    assert f'arn:aws:iam::{ACCOUNT}:role/drsorch"' in text
    drs.surroundings(policies=statements)
    return statements


def wait_until_ready(shell: Shell, look: str) -> None:
    """The half a minute that the page gives them, or less."""
    deadline = time.monotonic() + 60
    ask = look.splitlines()[0]
    while '"status": "ok"' not in shell.run(ask):
        assert time.monotonic() < deadline, shell.run(look)
        time.sleep(1)


def press(page: Page, name: str, *, scope: Any = None) -> None:
    """A button that the page of the book names."""
    assert f"**{name}**" in PAGE, name
    (scope or page).get_by_role("button", name=name, exact=True).click()


def follow(page: Page) -> None:
    """Sections 4 to 6."""
    page.goto("/")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    press(page, "Look at all regions")
    expect(page.locator("#step-regions")).to_contain_text("us-east-1: 1")
    expect(page.locator("#step-rights")).to_contain_text("The engine's role may launch, done")
    press(page, "Dry run of this server")
    press(page, "Dry run: launch nothing")
    expect(page.locator("h1 + .status")).to_have_text("Completed")

    page.goto("/")
    press(page, "Drill this server")
    press(page, "Start drill")
    page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}$"))
    expect(page.locator("h1 + .status")).to_have_text("Completed")
    expect(page.locator(".wave")).to_contain_text(re.compile(r"i-[0-9a-f]{17}"))
    assert "**Report**" in PAGE
    page.get_by_role("link", name="Report", exact=True).click()
    assert "**Evidence pack**" in PAGE
    expect(page.locator("main").get_by_text("Evidence pack").first).to_be_visible()
    page.go_back()

    assert "**Terminate 1 instance**" in PAGE
    page.get_by_text("Terminate 1 instance").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(re.compile("Type")).fill(dialog.locator("label code").inner_text())
    dialog.get_by_role("button", name="Terminate 1 instance").click()
    expect(page.locator("#live")).to_contain_text("Terminated")


def test_what_is_not_run_is_on_the_page() -> None:
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
    assert all(re.search(f"^{re.escape(each)}", text, re.MULTILINE) for each in NOT_HERE)
    assert all(each in text for each in TYPED)
    assert not re.search(r"\bdrsorch-(?:engine|web)\b", text)
