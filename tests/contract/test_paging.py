"""Pages neither repeat nor lose a row, whatever is added while somebody reads."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.errors import Invalid
from contract.rest.paging import Cursor, page
from executions.models import Execution
from executions.states import ExecutionStatus, Kind

pytestmark = pytest.mark.both

MOMENTS = st.integers(0, 3).map(lambda tick: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=tick * 500))


def add(moments: list[datetime]) -> set[uuid.UUID]:
    """Runs that were over as soon as they began."""
    made = Execution.objects.bulk_create(
        Execution(
            plan_name="P",
            kind=Kind.DRILL,
            total_waves=1,
            initiated_by="x",
            started_by="x",
            status=ExecutionStatus.COMPLETED,
            started_at=moment,
            ended_at=moment,
        )
        for moment in moments
    )
    return {each.pk for each in made}


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(MOMENTS, max_size=12), added=st.lists(MOMENTS, max_size=3), limit=st.integers(1, 5))
def test_every_row_is_on_one_page(before: list[datetime], added: list[datetime], limit: int) -> None:
    Execution.objects.all().delete()
    old = add(before)
    read: list[uuid.UUID] = []
    token: str | None = None
    while True:
        rows, token = page(Execution.objects.all(), time="started_at", limit=limit, token=token)
        assert len(rows) <= limit
        read += [row.pk for row in rows]
        if token is None:
            break
        later = [moment + timedelta(seconds=1) for moment in added]  # as new runs are: at the top
        add(later)
    assert len(read) == len(set(read))
    assert old <= set(read)
    times = dict(Execution.objects.values_list("pk", "started_at"))
    assert [times[each] for each in read] == sorted((times[each] for each in read), reverse=True)


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_token_stands_for_one_place(at: datetime, key: uuid.UUID) -> None:
    assert Cursor.read(Cursor(at, key).token()) == Cursor(at, key)


@given(st.text(max_size=200))
def test_no_other_text_is_a_token(text: str) -> None:
    with pytest.raises(Invalid):
        Cursor.read(text)
