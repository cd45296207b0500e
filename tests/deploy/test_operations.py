"""docs/operations.md is true: each setting, each parameter of the stack, each command and file that it names."""

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from botocore import xform_name
from botocore.session import get_session
from django.core.management import get_commands

from tests.deploy.templates import Loader

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()

# Reads the settings while noting what they ask for, whatever way the name is made.
NOTE = """
import json, environs
asked, plain = [], environs.Env._get_value
def note(self, name, default):
    asked.append(name)
    return plain(self, name, default)
environs.Env._get_value = note
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
}
ADDRESSES = ("ISSUER", "JWKS_URL", "AUTHORIZE_URL", "TOKEN_URL", "LOGOUT_URL", "REVOKE_URL")
NOT_IN_THE_STACK = NOT_IN_CONTAINERS | {
    **dict.fromkeys((f"COGNITO_{each}" for each in ADDRESSES), "the stack has a user pool of its own"),
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
    wanted = read - NOT_IN_CONTAINERS.keys()
    for name in ("web", "manage", "engine", "migrate"):
        missing = wanted - environment_in_compose(name).keys()
        assert {each for each in missing if name in ("web", "manage") or not OF_WEB.match(each)} == set(), name


def environment_in_compose(name: str) -> dict[str, str | None]:
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    found: dict[str, str | None] = services[name]["environment"]
    return found


def passed_by_compose(name: str, given: dict[str, str]) -> dict[str, str]:
    """What a container of compose sees of an env file: names without a value, and ${NAME:-default} or ${NAME:?why}."""

    def filled_in(found: re.Match[str]) -> str:
        return given.get(found[1]) or (found[3] if found[2] == ":-" else "")

    written = environment_in_compose(name)
    plain = {key: re.sub(r"\$\{(\w+)(:-|:\?)(.*?)\}", filled_in, value) for key, value in written.items() if value}
    return plain | {key: given[key] for key, value in written.items() if value is None and key in given}


@pytest.mark.parametrize("name", ["web", "manage"])
def test_the_env_file_of_the_page_with_another_provider_is_what_compose_starts(name: str) -> None:
    [text] = re.findall(r"drsorch-compose\.env <<END\n(.*?)END\n", PAGE, flags=re.DOTALL)
    lines = re.sub(r"\$\(.*\)", secrets.token_urlsafe(50), text).splitlines()
    given = dict(line.split("=", 1) for line in lines) | COGNITO
    given |= {f"COGNITO_{each}": f"https://other.example.com/{each.lower()}" for each in ADDRESSES}
    kept = {key: os.environ[key] for key in ("PATH", "HOME")}
    tell = "import json; from drsorch_site.settings import *; print(json.dumps([ALLOWED_HOSTS, vars(PROVIDER)]))"
    command = [sys.executable, "-c", tell]
    started = passed_by_compose(name, given)
    done = subprocess.run(command, cwd=ROOT, env=kept | started, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    hosts, provider = json.loads(done.stdout)
    assert hosts == ["127.0.0.1", "dr.example.com", "localhost"]
    assert all(provider[each.lower()] == given[f"COGNITO_{each}"] for each in ADDRESSES)


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


# What the AWS command line adds of its own.
OF_THE_COMMAND_LINE = {"cloudformation deploy", "ecr get-login-password"}
OF_EVERY_COMMAND = {"query", "output", "region"}


def test_the_aws_commands_of_the_pages_exist() -> None:
    """Each operation, waiter and option, as botocore knows them."""
    session = get_session()
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "deploy/iam/README.md"]
    text = "\n".join(page.read_text() for page in pages).replace("\\\n", " ")
    commands = {each for each in re.findall(r"\baws ((?!wait)[a-z0-9-]+ [a-z-]+[^`\n#]*)", text) if " --" in each}
    assert len(commands) > 20
    for command in commands:
        service, verb, *rest = command.split()
        if f"{service} {verb}" in OF_THE_COMMAND_LINE:
            continue
        model = session.get_service_model(service)
        if verb == "wait":
            waiters = session.get_waiter_model(service)
            verb = {xform_name(each, "-"): waiters.get_waiter(each).operation for each in waiters.waiter_names}[rest[0]]
        operations = {xform_name(each, "-"): each for each in model.operation_names}
        shape = model.operation_model(operations.get(verb, verb)).input_shape
        known = {xform_name(each, "-"): member.type_name for each, member in (shape.members if shape else {}).items()}
        known |= {f"no-{each}": kind for each, kind in known.items() if kind == "boolean"}
        assert set(re.findall(r"(?<= --)[a-z0-9-]+", command)) <= known.keys() | OF_EVERY_COMMAND, command


@pytest.mark.parametrize("name", ["package", "stack-environment", "stack-run"])
def test_the_scripts_explain_themselves(name: str) -> None:
    done = subprocess.run([f"script/{name}", "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--stack" in done.stdout


def test_the_readme_begins_with_what_runs_it_and_what_tests_it() -> None:
    head = (ROOT / "README.md").read_text().split("```sh\n", 1)
    assert len(head[0].split("\n\n")) == 3, "a title and one sentence"
    commands = head[1].split("```", 1)[0]
    assert re.findall(r"^(\S+) +# .*\b(?:minute|hour)\b", commands, re.MULTILINE) == ["script/server", "script/test"]
    assert 'exec "$(dirname "${BASH_SOURCE[0]}")/../script/test"\n' in (ROOT / ".ci/run").read_text()
