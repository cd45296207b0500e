"""What only shows behind a load balancer and with a database in a cloud."""

import pytest
from django.test import Client, override_settings

from drsorch_site.configuration.databases import read_database
from tests.support.readiness import readyz

pytestmark = [pytest.mark.both, pytest.mark.django_db]


@override_settings(ALLOWED_HOSTS=[".dr.example.com"], SECURE_SSL_REDIRECT=True)
def test_a_balancer_may_ask_a_process_by_its_address() -> None:
    client = Client(raise_request_exception=False, headers={"host": "10.0.17.4:8000"})
    assert client.get("/healthz").status_code == 200
    assert readyz(client).json()["checks"]["database"] == "ok"
    assert client.get("/healthz/").status_code == 400  # every other page keeps to the allowed hosts


@pytest.mark.parametrize("pooled", [True, False])
def test_what_the_database_address_asks_for_stays(pooled: bool) -> None:
    config = read_database("postgres://u:p@db.example.com/name?sslmode=verify-full&sslrootcert=/ca.pem", pooled=pooled)
    assert config["OPTIONS"]["sslmode"] == "verify-full"
    assert config["OPTIONS"]["sslrootcert"] == "/ca.pem"
    assert ("pool" in config["OPTIONS"]) == pooled
