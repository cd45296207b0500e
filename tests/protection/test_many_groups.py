"""A list of very many groups is sent while it is made, and says what the list in pages does."""

import gzip
import json
from typing import Any

import pytest

from bench.seed import groups_of, server_id
from protection.models import RegionInventory, SourceServer
from protection.representation import AT_ONCE, BATCH
from tests.support.api_client import Api, answer

pytestmark = [pytest.mark.both, pytest.mark.slow]


def test_it_is_streamed_and_whole(admin: Api) -> None:
    count = AT_ONCE + BATCH // 2
    groups_of(count, 1)
    SourceServer.objects.filter(pk=server_id(BATCH + 7, 0)).update(gone_at=SourceServer.objects.all()[0].seen_at)
    RegionInventory.objects.update(error_code="THROTTLED", error_message="Rate exceeded")
    sent = admin.get("/protection-groups", Accept_Encoding="gzip")
    assert sent.streaming
    parts = list(sent)
    assert len(parts) > count // BATCH
    whole = json.loads(gzip.decompress(b"".join(parts)))
    assert sent["Content-Encoding"] == "gzip"
    paged: list[Any] = []
    token: str | None = ""
    while token is not None:
        page = answer(admin.get(f"/protection-groups?limit=100{f'&nextToken={token}' if token else ''}"))
        paged += page["groups"]
        token = page["nextToken"]
    assert whole["groups"] == paged
    assert whole["count"] == count
    assert sorted(each["code"] for each in whole["warnings"]) == ["DRS_UNAVAILABLE", "SERVER_NOT_IN_DRS"]
    plain = admin.get("/protection-groups?fields=groupId,groupName")
    named = json.loads(b"".join(plain))["groups"]
    assert named == [{"groupId": each["groupId"], "groupName": each["groupName"]} for each in paged]
