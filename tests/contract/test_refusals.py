"""Whatever goes wrong under /api/ is told in one shape, and tells nothing of our insides."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import ProgrammingError
from django.test import Client, RequestFactory, override_settings
from rest_framework.request import Request

from contract.rest.handlers import api_exception_handler
from executions.models import Execution
from executions.states import ExecutionStatus
from identity.tokens import make_token
from tests.console import world
from tests.support.api_client import Api, make_user, refusal

SignIn = Callable[..., Api]
EVERY_ADDRESS = [
    "/protection-groups",
    "/protection-groups/x",
    "/recovery-plans",
    "/recovery-plans/x",
    "/executions",
    "/executions/x",
    "/executions/x/job-logs",
    "/drs/source-servers?region=us-east-1",
    "/nothing-here",
]


@pytest.mark.parametrize("path", EVERY_ADDRESS)
def test_it_answers_nobody_without_a_token(db: None, path: str) -> None:
    response = Client().get(f"/api/v1{path}")
    refusal(response, 401, "UNAUTHENTICATED")
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["", "x", "x.y.z", "é", "a" * 8193, "a" * 8000])
def test_it_refuses_a_token_that_is_none(sign_in: SignIn, token: str) -> None:
    response = sign_in().get("/executions", Authorization=f"Bearer {token}")
    refusal(response, 401, "UNAUTHENTICATED")
    assert 'error="invalid_token"' in response["WWW-Authenticate"]


def test_a_token_ends_with_its_time(sign_in: SignIn) -> None:
    api = sign_in()
    api.token = make_token(api.user, timedelta(seconds=-1))
    refusal(api.get("/executions"), 401, "UNAUTHENTICATED")


def test_a_token_ends_with_the_password(sign_in: SignIn) -> None:
    api = sign_in()
    assert api.get("/executions").status_code == 200
    api.user.set_password("another-horse-battery")
    api.user.save()
    refusal(api.get("/executions"), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("gone", ["deactivated", "deleted"])
def test_a_token_ends_with_the_account(sign_in: SignIn, gone: str) -> None:
    api = sign_in()
    if gone == "deleted":
        api.user.delete()
    else:
        api.user.is_active = False
        api.user.save()
    refusal(api.get("/executions"), 401, "UNAUTHENTICATED")


def test_the_console_session_works_on_the_api_with_csrf(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("admin"))
    assert client.get("/api/v1/executions").status_code == 200
    refusal(client.delete("/api/v1/executions"), 403, "FORBIDDEN")


def test_it_knows_no_other_address(admin: Api) -> None:
    refusal(admin.get("/nothing-here"), 404, "NOT_FOUND")
    refusal(admin.post("/nothing-here", {}), 404, "NOT_FOUND")
    refusal(admin.get("/api/v2/executions"), 404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/protection-groups/", "/recovery-plans/", "/executions/"])
@pytest.mark.parametrize("bad", ["x", "%00", "0", "../x", "a" * 500, "12345678-1234-1234-1234-12345678901Z"])
def test_a_malformed_id_is_not_found(admin: Api, path: str, bad: str) -> None:
    refusal(admin.get(path + bad), 404, "NOT_FOUND")


def test_a_trailing_slash_is_tolerated(admin: Api) -> None:
    assert admin.get("/executions/").status_code == 200


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "TRACE", "PUT"])
def test_it_refuses_other_methods(admin: Api, method: str) -> None:
    response = admin.send(method, "/executions", {})
    refusal(response, 405, "METHOD_NOT_ALLOWED")
    assert set(response["Allow"].split(", ")) >= {"GET", "POST", "DELETE"}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_it_reads_json_only(admin: Api, kind: str) -> None:
    response = admin.client.generic(
        "POST", "/api/v1/executions", "a=1", content_type=kind, headers={"Authorization": f"Bearer {admin.token}"}
    )
    refusal(response, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_it_refuses_a_large_body(admin: Api) -> None:
    body = b'{"groupName": "' + b"a" * 1_048_576 + b'"}'
    assert refusal(admin.post("/protection-groups", body), 413, "PAYLOAD_TOO_LARGE")["maxBytes"] == 1_048_576


def test_it_refuses_a_body_without_its_length(admin: Api) -> None:
    response = admin.send("POST", "/executions", None, Transfer_Encoding="chunked")
    refusal(response, 400, "MALFORMED_JSON")


@override_settings(THROTTLES={**settings.THROTTLES, "user": "2/min"})
def test_it_throttles_each_principal(sign_in: SignIn) -> None:
    one, other = sign_in(), sign_in()
    assert [one.get("/executions").status_code for _ in range(2)] == [200, 200]
    response = one.get("/executions")
    refusal(response, 429, "THROTTLED")
    assert 1 <= int(response["Retry-After"]) <= 60
    assert other.get("/executions").status_code == 200


def test_a_bug_tells_a_request_id_and_nothing_else() -> None:
    request = Request(RequestFactory().get("/api/v1/executions", headers={"X-Request-ID": "abc-1"}))
    response = api_exception_handler(ProgrammingError('relation "secret" does not exist'), {"request": request})
    assert response.status_code == 500
    assert response.data["error"] == "INTERNAL_ERROR"
    assert response.data["details"] == {"requestId": "abc-1"}
    assert "secret" not in str(response.data)


def test_a_host_that_is_not_ours_is_refused_in_the_same_shape(db: None) -> None:
    response = Client(raise_request_exception=False).get("/api/v1/executions", headers={"Host": "evil.example"})
    refusal(response, 400, "VALIDATION_ERROR")


def test_every_answer_has_a_request_id(admin: Api) -> None:
    assert admin.get("/executions", X_Request_ID="mine.1")["X-Request-ID"] == "mine.1"
    assert len(admin.get("/executions", X_Request_ID="not ok\n")["X-Request-ID"]) == 32
    assert admin.get("/executions")["Cache-Control"] == "no-store"


def test_a_parameter_of_an_address_that_takes_none_is_named_and_nothing_is_done(admin: Api) -> None:
    """Both were passed over: the first hid every run that was over, the second launched servers."""
    over, plan = world.ended(ExecutionStatus.FAILED), world.plan("Orders")
    none = ["The address takes no parameter here."]
    hidden = admin.delete(f"/executions?planId={plan.pk}&kind=DRILL")
    assert refusal(hidden, 400, "VALIDATION_ERROR") == {"fields": {"planId": none, "kind": none}}
    refusal(admin.send("DELETE", "/executions", {"planId": str(plan.pk)}), 400, "VALIDATION_ERROR")
    started = admin.post(f"/recovery-plans/{plan.pk}/execute?dryRun=true", {"executionType": "DRILL"})
    assert refusal(started, 400, "VALIDATION_ERROR") == {"fields": {"dryRun": none}}
    assert list(Execution.objects.shown()) == [over]
    refusal(admin.get(f"/executions/{over.pk}?wave=1"), 400, "VALIDATION_ERROR")
    refusal(Api(make_user("viewer")).delete("/executions?planId=x"), 403, "FORBIDDEN")
