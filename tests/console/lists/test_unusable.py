"""What the address of a page asks and the page cannot use is told on it: nothing is guessed at in silence."""

import html
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from console.asked import KNOWN
from executions.models import Execution
from executions.states import ExecutionStatus
from plans.models import RecoveryPlan
from protection.models import SourceServer
from tests.console import world
from tests.console.test_pages import HX, words
from tests.support.api_client import make_user, sign_in

NUMBERS = ("bogus", "-1", "0", "1e9", "", "٣", "99999")
TOLD = "in the address is not used"
# Read by views themselves, and what of it nobody is told of, because:
IGNORED = {
    **dict.fromkeys(
        ("rev", "mark", "engine", "story", "since", "told", "first", "run", "row", "pages", "done"), "polls"
    ),
    **dict.fromkeys(("again", "ask", "changed", "choose", "empty", "errors", "gate", "over", "write"), "flags"),
    **dict.fromkeys(("code", "error", "state", "expired", "next", "why"), "signing in, which says its own"),
    **dict.fromkeys(("a", "b", "arn", "name", "point", "place", "instance"), "refused in place, with what was typed"),
    **dict.fromkeys(("region", "account"), "refused as a whole: the check, the editor of groups"),
    "q": "what is searched for: any text, the first of it where it is long",
    "seen": "of what was shown before",
}
FORMS = {"account", "status"}  # read for an address after a form has judged them
HERE = {"wave", "most", "days", "servers", "format", "plan", "page", "after", "sort", "choose", *FORMS}
READ = re.compile(
    r"""(?:\.GET\.get(?:list)?\(|\.GET\[|asked_number\(\w+, |cannot_find\(\w+, )"(\w+)"|"""
    r"""\"(\w+)" in (?:self\.)?request\.GET"""
)


@pytest.fixture
def console(db: None) -> Client:
    return sign_in(Client(), make_user("admin"))


@pytest.fixture
def run(db: None) -> Execution:
    return world.ended(ExecutionStatus.COMPLETED, "Payments")


def lists() -> list[str]:
    """Every address of the console that names no single thing."""
    skipped = ("api/", "admin/", "oidc/", "sign", "theme", "metrics", "healthz", "readyz", "check", ".well")
    found = [each for each in _patterns(get_resolver().url_patterns) if "<" not in each]
    return sorted({f"/{each}" for each in found if not each.startswith(skipped)})


def _patterns(of: Any, before: str = "") -> list[str]:
    found = []
    for each in of:
        route = before + str(each.pattern)
        found += [route] if isinstance(each, URLPattern) else _patterns(each.url_patterns, route)
    return found


def told(console: Client, address: str, name: str, value: str) -> bool:
    """Whether the page still comes, and says what it does not use."""
    answer = console.get(address, {name: value})
    text = words(answer.content.decode())
    assert answer.status_code == 200, (address, name, value)
    return f"“{name}” {TOLD}: " in text or "does not filter: " in text


def bogus(field: forms.Field) -> str | None:
    if isinstance(field, forms.CharField):
        return "=x" if field.max_length is None else "x" * (field.max_length + 1)
    return "bogus"


def test_every_list_tells_what_it_cannot_use(console: Client, run: Execution) -> None:
    silent, looked_at = [], set()
    server = SourceServer.objects.earliest("pk")
    for address in [*lists(), f"/source-servers/{server.pk}", f"/recovery-plans/{run.plan_id}/versions"]:
        shown = console.get(address)
        context = shown.context or {}
        if shown.status_code != 200 or not shown["Content-Type"].startswith("text/html"):
            continue
        asked: dict[str, tuple[str, ...]] = {name: NUMBERS[:-1] for name in ("page",) if name in context}
        if "heads" in context:
            asked["sort"] = ("bogus", "-bogus")
        if "sheet" in context:
            asked["format"] = ("bogus",)
        form = context.get("form")
        if form is not None and getattr(form, "is_bound", False):
            assert form.fields.keys() <= KNOWN, address
            asked |= {name: (str(bogus(field)),) for name, field in form.fields.items()}
        looked_at |= {(address, name) for name in asked}
        silent += [
            (address, name, each) for name, of in asked.items() for each in of if not told(console, address, name, each)
        ]
    assert not silent
    assert {
        ("/executions", "since"),
        ("/recovery-plans", "sort"),
        ("/journal", "outcome"),
        ("/findings", "page"),
    } < looked_at


@pytest.mark.parametrize(
    ("address", "name", "values"),
    [
        ("/ledger", "days", NUMBERS),
        ("/ledger", "servers", ("bogus", str(uuid.UUID(int=1)))),
        ("/ledger", "format", ("bogus",)),
        ("/executions/{run}", "wave", ("bogus", "-1", "99", "")),
        ("/executions/{run}", "most", ("bogus", "-1", "1e9", "٣")),
        ("/executions/{run}/report", "format", ("bogus",)),
        ("/recovery-plans/{plan}", "wave", ("bogus", "-1", "99")),
        ("/recovery-plans/{plan}", "most", ("bogus", "-1")),
        ("/recovery-plans/{plan}/runbook", "format", ("bogus",)),
        ("/executions", "plan", (str(uuid.UUID(int=1)),)),
        ("/recovery-instances", "choose", ("bogus",)),
        ("/schedules/new", "plan", ("bogus", str(uuid.UUID(int=1)))),
        ("/recovery-plans", "label", ("=x", "a, ,=b", ",".join(f"k{each}" for each in range(25)))),
    ],
)  # fmt: skip
def test_pages_tell_what_they_cannot_use(
    console: Client, run: Execution, address: str, name: str, values: tuple[str, ...]
) -> None:
    address = address.format(run=run.pk, plan=run.plan_id)
    assert [each for each in values if not told(console, address, name, each)] == []
    assert TOLD not in console.get(address).content.decode()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/ledger?days=bogus&format=pdf", "days"),
        ("/ledger?account=bogus&format=csv", "account"),
        ("/executions?status=DONE&format=csv", "status"),
        ("/executions?sort=bogus&format=csv", "sort"),
        (f"/executions?plan={uuid.UUID(int=1)}&format=csv", "plan"),
        ("/recovery-plans?label==x&format=csv", "label"),
        ("/source-servers?region=mars-1&format=csv", "region"),
        ("/exercises?account=bogus&format=csv", "account"),
        ("/journal?since=yesterday&format=csv", "since"),
        ("/settings/configuration/export?format=xml", "format"),
    ],
)
def test_no_file_is_made_that_holds_something_else(console: Client, run: Execution, address: str, name: str) -> None:
    refused = console.get(address)
    assert (refused.status_code, "Content-Disposition" in refused) == (400, False)
    assert f"{name}: " in words(refused.content.decode())


def test_a_name_that_no_page_knows_is_told(console: Client, run: Execution) -> None:
    """“?statsu=FAILED” showed every run, and its file held every run."""
    misspelt = {"statsu": "FAILED"}
    shown = {address: console.get(address, misspelt) for address in ("/executions", "/journal", "/", "/settings")}
    why = f"“statsu” {TOLD}: no page knows that name. Did you mean “status”?"
    assert [each for each, answer in shown.items() if why not in words(answer.content.decode())] == []
    assert console.get("/executions", {**misspelt, "format": "csv"}).status_code == 400
    assert TOLD not in console.get("/executions", {"statsu": ""}, headers=HX).content.decode()
    back = {**HX, "HX-History-Restore-Request": "true"}  # the whole page comes
    assert TOLD in console.get("/executions", misspelt, headers=back).content.decode()
    from_outside = words(console.get("/executions", {"ref": "chat"}).content.decode())
    assert f"“ref” {TOLD}: no page knows that name. " in from_outside
    assert "Did you mean" not in from_outside  # “rev” is what polls send


def test_findings_of_a_run_tell_that_another_plan_is_not_used(console: Client, run: Execution) -> None:
    other, asked = world.plan("Orders"), {"execution": str(run.pk)}
    shown = words(console.get("/findings", {**asked, "plan": str(other.pk)}).content.decode())
    assert f"“plan” {TOLD}: those of one run are shown" in shown
    assert TOLD not in console.get("/findings", {**asked, "plan": str(run.plan_id)}).content.decode()


def test_a_list_that_is_filtered_again_takes_it_back(console: Client, run: Execution) -> None:
    """By htmx only the rows come: beside them what is wrong by now, or no more."""
    wrong = console.get("/executions?since=yesterday&sort=bogus", headers=HX).content.decode()
    assert re.search(r'id="unusable" hx-swap-oob="true"><p class="bad">“sort”', wrong)
    assert re.search(r'id="filter-errors" hx-swap-oob="true">\s*<p class="bad" id="id_since_error">', wrong)
    right = console.get("/executions", headers=HX).content.decode()
    assert re.search(r'id="unusable" hx-swap-oob="true"></div>', right)
    assert re.search(r'id="filter-errors" hx-swap-oob="true">\s*</div>', right)
    assert html.unescape(wrong).count("Payments") == html.unescape(right).count("Payments")


def test_all_that_pages_read_is_looked_at_or_known() -> None:
    """Whoever reads another parameter says here whether the page tells what it cannot use of it."""
    found = {
        (path.relative_to(settings.BASE_DIR).as_posix(), first or second)
        for path in Path(settings.BASE_DIR).rglob("*.py")
        if not {"tests", ".venv", "node_modules", "drsorch_cli", "drs_simulator"} & set(path.parts)
        for first, second in READ.findall(path.read_text())
    }
    assert len(found) > 40
    assert {name for _, name in found} | HERE <= KNOWN
    assert not {each for each in found if each[1] not in IGNORED.keys() | HERE}


def test_more_of_a_list_that_has_become_shorter_is_nothing(console: Client, db: None) -> None:
    """The nearest page came once more, and its rows stood there twice."""
    for number in range(51):
        world.plan(f"Plan {number:02}", sizes=(1,))

    def rows(**headers: str) -> str:
        return words(console.get(f"{reverse('plans')}?page=2", headers=headers).content.decode())

    assert "Plan 50" in rows(**HX, **{"HX-Target": "more"})
    RecoveryPlan.objects.get(name="Plan 50").delete()
    assert "Plan 0" not in rows(**HX, **{"HX-Target": "more"})
    assert "Plan 49" in rows()
