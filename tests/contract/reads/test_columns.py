"""Ids and times that the database writes are those that Python writes of the same rows."""

import uuid
from datetime import UTC, datetime

import pytest

from contract.clock import unix
from contract.rest.answers.columns import IdText, UnixSeconds
from protection.models import ProtectionGroup, SourceServer

pytestmark = [pytest.mark.django_db, pytest.mark.both]


@pytest.mark.parametrize("fraction", [0, 1, 499_999, 999_600, 999_999])
def test_a_time_is_the_same_whole_second(fraction: int) -> None:
    moment = datetime(2026, 11, 29, 23, 59, 59, fraction, tzinfo=UTC)
    SourceServer.objects.create(source_server_id="s-1", seen_at=moment)
    row = SourceServer.objects.annotate(seen=UnixSeconds("seen_at"), gone=UnixSeconds("gone_at")).get()
    assert (row.seen, row.gone) == (unix(moment), None)  # type: ignore[attr-defined]


def test_an_id_is_the_same_text() -> None:
    keys = [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.uuid4()]
    for key in keys:
        ProtectionGroup.objects.create(pk=key, name=str(key), name_key=str(key))
    texts = ProtectionGroup.objects.values_list(IdText("pk"), flat=True)
    assert sorted(texts) == sorted(map(str, keys))
