"""docs/operations.md is true: each setting, each parameter of the stack, each command and file that it names."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

from tests.deploy.templates import Loader

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()

# Reads the settings while noting what they ask for, whatever way the name is made.
NOTE = """
import json, environs
asked, plain = [], environs.FileAwareEnv._get_value
def note(self, name, default):
    asked.append(name)
    return plain(self, name, default)
environs.FileAwareEnv._get_value = note
import drsorch_site.settings
print(json.dumps(asked))
"""
COGNITO = {
    "DRSORCH_AUTH": "cognito",
    "COGNITO_USER_POOL_ID": "eu-west-1_Ab12Cd34E",
    "COGNITO_CLIENT_ID": "client",
    "COGNITO_CLIENT_SECRET": "secret",
    "COGNITO_DOMAIN": "sign-in.example.com",
}

# Built beside this page, in the same issue; each goes from here when it is there.
COMING: set[str] = set()


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def first_cells(text: str) -> set[str]:
    """The names in backquotes that stand in the first column of a section's tables."""
    rows = re.findall(r"^\| (`[^|]*) \|", text, flags=re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


@pytest.fixture(scope="module")
def read() -> set[str]:
    """The settings that the product asks its environment for."""
    command = [sys.executable, "-c", NOTE]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | COGNITO, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_every_setting_is_in_the_table_and_none_that_is_not_read(read: set[str]) -> None:
    described = first_cells(section("Settings"))
    assert read - described == set(), "settings that the page does not name"
    # botocore reads the profile and its kin by itself
    assert described - read == {"AWS_PROFILE", "AWS_MAX_ATTEMPTS"} & described, "names that nobody reads"


# Settings that cannot be chosen everywhere, each with its reason; systemd's environment file takes all.
NOT_IN_CONTAINERS = {
    "AWS_DEFAULT_REGION": "AWS_REGION is given",
    "DRSORCH_CACHE_DIR": "the image sets it: the one directory that can be written to",
    "DRSORCH_DATABASE_POOL": "drsorch_site/wsgi.py switches it on for web, and an engine must not have it",
    "DJANGO_DEBUG": "for a developer's machine",
    "COGNITO_TEST_MODE": "for a developer's machine",
    **dict.fromkeys(
        (f"COGNITO_{each}_URL" for each in ("JWKS", "AUTHORIZE", "TOKEN", "LOGOUT", "REVOKE")),
        "for another provider in Cognito's place, which needs a look at more than an address",
    ),
    "COGNITO_ISSUER": "as the addresses",
}
NOT_IN_THE_STACK = NOT_IN_CONTAINERS | {
    "AWS_ENDPOINT_URL_DRS": "the stack is for AWS, not for a simulator",
    "DRSORCH_PLAIN_HTTP": "the stack has https",
    "DRSORCH_WORKERS": "four fill a task; EngineCount adds tasks",
    **dict.fromkeys(
        ("DRSORCH_LEASE_SECONDS", "DRSORCH_SEND_WINDOW_SECONDS", "DRSORCH_LAUNCH_QUARANTINE_SECONDS"),
        "what launching once rests on; nothing on AWS needs other values",
    ),
    **dict.fromkeys(
        (f"DRSORCH_THROTTLE_{each}" for each in ("ANON", "USER", "START", "DISCOVERY", "DOOR")),
        "the defaults keep one account's quotas for everybody; change the template knowingly",
    ),
}
# What only one of the two processes looks at.
OF_WEB = re.compile("COGNITO_|DRSORCH_(AUTH|DEFAULT_ROLE|METRICS|ROLE_|SESSION|THROTTLE|TRUSTED)")


def test_every_setting_reaches_the_processes_of_compose(read: set[str]) -> None:
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    wanted = read - NOT_IN_CONTAINERS.keys()
    assert wanted - services["web"]["environment"].keys() == set()
    for name in ("engine", "migrate", "manage"):
        missing = wanted - services[name]["environment"].keys()
        assert {each for each in missing if not OF_WEB.match(each)} == set(), name


def test_every_setting_reaches_the_tasks_of_the_stack(read: set[str]) -> None:
    resources = yaml.load((ROOT / "deploy/cloudformation/services.yaml").read_text(), Loader)["Resources"]
    wanted = read - NOT_IN_THE_STACK.keys()
    for task in ("WebTask", "EngineTask"):
        [container] = resources[task]["Properties"]["ContainerDefinitions"]
        given = set(re.findall(r"'Name': '(\w+)'|value='([A-Z_]{5,})'", str(container)))
        missing = wanted - {name for pair in given for name in pair}
        assert {each for each in missing if task == "WebTask" or not OF_WEB.match(each)} == set(), task


def test_every_parameter_of_the_stack_is_in_the_table() -> None:
    template = yaml.load((ROOT / "deploy/cloudformation/root.yaml").read_text(), Loader)
    text = section("On AWS with CloudFormation")
    assert first_cells(text[text.index("### Parameters") :]) == set(template["Parameters"])
    grouped = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert {each for group in grouped for each in group["Parameters"]} == set(template["Parameters"])
    assert all(each["Description"] for each in template["Parameters"].values())


def test_what_the_page_names_exists() -> None:
    commands = set(re.findall(r"manage\.py ([a-z_]+)", PAGE)) - COMING
    assert commands <= set(get_commands()), commands - set(get_commands())
    links = set(re.findall(r"\]\((?!http|#)([^)#]+)\)", PAGE)) - COMING
    assert all((ROOT / "docs" / link).exists() for link in links), links
    paths = set(re.findall(r"\b(?:deploy|script)/[\w./@*-]+[\w*]", PAGE))
    assert all(list(ROOT.glob(path)) for path in paths), [path for path in paths if not list(ROOT.glob(path))]
    titles = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


@pytest.mark.parametrize("name", ["package", "stack-environment", "stack-run"])
def test_the_scripts_explain_themselves(name: str) -> None:
    done = subprocess.run([f"script/{name}", "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--stack" in done.stdout
