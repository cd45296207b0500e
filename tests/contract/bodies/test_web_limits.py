"""What is too long for us is refused by us, and not by a page of the web server that runs us."""

from datetime import timedelta

import pytest
import requests
from urllib3.util import Retry

from identity.tokens import make_token
from tests.support.api_client import make_user
from tests.support.processes import web


@pytest.mark.django_db(transaction=True)
def test_long_tokens_and_addresses_get_answers_in_our_shape() -> None:
    token = make_token(make_user("viewer"), timedelta(hours=1))
    with web() as base, requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=Retry(None, connect=60, backoff_factor=0.1)))
        found = session.get(f"{base}/executions", headers={"Authorization": f"Bearer {'a' * 12_000}"}, timeout=30)
        assert (found.status_code, found.json()["error"]) == (401, "UNAUTHENTICATED")
        good = {"Authorization": f"Bearer {token}"}
        found = session.get(f"{base}/protection-groups?name={'a' * 7_000}", headers=good, timeout=30)
        assert (found.status_code, found.json()["count"]) == (200, 0)
        found = session.get(f"{base}/executions?{'a' * 7_000}=1", headers=good, timeout=30)
        assert (found.status_code, found.json()["error"]) == (400, "VALIDATION_ERROR")
