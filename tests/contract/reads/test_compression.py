"""Answers are compressed where a client takes that, and their length tells nobody what is in them."""

import gzip

import pytest
from django.test import Client

from bench.seed import seed
from contract.rest.answers.compression import compressed
from tests.support.api_client import Api, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.slow
def test_a_list_is_small_on_the_wire(admin: Api) -> None:
    """A tenth of the specification's size; 1,000 groups with 4 servers are 0.09 MB."""
    seed(groups=100, servers=4, plans=50, executions=100)
    for path, share, most in (
        ("/protection-groups", 10, 15_000),
        ("/recovery-plans", 6, 12_000),
        ("/executions", 5, 9_000),
    ):
        plain, small = admin.get(path), admin.get(path, Accept_Encoding="br, gzip")
        assert gzip.decompress(small.content) == plain.content
        assert len(small.content) * share < len(plain.content)
        assert len(small.content) < most
        assert int(small.headers["Content-Length"]) == len(small.content)
        assert "Accept-Encoding" in small.headers["Vary"]
        assert "Accept-Encoding" in plain.headers["Vary"]
        assert admin.get(path, Accept_Encoding="gzip", If_None_Match=small.headers["ETag"]).status_code == 304


def test_a_page_is_compressed_and_a_form_that_is_sent_is_not() -> None:
    client = Client()
    client.force_login(make_user("admin"))
    page = client.get("/", headers={"accept-encoding": "gzip"})
    assert page.headers["Content-Encoding"] == "gzip"
    assert b"</html>" in gzip.decompress(page.content)
    refused = client.post("/sign-in/", {"username": "x"}, headers={"accept-encoding": "gzip"})
    assert "Content-Encoding" not in refused.headers


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.0", "xgzip"])
def test_who_does_not_take_gzip_gets_none(accepted: str) -> None:
    client = Client()
    client.force_login(make_user("admin"))
    assert "Content-Encoding" not in client.get("/", headers={"accept-encoding": accepted}).headers


def test_the_same_answer_has_another_length_each_time() -> None:
    answer = b"<input name=token value=abc>" * 200
    made = [compressed(answer) for _ in range(60)]
    assert len({len(each) for each in made}) > 20
    assert {gzip.decompress(each) for each in made} == {answer}
