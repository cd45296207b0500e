"""The OpenAPI document is valid, complete, and true of what the API answers."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver

from contract.rest.examples import SRS
from contract.rest.schema import STATUSES
from drs_simulator.testing import RunningSimulator
from drsorch_site.api_urls import urlpatterns
from executions.codes.explain import EVERY_CODE
from tests.console import world
from tests.contract.openapi import committed
from tests.support.api_client import Api, answer, make_user

PAGE = Path(__file__).resolve().parents[3] / "docs" / "api.md"
OPEN_ENDED = {"/schema"}  # describes itself


@pytest.fixture
def document(admin: Api) -> dict[str, Any]:
    found: dict[str, Any] = answer(admin.get("/schema"))
    return found


def validate(schema: dict[str, Any], value: Any) -> None:
    # Not above: to import it takes a second of a processor, of every process that collects tests.
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    Draft202012Validator(schema).validate(value)


@pytest.mark.slow
def test_it_is_valid_openapi_31(document: dict[str, Any]) -> None:
    from drf_spectacular.validation import validate_schema  # imports jsonschema, see below

    assert document["openapi"].startswith("3.1")
    validate_schema(document)  # type: ignore[no-untyped-call]


def test_the_committed_one_is_that_of_the_code(db: None) -> None:
    assert committed.PATH.read_text() == committed.text(), committed.__doc__


def _patterns(found: Sequence[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for each in found:
        if isinstance(each, URLResolver):
            yield from _patterns(each.url_patterns)
        else:
            yield each


def test_it_has_every_address(document: dict[str, Any]) -> None:
    addresses = {
        "/" + str(each.pattern).replace("<str:", "{").replace(">", "}") for each in _patterns(urlpatterns) if each.name
    }
    assert addresses - {"/^.*$", "/docs"} - OPEN_ENDED == set(document["paths"])


def test_its_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))


def test_it_says_what_each_code_of_a_run_means(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    told = {each["const"]: (each["title"], each["description"]) for each in schemas["Code"]["oneOf"]}
    assert told == {each.value: (each.meaning, each.advice) for each in EVERY_CODE}
    assert "WAVE_TIMEOUT" in schemas["ExecutionShape"]["properties"]["errorCode"]["description"]
    assert str(schemas).count("The schema Code says what each means.") == str(schemas).count("'errorCode': {")


def test_every_code_of_the_contract_has_its_status() -> None:
    listed = PAGE.read_text()
    assert [code for code in STATUSES if f"`{code}`" not in listed] == []


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/protection-groups", "/protection-groups"),
        ("/protection-groups/{group}", "/protection-groups/{group_id}"),
        ("/recovery-plans", "/recovery-plans"),
        ("/recovery-plans/{plan}", "/recovery-plans/{plan_id}"),
        ("/executions", "/executions"),
        ("/executions/{run}", "/executions/{execution_id}"),
        ("/executions/{run}/job-logs", "/executions/{execution_id}/job-logs"),
        ("/drs/source-servers?region=us-east-1", "/drs/source-servers"),
        ("/notification-subscriptions", "/notification-subscriptions"),
        ("/notification-subscriptions/{subscription}", "/notification-subscriptions/{subscription_id}"),
        ("/notification-deliveries", "/notification-deliveries"),
    ],
)
def test_answers_are_as_described(
    admin: Api, document: dict[str, Any], simulator: RunningSimulator, path: str, operation: str
) -> None:
    run = world.paused()
    assert run.plan is not None
    subscription = world.subscription()
    world.delivery(subscription)
    keys = {
        "subscription": subscription.pk,
        "run": run.pk,
        "plan": run.plan.pk,
        "group": run.plan.waves.all()[0].groups.get().pk,
    }
    body = answer(admin.get(path.format(**keys)))
    described = document["paths"][operation]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    closed = _closed({**described, "components": document["components"]})
    validate(closed, body)


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/protection-groups/{group}", "/protection-groups/{group_id}"),
        ("/recovery-plans/{plan}", "/recovery-plans/{plan_id}"),
        ("/notification-subscriptions/{subscription}", "/notification-subscriptions/{subscription_id}"),
    ],
)
def test_what_a_get_answers_is_a_body_that_a_put_describes(
    admin: Api, document: dict[str, Any], path: str, operation: str
) -> None:
    plan = world.plan()
    keys = {"subscription": world.subscription().pk, "plan": plan.pk, "group": plan.waves.all()[0].groups.get().pk}
    described = document["paths"][operation]["put"]["requestBody"]["content"]["application/json"]["schema"]
    body = answer(admin.get(path.format(**keys)))
    validate({**described, "components": document["components"]}, body)
    answer(admin.put(path.format(**keys), body))


def test_it_shows_the_specifications_examples_and_they_are_well_formed(document: dict[str, Any]) -> None:
    shown = dict[str, list[str]]()
    for operation in (each for path in document["paths"].values() for each in path.values()):
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            media = part.get("content", {}).get("application/json", {})
            for title, example in media.get("examples", {}).items():
                described = _closed({**media["schema"], "components": document["components"]})
                validate(described, example["value"])
                shown.setdefault(operation["operationId"], []).append(title)
    assert {name: len(titles) for name, titles in shown.items()} == {
        name: len(example.get("requests", ())) + ("response" in example) for name, example in SRS.items()
    }


def _closed(schema: Any) -> Any:
    """Objects with exactly the members described: an answer may not say more, either."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _closed(value) for name, value in schema.items()}
    return {"additionalProperties": False, **found} if "properties" in found else found


def test_the_page_of_it_needs_a_session(client: Any, sign_in: Callable[..., Api]) -> None:
    assert client.get("/api/v1/docs").status_code == 302
    client.force_login(make_user("viewer"))
    page = client.get("/api/v1/docs").content.decode()
    assert client.get("/api/v1/docs/").status_code == 200
    assert 'data-schema="/api/v1/schema"' in page
    assert "<style" not in page
