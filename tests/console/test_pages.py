"""Every page in every state: it renders, tells the truth, escapes names, and asks a bounded number of questions."""

import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from drsorch_site.dashboard import server_error
from executions.states import ExecutionStatus, Kind
from tests.console import world
from tests.console.world import EVIL

pytestmark = pytest.mark.slow

LISTS = ("dashboard", "groups", "plans", "executions", "servers", "notifications")
HX = {"HX-Request": "true"}
Queries = Any  # pytest-django gives its fixture no public type


class Outline(HTMLParser):
    """What must be right on every page, whatever it shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.handlers += [name for name, _ in attrs if name.startswith(("on", "hx-on")) or name == "style"]


def look(client: Client, name: str, *args: object, **query: str | list[str]) -> str:
    """The page's HTML, once its outline has been judged."""
    response = client.get(reverse(name, args=args), query)
    html = response.content.decode()
    assert response.status_code == 200, html
    outline = Outline(html)
    assert outline.tags.count("h1") == 1
    assert outline.tags.count("main") == 1
    assert len(outline.ids) == len(set(outline.ids)), outline.ids
    assert not outline.handlers
    assert "no-store" in response["Cache-Control"]
    return html


def words(html: str) -> str:
    """What a person reads, without the choices of the filters."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<option.*?</option>", "", html)))


@pytest.mark.parametrize("name", LISTS)
def test_it_shows_an_empty_house(console: Client, name: str) -> None:
    assert 'class="empty"' in look(console, name)


@pytest.mark.parametrize("name", LISTS)
def test_it_shows_evil_names_as_text(console: Client, name: str) -> None:
    world.region()
    world.ended(ExecutionStatus.PARTIAL, EVIL, fail=EVIL)
    world.start(world.plan(f"{EVIL} again"))
    world.delivery(world.subscription(EVIL), EVIL)
    html = look(console, name)
    assert "<b onclick" not in html
    assert "&lt;b onclick" in html


def test_it_shows_evil_names_as_text_on_detail_pages(console: Client) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, EVIL, fail=EVIL)
    assert run.plan is not None
    for page in (
        look(console, "execution", run.pk),
        look(console, "plan", run.plan_id),
        look(console, "group", run.plan.waves.all()[0].group_links.all()[0].group_id),
        look(console, "start-drill", run.plan_id),
        look(console, "cancel-execution", run.pk),
    ):
        assert "<b onclick" not in page
        assert "&lt;b onclick" in page


@pytest.mark.parametrize("name", LISTS)
def test_it_asks_as_many_questions_for_many_rows_as_for_few(
    console: Client, name: str, django_assert_max_num_queries: Queries
) -> None:
    world.region()
    for _ in range(12):
        world.ended(ExecutionStatus.COMPLETED)
        world.paused()
        world.delivery(world.subscription())
    look(console, name)  # notes that somebody is there, and what is left running, which making all this has made due
    with django_assert_max_num_queries(25):
        look(console, name)


def test_it_asks_as_many_questions_for_a_big_run_as_for_a_small_one(
    console: Client, django_assert_max_num_queries: Queries
) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, sizes=(60, 60, 1))
    look(console, "settings")
    with django_assert_max_num_queries(28):
        look(console, "execution", run.pk)
    with django_assert_max_num_queries(36):
        look(console, "plan", run.plan_id)


def test_it_searches_and_says_when_nothing_matches(console: Client) -> None:
    world.plan("Payments")
    world.plan("Orders")
    found = words(look(console, "plans", q="PAY"))
    assert "Payments" in found
    assert "Orders" not in found
    assert "No plan matches" in look(console, "plans", q="zzz")
    assert "No group matches" in look(console, "groups", q="zzz")
    assert "No server matches" in look(console, "servers", q="zzz")
    assert "No run matches" in look(console, "executions", status="FAILED")


def test_it_answers_htmx_with_the_rows_alone_but_restores_whole_pages(console: Client) -> None:
    world.plan("Payments")
    rows = console.get(reverse("plans"), {"q": "pay"}, headers=HX).content.decode()
    assert rows.lstrip().startswith("<section")
    assert "<html" not in rows
    whole = console.get(reverse("plans"), headers={**HX, "HX-History-Restore-Request": "true"}).content.decode()
    assert "<html" in whole


def test_it_loads_more_runs_behind_the_last_one(console: Client) -> None:
    for number in range(52):
        world.ended(ExecutionStatus.COMPLETED, f"Run {number:02}", sizes=(1,))
    first = look(console, "executions", kind="DRILL")
    assert "Run 51" in words(first)
    assert "Run 01" not in words(first)
    following = re.search(r'id="load-more"[^>]* href="\?([^"]+)"', first)
    assert following
    second = console.get(f"{reverse('executions')}?{following[1].replace('&amp;', '&')}").content.decode()
    assert "Run 01" in words(second)
    assert "Load more" not in second
    assert "kind=DRILL" in following[1]


def test_it_refuses_a_cursor_that_it_did_not_make(console: Client) -> None:
    assert console.get(reverse("executions"), {"after": "nonsense"}).status_code == 400


def test_it_says_how_far_what_it_knows_of_a_region_can_be_trusted(console: Client) -> None:
    world.server()
    world.region("us-east-1", age_seconds=3600)
    world.region("us-west-2", error_code="AccessDenied", error_message="not authorized <x>")
    world.region("ap-south-1", initialized=False)
    text = words(look(console, "servers"))
    assert "us-east-1 is out of date. AWS was last read 1 hour ago" in text
    assert "us-west-2 could not be read : not authorized &lt;x&gt;" in text
    assert "DRS has never been set up in ap-south-1" in text
    board = words(look(console, "dashboard"))
    assert "Out of date" in board
    assert "AccessDenied" in board


def test_it_says_what_makes_recovery_doubtful(console: Client) -> None:
    world.region()
    world.server(state="STALLED")
    world.ended(ExecutionStatus.COMPLETED, "Drilled")
    world.plan("Forgotten")
    text = words(look(console, "dashboard"))
    assert "1 source server in no protection group" in text
    assert "1 plan without a completed drill in the last 90 days : Forgotten (never)" in text
    assert "4 of 5" not in text  # the plans' servers are ready, too
    assert "8 of 9 servers ready" in text


def test_it_says_that_no_engine_runs(console: Client) -> None:
    world.beat(at=timezone.now() - timedelta(seconds=31))
    assert "No engine is running" in look(console, "dashboard")


def test_it_tells_those_who_may_only_look_why_buttons_are_off(onlooker: Client) -> None:
    run = world.paused()
    page = look(onlooker, "execution", run.pk)
    assert re.search(r'<button id="resume"[^>]* disabled>Resume wave 2', page)
    assert "ask an administrator for the right" in page
    assert "You may not start drills" in look(onlooker, "plans")
    assert onlooker.post(reverse("resume-execution", args=[run.pk])).status_code == 403
    assert onlooker.post(reverse("start-drill", args=[world.plan().pk])).status_code == 403
    assert onlooker.post(reverse("cancel-execution", args=[run.pk])).status_code == 403
    run.refresh_from_db()
    assert run.state is ExecutionStatus.PAUSED


def test_it_says_why_a_plan_cannot_be_started_now(console: Client) -> None:
    run = world.paused("Payments")
    text = words(look(console, "plans"))
    assert "“Payments” is already running" in text
    assert reverse("execution", args=[run.pk]) in look(console, "plans")


@pytest.mark.parametrize("status", list(ExecutionStatus))
def test_it_shows_a_run_in_every_status(console: Client, status: ExecutionStatus) -> None:
    run = world.start(world.plan(), Kind.RECOVERY)
    first, _ = run.waves.all()
    world.launch(first, fail="no capacity", end=status.is_final)
    over = {"ended_at": timezone.now()} if status.is_final else {}
    world.change(run, first, status=status, error_message="Something else.", failing_since=first.started_at, **over)
    text = words(look(console, "execution", run.pk))
    assert status.label in text
    assert "Recovery" in text
    assert "no capacity" in text
    assert "AWS has not answered since" in text
    assert ("Cancel run" in text) == (not status.is_final and status is not ExecutionStatus.CANCELLING)


def pages(resolver: URLResolver) -> Iterator[URLPattern]:
    """The addresses of all rooms, without those of the API and the admin."""
    for each in resolver.url_patterns:
        if isinstance(each, URLPattern):
            yield each
        elif not str(each.pattern):
            yield from pages(each)


def test_it_closes_every_page_to_strangers(client: Client) -> None:
    open_pages = {
        "sign-in",
        "sign-in-failed",
        "sign-out",
        "signed-out",
        "theme",
        "favicon",
        "healthz",
        "readyz",
        "metrics",
    }
    open_pages |= {"oidc-begin", "oidc-callback", "published"}  # tests/identity
    unknown = {"uuid": "7c1f0a9e-0000-4000-8000-000000000000", "int": 1, "string": "s-11111111111111111", "slug": "x"}
    seen = 0
    for pattern in pages(get_resolver()):
        if pattern.name in open_pages or not pattern.name:
            continue
        kinds = {
            name: type(each).__name__.removesuffix("Converter") for name, each in pattern.pattern.converters.items()
        }
        keys = {name: unknown[kind.lower()] for name, kind in kinds.items()}
        address = reverse(pattern.name, kwargs=keys)
        for method in (client.get, client.post):
            response = method(address)
            assert response.status_code == 302, address
            assert response["Location"].startswith("/sign-in?next=")
            response = method(address, headers={**HX, "HX-Current-URL": f"http://testserver{address}"})
            assert response.status_code == 401, address
            assert response["HX-Redirect"].startswith("/sign-in?next=")
        seen += 1
    assert seen >= 40


def test_it_signs_in_and_out(client: Client, operator: User) -> None:
    address = reverse("sign-in")
    wrong = client.post(address, {"username": "operator", "password": "wrong"})
    assert wrong.status_code == 422
    assert "The name or password is wrong" in wrong.content.decode()
    right = {"username": "operator", "password": "correct-horse-battery"}
    assert client.post(f"{address}?next=/executions", right)["Location"] == "/executions"
    assert client.post(reverse("sign-out"))["Location"] == reverse("signed-out")
    assert client.post(f"{address}?next=//evil.example", right)["Location"] == "/"


def test_it_keeps_the_theme_and_goes_back_to_its_own_pages_only(console: Client) -> None:
    response = console.post(reverse("theme"), {"theme": "dark", "next": "https://evil.example/"})
    assert response["Location"] == "/"
    assert 'data-theme="dark"' in look(console, "dashboard")
    console.post(reverse("theme"), {"theme": "system", "next": "/"})
    assert "data-theme" not in look(console, "dashboard")


def test_its_error_pages_look_like_the_rest(console: Client) -> None:
    missing = console.get("/nowhere")
    assert missing.status_code == 404
    assert "Page not found" in missing.content.decode()
    assert server_error(RequestFactory().get("/")).status_code == 500
    strict = Client(enforce_csrf_checks=True)
    refused = strict.post(reverse("theme"), {"theme": "dark"})
    assert refused.status_code == 403
    assert "out of date" in refused.content.decode()


def test_addresses_in_templates_are_those_of_the_site() -> None:
    """They are made quicker than by Django, from what stands around the id."""
    key, addresses = uuid.uuid4(), dict[str, str]()
    for name in [each for each in get_resolver().reverse_dict if isinstance(each, str)]:
        with suppress(NoReverseMatch):
            addresses[name] = reverse(name, args=[key])
    assert len(addresses) > 20
    for name, address in addresses.items():
        made = Template(f"{{% url '{name}' key %}}")
        assert made.render(Context({"key": key})) == made.render(Context({"key": str(key)})) == address
    kept = Template("{% url 'plan' key as there %}[{{ there }}]").render(Context({"key": key}))
    assert kept == f"[/recovery-plans/{key}]"
    for wrong in ("{% url 'nowhere' key %}", "{% url 'plan' %}", "{% url 'plans' key %}", "{% url 'plan' key key %}"):
        with pytest.raises(NoReverseMatch):
            Template(wrong).render(Context({"key": key}))


def test_every_dialog_has_a_name_and_says_what_follows() -> None:
    asking = [each for each in (settings.BASE_DIR / "templates").rglob("*.html") if "dialog-title" in each.read_text()]
    dumb = [each.name for each in asking if 'id="dialog-text"' not in each.read_text()]
    assert dumb == ["base.html"]  # which has the dialog itself
