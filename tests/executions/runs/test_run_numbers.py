"""Runs have numbers that people can say: each its own, whoever starts how many at a time, and older ones in order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import close_old_connections, connection
from django.utils import timezone

from executions.models import Execution, RunNumber
from executions.runs.run_numbers import next_number, number_the_others
from notify.models import Delivery
from tests.console import world
from tests.support.api_client import Api, answer

pytestmark = pytest.mark.both


@pytest.mark.django_db(transaction=True)
def test_no_number_is_given_twice() -> None:
    runs = [
        Execution.objects.create(plan_name="Old", kind="DRILL", total_waves=1, next_step_at=timezone.now())
        for _ in range(24)
    ]
    keys = [each.pk for each in runs]

    def alone(work: Callable[[], object]) -> object:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(alone, number_the_others) for _ in range(2)]
        new = [pool.submit(alone, partial(next_number, Execution().pk)) for _ in range(8)]
        for each in others:
            each.result()
        given = [each.result() for each in new]
    close_old_connections()
    numbers = list(Execution.objects.filter(pk__in=keys).values_list("number", flat=True))
    assert None not in numbers
    assert len({*numbers, *given}) == 32
    assert RunNumber.objects.count() == 32


@pytest.mark.django_db
def test_older_runs_are_numbered_in_the_order_of_their_starts() -> None:
    now, run = timezone.now(), {"kind": "DRILL", "total_waves": 1}
    made = [
        Execution.objects.create(plan_name="Old", started_at=now + timedelta(seconds=at), next_step_at=now, **run)
        for at in range(3)
    ]
    migration = import_module("executions.migrations.0036_number_runs")
    migration.number(apps, SimpleNamespace(connection=connection))
    numbers = [Execution.objects.get(pk=each.pk).number for each in made]
    assert numbers == sorted(numbers, key=lambda each: each or 0)
    assert len(set(numbers)) == 3


@pytest.mark.django_db
def test_a_run_is_called_by_its_number(admin: Api) -> None:
    world.subscription()
    first, second = world.start(world.plan("Payments")), world.start(world.plan("Orders"))
    assert second.number == (first.number or 0) + 1
    assert answer(admin.get(f"/executions/{first.pk}"))["runNumber"] == first.number
    told = Delivery.objects.get(notice__data__runNumber=second.number).notice
    assert told.data["runNumber"] == second.number
    assert f"Run {second.number}: http" in told.text
    first.number = None
    assert first.called == f"run {str(first.pk)[:8]}"
