"""A region that is not enabled for the account: AWS answers OptInRequired or, as to a key that is gone,
UnrecognizedClientException. The simulator never does."""

from typing import Any, NoReturn

import pytest

from drs.client import Drs
from drs.errors import BY_CODE, DrsError
from drs_simulator.testing import RunningSimulator
from tests.support.api_client import Api, refusal


@pytest.fixture(autouse=True, params=["OptInRequired", "UnrecognizedClientException"])
def code(simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    code = str(request.param)

    def refuse(self: Drs, *args: Any, **options: Any) -> NoReturn:
        raise DrsError(BY_CODE[code], code=code, message="No.", region="af-south-1", operation="DescribeSourceServers")

    monkeypatch.setattr(Drs, "source_servers", refuse)
    return code


def test_discovery_says_so(admin: Api, code: str) -> None:
    details = refusal(admin.get("/drs/source-servers?region=af-south-1"), 400, "REGION_NOT_ENABLED")
    assert details == {"awsCode": code, "awsMessage": "No.", "region": "af-south-1"}


def test_no_group_is_made_there(admin: Api) -> None:
    body = {"groupName": "Cape Town", "region": "af-south-1", "sourceServerIds": ["s-1234567890abcdef0"]}
    refusal(admin.post("/protection-groups", body), 400, "REGION_NOT_ENABLED")
