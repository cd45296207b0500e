"""The house rules that no linter knows: who imports whom, who reaches outside, and how long things get."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What each room may import, besides itself. Nobody imports drsorch_site: Django reaches it by name.
EVERYWHERE = {"audit", "contract"}
ROOMS = {
    "drsorch_site": {"doctor", "reports", "executions", "notify", "plans", "protection", "identity", "console", "drs"}
    | {"accounts", "documents", "drill_requests", "findings", "manual", "native_plans", "runbooks", "schedules"}
    | {"drsorch_verify"}
    | EVERYWHERE,
    "takeover": {"documents", "runbooks", "schedules", "reports", "executions", "native_plans", "notify", "identity"}
    | {"accounts", "findings", "plans", "protection", "drs", "drsorch_verify"}
    | EVERYWHERE,
    "runbooks": {"accounts", "reports", "plans", "protection", "console", "drs"} | EVERYWHERE,
    "findings": {"executions", "plans", "console"} | EVERYWHERE,
    "reports": {"accounts", "findings", "executions", "plans", "protection", "console", "drs", "drsorch_verify"}
    | EVERYWHERE,
    "doctor": {"accounts", "executions", "notify", "plans", "protection", "console", "drs"} | EVERYWHERE,
    "documents": {"accounts", "notify", "plans", "protection", "console", "drs", "drsorch_verify"} | EVERYWHERE,
    "drill_requests": {"executions", "plans", "protection", "console"} | EVERYWHERE,
    "schedules": {"executions", "notify", "plans", "protection", "console"} | EVERYWHERE,
    "manual": {"console"} | EVERYWHERE,
    "drsorch_verify": set(),
    "drsorch_cli": {"drsorch_verify"},
    "native_plans": {"accounts", "plans", "protection", "console", "drs"} | EVERYWHERE,
    "executions": {"native_plans", "accounts", "notify", "plans", "protection", "console", "drs", "drsorch_verify"}
    | EVERYWHERE,
    "notify": {"accounts", "plans", "protection", "console", "drs"} | EVERYWHERE,
    "plans": {"accounts", "protection", "console", "drs"} | EVERYWHERE,
    "protection": {"accounts", "console", "drs"} | EVERYWHERE,
    "accounts": {"console", "drs"} | EVERYWHERE,
    "identity": {"console"} | EVERYWHERE,
    "console": {"contract"},
    "audit": {"console", "contract"},
    "drs": set(),
    "drs_simulator": set(),
    "contract": {"drsorch_verify"},
}
PRODUCT = set(ROOMS) - {"drs_simulator"}

# The floors of `executions`, from the top: each may import what is below it. Rooms of one floor do not know each other.
FLOORS = (
    {"api", "console", "admin", "management", "tasks", "apps", "templatetags"},
    {"commands", "engine"},
    {"launching", "terminating", "metrics"},
    {"observing", "measuring", "readiness"},
    {"runs"},
    {"models", "querysets", "queue", "pacemaker", "installation", "brokers", "states", "codes"},
)
# What crosses a floor sideways or upwards, and why.
NAMED = {
    ("tasks", "engine"): "what the queue runs",
    ("management", "tasks"): "the engine's process",
    ("models", "querysets"): "how rows are read stands beside them",
    ("querysets", "models"): "for the type checker alone",
    ("models", "states"): "columns of statuses",
    ("models", "codes"): "an index of rows with a code",
    ("querysets", "states"): "what is asked of columns of statuses",
    ("querysets", "codes"): "what is asked of columns of codes",
    ("pacemaker", "models"): "its row",
    ("installation", "models"): "its row",
}

# Packages that only a few files may import, so that what they bring in stays in one place.
BROKERS = "executions/brokers.py"
# Beside DRS itself: a queue as a broker, a topic and a mail service that notifications leave by.
AWS = (
    "drs/client.py",
    "drs/native_plans.py",
    "drs/classify_errors.py",
    "drs/account.py",
    "drs/roles.py",
    "drs/surroundings.py",
    "drs/status_checks.py",
    "drs_simulator/",
    BROKERS,
    "notify/channels/sns.py",
    "notify/channels/ses.py",
    "notify/channels/eventbridge.py",
    "reports/archiving/archive_store.py",
)
QUEUE = ("executions/queue.py", "executions/tasks.py", "executions/management/commands/engine.py", BROKERS)
SETTINGS = ("drsorch_site/settings.py",)
KEEPERS = {
    "boto3": AWS,
    "botocore": AWS,
    "mypy_boto3_drs": AWS,
    "mypy_boto3_sts": AWS,
    "django_q": QUEUE,
    "environs": SETTINGS,
    "dj_database_url": ("drsorch_site/configuration/databases.py",),
}
READ_ENVIRONMENT = (*SETTINGS, "manage.py", "drsorch_site/wsgi.py", "drsorch_cli/")  # a program of its own
NAMELESS = {"core", "common", "util", "utils", "helper", "helpers"}

COMMAND = re.compile(r"/management/commands/|/__main__\.py$")

FILE_LINES, FUNCTION_LINES, TEMPLATE_LINES, FOLDER_FILES, FOLDER_MEDIAN = 400, 60, 150, 15, 8

# Written so that this file does not name what it looks for.
REGISTRY = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|crates|jsdelivr|unpkg)\.(?:org|com|io|net)\b"
    r"|\b(?:deb|registry|mirrors?)\.[a-z0-9-]+\.(?:org|com|io|net)\b"
    r"|(?:index-url|find-links)\s*[ =:]\s*['\"]?\w+:/"
    r"|file:/+opt"
)


def product(path: str) -> bool:
    return path.split("/")[0] in ROOMS


def kept_by(path: str, keepers: tuple[str, ...]) -> bool:
    return any(path == keeper or (keeper.endswith("/") and path.startswith(keeper)) for keeper in keepers)


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        # `from executions import states` names a module, as `from executions.states import ACTIVE` does.
        whole = [f"{node.module}.{alias.name}" for alias in node.names] if "." not in node.module else []
        return whole or [node.module]
    return []


def floor_of(name: str) -> int:
    return next(height for height, rooms in enumerate(reversed(FLOORS)) if name in rooms)


def floor_problem(path: str, module: str) -> str:
    """Of an import inside `executions`: it has to lead down, or to be named."""
    inside = [each.split("/")[1].removesuffix(".py") for each in (path, module.replace(".", "/") + "/")]
    if "migrations" in inside or "__init__" in inside or inside[0] == inside[1] or tuple(inside) in NAMED:
        return ""
    here, there = inside
    return "" if floor_of(there) < floor_of(here) else f"executions.{here} may not import executions.{there}"


def import_problem(path: str, module: str) -> str:
    room, package = path.split("/")[0], module.split(".")[0]
    if room in ROOMS and package in ROOMS and package != room and package not in ROOMS[room]:
        return f"{room} may not import {package}"
    if room == package == "executions" and (problem := floor_problem(path, module)):
        return problem
    if product(path) and package in KEEPERS and not kept_by(path, KEEPERS[package]):
        return f"only {', '.join(KEEPERS[package])} may import {package}"
    if room in ("drs", "drs_simulator", "drsorch_verify", "drsorch_cli") and package.startswith(
        ("django", "rest_framework")
    ):
        return f"{room} is plain Python: no Django"
    return ""


def reads_environment(node: ast.AST) -> bool:
    names = {"environ", "environb", "getenv", "putenv"}
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == "os" and node.attr in names
    return isinstance(node, ast.ImportFrom) and node.module == "os" and any(a.name in names for a in node.names)


def catches_everything(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else set()
    passes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
    return not passes_on and (node.type is None or bool(caught & {"Exception", "BaseException"}))


def node_problem(path: str, node: ast.AST, lines: list[str]) -> str:
    for module in imported(node):
        if problem := import_problem(path, module):
            return problem
    if product(path) and reads_environment(node) and not kept_by(path, READ_ENVIRONMENT):
        return "only settings.py reads the environment"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
        return "" if not product(path) or COMMAND.search(path) else "no print outside commands: log"
    if isinstance(node, ast.ExceptHandler) and catches_everything(node) and "#" not in lines[node.lineno - 1]:
        return "a catch-all needs its reason on its line"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        return f"{node.name} has {length} lines, at most {FUNCTION_LINES}" if length > FUNCTION_LINES else ""
    return ""


def python_problems(path: str, source: str) -> Iterator[str]:
    lines = source.splitlines()
    generated = "/migrations/" in path
    if len(lines) > FILE_LINES and not generated:
        yield f"{path}: {len(lines)} lines, at most {FILE_LINES}"
    if NAMELESS & set(path.removesuffix(".py").split("/")):
        yield f"{path}: the name does not say what is in it"
    try:
        tree = ast.parse(source, path)
    except SyntaxError as error:
        yield f"{path}:{error.lineno}: {error.msg}"
        return
    for node in ast.walk(tree):
        problem = node_problem(path, node, lines)
        if problem and not (generated and "at most" in problem):
            yield f"{path}:{getattr(node, 'lineno', 1)}: {problem}"


DJANGO_TAGS = re.compile(r"{%\s*comment\b.*?endcomment\s*%}|{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)
ANYWHERE = {
    re.compile(r"[\s\"']style\s*=\s*[\"']"): "no inline style, the policy refuses it",
    re.compile(r"{%\s*(?:el)?if\b[^%]*(?:status\b\s*(?:==|!=|(?:not\s+)?in\b)|[!=]=\s*[\w.]*status\b)"): (
        "no comparison of a status: ask the status"
    ),
}
IN_MARKUP = {
    re.compile(r"\shx-on\b"): "no hx-on, it needs eval",
    re.compile(r"\son[a-z]+\s*=", re.IGNORECASE): "no inline handler",
    re.compile(r"<script\b(?![^>]*\ssrc\s*=)", re.IGNORECASE): "no inline script",
    re.compile(r"\shx-trigger\s*=\s*(?:\"[^\"]*\[|'[^']*\[)"): "no filter in hx-trigger, it needs eval",
    re.compile(r"\shx-(?:vals|headers)\s*=\s*[\"']\s*js:"): "no js: values, they need eval",
}


def template_problems(path: str, source: str) -> Iterator[str]:
    length = len(source.splitlines())
    if length > TEMPLATE_LINES:
        yield f"{path}: {length} lines, at most {TEMPLATE_LINES}"
    markup = DJANGO_TAGS.sub(lambda tag: re.sub(r"[^\n]", " ", tag[0]), source)
    for text, rules in ((source, ANYWHERE), (markup, IN_MARKUP)):
        for pattern, problem in rules.items():
            for match in pattern.finditer(text):
                yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {problem}"


def text_problems(path: str, source: str) -> Iterator[str]:
    for match in REGISTRY.finditer(source):
        yield f"{path}:{source.count(chr(10), 0, match.start()) + 1}: names a package registry: {match[0]}"


def repository_files() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(path for path in listing.split("\0") if path and (ROOT / path).is_file())


def problems(checker: Callable[[str, str], Iterator[str]], pattern: str) -> str:
    found: list[str] = []
    for path in repository_files():
        if re.search(pattern, path):
            try:
                source = (ROOT / path).read_text()
            except UnicodeDecodeError:
                continue  # a picture or a font
            found += checker(path, source)
    return "\n".join(found)


def test_python_keeps_the_house_rules() -> None:
    found = problems(python_problems, r"\.py$")
    assert not found, found


def modules_of(path: str, source: str, known: Mapping[str, str]) -> Iterator[str]:
    """The modules of ours that a file imports when it is loaded."""
    for node in ast.parse(source, path).body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for each in (f"{node.module}.{alias.name}" for alias in node.names):
                yield each if each in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_import_leads_back_to_where_it_came_from() -> None:
    paths = [each for each in repository_files() if re.fullmatch(r"[\w/]+\.py", each) and product(each)]
    known = {each.removesuffix(".py").removesuffix("/__init__").replace("/", "."): each for each in paths}
    graph = {name: set(modules_of(path, (ROOT / path).read_text(), known)) & set(known) for name, path in known.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_every_folder_can_be_read_at_a_glance() -> None:
    folders = Counter(str(Path(each).parent) for each in repository_files() if each.endswith(".py"))
    counted = {folder: files for folder, files in folders.items() if not folder.endswith("migrations")}
    crowded = [f"{folder}: {files} Python files" for folder, files in counted.items() if files > FOLDER_FILES]
    assert not crowded, f"at most {FOLDER_FILES} in a folder: {crowded}"
    assert median(counted.values()) <= FOLDER_MEDIAN


def test_every_room_has_its_addresses() -> None:
    """A room with pages or REST has a `urls.py` or `api_urls.py`; `contract` has only what their views are made of."""
    views = re.compile(r"(?:^|[/_])(?:views|api|editor)\.py$")
    shown = {each.split("/")[0] for each in repository_files() if product(each) and views.search(each)}
    assert {room for room in shown if not list((ROOT / room).rglob("*urls.py"))} == {"contract"}


def test_templates_keep_the_house_rules() -> None:
    found = problems(template_problems, r"templates/.*\.html$")
    assert not found, found


def test_no_file_names_a_package_registry() -> None:
    found = problems(text_problems, r"")
    assert not found, found


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("plans/services.py", "from executions.models import Execution", "plans may not import executions"),
        ("audit/models.py", "import drs.client", "audit may not import drs"),
        ("drs/client.py", "from drs_simulator.testing import x", "drs may not import drs_simulator"),
        ("executions/runs/claim.py", "from executions.launching import launch", "may not import executions.launching"),
        ("executions/runs/claim.py", "from executions import queue", ""),
        ("executions/commands/retry.py", "from executions.engine import poll", "may not import executions.engine"),
        ("executions/launching/launch.py", "from executions.terminating import terminate", "executions.terminating"),
        ("audit/models.py", "from contract import errors", ""),
        ("executions/engine/advance.py", "import drsorch_site.settings", "executions may not import drsorch_site"),
        ("plans/models.py", "def f():\n    from executions import states", "plans may not import executions"),
        ("executions/engine/advance.py", "import boto3", "may import boto3"),
        ("drs_simulator/protocol/rest_json.py", "from botocore import loaders", ""),
        ("tests/drs/test_client.py", "import boto3", ""),
        ("executions/commands/control.py", "from django_q.tasks import async_task", "may import django_q"),
        ("drs/shapes.py", "from django.utils import timezone", "plain Python"),
        ("plans/services.py", "import os\nx = os.environ['A']", "only settings.py"),
        ("plans/services.py", "from os import getenv", "only settings.py"),
        ("drsorch_site/settings.py", "from environs import Env", ""),
        ("plans/utils.py", "", "does not say"),
        ("contract/core/errors.py", "", "does not say"),
        ("plans/services.py", "print('x')", "no print"),
        ("audit/management/commands/audit_verify.py", "print('x')", ""),
        ("plans/services.py", "try:\n    f()\nexcept Exception:\n    pass", "needs its reason"),
        ("plans/services.py", "try:\n    f()\nexcept (OSError, Exception):\n    pass", "needs its reason"),
        ("plans/services.py", "try:\n    f()\nexcept:\n    pass", "needs its reason"),
        ("plans/services.py", "try:\n    f()\nexcept Exception:  # told below\n    pass", ""),
        ("plans/services.py", "try:\n    f()\nexcept Exception:\n    undo()\n    raise", ""),
        ("plans/services.py", "def f(:", "invalid syntax"),
        ("plans/services.py", "x = 1\n" * 401, "401 lines"),
        ("plans/migrations/0001_initial.py", "x = 1\n" * 401, ""),
        ("plans/services.py", "def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
    ],
)
def test_it_judges_python(path: str, source: str, expected: str) -> None:
    found = list(python_problems(path, source))
    assert len(found) == bool(expected)
    assert expected in "".join(found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('<p style="color: red">', "no inline style"),
        ('{% heroicon_mini "x" style="color: red" %}', "no inline style"),
        ('<a onclick="go()">', "no inline handler"),
        ('{% include "_row.html" with one=1 %}', ""),
        ('<a hx-on::after-request="go()">', "no hx-on"),
        ("<script>go()</script>", "no inline script"),
        ("<script defer\n  src=\"{% static 'htmx.js' %}\"></script>", ""),
        ('<div hx-trigger="click[ctrlKey]">', "no filter"),
        ('<div hx-trigger="every 3s, click from:#a">', ""),
        ("<div hx-vals='js:{a: 1}'>", "no js:"),
        ('{% if run.status == "PAUSED" %}', "no comparison"),
        ('{% elif a and "PAUSED" == wave.launch_status %}', "no comparison"),
        ("{% if run.status in active %}", "no comparison"),
        ("{% if run.status.is_final %}{{ run.status }}{% endif %}", ""),
        ("<p></p>\n" * 151, "151 lines"),
    ],
)
def test_it_judges_templates(source: str, expected: str) -> None:
    found = list(template_problems("templates/page.html", source))
    assert len(found) == bool(expected)
    assert expected in "".join(found)


@pytest.mark.parametrize(
    ("parts", "problem_count"),
    [
        (["see files.pythonhosted", ".org/x"], 1),
        (["--extra-index", "-url https://packages.example/simple"], 1),
        (["find-links", " = file:", "///opt"], 1),
        (["--no-emit-index-url --no-emit-find-links"], 0),
    ],
)
def test_it_sees_a_package_registry(parts: list[str], problem_count: int) -> None:
    assert len(list(text_problems("README.md", "".join(parts)))) == problem_count
