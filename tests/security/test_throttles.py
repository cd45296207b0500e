"""Each principal has its share of the API, strangers have little, and the console is never slowed down."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.test import Client, override_settings

from drs_simulator.testing import RunningSimulator
from drsorch_site.settings import DEFAULT_RATES
from tests.console import world
from tests.security.conftest import Browser
from tests.support.api_client import Api, answer, refusal


def rates(**changed: str) -> Any:
    return override_settings(THROTTLES={**settings.THROTTLES, **changed})


def test_the_defaults_are_those_of_the_design() -> None:
    rates = {"anon": "30/min", "user": "600/min", "start": "30/min", "discovery": "60/min", "door": "60/min"}
    assert rates == DEFAULT_RATES


def test_a_principal_has_its_share(admin: Api) -> None:
    with rates(user="3/min"):
        assert [admin.get("/executions").status_code for _ in range(3)] == [200] * 3
        response = admin.get("/executions")
    refusal(response, 429, "THROTTLED")
    assert 1 <= int(response["Retry-After"]) <= 60


def test_only_runs_that_were_started_count_as_starts(admin: Api, simulator: RunningSimulator) -> None:
    """Refusals do not, and what is sent again for a lost answer gets that answer however many were started since."""

    def cancel(started: dict[str, str]) -> None:
        answer(admin.post(f"/executions/{started['executionId']}/cancel"))

    body = {"planId": str(world.plan().pk), "executionType": "DRILL"}
    with rates(start="2/min"):
        assert {admin.post("/executions", {}).status_code for _ in range(3)} == {400}
        first = answer(admin.post("/executions", body, Idempotency_Key="first"), 202)
        assert {admin.post("/executions", body).status_code for _ in range(3)} == {409}
        assert answer(admin.post("/executions", body, Idempotency_Key="first"), 202) == first
        cancel(first)
        cancel(answer(admin.post("/executions", body, Idempotency_Key="second"), 202))
        refusal(admin.post("/executions", body, Idempotency_Key="third"), 429, "THROTTLED")
        refusal(admin.post(f"/recovery-plans/{body['planId']}/execute", {}), 429, "THROTTLED")
        assert answer(admin.post("/executions", body, Idempotency_Key="first"), 202) == first
        assert admin.get("/executions").status_code == 200


def test_discoveries_are_counted_apart(admin: Api) -> None:
    with rates(discovery="1/min"):
        assert [admin.get("/drs/source-servers").status_code for _ in range(2)] == [400, 429]
        assert admin.get("/executions").status_code == 200


def test_an_address_with_bad_tokens_is_turned_away_but_not_its_good_ones(db: None, admin: Api) -> None:
    cache.clear()
    stranger = Client()

    def ask(token: str, address: str = "127.0.0.1") -> Any:
        return stranger.get("/api/v1/executions", headers={"Authorization": f"Bearer {token}"}, REMOTE_ADDR=address)

    with rates(anon="3/min"):
        assert [ask("bad").status_code for _ in range(4)] == [401, 401, 401, 429]
        response = ask("bad")
        refusal(response, 429, "THROTTLED")
        assert 1 <= int(response["Retry-After"]) <= 60
        assert response["Cache-Control"] == "no-store"
        assert ask(admin.token).status_code == 200
        assert ask("bad", "192.0.2.9").status_code == 401
        assert stranger.get("/healthz").status_code == 200
    cache.clear()


def test_good_tokens_are_not_counted_as_strangers(admin: Api) -> None:
    with rates(anon="2/min"):
        assert {admin.get("/executions").status_code for _ in range(6)} == {200}


def test_polls_of_the_console_are_never_throttled(browser: Browser) -> None:
    run = world.paused()
    client = browser("operator")
    with rates(anon="1/min", user="1/min", start="1/min", discovery="1/min"):
        address = f"/executions/{run.pk}/live?rev={run.revision}&engine=1"
        answers = {client.get(address, headers={"HX-Request": "true"}).status_code for _ in range(100)}
    assert answers == {204}


def test_processes_share_the_counts(admin: Api, tmp_path: Path) -> None:
    """Two caches on one directory are what two web processes have."""
    files = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": tmp_path}
    found = []
    for _ in range(2):
        with override_settings(CACHES={"default": files}), rates(user="3/min"):
            found += [admin.get("/executions").status_code for _ in range(2)]
    assert found == [200, 200, 200, 429]
